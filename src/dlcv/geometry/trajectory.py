"""Poses over time: the one at a moment, and moments that belong together; NumPy and SciPy only."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray, Trajectory

NEAR_NS = 10_000_000
"""Difference of two times that belong together, as evo has it."""
FARTHEST = 1e9
"""Metres from the origin beyond which a position is none."""


def rigid(rotation: FloatArray, translation: FloatArray | list[float]) -> FloatArray:
    """Return the ``(4, 4)`` matrix of a rotation ``(3, 3)`` and a translation ``(3,)``."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def moved(b_from_a: FloatArray, points: FloatArray) -> FloatArray:
    """Return points ``(N, 3)`` of frame a in frame b, by a ``(4, 4)`` or ``(3, 4)`` matrix."""
    return np.asarray(points @ b_from_a[:3, :3].T + b_from_a[:3, 3])


def scaled(pose: FloatArray, factor: float) -> npt.NDArray[np.float64]:
    """Return a ``(4, 4)`` pose whose shift is ``factor`` times as long."""
    longer = np.array(pose, np.float64)
    longer[:3, 3] *= factor
    return longer


def extent(motion: FloatArray) -> npt.NDArray[np.float64]:
    """Return length (m) and angle (rad) of a motion ``(4, 4)``, ``(2,)``."""
    r = motion[:3, :3]
    twice_sine = math.hypot(r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1])
    twice_cosine = r[0, 0] + r[1, 1] + r[2, 2] - 1
    return np.array((math.hypot(*motion[:3, 3]), math.atan2(twice_sine, twice_cosine)))


def pose_at(
    truth: Trajectory, stamp_ns: int, max_gap_ns: int, near_ns: int = 0
) -> FloatArray | None:
    """Return the pose at a time: a given one if its time is the same, else between two.

    Positions are interpolated linearly, rotations along the great circle. Where there are no two
    to take it between, the nearest counts that is near enough: times are rounded and cut off on
    their way through files.

    Args:
        truth: The poses.
        stamp_ns: When.
        max_gap_ns: Largest distance in time of the two poses around; beyond, none is
            taken between them.
        near_ns: Largest distance in time of a single pose.

    Returns:
        ``(4, 4)``, or None where the truth has a gap or does not reach.
    """
    if not len(truth.stamps_ns):
        return None
    after = int(np.searchsorted(truth.stamps_ns, stamp_ns))
    if after < len(truth.stamps_ns) and truth.stamps_ns[after] == stamp_ns:
        exact: FloatArray = truth.world_from_body[after]
        return exact
    inside = 0 < after < len(truth.stamps_ns)
    first, last = (
        int(truth.stamps_ns[min(max(i, 0), len(truth.stamps_ns) - 1)]) for i in (after - 1, after)
    )
    if not inside or last - first > max_gap_ns:
        if min(abs(stamp_ns - first), abs(stamp_ns - last)) > near_ns:
            return None
        return np.asarray(truth.world_from_body[nearest(truth.stamps_ns, np.array([stamp_ns]))[0]])
    share = (stamp_ns - first) / (last - first)
    return between(truth.world_from_body[after - 1], truth.world_from_body[after], share)


def left_out(count: int, of: int, what: str, first: str) -> str:
    """Return in words how many records of poses hold none and are left out, and what the first is.

    Args:
        count: How many hold none.
        of: How many there are.
        what: What they are, such as ``lines``.
        first: What is wrong with the first.
    """
    return f'{count} of {of} {what} hold no pose and are left out; the first: {first}'


def time_order(stamps: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.intp], str]:
    """Return what puts times in order, and in words what was wrong with them.

    Args:
        stamps: ``(N,)`` as they came.

    Returns:
        ``(M,)`` indices of ascending times, of which the first of each counts; and how many times
        repeat another or lie before the one that they follow, empty where none does.
    """
    _, index = np.unique(stamps, return_index=True)
    repeated, backward = len(stamps) - len(index), int(np.sum(np.diff(stamps) < 0))
    wrong = []
    if repeated:
        wrong.append(f'{repeated} of {len(stamps)} stamps repeat another: the first counts')
    if backward:
        wrong.append(f'{backward} of {len(stamps)} stamps go backward: they were sorted')
    return np.asarray(index, np.intp), '; '.join(wrong)


def nearest(stamps: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Return the index of the time nearest to each wanted one; of two as near, the earlier.

    Args:
        stamps: ``(N,)`` increasing, one at least.
        wanted: ``(M,)``.
    """
    after = np.clip(np.searchsorted(stamps, wanted), 1, max(1, len(stamps) - 1))
    before = after - 1
    after = np.minimum(after, len(stamps) - 1)
    nearer = np.abs(stamps[before] - wanted) <= np.abs(stamps[after] - wanted)
    return np.asarray(np.where(nearer, before, after), np.intp)


def between(first: FloatArray, last: FloatArray, share: float) -> npt.NDArray[np.float64]:
    """Return the rigid motion between two: straight in position, steady in turning.

    Args:
        first: ``(4, 4)``.
        last: ``(4, 4)``.
        share: 0 for the first to 1 for the last.
    """
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(first[:3, :3].T @ last[:3, :3]).as_rotvec()
    rotation = first[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    position = (1 - share) * first[:3, 3] + share * last[:3, 3]
    return np.asarray(rigid(rotation, position), np.float64)
