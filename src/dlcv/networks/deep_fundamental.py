"""Deep fundamental matrix estimation (Ranftl and Koltun, ECCV 2018).

Which matches of two pictures are right is not found by drawing samples: a network looks at all of
them and gives each a weight, a weighted eight-point algorithm turns weights into a fundamental
matrix, and a second network looks at the residuals and weighs again, several times. All of it is
differentiable, so that the weights are learned from the matrix alone.

Parameter names are those of the public files: ``weights_init.model.0``, ``weights_iter.model.15``.

Letters in this file: B pairs of pictures, N matches of a pair, S values of side information, C
channels, D iterations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from dlcv.networks.layers.epipolar import (
    epipolar_distance,
    homogeneous,
    normalisation,
    weighted_eight_point,
)
from dlcv.networks.layers.shapes import ShapeError, expect

LEAST = 8
"""Matches that a fundamental matrix needs."""

_COORDINATES, _FED_BACK = 4, 2  # x y in both pictures; weight and residual of the last iteration
_SMALL = 1e-9
_ENLARGED_MOTION = 10.0
_ENLARGED = (100.0, 30.0)  # weights and residuals that are fed back


@dataclass(frozen=True, kw_only=True, slots=True)
class DeepFundamentalConfig:
    """All that is needed to rebuild the network, and what belongs to its weights.

    Attributes:
        widths: Channels of the layers of both weight networks, but for the last, which has one.
        iterations: How often matches are weighed; the published code's 3, the paper's 5.
        side_channels: Values of side information of each match: the descriptors' distance first,
            then the differences of the points' scales and angles where the detector has such.
        gamma: Residuals are clamped at this, in rescaled coordinates.
    """

    widths: tuple[int, ...] = (64, 128, 1024, 512, 256)
    iterations: int = 3
    side_channels: int = 3
    gamma: float = 0.5

    def __post_init__(self) -> None:
        if not self.widths or min(*self.widths, self.iterations) < 1:
            raise ValueError(
                'a deep fundamental matrix needs widths and iterations >= 1, got '
                f'{list(self.widths)} and {self.iterations}'
            )
        if self.side_channels < 0 or not self.gamma > 0:
            raise ValueError(
                'a deep fundamental matrix needs side_channels >= 0 and gamma > 0, got '
                f'{self.side_channels} and {self.gamma}'
            )


def small() -> DeepFundamentalConfig:
    """Return the network that is shipped: a hundredth of the paper's work, for one CPU core."""
    return DeepFundamentalConfig(widths=(32, 64, 128, 64, 32), side_channels=1)


class FundamentalEstimate(NamedTuple):
    """What the network gives, for each iteration.

    Attributes:
        fundamental: ``(D, B, 3, 3)`` float64, of rank two, between rescaled points.
        weights: ``(D, B, N)``; those of a pair sum to one.
        from_first: ``(B, 3, 3)`` float64, rescales pixels of the first pictures.
        from_second: ``(B, 3, 3)`` float64, of the second.
    """

    fundamental: Tensor
    weights: Tensor
    from_first: Tensor
    from_second: Tensor

    def in_pixels(self) -> Tensor:
        """Return the last matrices ``(B, 3, 3)`` for pixels, ``x1^T F x2 = 0``, with F33 = 1.

        Where F33 is nothing beside the others, their norm is one instead.
        """
        found = self.from_first.mT @ self.fundamental[-1] @ self.from_second
        norm = found.flatten(1).norm(dim=1).clamp(min=torch.finfo(found.dtype).tiny)
        last = found[:, 2, 2]
        divisor = torch.where(last.abs() > _SMALL**2 * norm, last, norm)
        return found / divisor[:, None, None]


class WeightNetwork(nn.Module):
    """Values of matches to one logit each; matches know of each other by the norms alone.

    Args:
        channels: Values of a match.
        widths: Channels of the layers.
    """

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in zip((channels, *widths), widths, strict=False):
            layers += [
                nn.Conv1d(c_in, c_out, 1),
                nn.InstanceNorm1d(c_out, affine=True),
                nn.LeakyReLU(inplace=True),
            ]
        self.model = nn.Sequential(*layers, nn.Conv1d(widths[-1], 1, 1))

    @property
    def first(self) -> nn.Conv1d:
        """The first layer."""
        layer = self.model[0]
        assert isinstance(layer, nn.Conv1d)
        return layer

    def forward(self, x: Tensor, present: Tensor | None = None) -> Tensor:
        """Return logits ``(B, N)`` for values ``(B, C, N)``.

        Args:
            x: The values.
            present: ``(B, N)`` bool; what is not there changes nothing for the others.
        """
        for layer in self.model:
            if isinstance(layer, nn.Conv1d):
                x = _linear(x, layer)
            elif isinstance(layer, nn.InstanceNorm1d):
                x = _instance_norm(x, layer, present)
            else:
                x = layer(x)
        return x[:, 0]


