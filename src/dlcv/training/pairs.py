"""Pairs of pictures of one scene, cut from labelled photos, with what corresponds.

Letters in this file: H W size of a picture in pixels, N places of a pair.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.data.augment.homographies import (
    HomographyConfig,
    sample_homography,
    valid_mask,
    warp_image,
    warp_points,
)
from dlcv.data.augment.photometric import PhotometricConfig, photometric
from dlcv.training.adaptation import Labelled
from dlcv.training.recipe import Sample, TrainError

BORDER = 4
"""Places nearer to an edge, in pixels, are no places: nothing is detected there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PairConfig:
    """How a pair is made of a labelled piece of a photo.

    Attributes:
        size: (height, width) of both pictures, multiples of 8.
        zoom: Lowest and highest size of the first picture's content, 1 being the piece's pixels.
        homographies: Views from which the second picture looks at the first.
        photometric: Change of light, drawn for both pictures.
        points: N, places whose descriptors are compared.
        at_labels: Share of them at interest points, where there are enough; the rest is anywhere.
        wide: Share of pairs of which one picture is turned by any angle and up to ``wide_zoom``
            times as large as the other, on top of all else.
        wide_zoom: Largest ratio of sizes of such a pair, drawn evenly in its logarithm.
        jitter: Pixels by which places in the second picture are off at most, along x and y: a
            detector does not find the very same place twice.
    """

    size: tuple[int, int] = (160, 208)
    zoom: tuple[float, float] = (0.7, 1.2)
    homographies: HomographyConfig = field(
        default_factory=lambda: HomographyConfig(
            scale=0.6, stretch=1.0, rotation=0.7, translation=0.1, area=0.08
        )
    )
    photometric: PhotometricConfig = field(default_factory=PhotometricConfig)
    points: int = 192
    at_labels: float = 0.75
    wide: float = 0.0
    wide_zoom: float = 3.0
    jitter: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.wide <= 1 and self.wide_zoom >= 1):
            raise TrainError(
                'pairs need wide in [0, 1] and wide_zoom >= 1, got '
                f'{self.wide} and {self.wide_zoom}'
            )


class SuperPointPairs:
    """Pairs of pictures with labels and corresponding places; a function of the number alone."""

    def __init__(self, labels: Sequence[Labelled], config: PairConfig, seed: int) -> None:
        self._labels = labels
        self._config = config
        self._seed = seed

    def __getitem__(self, index: int) -> Sample:
        """Return a pair.

        Returns:
            ``first``, ``second`` ``(1, H, W)`` uint8; of each, ``_present`` and ``_valid``
            ``(H, W)`` bool: where interest points are, and which pixels show anything;
            ``second_from_first`` ``(3, 3)`` float32; ``first_xy``, ``second_xy`` ``(N, 2)`` float32
            places and ``seen`` ``(N,)`` bool, whether both pictures show them.
        """
        rng = np.random.default_rng([self._seed, index])
        piece = self._labels[int(rng.integers(len(self._labels)))]
        size = self._config.size
        ratio, turn = widely(rng, self._config)
        # Shared between both pictures, so that labels of neither are enlarged much.
        zoom = self._config.zoom[0] / math.sqrt(ratio), self._config.zoom[1] / math.sqrt(ratio)
        first_from_piece = _window(rng, piece.image.shape, size, zoom)
        view = sample_homography(rng, size, self._config.homographies)
        second_from_first = similarity(size, ratio, turn) @ view
        second_from_first /= second_from_first[2, 2]
        views = {'first': first_from_piece, 'second': second_from_first @ first_from_piece}
        sample: dict[str, npt.NDArray[Any]] = {}
        for name, view in views.items():
            image = warp_image(piece.image, view, size)
            sample[name] = photometric(image, rng, self._config.photometric)[None]
            sample[f'{name}_valid'] = valid_mask(view, size, first_size=piece.size)
            sample[f'{name}_present'] = _mark(warp_points(piece.xy, view), size)
        sample['second_from_first'] = second_from_first.astype(np.float32)
        labels = warp_points(piece.xy, first_from_piece)
        return sample | _places(rng, labels, second_from_first, sample, self._config)


