"""Monodepth: disparity of both stereo views from the left one (Godard et al., CVPR 2017).

The graph is that of the original release: ELU without batch-norm, zero padding, nearest-neighbour
upsampling, and in the ResNet the stride in the LAST block of a stage and a convolution on every
shortcut. Modules are made in the order in which the original makes its variables, so
``zip(network.parameters(), variables in creation order)`` maps one file onto the other
(``model/encoder/Conv``, ``Conv_1``, ... then ``model/decoder/Conv``, ...; weights before biases).

Dimension letters in this file: B images, H W size in pixels, h w size of a feature map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise_xavier, scaled
from dlcv.networks.layers.shapes import expect, expect_multiple, expect_same

Disparities = tuple[Tensor, Tensor, Tensor, Tensor]

_SCALES = 4
MAX_DISPARITY = 0.3  # of the image width; what the sigmoid is multiplied with
_VGG = ((32, 7), (64, 5), (128, 3), (256, 3), (512, 3), (512, 3), (512, 3))  # channels, kernel
_RESNET = ((64, 3), (128, 4), (256, 6), (512, 3))  # inner channels, blocks
_DECODER = (512, 512, 256, 128, 64, 32, 16)  # upconv7 ... upconv1; the ResNet starts at upconv6


@dataclass(frozen=True, kw_only=True, slots=True)
class MonodepthConfig:
    """All that is needed to rebuild the network, and what belongs to its weights.

    Attributes:
        encoder: Which encoder.
        width: Factor on all channel numbers; 1 is the paper's.
        input_size: Height and width at which the weights were trained.
        baseline: Distance in metres of the stereo pair they were trained on.
        focal_ratio: Its focal length as a fraction of the image width.
        spread: Whether it also says how far its answer may be off; not of the paper.
    """

    encoder: Literal['vgg', 'resnet50'] = 'vgg'
    width: float = 1.0
    input_size: tuple[int, int] = (256, 512)
    baseline: float = 0.54  # KITTI
    focal_ratio: float = 721.5377 / 1242
    spread: bool = False

    def __post_init__(self) -> None:
        if self.encoder not in ('vgg', 'resnet50'):
            raise ValueError(f"encoder must be 'vgg' or 'resnet50', got {self.encoder!r}")
        for name in ('width', 'baseline', 'focal_ratio'):
            if not getattr(self, name) > 0:
                raise ValueError(f'{name} must be positive, got {getattr(self, name)}')
        if min(self.input_size) < 1 or any(size % self.multiple for size in self.input_size):
            raise ValueError(
                f'input_size must be multiples of {self.multiple}, got {self.input_size}'
            )

    @property
    def multiple(self) -> int:
        """What height and width of the input must be multiples of."""
        return 128 if self.encoder == 'vgg' else 64


def small() -> MonodepthConfig:
    """Return the configuration of the shipped weights: small, and fast enough for two cores."""
    return MonodepthConfig(width=0.5, input_size=(128, 256), baseline=0.2)


class Monodepth(nn.Module):
    """Disparity of the left and of the right view, at four scales, from the left image."""

    def __init__(self, config: MonodepthConfig) -> None:
        super().__init__()
        self.config = config
        encoder = _Vgg if config.encoder == 'vgg' else _ResNet50
        self.encoder = encoder(config.width)
        self.decoder = _Decoder(self.encoder.channels, config.width, spread=config.spread)
        initialise_xavier(self)

    @property
    def multiple(self) -> int:
        """What height and width of the input must be multiples of."""
        return self.config.multiple

    def forward(self, images: Tensor) -> Disparities:
        """Estimate disparities.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            Four maps ``(B, 2, h, w)``, finest first (h = H, H/2, H/4, H/8): channel 0 is the
            disparity of the left (input) view, channel 1 that of the right one, as fractions of
            the image width; the same fraction at every scale. With ``config.spread`` the finest
            has a channel 2: the logarithm of the mean absolute error of the natural logarithm of
            channel 0, as the network expects it.

        Raises:
            ShapeError: If the shape is another, or H or W is no multiple of ``multiple``.
        """
        expect(images, 'B 3 H W', 'images')
        expect_multiple(images, self.multiple, 'images')
        return cast('Disparities', self.decoder(self.encoder(images)))


def finest_disparity(network: Monodepth, images: Tensor) -> Tensor:
    """Return the finest map alone, ``(B, 2 or 3, H, W)``, of images ``(B, 3, H, W)``."""
    finest: Tensor = network(images)[0]
    return finest


def blend_mirrored(disparity: Tensor, of_mirror: Tensor) -> Tensor:
    """Join the disparities of an image and of its mirror image ("pp" in the paper, section 3.2).

    Left of an object the background is hidden from the other camera, which leaves a ramp at its
    left side and at the left image border; in the mirror image the ramps are on the right. The
    left twentieth is taken from the mirrored pass, the right one from the plain pass, and the
    mean of both in between.

    Args:
        disparity: ``(..., H, W)`` left-view disparity of the image.
        of_mirror: ``(..., H, W)`` left-view disparity of the mirrored image, not mirrored back.

    Returns:
        ``(..., H, W)``.

    Raises:
        ShapeError: If the shapes differ.
    """
    expect_same(disparity, of_mirror, 'disparity and of_mirror')
    width = disparity.shape[-1]
    x = torch.linspace(0, 1, width, dtype=disparity.dtype, device=disparity.device)
    at_left = 1 - (20 * (x - 0.05)).clamp(0, 1)
    at_right = at_left.flip(0)
    mirrored = of_mirror.flip(-1)
    mean = (disparity + mirrored) / 2
    return at_right * disparity + at_left * mirrored + (1 - at_left - at_right) * mean


class _Vgg(nn.Module):
    """Seven blocks of a convolution and a second one of stride 2."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.channels = [scaled(channels, width) for channels, _ in _VGG]
        inputs = [3, *self.channels]
        self.blocks = nn.ModuleList(
            nn.Sequential(_conv(a, b, k), _elu(), _conv(b, b, k, 2), _elu())
            for a, b, (_, k) in zip(inputs, self.channels, _VGG, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of all blocks, at 1/2, 1/4, ... 1/128."""
        features = []
        for block in self.blocks:
            x = block(x)
            features.append(x)
        return features


class _ResNet50(nn.Module):
    """A 7x7 convolution, a max-pool and four stages of bottlenecks."""

    def __init__(self, width: float) -> None:
        super().__init__()
        first = scaled(64, width)
        inner = [scaled(channels, width) for channels, _ in _RESNET]
        self.channels = [first, first, *(4 * n for n in inner)]
        self.conv1 = _conv(3, first, 7, 2)
        self.stages = nn.ModuleList(
            _stage(c_in, n, blocks)
            for c_in, n, (_, blocks) in zip(self.channels[1:], inner, _RESNET, strict=False)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return the outputs of conv1 (1/2), the pool (1/4) and the stages (1/8 ... 1/64)."""
        x = F.elu(self.conv1(x))
        features = [x]
        # Zeros, not -inf, around the pool: an ELU output below zero at the border loses to them.
        x = F.max_pool2d(F.pad(x, (1, 1, 1, 1)), 3, 2)
        features.append(x)
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def _stage(c_in: int, inner: int, blocks: int) -> nn.Sequential:
    first = [_Bottleneck(c_in, inner, 1)]
    middle = [_Bottleneck(4 * inner, inner, 1) for _ in range(blocks - 2)]
    return nn.Sequential(*first, *middle, _Bottleneck(4 * inner, inner, 2))


class _Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 beside a 1x1 shortcut, which is a convolution in every block."""

    def __init__(self, c_in: int, inner: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(c_in, inner, 1)
        self.conv2 = _conv(inner, inner, 3, stride)
        self.conv3 = _conv(inner, 4 * inner, 1)
        self.shortcut = _conv(c_in, 4 * inner, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """``(B, c_in, h, w)`` to ``(B, 4 inner, h / stride, w / stride)``."""
        y = F.elu(self.conv2(F.elu(self.conv1(x))))
        return F.elu(self.conv3(y) + self.shortcut(x))


class _Level(nn.Module):
    """One doubling of the decoder; the four finest end in a disparity."""

    def __init__(self, c_in: int, c_skip: int, c_out: int, *, predicts: bool, spread: bool) -> None:
        super().__init__()
        self.upconv = _conv(c_in, c_out, 3)
        self.iconv = _conv(c_out + c_skip, c_out, 3)
        self.disparity = _conv(c_out, 2, 3) if predicts else None
        self.spread = _conv(c_out, 1, 3) if spread else None

    def forward(self, x: Tensor, skips: Sequence[Tensor]) -> tuple[Tensor, Tensor | None]:
        """Return the features at twice the size, and the disparity there if it is predicted."""
        x = F.elu(self.upconv(_double(x)))
        x = F.elu(self.iconv(torch.cat((x, *skips), dim=1)))
        if self.disparity is None:
            return x, None
        disparity = MAX_DISPARITY * self.disparity(x).sigmoid()
        if self.spread is None:
            return x, disparity
        return x, torch.cat((disparity, self.spread(x)), dim=1)


class _Decoder(nn.Module):
    """Levels from coarse to fine, each with the encoder's features of its size."""

    def __init__(self, encoder: Sequence[int], width: float, *, spread: bool) -> None:
        super().__init__()
        outputs = [scaled(c, width) for c in _DECODER[-len(encoder) :]]
        inputs = [encoder[-1], *outputs]
        skips = [*reversed(encoder[:-1]), 0]
        levels = []
        for i, (c_in, c_skip, c_out) in enumerate(zip(inputs, skips, outputs, strict=False)):
            scale = len(outputs) - 1 - i  # 0 is the finest
            c_skip += 2 if scale < _SCALES - 1 else 0  # the coarser disparity
            levels.append(
                _Level(c_in, c_skip, c_out, predicts=scale < _SCALES, spread=spread and scale == 0)
            )
        self.levels = nn.ModuleList(levels)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        """Return the disparities, finest first."""
        x = features.pop()
        found: list[Tensor] = []
        for level in self.levels:
            skips = [features.pop()] if features else []
            skips += [_double(d) for d in found[-1:]]
            x, disparity = level(x, skips)
            if disparity is not None:
                found.append(disparity)
        return tuple(reversed(found))


def _conv(c_in: int, c_out: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(c_in, c_out, kernel, stride, (kernel - 1) // 2)


def _elu() -> nn.ELU:
    return nn.ELU(inplace=True)


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode='nearest')
