"""Which landmark is which point of a picture, by how alike their descriptors are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Indices = npt.NDArray[np.int64]

_SIDE = 2  # of a cell whose landmarks are compared at once, in reaches
_CELLS = 6  # most cells across all places: each costs as much as comparing some thousand pairs


def matched(reference: FloatArray, descriptors: FloatArray, distance: float) -> Indices:
    """Return the mutual nearest neighbours of two sets of descriptors.

    Args:
        reference: ``(R, D)`` float32, each of length 1.
        descriptors: ``(N, D)`` float32, each of length 1.
        distance: Largest Euclidean distance of a match.

    Returns:
        ``(M, 2)`` indices into both.
    """
    if not len(reference) or not len(descriptors):
        return np.empty((0, 2), np.int64)
    likeness = reference @ descriptors.T  # (R, N)
    best = likeness.argmax(axis=1)
    value = likeness[np.arange(len(best)), best]
    top = likeness.max(axis=0)  # many times as fast as argmax down the columns
    return _mutual(best, value, top, distance)


def matched_near(
    reference: FloatArray,
    expected: FloatArray,
    descriptors: FloatArray,
    places: FloatArray,
    distance: float,
    reach: float,
) -> Indices:
    """Return the mutual nearest neighbours among what is where it is expected.

    A comparison of all with all takes many times as long. What is nearer than ``reach`` is
    compared, and what is farther off where it costs nothing.

    Args:
        reference: ``(R, D)`` float32, each of length 1.
        expected: ``(R, 2)`` where each is expected; NaN for what is not looked for.
        descriptors: ``(N, D)`` float32, each of length 1.
        places: ``(N, 2)`` where each is.
        distance: Largest Euclidean distance of a match.
        reach: How far off a place may be in either coordinate.

    Returns:
        ``(M, 2)`` indices into both.
    """
    if not len(reference) or not len(descriptors):
        return np.empty((0, 2), np.int64)
    low, high = places.min(axis=0) - reach, places.max(axis=0) + reach
    side = max(_SIDE * reach, float((high - low).max()) / _CELLS)
    rows = np.flatnonzero(((expected > low) & (expected < high)).all(axis=1))
    cells = np.floor((expected[rows] - low) / side).astype(np.int64)
    size = cells.max(axis=0, initial=0) + 1
    number = cells @ (1, size[0])
    order = np.argsort(number, kind='stable')
    starts = np.flatnonzero(np.diff(number[order])) + 1
    reached = [
        np.abs(places[:, i] - (low[i] + (np.arange(size[i])[:, None] + 0.5) * side))
        < side / 2 + reach
        for i in (0, 1)
    ]  # by a column of cells, by a row
    best = np.zeros(len(reference), np.int64)
    value = np.full(len(reference), -np.inf, np.float32)
    top = np.full(len(descriptors), -np.inf, np.float32)
    for own in np.split(order, starts) if len(order) else ():
        column, row = cells[own[0]]
        near = np.flatnonzero(reached[0][column] & reached[1][row])
        if not len(near):
            continue
        here = rows[own]
        likeness = reference[here] @ descriptors[near].T
        found = likeness.argmax(axis=1)
        best[here], value[here] = near[found], likeness[np.arange(len(found)), found]
        top[near] = np.maximum(top[near], likeness.max(axis=0))
    return _mutual(best, value, top, distance)


def _mutual(best: Indices, value: FloatArray, top: FloatArray, distance: float) -> Indices:
    """Return those whose best match ``(R,)`` has none that is more like it.

    Args:
        best: ``(R,)`` the point that is most like each.
        value: ``(R,)`` how alike they are.
        top: ``(N,)`` how alike each point is to the one that is most like it.
        distance: Largest Euclidean distance of a match.
    """
    rows = np.flatnonzero((value >= top[best]) & (value >= 1 - distance**2 / 2))
    _, first = np.unique(best[rows], return_index=True)  # of equal ones, the first
    rows = rows[np.sort(first)]
    return np.column_stack((rows, best[rows]))