def widely(rng: np.random.Generator, config: PairConfig) -> tuple[float, float]:
    """Return the second picture's size over the first one's, and its turn in radians."""
    if not config.wide or rng.random() >= config.wide:
        return 1.0, 0.0
    most = math.log(config.wide_zoom)
    return math.exp(rng.uniform(-most, most)), rng.uniform(-math.pi, math.pi)


def similarity(size: tuple[int, int], factor: float, turn: float) -> npt.NDArray[np.float64]:
    """Return a map ``(3, 3)`` of pixels that enlarges and turns about the middle of a picture.

    Args:
        size: (height, width) of the picture.
        factor: Of lengths.
        turn: Radians, clockwise as seen in a picture whose y points down.
    """
    x, y = (size[1] - 1) / 2, (size[0] - 1) / 2
    c, s = factor * math.cos(turn), factor * math.sin(turn)
    return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y], [0, 0, 1]])


def _window(
    rng: np.random.Generator,
    piece: tuple[int, ...],
    size: tuple[int, int],
    zoom: tuple[float, float],
) -> npt.NDArray[np.float64]:
    """Return ``first_from_piece``: a window of random place and size, inside if it can be."""
    factor = math.exp(rng.uniform(math.log(zoom[0]), math.log(zoom[1])))
    factor = max(factor, min(size[0] / piece[0], size[1] / piece[1]))
    room = factor * np.array([piece[1], piece[0]]) - np.array([size[1], size[0]])
    shift = rng.random(2) * room
    x, y = 0.5 * factor - 0.5 - shift
    return np.array([[factor, 0, x], [0, factor, y], [0, 0, 1]])


def inside(
    xy: npt.NDArray[np.float64], size: tuple[int, int], border: int
) -> npt.NDArray[np.bool_]:
    """Return which pixels ``(N, 2)`` are in a picture and not nearer to its edges than that."""
    x, y = xy.T
    across = (x >= border) & (x <= size[1] - 1 - border)
    return np.asarray(across & (y >= border) & (y <= size[0] - 1 - border), bool)


def _mark(xy: npt.NDArray[np.float64], size: tuple[int, int]) -> npt.NDArray[np.bool_]:
    present = np.zeros(size, bool)
    x, y = np.rint(xy[inside(xy, size, 0)]).astype(np.intp).T
    present[y, x] = True
    return present


def _places(
    rng: np.random.Generator,
    labels: npt.NDArray[np.float64],
    second_from_first: npt.NDArray[np.float64],
    sample: Sample,
    config: PairConfig,
) -> dict[str, npt.NDArray[Any]]:
    """Return places that both pictures show: some of the labels, and some anywhere."""
    height, width = config.size
    anywhere = rng.uniform(0, (width - 1, height - 1), (4 * config.points, 2))
    wanted = round(config.at_labels * config.points)
    candidates = [rng.permutation(labels), anywhere]
    for i, xy in enumerate(candidates):
        seen = inside(xy, config.size, BORDER)
        seen &= inside(warp_points(xy, second_from_first), config.size, BORDER)
        candidates[i] = xy[seen][: wanted if i == 0 else None]
    first = np.concatenate(candidates)[: config.points]
    second = warp_points(first, second_from_first)
    second += rng.uniform(-config.jitter, config.jitter, second.shape)
    missing = ((0, config.points - len(first)), (0, 0))
    seen = _shown(first, sample['first_valid']) & _shown(second, sample['second_valid'])
    return {
        'first_xy': np.pad(first, missing).astype(np.float32),
        'second_xy': np.pad(second, missing).astype(np.float32),
        'seen': np.pad(seen, missing[0]),
    }


def _shown(xy: npt.NDArray[np.float64], valid: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    x, y = np.rint(xy).astype(np.intp).T
    return np.asarray(valid[y, x], bool)
