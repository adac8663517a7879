"""FCOS: things found by the points inside them, without anchors (Tian et al., ICCV 2019).

Each point of a coarse grid says what kind of thing it lies in, how far it is from there to the four
edges of its box, and how near it is to the middle of it. Grids at 1/8, 1/16 and 1/32 of the size of
the picture answer for things of their size; one head serves all of them, whose distances a learned
factor of each grid scales. The encoder is the light one of `dlcv.networks.fcn`, so that it may
start as one that has learned to tell surfaces, and features are summed from coarse to fine
(section 3.2). Of the later version (arXiv 2010.02013) are the sampling of points near the middle
and centre-ness beside the distances; heads have two layers, not four, and no normalisation.

Letters in this file: B pictures, H W their size in pixels, C kinds, L points of all grids.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dlcv.networks.layers.blocks import initialise, scaled
from dlcv.networks.layers.light import STAGES, LightEncoder, convolution
from dlcv.things import KINDS

STRIDES = (8, 16, 32)
"""Pixels between two points of each grid."""

_PRIOR = 0.01  # of a kind at a point before anything is taught (Lin et al., ICCV 2017, section 4.1)
_FARTHEST = 6.0  # in its logarithm, of strides; keeps an untaught network from overflowing


@dataclass(frozen=True, kw_only=True, slots=True)
class FCOSConfig:
    """All that is needed to rebuild the network, and what its answers mean.

    Attributes:
        width: Multiplier of the encoder's channel counts.
        channels: Of the features that are summed, and of the head.
        meaning: Number in `dlcv.things` of each of the C scores.
    """

    width: float = 1.0
    channels: int = 64
    meaning: tuple[int, ...] = tuple(range(len(KINDS)))

    def __post_init__(self) -> None:
        if not self.width > 0 or self.channels < 1:
            raise ValueError(
                f'FCOS needs width > 0 and channels >= 1, got {self.width} and {self.channels}'
            )
        if not self.meaning or not 0 <= min(self.meaning) <= max(self.meaning) < len(KINDS):
            raise ValueError(
                f'FCOS needs the meaning of 1 kind or more, numbers from 0 to {len(KINDS) - 1}, '
                f'got {list(self.meaning)}'
            )


def small() -> FCOSConfig:
    """Return the configuration of the shipped weights: for a CPU, under four megabytes."""
    return FCOSConfig()


class FCOS(LightEncoder):
    """FCOS on the light encoder."""

    def __init__(self, config: FCOSConfig) -> None:
        super().__init__(config.width)
        self.config = config
        channels = config.channels
        self.lateral = nn.ModuleList(
            nn.Conv2d(scaled(count, config.width), channels, 1) for count, _ in STAGES[1:]
        )
        self.join = nn.ModuleList(convolution(channels, channels, 1) for _ in STRIDES)
        self.kind_tower, self.box_tower = _tower(channels), _tower(channels)
        initialise(self)
        self.kind = nn.Conv2d(channels, len(config.meaning), 3, padding=1)
        self.edges = nn.Conv2d(channels, 4, 3, padding=1)
        self.middle = nn.Conv2d(channels, 1, 3, padding=1)
        for layer in (self.kind, self.edges, self.middle):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)
        nn.init.constant_(self.kind.bias, -math.log(1 / _PRIOR - 1))  # type: ignore[arg-type]
        self.scale = nn.Parameter(torch.ones(len(STRIDES)))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Answer at each point; their places are those of `points`.

        Args:
            images: ``(B, 3, H, W)`` RGB in [0, 1].

        Returns:
            ``(B, L, C)`` logits of kinds; ``(B, L, 4)`` pixels from the point to the left, top,
            right and bottom edge of its box; ``(B, L)`` logits of its centre-ness.

        Raises:
            ShapeError: If the shape is another one, or H or W is no multiple of 32.
        """
        x: Tensor | None = None
        grids: list[tuple[Tensor, Tensor, Tensor]] = []
        features = self.encoded(images)[1:]
        for i in reversed(range(len(STRIDES))):
            side = self.lateral[i](features[i])
            x = self.join[i](side if x is None else side + F.interpolate(x, scale_factor=2.0))
            grids.insert(0, self._answers(x, i))
        kinds, edges, middles = (torch.cat(parts, 1) for parts in zip(*grids, strict=True))
        return kinds, edges, middles[..., 0]

    def _answers(self, x: Tensor, grid: int) -> tuple[Tensor, Tensor, Tensor]:
        near = self.box_tower(x)
        away = self.scale[grid] * self.edges(near)
        edges = STRIDES[grid] * away.float().clamp(max=_FARTHEST).exp()
        return _rows(self.kind(self.kind_tower(x))), _rows(edges), _rows(self.middle(near))


def points(height: int, width: int) -> Tensor:
    """Return the places of all points, ``(L, 3)``: x, y and the stride of the grid, pixels.

    They lie in the middle of what they answer for; (0, 0) is the middle of the first pixel.

    Args:
        height: Of the picture, a multiple of 32.
        width: Likewise.
    """
    grids = []
    for stride in STRIDES:
        y, x = torch.meshgrid(
            torch.arange(height // stride), torch.arange(width // stride), indexing='ij'
        )
        place = (torch.stack((x, y), -1).reshape(-1, 2) + 0.5) * stride - 0.5
        grids.append(torch.cat((place, torch.full((len(place), 1), float(stride))), 1))
    return torch.cat(grids)


def found(network: FCOS, images: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each point has found: ``(B, L, C)`` scores in [0, 1], ``(B, L, 4)`` boxes.

    A score is the geometric mean of that of the kind and of centre-ness; boxes are left, top, right
    and bottom in pixels, cut at the edge of the picture.
    """
    height, width = images.shape[2:]
    kinds, edges, middles = network(images)
    scores = (kinds.float().sigmoid() * middles.float().sigmoid()[..., None]).sqrt()
    place = points(height, width)[:, :2].to(edges)
    low, high = place - edges[..., :2], place + edges[..., 2:]
    x, y = (
        torch.stack((low[..., i], high[..., i]), -1).clamp(-0.5, side - 0.5)
        for i, side in enumerate((width, height))
    )
    return scores, torch.stack((x[..., 0], y[..., 0], x[..., 1], y[..., 1]), -1)


def _tower(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(2):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _rows(answers: Tensor) -> Tensor:
    """Return answers ``(B, A, h, w)`` as ``(B, h w, A)``."""
    return answers.flatten(2).transpose(1, 2)
