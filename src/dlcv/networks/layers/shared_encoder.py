"""SuperPoint's encoder, which other networks can share: its features are computed anyhow.

Letters in this file: B images, H W image size in pixels, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.keypoints import CELL
from dlcv.networks.layers.shapes import expect, expect_multiple

Variant = Literal['vgg', 'vgg_bn', 'unet_bn']
Layer = tuple[str, int, int, int]
"""Name, channels in, channels out and kernel size of a convolution."""

_STRIP = 48  # rows of a picture that the first stage looks at together, a multiple of two
_HALO = 2  # rows on either side that two convolutions of three rows see as well
_STAGES = {'1': 64, '2': 64, '3': 128, '4': 128}  # channels


def encoded(width: float) -> int:
    """Return the channels C of what the encoder gives, for a multiplier of all channels."""
    return scaled(_STAGES['4'], width)


class SharedEncoder(nn.Module):
    """The stages before the heads of `dlcv.networks.superpoint.SuperPoint`.

    Args:
        variant: See `dlcv.networks.superpoint.SuperPointConfig`.
        in_channels: Likewise.
        width: Likewise.
    """

    multiple = CELL  # height and width must be multiples of this
    channels_last = True  # measured 1.5 times faster on CPUs; see dlcv.networks.layers.folding

    def __init__(self, *, variant: Variant, in_channels: int, width: float) -> None:
        super().__init__()
        self.variant, self.in_channels, self.width = variant, in_channels, width
        for layer, c_in, c_out, kernel in self.layers():
            conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
            self.add_module(f'conv{layer}', conv)
            if variant != 'vgg':
                eps = 1e-3 if variant == 'vgg_bn' else 1e-5
                self.add_module(f'bn{layer}', nn.BatchNorm2d(c_out, eps))
        initialise(self)

    def layers(self) -> Iterator[Layer]:
        """Yield the convolutions."""
        c_in = self.in_channels
        for stage, channels in _STAGES.items():
            c_out = scaled(channels, self.width)
            yield f'{stage}a', c_in, c_out, 3
            yield f'{stage}b', c_out, c_out, 3
            c_in = c_out

    def encode(self, images: Tensor) -> Tensor:
        """Return the features ``(B, C, H/8, W/8)`` of images.

        Args:
            images: ``(B, 1, H, W)`` float32 grey in [0, 1]; H and W multiples of 8.

        Raises:
            ShapeError: If the shape of the images is another one.
        """
        expect(images, f'B {self.in_channels} H W', 'images')
        expect_multiple(images, CELL, 'images')
        x = self._first(images)
        for stage in list(_STAGES)[1:]:
            x = self.layer(f'{stage}b', self.layer(f'{stage}a', x))
            if stage != '4':
                x = F.max_pool2d(x, 2)  # (B, C, H/8, W/8) in the end
        return x

    def _first(self, images: Tensor) -> Tensor:
        """Return the features ``(B, C, H/2, W/2)`` of the first stage.

        At full resolution its two layers are 157 MB of a picture of 640x480, more than all the
        rest of a node. On a CPU it is run in strips: the same numbers in the same time (measured),
        with a tenth of that. Where an engine or a loss looks on, it is run as it is written.
        """
        height = images.shape[2]
        runs = torch.is_inference_mode_enabled() and not self.training
        if not runs or images.device.type != 'cpu':
            return self._pooled(images)
        strips = []
        for top in range(0, height, _STRIP):
            above, below = min(top, _HALO), min(max(height - top - _STRIP, 0), _HALO)
            strips.append(
                self._pooled(images[:, :, top - above : top + _STRIP + below], above, below)
            )
        return torch.cat(strips, 2)

    def _pooled(self, images: Tensor, above: int = 0, below: int = 0) -> Tensor:
        """Run the first stage on rows, of which so many at either end are those of other strips."""
        x = self.layer('1a', images)
        cut = above // 2, below // 2  # what the edge of the strip has spoiled
        x = self.layer('1b', x[:, :, cut[0] : x.shape[2] - cut[1]])
        cut = above - cut[0], below - cut[1]
        return F.max_pool2d(x[:, :, cut[0] : x.shape[2] - cut[1]], 2)

    def forward(self, images: Tensor) -> Any:
        """Return what `encode` does."""
        return self.encode(images)

    def layer(self, name: str, x: Tensor) -> Tensor:
        """Run a convolution with what belongs to it; that which ends a head has no ReLU."""
        x = self.get_submodule(f'conv{name}')(x)
        ends_head = name in ('Pb', 'Db')
        if self.variant == 'unet_bn':
            x = self.get_submodule(f'bn{name}')(x)
        if not ends_head:
            x = F.relu_(x)
        if self.variant == 'vgg_bn':
            x = self.get_submodule(f'bn{name}')(x)
        return x

    def conv_norm_pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the names of each convolution and the batch-norm that follows it at once."""
        for layer, *_ in self.layers():
            if self.variant == 'unet_bn' or (self.variant == 'vgg_bn' and layer in ('Pb', 'Db')):
                yield f'conv{layer}', f'bn{layer}'
