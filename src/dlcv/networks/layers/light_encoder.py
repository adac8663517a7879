"""A light encoder for a CPU, which networks of several systems begin with.

Residual blocks of a few channels, at a quarter of the size and coarser. What one system has learned
of it another can start from: names of weights are the same.

Letters in this file: B pictures, H W their size in pixels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.shapes import expect, expect_multiple

_STAGES = ((32, 1), (64, 2), (96, 2), (128, 2))  # channels and blocks at 1/4, 1/8, 1/16, 1/32
_STEM = 16


class LightEncoder(nn.Module):
    """Residual stages at 1/4, 1/8, 1/16 and 1/32 of the size.

    Args:
        width: Multiplier of all channel counts.

    Attributes:
        channels: Of each stage's features.
    """

    multiple = 32  # height and width must be multiples of this
    channels_last = True

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c_in = scaled(_STEM, width)
        self.channels = tuple(scaled(channels, width) for channels, _ in _STAGES)
        self.stem = convolution(3, c_in, 2)
        self.stages = nn.ModuleList()
        for c_out, (_, blocks) in zip(self.channels, _STAGES, strict=True):
            members = [convolution(c_in, c_out, 2), *(_Block(c_out) for _ in range(blocks))]
            self.stages.append(nn.Sequential(*members))
            c_in = c_out
        initialise(self)

    def pyramid(self, images: Tensor) -> list[Tensor]:
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


def convolution(c_in: int, c_out: int, stride: int) -> nn.Sequential:
    """Return a 3x3 convolution with its batch-norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(inplace=True),
    )


class _Block(nn.Module):
    """Two 3x3 convolutions around which the input goes (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            *convolution(channels, channels, 1),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.inner(x))
