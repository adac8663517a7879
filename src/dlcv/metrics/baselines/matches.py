"""Nearest neighbours of described points, with what a filter of matches may look at.

Letters in this file: N points of the first picture, of which each has its nearest one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.metrics.baselines.features import Described
from dlcv.types import FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NearestMatches:
    """Each point of the first picture with the nearest of the second, right or wrong.

    Attributes:
        first_xy: ``(N, 2)`` pixels.
        second_xy: ``(N, 2)`` pixels.
        cosine: ``(N,)`` of the descriptors.
        side: ``(N, 2)`` differences of scale (in octaves) and of angle (rad, 0 to pi); zeros where
            points have none.
        ratio: ``(N,)`` distance to the nearest over that to the second nearest.
        mutual: ``(N,)`` whether it is the other's nearest, too.
    """

    first_xy: FloatArray
    second_xy: FloatArray
    cosine: FloatArray
    side: FloatArray
    ratio: FloatArray
    mutual: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.first_xy)

    def chosen(self, which: npt.NDArray[Any]) -> NearestMatches:
        """Return some of the matches."""
        return NearestMatches(
            first_xy=self.first_xy[which],
            second_xy=self.second_xy[which],
            cosine=self.cosine[which],
            side=self.side[which],
            ratio=self.ratio[which],
            mutual=self.mutual[which],
        )


def nearest_matches(first: Described, second: Described) -> NearestMatches:
    """Match each point of the first picture; none where a picture has fewer than two points.

    Args:
        first: Points with float descriptors, of any length: they are compared by direction.
        second: Points of the same kind.
    """
    if min(len(first.xy), len(second.xy)) < 2:
        return _none()
    a, b = (_directions(one.descriptors) for one in (first, second))
    cosine = a @ b.T  # (N, M)
    best = cosine.argmax(1)
    rows = np.arange(len(a))
    top = np.partition(cosine, -2, axis=1)[:, -2:]  # second best, best
    distance = np.sqrt(np.maximum(2 - 2 * top, 0))
    ratio = distance[:, 1] / np.maximum(distance[:, 0], 1e-12)
    return NearestMatches(
        first_xy=np.asarray(first.xy, np.float32),
        second_xy=np.asarray(second.xy[best], np.float32),
        cosine=cosine[rows, best],
        side=_side(first, second, best),
        ratio=np.asarray(ratio, np.float32),
        mutual=cosine.argmax(0)[best] == rows,
    )


def _side(first: Described, second: Described, best: npt.NDArray[np.intp]) -> FloatArray:
    found = np.zeros((len(best), 2), np.float32)
    if first.sizes is not None and second.sizes is not None:
        found[:, 0] = np.abs(np.log2(first.sizes) - np.log2(second.sizes[best]))
    if first.angles is not None and second.angles is not None:
        turn = np.abs(first.angles - second.angles[best]) % (2 * np.pi)
        found[:, 1] = np.minimum(turn, 2 * np.pi - turn)
    return found


def _directions(descriptors: npt.NDArray[Any]) -> FloatArray:
    vectors = np.asarray(descriptors, np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(length, 1e-12), np.float32)


def _none() -> NearestMatches:
    nothing = np.zeros(0, np.float32)
    return NearestMatches(
        first_xy=np.zeros((0, 2), np.float32),
        second_xy=np.zeros((0, 2), np.float32),
        cosine=nothing,
        side=np.zeros((0, 2), np.float32),
        ratio=nothing,
        mutual=np.zeros(0, np.bool_),
    )
