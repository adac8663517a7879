"""True poses of data sets: text files to matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dlcv.data.datasets.columns import Columns, Table, width
from dlcv.data.datasets.errors import DatasetError, NoPoseError
from dlcv.data.datasets.files import as_number, numbers, read_lines, seconds_to_ns
from dlcv.data.datasets.times import NAMES, decimal, to_ns, unix_unit
from dlcv.geometry.trajectory import FARTHEST, left_out, rigid
from dlcv.types import FloatArray

Format = Literal['TUM', 'KITTI', 'EuRoC']
PoseLine = tuple[int, int, FloatArray]
"""Number of a line, its time in nanoseconds, and its ``(4, 4)`` pose."""

FORMATS: dict[Format, str] = {
    'TUM': '8 numbers a line, "1305031102.175304 x y z qx qy qz qw", time in seconds',
    'KITTI': '12 numbers a line, the rows of [R | t], with the times in a file beside it',
    'EuRoC': '8 or more values a line, "1403715524912143104,x,y,z,qw,qx,qy,qz,...", nanoseconds',
}
_TUM = Columns(count=8, time=(0,), unit='', pose=(1, 2, 3, 4, 5, 6, 7), metres=1.0, asl=False)
_EUROC = Columns(count=8, time=(0,), unit='', pose=(1, 2, 3, 5, 6, 7, 4), metres=1.0, asl=True)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseLines:
    """The poses with times of a file, as they come.

    Attributes:
        format: ``TUM`` or ``EuRoC``, whose poses are the IMU's.
        lines: The poses.
        notes: What a reader should know: lines that are left out, units.
    """

    format: Format
    lines: tuple[PoseLine, ...]
    notes: tuple[str, ...] = ()


def format_of(path: Path, table: Table) -> Format:
    """Return the format of a table by the names of its columns, else by its first line.

    Raises:
        DatasetError: It is of none, or empty; says what each looks like.
    """
    if not table.rows:
        raise DatasetError(f'{path}: no poses')
    number, line, words = table.rows[0]
    columns = table.columns or _TUM
    looks = _looks(table, columns)
    whole = words[columns.time[0]].isdigit() and len(words[columns.time[0]]) > 12
    nanoseconds = table.commas and 'ns' in (columns.unit, looks or ('ns' if whole else ''))
    if table.columns is not None:
        return 'EuRoC' if columns.asl or nanoseconds else 'TUM'
    count = width(words)
    if nanoseconds and count >= 8:
        return 'EuRoC'
    if table.commas and count >= 8 and looks in ('ms', 'us'):
        raise DatasetError(
            f'{path}, line {number}: times in {NAMES[looks]} are of no format, and no line names '
            'the columns: write one, such as "timestamp,tx,ty,tz,qx,qy,qz,qw"'
        )
    if count == 8:
        return 'TUM'
    if count == 12 and not table.commas:
        return 'KITTI'
    known = '\n'.join(f'  {name}: {looks}' for name, looks in FORMATS.items())
    raise DatasetError(
        f'{path}, line {number}: {line[:60]!r} is of no format of poses that is known:\n{known}'
    )


def timed_poses(path: Path, table: Table) -> PoseLines:
    """Return the poses of a table that is not KITTI's.

    What stands in which column is what the table's names say; without any it is the order of its
    format. Lines that hold no pose (numbers that are not finite, a quaternion of zeros) are left
    out and counted.

    Raises:
        DatasetError: A line is none of these, or most of them hold no pose; names file and line.
    """
    kind = format_of(path, table)
    columns = table.columns or (_EUROC if kind == 'EuRoC' else _TUM)
    unit = _unit(path, table, columns, kind)
    good: list[PoseLine] = []
    bad: list[NoPoseError] = []
    for number, _, words in table.rows:
        try:
            good.append(_pose(path, number, words, columns, unit, last=number == table.rows[-1][0]))
        except NoPoseError as err:  # noqa: PERF203  (each line by itself)
            bad.append(err)
    if bad and (len(good) < 2 or sum(not err.absent for err in bad) > len(good)):
        raise bad[0]
    notes = [left_out(len(bad), len(table.rows), 'lines', str(bad[0]))] if bad else []
    if unit != ('ns' if kind == 'EuRoC' else 's'):
        notes.append(f'times in {NAMES[unit]}')
    return PoseLines(format=kind, lines=tuple(good), notes=tuple(notes))


def _unit(path: Path, table: Table, columns: Columns, kind: Format) -> str:
    """Return the unit of the times: what the names say, else what the numbers look like."""
    if len(columns.time) == 2:
        return 's'
    looks = _looks(table, columns)
    if columns.unit:
        if looks is not None and looks != columns.unit:
            first = table.rows[0][2][columns.time[0]]
            raise DatasetError(
                f'{path}: the times are said to be {NAMES[columns.unit]}, but {first} looks like '
                f'{NAMES[looks]}'
            )
        return columns.unit
    if looks is not None and (table.columns is not None or table.commas):
        return looks
    return 'ns' if kind == 'EuRoC' else 's'


def _looks(table: Table, columns: Columns) -> str | None:
    """Return the unit that times look like, see `unix_unit`."""
    at = columns.time[0]
    words = [words[at] for _, _, words in table.rows if len(words) > at]
    return unix_unit([value for value in map(decimal, words) if value])  # 0: a clock not yet set


def _pose(
    path: Path, number: int, words: tuple[str, ...], columns: Columns, unit: str, *, last: bool
) -> PoseLine:
    needed = 1 + max(*columns.time, *columns.pose)
    if last and 0 < len(words) < needed:
        raise NoPoseError(f'{path}, line {number}: expected {needed} numbers, got {len(words)}: '
                          f'{list(words)}, cut short')  # fmt: skip
    if len(words) < needed:
        numbers(path, number, words, needed)  # says what is wrong
    time = [_moment(path, number, words[at], unit) for at in columns.time]
    values = [as_number(path, number, words[at]) for at in columns.pose]
    if not np.isfinite(values).all() or None in time:
        raise NoPoseError(f'{path}, line {number}: not finite: {list(words)}', absent=True)
    stamp_ns = sum(moment for moment in time[:1] if moment is not None)
    if len(time) == 2:
        stamp_ns += int(as_number(path, number, words[columns.time[1]]))
    xyz = [columns.metres * value for value in values[:3]]
    return number, stamp_ns, from_xyzw(path, number, xyz, values[3:])


def _moment(path: Path, number: int, word: str, unit: str) -> int | None:
    """Return a time in nanoseconds; None of one that is not finite."""
    if not np.isfinite(as_number(path, number, word)):
        return None
    if unit == 's':
        return seconds_to_ns(path, number, word)
    value = decimal(word)
    stamp_ns = None if value is None else to_ns(value, unit)
    if stamp_ns is None or abs(stamp_ns) >= 2**63:
        raise DatasetError(f'{path}, line {number}: {word!r} is no time in {NAMES[unit]}')
    return stamp_ns


def from_xyzw(path: Path, number: int, xyz: Sequence[float], xyzw: Sequence[float]) -> FloatArray:
    """Return the ``(4, 4)`` pose of a position and a unit quaternion.

    Raises:
        NoPoseError: The quaternion's length differs from 1 by over 1 %, or the position is absurd.
    """
    from scipy.spatial.transform import Rotation

    length = float(np.linalg.norm(xyzw))
    if abs(length - 1) > 0.01:
        raise NoPoseError(
            f'{path}, line {number}: quaternion {list(xyzw)} has length {length:.4g}',
            absent=length == 0,
        )
    if np.abs(xyz).max() > FARTHEST:
        raise NoPoseError(f'{path}, line {number}: no position: {list(xyz)} m', absent=True)
    return rigid(Rotation.from_quat(xyzw).as_matrix(), np.asarray(xyz))


def from_rows(path: Path, number: int, values: list[float]) -> FloatArray:
    """Return the ``(4, 4)`` pose of the 12 or 16 numbers of its rows.

    Raises:
        NoPoseError: Its 3x3 part is no rotation (to 1 %), or the position is absurd.
    """
    matrix = np.eye(4)
    matrix[: len(values) // 4] = np.reshape(values, (-1, 4))
    if not np.isfinite(matrix).all():
        raise NoPoseError(f'{path}, line {number}: not finite: {values}', absent=True)
    turn = matrix[:3, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > 0.01 or np.linalg.det(turn) < 0:
        raise NoPoseError(
            f'{path}, line {number}: no rotation matrix in {values}', absent=not turn.any()
        )
    if np.abs(matrix[:3, 3]).max() > FARTHEST:
        raise NoPoseError(f'{path}, line {number}: no position in {values}', absent=True)
    return matrix


def kitti_lines(path: Path) -> tuple[list[FloatArray | None], str]:
    """Return the ``(4, 4)`` poses of lines with the 12 numbers of ``[R | t]``, row by row.

    Returns:
        The poses, None for lines that hold none; and how many those are in words, empty for none.

    Raises:
        DatasetError: A line is none of these, or most of them hold no pose; names file and line.
    """
    poses: list[FloatArray | None] = []
    bad: list[NoPoseError] = []
    lines = read_lines(path)
    for number, line in lines:
        words = line.split()
        if len(words) < 12:
            numbers(path, number, words, 12)  # says what is wrong
        try:
            values = [as_number(path, number, word) for word in words[:12]]
            poses.append(from_rows(path, number, values))
        except NoPoseError as err:
            poses.append(None)
            bad.append(err)
    good = len(poses) - len(bad)
    if bad and (good < 2 or sum(not err.absent for err in bad) > good):
        raise bad[0]
    return poses, left_out(len(bad), len(poses), 'lines', str(bad[0])) if bad else ''


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