class DeepFundamental(nn.Module):
    """Matches of two pictures to their weights and a fundamental matrix."""

    def __init__(self, config: DeepFundamentalConfig) -> None:
        super().__init__()
        self.config = config
        channels = _COORDINATES + config.side_channels
        self.weights_init = WeightNetwork(channels, config.widths)
        self.weights_iter = WeightNetwork(channels + _FED_BACK, config.widths)
        self._initialise()

    def forward(
        self, matches: Tensor, side: Tensor, present: Tensor | None = None
    ) -> FundamentalEstimate:
        """Weigh matches.

        Args:
            matches: ``(B, N, 4)`` pixels x1 y1 x2 y2.
            side: ``(B, N, S)`` side information, each value over the largest of its pair.
            present: ``(B, N)`` bool, False for padding; all are there without it.

        Returns:
            Matrices and weights of all iterations; zero weights where nothing is present.

        Raises:
            ShapeError: If the shapes are others, or there are fewer than eight matches.
        """
        expect(matches, 'B N 4', 'matches')
        batch, count, _ = matches.shape
        expect(side, f'{batch} {count} {self.config.side_channels}', 'side')
        if count < LEAST:
            raise ShapeError(f'matches: expected {LEAST} or more of a pair, got {count}')
        there = torch.ones_like(matches[..., 0]) if present is None else present.to(matches.dtype)
        first, second = matches.double().chunk(2, dim=2)
        from_first, from_second = (normalisation(xy, there.double(), 1.0) for xy in (first, second))
        a, b = (
            (homogeneous(xy) @ matrix.mT)[..., :2]
            for xy, matrix in ((first, from_first), (second, from_second))
        )
        seen = torch.cat((torch.cat((a + 1, b + 1), 2).to(side.dtype) / 2, side), 2).mT
        weights = self._softmax(self.weights_init(seen, present), present)
        matrix = weighted_eight_point(a, b, weights)
        all_weights, matrices = [weights], [matrix]
        for _ in range(1, self.config.iterations):
            residual = epipolar_distance(a, b, matrix).clamp(max=self.config.gamma)
            fed_back = torch.stack((weights, residual.to(weights.dtype)), dim=1)
            weights = self._softmax(
                self.weights_iter(torch.cat((seen, fed_back), 1), present), present
            )
            matrix = weighted_eight_point(a, b, weights)
            all_weights.append(weights)
            matrices.append(matrix)
        return FundamentalEstimate(
            torch.stack(matrices), torch.stack(all_weights), from_first, from_second
        )

    @torch.no_grad()
    def _initialise(self) -> None:
        """Let the first layers see at once what steps of the optimiser would have to enlarge.

        A pixel is a hundredth in rescaled coordinates, and a weight the N-th part of one: beside
        coordinates of size one they are nothing to layers that are drawn as usual. So half of the
        units begin with differences of the coordinates, and what is fed back begins enlarged. The
        graph is the published one; the loss after 150 steps is below that of 1,000 steps without.
        """
        if self.weights_init.first.weight.is_meta:
            return  # on shapes alone it does nothing, but load SymPy and PyTorch's compiler
        for network in (self.weights_init, self.weights_iter):
            weight = network.first.weight
            half = len(weight) // 2
            weight[:half, :2] *= _ENLARGED_MOTION
            weight[:half, 2:4] = -weight[:half, :2]
        fed_back = self.weights_iter.first.weight[:, -_FED_BACK:]
        fed_back *= fed_back.new_tensor(_ENLARGED)[:, None]

    @staticmethod
    def _softmax(logits: Tensor, present: Tensor | None) -> Tensor:
        """Return weights over the matches that are there."""
        if present is None:
            return logits.softmax(1)
        lowest = torch.finfo(logits.dtype).min
        found: Tensor = logits.masked_fill(~present, lowest).softmax(1) * present
        return found


def _linear(x: Tensor, layer: nn.Conv1d) -> Tensor:
    """Return what a convolution of one by one makes of ``(B, C, N)``.

    As a product of matrices: on a CPU PyTorch's own takes twice as long, and its instance-norm four
    times as long as ours, which together was half the time of a pair.
    """
    assert layer.bias is not None
    weight = layer.weight[:, :, 0].expand(len(x), -1, -1)
    return torch.baddbmm(layer.bias[:, None], weight, x)


def _instance_norm(x: Tensor, norm: nn.InstanceNorm1d, present: Tensor | None) -> Tensor:
    """Return the instance-norm of ``(B, C, N)`` with the statistics of what is present."""
    if present is None:  # a layer-norm over the matches is one pass where the other is five
        normal = nn.functional.layer_norm(x, x.shape[2:], eps=norm.eps)
    else:
        mask = present[:, None].to(x.dtype)
        count = mask.sum(2, keepdim=True).clamp(min=1)
        centred = x - (x * mask).sum(2, keepdim=True) / count
        variance = (centred.square() * mask).sum(2, keepdim=True) / count
        normal = centred * (variance + norm.eps).rsqrt()
    found: Tensor = (normal * norm.weight[:, None]).add_(norm.bias[:, None])
    return found
