"""A light encoder for a CPU: what segmentation and detection have in common.

Residual blocks at a quarter to a thirty-second of the size of a picture (He et al., CVPR 2016).
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import scaled
from dlcv.networks.layers.shapes import expect, expect_multiple

STAGES = ((32, 1), (64, 2), (96, 2), (128, 2))  # channels and blocks at 1/4, 1/8, 1/16, 1/32
_STEM = 16


class LightEncoder(nn.Module):
    """The encoder; a network is one, so that both name its parts alike: ``stem``, ``stages``.

    Args:
        width: Multiplier of all channel counts.
    """

    multiple = 32
    channels_last = True
    parts = ('stem.', 'stages.')  # what the names of its weights begin with

    def __init__(self, width: float) -> None:
        super().__init__()
        c_in = scaled(_STEM, width)
        self.stem = convolution(3, c_in, 2)
        self.stages = nn.ModuleList()
        for channels, blocks in STAGES:
            c_out = scaled(channels, width)
            members = [convolution(c_in, c_out, 2), *(_Block(c_out) for _ in range(blocks))]
            self.stages.append(nn.Sequential(*members))
            c_in = c_out

    def encoded(self, images: Tensor) -> list[Tensor]:
        """Return the features of each stage, the finest first.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Raises:
            ShapeError: If the shape is another one, or H or W is no multiple of 32.
        """
        expect(images, 'B 3 H W', 'images')
        expect_multiple(images, self.multiple, 'images')
        x, features = self.stem(2 * images - 1), []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class _Block(nn.Module):
    """Two 3x3 convolutions around which the input goes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *convolution(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))


def convolution(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution, batch-norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )
