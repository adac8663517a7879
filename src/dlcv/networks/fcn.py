"""FCN: a class for each pixel by a network of convolutions alone (Long et al., CVPR 2015).

FCN-8s is VGG-16 whose fully connected layers slide over the picture. Scores of its last layer, of
pool4 and of pool3 are summed, the coarser ones widened by transposed convolutions that begin as
bilinear interpolation. Paddings and crops are those of the published definition, which pads the
picture by 100 pixels so that the 7x7 window fits into small ones. Names are those of the public
PyTorch port: ``conv1_1`` ... ``fc7``, ``score_fr``, ``score_pool4``, ``upscore8``.

The light one is the same idea on residual blocks for a CPU: what is summed is not scores but
``fused`` channels, from a quarter of the size on, and its coarsest features are told the mean of
the whole picture, which says whether it is a room or a street (Liu et al., ParseNet, 2015).

Letters in this file: B pictures, H W their size in pixels, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.classes import CLASSES
from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.light import STAGES, LightEncoder, convolution
from dlcv.networks.layers.shapes import expect

Encoder = Literal['vgg16', 'light']

_VGG = ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3))  # channels and convolutions
_HEAD = 4096  # channels of fc6 and fc7
_PADDING = 100  # of the first convolution
_POOL4, _POOL3, _PICTURE = 5, 9, 31  # rows and columns that are cropped at the left and at the top
_MEAN_BGR = (104.00698793, 116.66876762, 122.67891434)  # of ImageNet, of 255


@dataclass(frozen=True, kw_only=True, slots=True)
class FCNConfig:
    """All that is needed to rebuild the network, and what its answers mean.

    Attributes:
        encoder: ``vgg16`` for FCN-8s, or ``light``.
        width: Multiplier of all channel counts but those of the classes.
        meaning: Number in `dlcv.classes` of each of the C scores.
        at_once: Whether pool3 and pool4 are scaled as in the variant that is trained at once; of
            the encoder ``vgg16``.
        fused: Channels that the encoder ``light`` sums.
    """

    encoder: Encoder = 'vgg16'
    width: float = 1.0
    meaning: tuple[int, ...] = tuple(range(len(CLASSES)))
    at_once: bool = False
    fused: int = 48

    def __post_init__(self) -> None:
        if not self.width > 0 or self.fused < 1:
            raise ValueError(
                f'FCN needs width > 0 and fused >= 1, got {self.width} and {self.fused}'
            )
        if len(self.meaning) < 2 or not 0 <= min(self.meaning) <= max(self.meaning) < len(CLASSES):
            raise ValueError(
                f'FCN needs the meaning of 2 classes or more, numbers from 0 to '
                f'{len(CLASSES) - 1}, got {list(self.meaning)}'
            )


def small() -> FCNConfig:
    """Return the configuration of the shipped weights: for a CPU, under four megabytes."""
    return FCNConfig(encoder='light')


def fcn(config: FCNConfig) -> FCN8s | LightFCN:
    """Return the network of a configuration, freshly initialised."""
    return FCN8s(config) if config.encoder == 'vgg16' else LightFCN(config)


class FCN8s(nn.Module):
    """FCN-8s on VGG-16."""

    multiple = 1
    channels_last = True
    mean: Tensor

    def __init__(self, config: FCNConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer('mean', torch.tensor(_MEAN_BGR)[:, None, None], persistent=False)
        c_in = 3
        for stage, (channels, convolutions) in enumerate(_VGG, 1):
            c_out = scaled(channels, config.width)
            for i in range(1, convolutions + 1):
                padding = _PADDING if (stage, i) == (1, 1) else 1
                self.add_module(f'conv{stage}_{i}', nn.Conv2d(c_in, c_out, 3, padding=padding))
                c_in = c_out
        head, classes = scaled(_HEAD, config.width), len(config.meaning)
        self.fc6 = nn.Conv2d(c_in, head, 7)
        self.fc7 = nn.Conv2d(head, head, 1)
        initialise(self)
        self.score_fr = _scoring(head, classes)
        self.score_pool3 = _scoring(scaled(_VGG[2][0], config.width), classes)
        self.score_pool4 = _scoring(scaled(_VGG[3][0], config.width), classes)
        self.upscore2 = _bilinear(classes, 4, 2)
        self.upscore_pool4 = _bilinear(classes, 4, 2)
        self.upscore8 = _bilinear(classes, 16, 8)

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes of each pixel.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(B, C, H, W)`` logits.

        Raises:
            ShapeError: If the shape is another one.
        """
        expect(images, 'B 3 H W', 'images')
        height, width = images.shape[2:]
        x, pools = 255 * images.flip(1) - self.mean, []
        for stage, (_, convolutions) in enumerate(_VGG, 1):
            for i in range(1, convolutions + 1):
                x = F.relu(self.get_submodule(f'conv{stage}_{i}')(x), inplace=True)
            x = F.max_pool2d(x, 2, ceil_mode=True)
            pools.append(x)
        for layer in (self.fc6, self.fc7):
            x = F.dropout(F.relu(layer(x), inplace=True), 0.5, self.training)
        pool3, pool4 = pools[2], pools[3]
        if self.config.at_once:
            pool3, pool4 = pool3 * 1e-4, pool4 * 1e-2
        x = self.upscore2(self.score_fr(x))
        x = self.upscore_pool4(x + _like(self.score_pool4(pool4), x, _POOL4))
        x = self.upscore8(x + _like(self.score_pool3(pool3), x, _POOL3))
        found: Tensor = x[..., _PICTURE : _PICTURE + height, _PICTURE : _PICTURE + width]
        return found.contiguous()


