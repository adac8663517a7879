"""PSMNet: disparity by a volume of matching costs (Chang and Chen, CVPR 2018).

The graph is that of the published code's stacked hourglass, and so are the keys:
``feature_extraction.firstconv.0.0``, ``dres0.0.0``, ``dres2.conv1.0.0``, ``classif1.2``, ...

Dimension letters in this file: B pairs, C channels, H W picture size in pixels, h w = H/4, W/4,
D disparities in pixels, d = D/4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import scaled
from dlcv.networks.layers.disparity import expected_disparity, paired_volume
from dlcv.networks.layers.shapes import ShapeError, expect, expect_multiple, expect_same

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_POOLS = (64, 32, 16, 8)  # cells of the spatial pyramid, in pixels of 1/4 resolution
_STAGES = ((32, 3, 1, 1), (64, 16, 2, 1), (128, 3, 1, 1), (128, 3, 1, 2))
# channels, blocks, stride, dilation


@dataclass(frozen=True, kw_only=True, slots=True)
class PSMNetConfig:
    """All that is needed to rebuild the network.

    Attributes:
        max_disparity: Disparities that it knows, in pixels: 0 to this, exclusive.
        width: Multiplier of all channel counts; 1 is the paper's.
    """

    max_disparity: int = 192
    width: float = 1.0

    def __post_init__(self) -> None:
        if self.max_disparity < 16 or self.max_disparity % 16:
            raise ValueError(
                'max_disparity must be a positive multiple of 16 (the hourglasses halve a quarter '
                f'of it twice), got {self.max_disparity}'
            )
        if not self.width > 0:
            raise ValueError(f'width must be positive, got {self.width}')


class PSMNet(nn.Module):
    """Features with a spatial pyramid, a volume of costs, and three hourglasses on it."""

    multiple = 16  # a quarter of the size is halved twice
    least = 4 * _POOLS[0]  # pixels of a side: in smaller ones the widest cells would hold nothing

    def __init__(self, config: PSMNetConfig) -> None:
        super().__init__()
        self.config = config
        thin = scaled(32, config.width)
        self.feature_extraction = _Features(config.width)
        self.dres0 = nn.Sequential(*_norm3(2 * thin, thin, relu=True), *_norm3(thin, thin, True))
        self.dres1 = nn.Sequential(*_norm3(thin, thin, relu=True), _Norm(nn.Conv3d, thin, thin))
        for name in ('dres2', 'dres3', 'dres4'):
            self.add_module(name, _Hourglass(thin))
        for name in ('classif1', 'classif2', 'classif3'):
            last = nn.Conv3d(thin, 1, 3, padding=1, bias=False)
            self.add_module(name, nn.Sequential(*_norm3(thin, thin, relu=True), last))
        _initialise(self)

    def forward(self, left: Tensor, right: Tensor) -> Tensor | tuple[Tensor, Tensor, Tensor]:
        """Estimate the disparity of the left pictures.

        Args:
            left: ``(B, 3, H, W)`` RGB in [0, 1], rectified.
            right: The same of the right pictures; what is at x in the left one is at
                x - disparity here.

        Returns:
            In eval mode ``(B, 1, H, W)`` disparity in pixels. In training mode those of the three
            hourglasses, the last one last.

        Raises:
            ShapeError: If the shapes differ, are no multiples of 16, or are smaller than 256,
                where the widest cells of the pyramid would hold nothing.
        """
        expect(left, 'B 3 H W', 'left images')
        expect_same(left, right, 'left and right images')
        expect_multiple(left, self.multiple, 'images')
        if min(left.shape[2:]) < self.least:
            raise ShapeError(
                f'PSMNet needs pictures of {self.least} x {self.least} pixels or more, '
                f'got {left.shape[2]} x {left.shape[3]} (height x width)'
            )
        mean, std = (left.new_tensor(v)[:, None, None] for v in (IMAGENET_MEAN, IMAGENET_STD))
        both = (torch.cat((left, right)) - mean) / std  # (2B, 3, H, W): one set of weights
        mine, other = self.feature_extraction(both).chunk(2)  # (B, C, h, w)
        costs = self._costs(paired_volume(mine, other, self.config.max_disparity // 4))
        kept = costs if self.training else costs[-1:]
        found = [self._regressed(cost, left.shape[2], left.shape[3]) for cost in kept]
        return (found[0], found[1], found[2]) if self.training else found[0]

    def _costs(self, volume: Tensor) -> list[Tensor]:
        """Return what each hourglass says of a volume (B, 2C, d, h, w): (B, 1, d, h, w)."""
        begin = self.dres0(volume)
        begin = self.dres1(begin) + begin
        out, first_pre, post = self.get_submodule('dres2')(begin, None, None)
        outs = [out + begin]
        for name in ('dres3', 'dres4'):
            # what comes down is joined with the first hourglass, what goes up with the last one
            out, _, post = self.get_submodule(name)(outs[-1], first_pre, post)
            outs.append(out + begin)
        costs: list[Tensor] = []
        for number, out in enumerate(outs, 1):
            cost = self.get_submodule(f'classif{number}')(out)
            costs.append(cost + costs[-1] if costs else cost)
        return costs

    def _regressed(self, cost: Tensor, height: int, width: int) -> Tensor:
        size = [self.config.max_disparity, height, width]
        full = F.interpolate(cost, size, mode='trilinear', align_corners=False)
        return expected_disparity(full[:, 0])  # (B, 1, H, W)


class _Norm(nn.Sequential):
    """A convolution without bias, and its batch-norm."""

    def __init__(self, kind: Any, c_in: int, c_out: int, kernel: int = 3, **how: Any) -> None:
        padding = how.pop('padding', how.get('dilation', kernel // 2))
        conv = kind(c_in, c_out, kernel, padding=padding, bias=False, **how)
        norm = nn.BatchNorm3d if kind in (nn.Conv3d, nn.ConvTranspose3d) else nn.BatchNorm2d
        super().__init__(conv, norm(c_out))


def _norm2(c_in: int, c_out: int, kernel: int = 3, **how: Any) -> list[nn.Module]:
    return [_Norm(nn.Conv2d, c_in, c_out, kernel, **how), nn.ReLU(inplace=True)]


def _norm3(c_in: int, c_out: int, relu: bool, stride: int = 1) -> list[nn.Module]:
    norm = _Norm(nn.Conv3d, c_in, c_out, stride=stride)
    return [norm, nn.ReLU(inplace=True)] if relu else [norm]


class _Features(nn.Module):
    """Residual stages to 1/4 of the size, and what cells of four sizes hold on average."""

    def __init__(self, width: float) -> None:
        super().__init__()
        thin = scaled(32, width)
        self.firstconv = nn.Sequential(
            *_norm2(3, thin, stride=2), *_norm2(thin, thin), *_norm2(thin, thin)
        )
        channels, widths = thin, []
        for number, (full, blocks, stride, dilation) in enumerate(_STAGES, 1):
            wide = scaled(full, width)
            first = _Residual(channels, wide, stride, dilation)
            rest = [_Residual(wide, wide, 1, dilation) for _ in range(blocks - 1)]
            self.add_module(f'layer{number}', nn.Sequential(first, *rest))
            widths.append(channels := wide)
        for number, cell in enumerate(_POOLS, 1):
            pool = nn.AvgPool2d(cell, cell)
            self.add_module(f'branch{number}', nn.Sequential(pool, *_norm2(channels, thin, 1)))
        joined = widths[1] + widths[3] + len(_POOLS) * thin
        wide = scaled(128, width)
        last = nn.Conv2d(wide, thin, 1, bias=False)
        self.lastconv = nn.Sequential(*_norm2(joined, wide), last)

    def forward(self, x: Tensor) -> Tensor:
        """Return features ``(B, C, H/4, W/4)`` of normalised pictures ``(B, 3, H, W)``."""
        stages = []
        x = self.firstconv(x)
        for number in range(1, len(_STAGES) + 1):
            x = self.get_submodule(f'layer{number}')(x)
            stages.append(x)
        widen = partial(F.interpolate, size=x.shape[2:], mode='bilinear', align_corners=False)
        cells = [widen(self.get_submodule(f'branch{n}')(x)) for n in (4, 3, 2, 1)]
        features: Tensor = self.lastconv(torch.cat((stages[1], x, *cells), dim=1))
        return features


class _Residual(nn.Module):
    """Two convolutions beside a shortcut, without an activation after the sum."""

    def __init__(self, c_in: int, c_out: int, stride: int, dilation: int) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(*_norm2(c_in, c_out, stride=stride, dilation=dilation))
        self.conv2 = _Norm(nn.Conv2d, c_out, c_out, dilation=dilation)
        other = stride != 1 or c_in != c_out
        self.downsample = (
            _Norm(nn.Conv2d, c_in, c_out, 1, stride=stride, padding=0) if other else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(B, C, h, w)``."""
        found: Tensor = self.conv2(self.conv1(x))
        return found + (x if self.downsample is None else self.downsample(x))


