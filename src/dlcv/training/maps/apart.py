"""Which pictures of a walk are left out, so that a map is measured far from what it learned.

A picture between two learned ones is easy, and so is the end of a stretch of neighbours: what a map
does there says nothing about another walk. Here a stretch is left out together with everything
near it, wherever in the recordings that was taken; the map learns none of both.

Letters in this file: N pictures, M learned ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Mask = npt.NDArray[np.bool_]

_STRETCHES = 5  # that are left out at most
_SEVERAL = 3  # so many are wanted before longer ones
_ENOUGH = 30, 0.05  # far pictures, and of many pictures their share: more tell little more
_ROWS = 500  # of the matrix of distances that are worked on at a time


@dataclass(frozen=True, kw_only=True, slots=True)
class Far:
    """From where on two views are far from each other: by either of the two.

    What another walk through the same room has between its pictures and the nearest learned ones
    was measured: 0.18 to 0.27 m and 6 to 11 degrees in the median.

    Attributes:
        metres: Between the cameras.
        degrees: Between the directions in which they are held.
    """

    metres: float = 0.25
    degrees: float = 10.0

    def __post_init__(self) -> None:
        if not (self.metres > 0 and 0 < self.degrees <= 180):
            raise ValueError(
                'far needs metres > 0 and degrees from above 0 to 180, got '
                f'{self.metres:g} and {self.degrees:g}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Apart:
    """Which pictures are left out.

    Attributes:
        far: ``(N,)`` those in the stretches: each is far from all that are learned.
        near: ``(N,)`` those that are left out because they are near the stretches.
        stretches: How many stretches there are.
    """

    far: Mask
    near: Mask
    stretches: int

    @property
    def out(self) -> Mask:
        """``(N,)`` all that are left out."""
        return self.far | self.near


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Nearest:
    """The nearest learned view of each of N others, the one that is least far by `Far`.

    Attributes:
        metres: ``(N,)`` to it.
        degrees: ``(N,)`` to it.
        farness: ``(N,)`` the greater of both as a share of what is far: far from 1 on.
    """

    metres: FloatArray
    degrees: FloatArray
    farness: FloatArray


def nearest(poses: FloatArray, learned: FloatArray, far: Far) -> Nearest:
    """Find for each of the poses ``(N, 4, 4)`` the nearest of others ``(M, 4, 4)``."""
    metres, degrees = np.empty(len(poses)), np.empty(len(poses))
    for begin in range(0, len(poses), _ROWS):
        part = slice(begin, begin + _ROWS)
        m, d = _distances(poses[part], learned)
        best = np.maximum(m / far.metres, d / far.degrees).argmin(axis=1)
        rows = np.arange(len(best))
        metres[part], degrees[part] = m[rows, best], d[rows, best]
    farness = np.maximum(metres / far.metres, degrees / far.degrees)
    return Nearest(metres=metres, degrees=degrees, farness=farness)


def _distances(one: FloatArray, other: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return metres and degrees ``(N, M)`` between poses."""
    offset = one[:, None, :3, 3] - other[None, :, :3, 3]
    trace = one[:, :3, :3].reshape(-1, 9) @ other[:, :3, :3].reshape(-1, 9).T
    degrees = np.degrees(np.arccos(((trace - 1) / 2).clip(-1, 1)))
    return np.linalg.norm(offset, axis=2), degrees


def stretches_apart(poses: FloatArray, most: int, far: Far) -> Apart:
    """Choose stretches of pictures that are to be left out, with all that is near them.

    Several stretches are better than one and more pictures are better than few, up to enough.
    They lie about the middles of equal parts of the recordings, where least is near them.

    Args:
        poses: ``(N, 4, 4)`` world_from_camera, in the order of the recordings.
        most: How many are left out at most.
        far: What is far.

    Returns:
        What is left out; nothing if that does not suffice for one picture and all near it.
    """
    nothing = np.zeros(len(poses), np.bool_)
    best, worth = Apart(far=nothing, near=nothing, stretches=0), 0
    if most < 1 or not len(poses):
        return best
    enough = max(_ENOUGH[0], int(_ENOUGH[1] * len(poses)))
    counts = np.cumsum(_near(poses, far), axis=0, dtype=np.int32)
    until = np.concatenate([np.zeros((1, len(poses)), np.int32), counts])
    for count in range(min(_STRETCHES, most), 0, -1):
        found = _longest(until, count, most, min(most // count, ceil(enough / count)))
        value = min(int(found.far.sum()), enough) * min(count, _SEVERAL) if found else 0
        if found and value > worth:
            best, worth = found, value
    return best


def _near(poses: FloatArray, far: Far) -> Mask:
    """Return which poses are near each other, ``(N, N)``; each is near itself."""
    near = np.empty((len(poses), len(poses)), np.bool_)
    for begin in range(0, len(poses), _ROWS):
        metres, degrees = _distances(poses[begin : begin + _ROWS], poses)
        near[begin : begin + _ROWS] = (metres < far.metres) & (degrees < far.degrees)
    np.fill_diagonal(near, val=True)
    return near


def _longest(until: npt.NDArray[np.int32], count: int, most: int, high: int) -> Apart | None:
    """Return so many stretches, as long as ``most`` left out allow, no longer than ``high``."""
    best, low = None, 0  # the greatest length that is known to do
    while low < high:
        length = (low + high + 1) // 2
        found = _chosen(until, count, length)
        if found.out.sum() <= most:
            low, best = length, found
        else:
            high = length - 1
    return best


def _chosen(until: npt.NDArray[np.int32], count: int, length: int) -> Apart:
    """Return so many stretches of a length.

    Args:
        until: ``(N + 1, N)`` to how many of the pictures before the row's each is near.
        count: How many.
        length: Pictures of each.
    """
    total = until.shape[1]
    far, out = np.zeros(total, np.bool_), np.zeros(total, np.bool_)
    size = total / count
    for part in range(count):
        begin, end = int((part + 0.25) * size), int((part + 0.75) * size) - length + 1
        starts = np.arange(begin, max(end, begin + 1)).clip(max=total - length)
        taken = until[starts + length] > until[starts]  # (S, N)
        best = int((taken | out).sum(axis=1).argmin())
        far[starts[best] : starts[best] + length] = True
        out |= taken[best]
    # what is near a stretch may be of another stretch: it is far from what is learned all the same
    return Apart(far=far, near=out & ~far, stretches=count)
