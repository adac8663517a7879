"""DispNetC: disparity by a correlation along the rows (Mayer et al., CVPR 2016).

FlowNetC's two streams meet in a correlation along one axis, at a quarter of the size, and a
decoder with a convolution after each of its steps refines the disparity up to half of the size.
Of rectified pairs only one direction can match, so the correlation looks that way alone.

The small one also `refines`, as the networks after DispNetC do (Pang et al., ICCVW 2017; Liang et
al., CVPR 2018): each answer corrects the coarser one, and the decoder is shown again what matches,
at a quarter of the size all of it and the disparity that it speaks for, at half of the size what
lies near its answer so far.

Dimension letters in this file: B pairs, H W picture size in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import CONTRACTING, conv_leaky, initialise, scaled
from dlcv.networks.layers.disparity import (
    SHARPNESS,
    correlation_along_rows,
    correlation_near,
    expected_disparity,
)
from dlcv.networks.layers.shapes import expect, expect_multiple, expect_same

Disparities = tuple[Tensor, ...]  # at 1/2, 1/4, ... 1/64 of the size, pixels of the full size

_SLOPE = 0.1  # of every LeakyReLU
_REDIRECTED = 64  # channels that bypass the correlation
_DECODER = {  # level: the skip joined there, and the channels of its two convolutions
    5: ('conv5_1', 512),
    4: ('conv4_1', 256),
    3: ('conv3_1', 128),
    2: ('conv2', 64),
    1: ('conv1', 32),
}
_MEAN = (0.411, 0.432, 0.450)
_UNIT = 20.0  # pixels for one of the network's own unit, as in FlowNet
_CORRECTION = 4.0  # the same of what is added to a coarser answer
_FAINT = 1e-4  # mean square of features under which they say little
_NEAR = 2  # columns of half of the size on each side of the answer so far


@dataclass(frozen=True, kw_only=True, slots=True)
class DispNetConfig:
    """All that is needed to rebuild the network.

    Attributes:
        width: Multiplier of all channel counts; 1 is the paper's.
        max_disparity: Reach of the correlation in pixels of the full size, a multiple of 4. What
            is nearer is left to what the decoder knows of pictures.
        spread: Whether it also says how far its answer may be off; not of the paper.
        refines: Whether answers correct coarser ones by what matches; not of the paper.
    """

    width: float = 1.0
    max_disparity: int = 160
    spread: bool = False
    refines: bool = False

    def __post_init__(self) -> None:
        if not self.width > 0:
            raise ValueError(f'width must be positive, got {self.width}')
        if self.max_disparity < 4 or self.max_disparity % 4:
            raise ValueError(
                f'max_disparity must be a positive multiple of 4, got {self.max_disparity}'
            )


def small() -> DispNetConfig:
    """Return the configuration of the shipped weights: for a CPU, under ten megabytes."""
    return DispNetConfig(width=0.25, max_disparity=128, spread=True, refines=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Encoded:
    """What the encoder makes of B pairs.

    Attributes:
        skips: The left picture's features at 1/2, 1/4, ... 1/32 of the size.
        coarse: Those at 1/64.
        half: ``(2B, C, H/2, W/2)`` those of both pictures at 1/2.
        matches: ``(B, D/4, H/4, W/4)`` how well each disparity matches.
    """

    skips: list[Tensor]
    coarse: Tensor
    half: Tensor
    matches: Tensor


class DispNet(nn.Module):
    """Disparity of the left picture of a rectified pair."""

    multiple = 64  # the encoder halves the size six times
    channels_last = True

    def __init__(self, config: DispNetConfig) -> None:
        super().__init__()
        self.config = config
        self._add_decoder(self._add_encoder())
        initialise(self, _SLOPE)
        if config.refines:  # nothing is corrected before it is learned
            for level in _DECODER:
                nn.init.zeros_(self.get_submodule(f'pr{level}').get_parameter('weight'))

    def forward(self, left: Tensor, right: Tensor) -> Tensor | Disparities:
        """Estimate the disparity of the left pictures.

        Args:
            left: ``(B, 3, H, W)`` RGB in [0, 1], rectified.
            right: The same of the right pictures; what is at x in the left one is at
                x - disparity here.

        Returns:
            In eval mode ``(B, 1, H, W)`` disparity in pixels, and with ``config.spread`` a channel
            1: the logarithm of the mean absolute error that the network expects of it, in pixels.
            In training mode the same at 1/2, 1/4, ... 1/64 of the size, finest first, in pixels
            of the full size.

        Raises:
            ShapeError: If the shapes differ, or H or W is no multiple of 64.
        """
        expect(left, 'B 3 H W', 'left images')
        expect_same(left, right, 'left and right images')
        expect_multiple(left, self.multiple, 'images')
        found = self._refined(self._encoded(left, right))
        if self.training:
            return found
        return F.interpolate(found[0], scale_factor=2, mode='bilinear', align_corners=False)

    def _encoded(self, left: Tensor, right: Tensor) -> _Encoded:
        mean = left.new_tensor(_MEAN)[:, None, None]
        half = self.get_submodule('conv1')(torch.cat((left, right)) - mean)  # (2B, C, H/2, W/2)
        quarter = self.get_submodule('conv2')(half)
        mine = quarter.chunk(2)[0]
        matches = correlation_along_rows(*self._compared(quarter), self.config.max_disparity // 4)
        matches = F.leaky_relu(matches, _SLOPE)
        redirected = self.get_submodule('conv_redir')(mine)
        x = torch.cat((redirected, matches), dim=1)
        skips = [half.chunk(2)[0], mine]
        for stage in CONTRACTING[2:]:
            x = self.get_submodule(stage.name)(x)
            if stage.name.endswith('_1'):
                skips.append(x)
        return _Encoded(skips[:-1], x, half, matches)

    def _compared(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return features ``(2B, C, h, w)`` of left and right as they are compared.

        Where it refines, by their cosine: the light of no two cameras is the same.
        """
        if self.config.refines:
            features = features * torch.rsqrt(features.square().mean(1, keepdim=True) + _FAINT)
        left, right = features.chunk(2)
        return left, right

    def _refined(self, seen: _Encoded) -> Disparities:
        coarse = seen.coarse
        found = [self._predicted(6, coarse)]
        for level, skip in zip(_DECODER, reversed(seen.skips), strict=True):
            wider = self.get_submodule(f'upconv{level}')(coarse)
            before = F.interpolate(found[-1], scale_factor=2, mode='bilinear', align_corners=False)
            own = torch.cat((before[:, :1] / _UNIT, before[:, 1:]), dim=1)
            joined = torch.cat((skip, wider, own, *self._matching(level, seen, before)), dim=1)
            coarse = self.get_submodule(f'iconv{level}')(joined)
            found.append(self._predicted(level, coarse, before))
        return tuple(reversed(found))

    def _matching(self, level: int, seen: _Encoded, before: Tensor) -> tuple[Tensor, ...]:
        """Return what the decoder is shown again of what matches."""
        if not self.config.refines or level > 2:
            return ()
        if level == 2:
            best = 4 / _UNIT * expected_disparity(SHARPNESS * seen.matches.float())
            return seen.matches, best
        near = correlation_near(*self._compared(seen.half), before[:, :1].detach() / 2, _NEAR)
        return (near,)

    def _predicted(self, level: int, features: Tensor, before: Tensor | None = None) -> Tensor:
        """Return a prediction, its disparity in pixels; ``before`` is the coarser one."""
        raw: Tensor = self.get_submodule(f'pr{level}')(features).float()  # 16 bits are too few
        if self.config.refines and before is not None:
            disparity = F.softplus(before[:, :1] + _CORRECTION * raw[:, :1])
        else:
            # Softplus: none is negative, and none is so sure of zero that it cannot learn.
            disparity = _UNIT * F.softplus(raw[:, :1])
        return torch.cat((disparity, raw[:, 1:]), dim=1)

    def _add_encoder(self) -> dict[str, int]:
        """Add the contracting part; return the channels of each of its layers."""
        config, channels, widths = self.config, 3, {}
        for stage in CONTRACTING:
            if stage.name == 'conv3':
                redirected = scaled(_REDIRECTED, config.width)
                self.conv_redir = conv_leaky(channels, redirected, 1)
                channels = redirected + config.max_disparity // 4
            wide = scaled(stage.channels, config.width)
            self.add_module(stage.name, conv_leaky(channels, wide, stage.kernel, stage.stride))
            widths[stage.name] = channels = wide
        return widths

    def _add_decoder(self, widths: dict[str, int]) -> None:
        answers = 2 if self.config.spread else 1
        again = (
            {2: self.config.max_disparity // 4 + 1, 1: 2 * _NEAR + 1} if self.config.refines else {}
        )
        channels = widths['conv6_1']
        self.pr6 = nn.Conv2d(channels, answers, 3, padding=1)
        for level, (skip, full_width) in _DECODER.items():
            wide = scaled(full_width, self.config.width)
            up = nn.ConvTranspose2d(channels, wide, 4, 2, 1)
            joined = widths[skip] + wide + answers + again.get(level, 0)
            self.add_module(f'upconv{level}', nn.Sequential(up, nn.LeakyReLU(_SLOPE, inplace=True)))
            self.add_module(f'iconv{level}', conv_leaky(joined, wide, 3))
            self.add_module(f'pr{level}', nn.Conv2d(wide, answers, 3, padding=1))
            channels = wide