class LightFCN(LightEncoder):
    """The small one: residual blocks, and a sum of features from 1/32 up to 1/4 of the size."""

    def __init__(self, config: FCNConfig) -> None:
        super().__init__(config.width)
        self.config = config
        fused, channels = config.fused, [scaled(count, config.width) for count, _ in STAGES]
        self.lateral = nn.ModuleList(nn.Conv2d(count, fused, 1) for count in channels)
        self.whole = nn.Conv2d(channels[-1], fused, 1)
        self.widen = nn.ModuleList(_bilinear(fused, 4, 2, groups=fused) for _ in STAGES[1:])
        self.join = nn.ModuleList(convolution(fused, fused, 1) for _ in STAGES[1:])
        _draw(self)
        self.score = nn.Conv2d(fused, len(config.meaning), 1)

    def forward(self, images: Tensor) -> Tensor:
        """Score the classes of each pixel.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(B, C, H, W)`` logits.

        Raises:
            ShapeError: If the shape is another one, or H or W is no multiple of 32.
        """
        scores = self.coarse(images)
        return F.interpolate(scores, scale_factor=4, mode='bilinear', align_corners=False)

    def coarse(self, images: Tensor) -> Tensor:
        """Return the scores at a quarter of the size, ``(B, C, H/4, W/4)``; see `forward`."""
        features = self.encoded(images)
        x = features[-1]
        x = self.lateral[-1](x) + self.whole(x.mean((2, 3), keepdim=True))
        for i in reversed(range(len(STAGES) - 1)):
            x = self.join[i](self.widen[i](x) + self.lateral[i](features[i]))
        scores: Tensor = self.score(x)
        return scores


def coarse_scores(network: FCN8s | LightFCN, images: Tensor) -> Tensor:
    """Return the scores of images ``(B, 3, H, W)`` as coarse as the network has them.

    Interpolated bilinearly they are those of `forward`.
    """
    scores: Tensor = network.coarse(images) if isinstance(network, LightFCN) else network(images)
    return scores


def _draw(network: LightFCN) -> None:
    """Draw the weights of all convolutions but those that begin as interpolation."""
    for name, part in network.named_children():
        if name != 'widen':
            initialise(part)


def _scoring(channels: int, classes: int) -> nn.Conv2d:
    """Return a 1x1 convolution that scores nothing before it is taught, as published."""
    layer = nn.Conv2d(channels, classes, 1)
    nn.init.zeros_(layer.weight)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer


def _bilinear(channels: int, kernel: int, stride: int, groups: int = 1) -> nn.ConvTranspose2d:
    """Return a transposed convolution that interpolates each channel, before it is taught."""
    padding = (kernel - stride) // 2 if groups > 1 else 0
    layer = nn.ConvTranspose2d(
        channels, channels, kernel, stride, padding, groups=groups, bias=False
    )
    line = 1 - np.abs(np.arange(kernel) - (kernel - 1) / 2) / stride
    weight = np.zeros(layer.weight.shape, np.float32)
    own = np.arange(channels)
    weight[own, own if groups == 1 else 0] = np.outer(line, line)
    layer.weight = nn.Parameter(torch.as_tensor(weight, device=layer.weight.device))
    return layer


def _like(scores: Tensor, other: Tensor, offset: int) -> Tensor:
    """Return the part of scores from (offset, offset) on that is as large as another tensor."""
    rows, columns = other.shape[2:]
    return scores[..., offset : offset + rows, offset : offset + columns]
