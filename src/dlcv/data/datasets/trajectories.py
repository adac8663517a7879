"""Files of poses over time in the formats of TUM, KITTI and EuRoC: read by content, and written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.columns import read_table
from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import read_lines, seconds_to_ns
from dlcv.data.datasets.poses import Format, format_of, kitti_lines, timed_poses
from dlcv.files import write_whole
from dlcv.geometry.trajectory import time_order
from dlcv.types import FloatArray, Trajectory

Stamps = npt.NDArray[np.int64]

CAMERA = 'camera'
IMU = 'imu'


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseFile:
    """What a file of poses says.

    Attributes:
        format: Its format.
        trajectory: Its poses in order of time; they place the `IMU` for EuRoC, else the `CAMERA`.
        notes: What a reader should know: lines that hold
            no pose, stamps that were out of order, where times were taken.
    """

    format: Format
    trajectory: Trajectory
    notes: tuple[str, ...] = ()


def recognise(path: Path) -> Format:
    """Return the format of a file by the names of its columns, else by its first line.

    Raises:
        DatasetError: It is of none, or empty; says what each looks like.
    """
    return format_of(path, read_table(path))


def read_poses(path: Path, picture_stamps: Callable[[], Stamps] | None = None) -> PoseFile:
    """Read a file of poses; times that repeat or go backward are put in order, and noted.

    Where a line at the beginning names the columns, these names count; see `read_table`. Lines
    that hold no pose are left out, and noted.

    The times of a KITTI file are those of ``NAME_times.txt`` or ``times.txt`` beside it or of
    ``../sequences/NAME/times.txt``, as the benchmark lays them; without any, its poses are those
    of the pictures, one each.

    Args:
        path: The file.
        picture_stamps: Gives the ``(N,)`` times of the pictures; asked only by a KITTI file
            without times.

    Raises:
        DatasetError: It is of no format, a line is wrong, or a KITTI file has no times.
    """
    table = read_table(path)
    kind = format_of(path, table)
    if kind == 'KITTI':
        found, lost = kitti_lines(path)
        times, notes = _kitti_times(path, len(found), picture_stamps)
        known = [pose is not None for pose in found]
        stamps, poses = times[known], [pose for pose in found if pose is not None]
        notes = (*notes, lost) if lost else notes
    else:
        made = timed_poses(path, table)
        stamps = np.array([stamp_ns for _, stamp_ns, _ in made.lines], np.int64)
        poses, notes = [pose for _, _, pose in made.lines], made.notes
    order, disorder = time_order(stamps)
    return PoseFile(
        format=kind,
        trajectory=Trajectory(
            stamps_ns=stamps[order],
            world_from_body=np.stack(poses)[order],
            child_frame_id=IMU if kind == 'EuRoC' else CAMERA,
        ),
        notes=(*notes, disorder) if disorder else notes,
    )


def read_camera_poses(path: Path, picture_stamps: Callable[[], Stamps] | None = None) -> PoseFile:
    """Read a file of poses that are the camera's own.

    Raises:
        DatasetError: See `read_poses`; or they are the IMU's.
    """
    found = read_poses(path, picture_stamps)
    if found.trajectory.child_frame_id != CAMERA:
        raise DatasetError(
            f'{path}: {found.format} files place the {found.trajectory.child_frame_id}, needed are '
            'poses of the camera'
        )
    return found


def _kitti_times(
    path: Path, count: int, picture_stamps: Callable[[], Stamps] | None
) -> tuple[Stamps, tuple[str, ...]]:
    places = (
        path.with_name(f'{path.stem}_times.txt'),
        path.with_name('times.txt'),
        path.parent.parent / 'sequences' / path.stem / 'times.txt',
    )
    times = next((place for place in places if place.is_file()), None)
    if times is not None:
        stamps = _seconds_of(times)
        if len(stamps) != count:
            raise DatasetError(f'{path}: {count} poses, but {times} has {len(stamps)} times')
        return stamps, (f'times of {times.name}',)
    pictures = np.zeros(0, np.int64) if picture_stamps is None else picture_stamps()
    if len(pictures) != count:
        raise DatasetError(
            f'{path}: a KITTI file needs times or as many poses as there are pictures; it has '
            f'{count} for {len(pictures)} pictures, and looked for its times at '
            + ', '.join(str(place) for place in places)
        )
    return pictures, (f'no file of times: the {count} poses are those of the pictures, in order',)


def _seconds_of(path: Path) -> Stamps:
    lines = read_lines(path)
    return np.array([seconds_to_ns(path, n, line.split()[0]) for n, line in lines], np.int64)


# Writing


def write_tum(trajectory: Trajectory, path: Path) -> None:
    """Write ``timestamp tx ty tz qx qy qz qw`` lines, times exact, metres to nanometres."""
    from scipy.spatial.transform import Rotation

    poses = trajectory.world_from_body
    turns = Rotation.from_matrix(poses[:, :3, :3]).as_quat(canonical=True)
    lines = ['# timestamp tx ty tz qx qy qz qw']
    for stamp, position, xyzw in zip(trajectory.stamps_ns, poses[:, :3, 3], turns, strict=True):
        lines.append(f'{seconds(int(stamp))} {_row(position, 9)} {_row(xyzw, 12)}')
    _write(path, lines)


def write_kitti(trajectory: Trajectory, path: Path) -> Path:
    """Write the 12 numbers of ``[R | t]`` a line, and the times beside, in ``NAME_times.txt``.

    Returns:
        The file of the times, in seconds.
    """
    times = path.with_name(f'{path.stem}_times.txt')
    _write(path, [_row(pose[:3].reshape(-1), 12) for pose in trajectory.world_from_body])
    _write(times, [seconds(int(stamp)) for stamp in trajectory.stamps_ns])
    return times


def seconds(stamp_ns: int) -> str:
    """Return nanoseconds as decimal seconds, exactly."""
    return f'{Decimal(stamp_ns).scaleb(-9):.9f}'


def _row(values: FloatArray, digits: int) -> str:
    return ' '.join(f'{value:.{digits}f}' for value in values)


def _write(path: Path, lines: list[str]) -> None:
    write_whole(path, '\n'.join([*lines, '']))
