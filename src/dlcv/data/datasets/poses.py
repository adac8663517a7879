"""True poses of data sets: text files to matrices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import numbers, read_lines, seconds_to_ns
from dlcv.geometry.trajectory import rigid
from dlcv.types import FloatArray, Trajectory

PoseLine = tuple[int, int, FloatArray]
"""Number of a line, its time in nanoseconds, and its ``(4, 4)`` pose."""


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
    for number, stamp_ns, pose in tum_lines(path):
        if stamps and stamp_ns == stamps[-1]:
            continue
        add_stamp(path, number, stamps, stamp_ns)
        poses.append(pose)
    return trajectory(path, stamps, poses)


def tum_lines(path: Path) -> Iterator[PoseLine]:
    """Give the poses of ``timestamp tx ty tz qx qy qz qw`` lines, parted by spaces or commas.

    Raises:
        DatasetError: A line is none of these; names file and line.
    """
    for number, line in read_lines(path):
        words = line.replace(',', ' ').split()
        values = numbers(path, number, words, 8)
        stamp_ns = seconds_to_ns(path, number, words[0])
        yield number, stamp_ns, from_xyzw(path, number, values[1:4], values[4:8])


def euroc_lines(path: Path) -> Iterator[PoseLine]:
    """Give the poses of ``timestamp,x,y,z,qw,qx,qy,qz,...`` lines (nanoseconds, metres).

    They place the IMU; what follows (velocities, biases) is left out.

    Raises:
        DatasetError: A line is none of these; names file and line.
    """
    for number, line in read_lines(path):
        words = line.split(',')
        values = numbers(path, number, words, 8)
        w, x, y, z = values[4:8]  # this set writes w first
        pose = from_xyzw(path, number, values[1:4], [x, y, z, w])
        yield number, nanoseconds(path, number, words[0]), pose


def kitti_lines(path: Path) -> list[FloatArray]:
    """Return the ``(4, 4)`` poses of lines with the 12 numbers of ``[R | t]``, row by row.

    Raises:
        DatasetError: A line is none of these; names file and line.
    """
    return [
        from_rows(path, number, numbers(path, number, line.split(), 12))
        for number, line in read_lines(path)
    ]


def nanoseconds(path: Path, number: int, word: str) -> int:
    """Return a time in whole nanoseconds.

    Raises:
        DatasetError: It is none.
    """
    try:
        return int(word)
    except ValueError:
        raise DatasetError(f'{path}, line {number}: {word!r} is no time in nanoseconds') from None


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
