"""From score maps at several scales to points: LIFT's non-maximum suppression and interpolation.

Yi et al., ECCV 2016, sec. 3.6: what the detector of patches gives on a whole picture, made smaller
and smaller, is searched for maxima in place and scale.

Letters in this file: L scales, h w size of a score map, N points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
IntArray = npt.NDArray[np.intp]


class ScaleSpaceError(ValueError):
    """Score maps or settings that no maxima can be looked for in."""


def scale_maxima(
    maps: Sequence[FloatArray],
    sigmas: FloatArray,
    *,
    radius: int = 3,
    across: int = 2,
    edge: float = 10.0,
) -> FloatArray:
    """Find the maxima in place and scale, to parts of a pixel.

    A maximum is higher than all others in its window, and than the highest in the window at the
    same place of the ``across`` scales above and below. So none is found in the first and last of
    these. Those on edges, by the Hessian's ratio of curvatures, are dropped; the rest move to the
    top of the parabola through their neighbours, where it is less than one step away.

    Args:
        maps: L of ``(h, w)``, each of the whole picture made smaller; -inf where no score is known.
        sigmas: ``(L,)`` their scales, in equal steps of the logarithm.
        radius: Half the side of the window in pixels of the map, its middle not counted.
        across: Scales above and below.
        edge: Largest ratio of the two curvatures in place; 0 keeps edges.

    Returns:
        ``(N, 5)``: x and y as fractions of the map's size (0 and 1 are the edges of the picture),
        scale, score, and the number of the map; strongest first.

    Raises:
        ScaleSpaceError: If the numbers of maps and scales differ or a setting is negative.
    """
    if len(maps) != len(sigmas) or radius < 1 or across < 1 or edge < 0:
        raise ScaleSpaceError(
            'maxima need as many scales as maps, radius and across >= 1 and edge >= 0, got '
            f'{len(sigmas)}, {len(maps)}, {radius}, {across} and {edge}'
        )
    scores = [np.ascontiguousarray(one, np.float32) for one in maps]
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    highest = [np.asarray(cv2.dilate(one, window), np.float32) for one in scores]
    found = [
        _interpolated(scores, sigmas, level, _maxima(scores, highest, level, window, across), edge)
        for level in range(across, len(scores) - across)
    ]
    rows = np.concatenate([np.zeros((0, 5)), *found])
    return np.asarray(rows[np.argsort(-rows[:, 3], kind='stable')])


def _maxima(
    scores: Sequence[FloatArray],
    highest: Sequence[FloatArray],
    level: int,
    window: npt.NDArray[np.uint8],
    across: int,
) -> IntArray:
    """Return the pixels (row, column) of the maxima of one map: ``(N, 2)``."""
    here, ring = scores[level], window.copy()
    ring[ring.shape[0] // 2, ring.shape[1] // 2] = 0
    lowest = cv2.erode(here, window)
    pixels = np.argwhere((here > cv2.dilate(here, ring)) & np.isfinite(lowest))
    for other in range(level - across, level + across + 1):
        if other != level:
            there = _pixels(pixels, here.shape, highest[other].shape)
            top = highest[other][there[:, 0], there[:, 1]]
            pixels = pixels[(here[pixels[:, 0], pixels[:, 1]] > top) & np.isfinite(top)]
    return np.asarray(pixels)


def _pixels(pixels: IntArray, shape: tuple[int, ...], other: tuple[int, ...]) -> IntArray:
    """Return the pixels of another map at the places of these."""
    ratio = np.array(other) / np.array(shape)
    there = np.rint((pixels + 0.5) * ratio - 0.5).astype(np.intp)
    return np.asarray(np.clip(there, 0, np.array(other) - 1))


def _interpolated(
    scores: Sequence[FloatArray], sigmas: FloatArray, level: int, pixels: IntArray, edge: float
) -> FloatArray:
    shape = scores[level].shape

    def at(dx: int, dy: int, ds: int) -> FloatArray:
        there = _pixels(pixels + np.array((dy, dx)), shape, scores[level + ds].shape)
        return np.asarray(scores[level + ds][there[:, 0], there[:, 1]], np.float64)

    axes = ((1, 0, 0), (0, 1, 0), (0, 0, 1))
    middle, minus = at(0, 0, 0), [tuple(-v for v in axis) for axis in axes]
    slope = np.stack([0.5 * (at(*a) - at(*b)) for a, b in zip(axes, minus, strict=True)], axis=1)
    bend: FloatArray = np.zeros((len(pixels), 3, 3))
    for i, axis in enumerate(axes):
        bend[:, i, i] = at(*axis) + at(*minus[i]) - 2 * middle
        for j in range(i):
            plus = np.add(axis, axes[j]).tolist()
            less = np.subtract(axis, axes[j]).tolist()
            both = at(*plus) + at(*[-v for v in plus]) - at(*less) - at(*[-v for v in less])
            bend[:, i, j] = bend[:, j, i] = both / 4
    good = np.isfinite(bend).all(axis=(1, 2)) & np.isfinite(slope).all(axis=1)
    if edge:
        trace = bend[:, 0, 0] + bend[:, 1, 1]
        area = bend[:, 0, 0] * bend[:, 1, 1] - bend[:, 0, 1] ** 2
        good &= (area > 0) & (trace**2 * edge < (edge + 1) ** 2 * area)
    pixels, middle, slope, bend = pixels[good], middle[good], slope[good], bend[good]
    off = _tops(slope, bend)
    step = np.log2(sigmas[-1] / sigmas[0]) / max(1, len(sigmas) - 1)
    place = (pixels[:, ::-1] + off[:, :2] + 0.5) / np.array(shape[::-1])
    return np.column_stack(
        (
            place,
            sigmas[level] * 2 ** (step * off[:, 2]),
            middle + 0.5 * (slope * off).sum(axis=1),
            np.full(len(pixels), level),
        )
    )


def _tops(slope: FloatArray, bend: FloatArray) -> FloatArray:
    """Return how far the tops of parabolas are off, ``(N, 3)``; 0 for those a step away or more."""
    solvable = np.abs(np.linalg.det(bend)) > 1e-12
    safe = np.where(solvable[:, None, None], bend, np.eye(3))
    off = np.linalg.solve(safe, -slope[..., None])[..., 0]
    near = solvable & (np.abs(off) < 1).all(axis=1)
    return np.where(near[:, None], off, 0.0)
