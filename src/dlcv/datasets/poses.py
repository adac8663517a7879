"""True poses of data sets: text files to matrices, and the pose at a picture's time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcv.datasets.errors import DatasetError
from dlcv.datasets.files import numbers, read_lines, seconds_to_ns
from dlcv.types import FloatArray, Trajectory


def rigid(rotation: FloatArray, translation: FloatArray | list[float]) -> FloatArray:
    """Return the ``(4, 4)`` matrix of a rotation ``(3, 3)`` and a translation ``(3,)``."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = translation
    return matrix


def from_xyzw(path: Path, number: int, xyz: list[float], xyzw: list[float]) -> FloatArray:
    """Return the ``(4, 4)`` pose of a position and a unit quaternion.

    Raises:
        DatasetError: The quaternion's length differs from 1 by over 1 %.
    """
    from scipy.spatial.transform import Rotation

    length = float(np.linalg.norm(xyzw))
    if abs(length - 1) > 0.01:
        raise DatasetError(f'{path}, line {number}: quaternion {xyzw} has length {length:.4g}')
    return rigid(Rotation.from_quat(xyzw).as_matrix(), xyz)


def from_rows(path: Path, number: int, values: list[float]) -> FloatArray:
    """Return the ``(4, 4)`` pose of the 12 or 16 numbers of its rows.

    Raises:
        DatasetError: Its 3x3 part is no rotation (to 1 %).
    """
    matrix = np.eye(4)
    matrix[: len(values) // 4] = np.reshape(values, (-1, 4))
    turn = matrix[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 0.01 or np.linalg.det(turn) < 0:
        raise DatasetError(f'{path}, line {number}: no rotation matrix in {values}')
    return matrix


def read_tum(path: Path) -> Trajectory:
    """Read ``timestamp tx ty tz qx qy qz qw`` lines (seconds, metres, quaternion xyzw).

    Of several lines with one time, as the set's own truth has them, the first counts.

    Raises:
        DatasetError: A line is none of these or times decrease; names file and line.
    """
    stamps: list[int] = []
    poses: list[FloatArray] = []
    for number, line in read_lines(path):
        words = line.replace(',', ' ').split()
        values = numbers(path, number, words, 8)
        stamp_ns = seconds_to_ns(path, number, words[0])
        if stamps and stamp_ns == stamps[-1]:
            continue
        add_stamp(path, number, stamps, stamp_ns)
        poses.append(from_xyzw(path, number, values[1:4], values[4:8]))
    return trajectory(path, stamps, poses)


def add_stamp(path: Path, number: int, stamps: list[int], stamp_ns: int) -> None:
    """Append a time that must be later than the ones before."""
    if stamps and stamp_ns <= stamps[-1]:
        raise DatasetError(
            f'{path}, line {number}: {stamp_ns} ns is not after {stamps[-1]} ns of the line before'
        )
    stamps.append(stamp_ns)


def trajectory(path: Path, stamps: list[int], poses: list[FloatArray]) -> Trajectory:
    """Return the trajectory of a file that must have poses."""
    if not poses:
        raise DatasetError(f'{path}: no poses')
    return Trajectory(stamps_ns=np.array(stamps, np.int64), world_from_body=np.stack(poses))


def pose_at(truth: Trajectory, stamp_ns: int, max_gap_ns: int) -> FloatArray | None:
    """Return the pose at a time: a given one if its time is the same, else between two.

    Positions are interpolated linearly, rotations along the great circle.

    Args:
        truth: The poses.
        stamp_ns: When.
        max_gap_ns: Largest distance in time of the two poses around; beyond, the answer is None.

    Returns:
        ``(4, 4)``, or None where the truth has a gap or does not reach.
    """
    after = int(np.searchsorted(truth.stamps_ns, stamp_ns))
    if after < len(truth.stamps_ns) and truth.stamps_ns[after] == stamp_ns:
        exact: FloatArray = truth.world_from_body[after]
        return exact
    if after == 0 or after == len(truth.stamps_ns):
        return None
    first, last = int(truth.stamps_ns[after - 1]), int(truth.stamps_ns[after])
    if last - first > max_gap_ns:
        return None
    share = (stamp_ns - first) / (last - first)
    return _between(truth.world_from_body[after - 1], truth.world_from_body[after], share)


def _between(first: FloatArray, last: FloatArray, share: float) -> FloatArray:
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_matrix(first[:3, :3].T @ last[:3, :3]).as_rotvec()
    rotation = first[:3, :3] @ Rotation.from_rotvec(share * turn).as_matrix()
    return rigid(rotation, (1 - share) * first[:3, 3] + share * last[:3, 3])


def nearest(stamps: list[int], stamp_ns: int, max_ns: int) -> int | None:
    """Return the index of the time nearest to ``stamp_ns``, if it is within ``max_ns``."""
    if not stamps:
        return None
    distance = np.abs(np.array(stamps, np.int64) - stamp_ns)
    best = int(distance.argmin())
    return best if distance[best] <= max_ns else None