class _Hourglass(nn.Module):
    """Down twice and up again over a volume, joined with other hourglasses on the way."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        wide = 2 * channels
        self.conv1 = nn.Sequential(*_norm3(channels, wide, relu=True, stride=2))
        self.conv2 = _Norm(nn.Conv3d, wide, wide)
        self.conv3 = nn.Sequential(*_norm3(wide, wide, relu=True, stride=2))
        self.conv4 = nn.Sequential(*_norm3(wide, wide, relu=True))
        up = partial(_Norm, nn.ConvTranspose3d, stride=2, padding=1, output_padding=1)
        self.conv5 = up(wide, wide)
        self.conv6 = up(wide, channels)

    def forward(
        self, x: Tensor, before: Tensor | None, after: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run over a volume.

        Args:
            x: ``(B, C, d, h, w)``.
            before: ``(B, 2C, d/2, h/2, w/2)`` of another hourglass on its way down, which is
                joined on the way up; of this one by default.
            after: The same of another on its way up, joined on the way down.

        Returns:
            The volume, and this hourglass's own two.
        """
        down = self.conv2(self.conv1(x))
        down = F.relu(down if after is None else down + after)
        low = self.conv4(self.conv3(down))
        up = F.relu(self.conv5(low) + (down if before is None else before))
        return self.conv6(up), down, up


def _initialise(network: nn.Module) -> None:
    """Draw weights as the published code does: by the number of weights that leave a channel."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.Conv3d):
            leaving = math.prod(layer.kernel_size) * layer.out_channels
            nn.init.normal_(layer.weight, 0, math.sqrt(2 / leaving))
