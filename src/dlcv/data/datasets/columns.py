"""Which column of a table of poses is what, as its first line says: names, orders, units."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import COMMENTS, all_lines

_TIME_UNITS = {
    **dict.fromkeys(('s', 'sec', 'secs', 'second', 'seconds'), 's'),
    **dict.fromkeys(('ms', 'msec', 'millisecond', 'milliseconds', 'millis'), 'ms'),
    **dict.fromkeys(('us', 'µs', 'μs', 'usec', 'microsecond', 'microseconds', 'micros'), 'us'),
    **dict.fromkeys(('ns', 'nsec', 'nsecs', 'nanosec', 'nanosecs', 'nanosecond', 'nanoseconds'),
                    'ns'),
}  # fmt: skip
_METRES = {
    **dict.fromkeys(('', 'm', 'meter', 'meters', 'metre', 'metres'), 1.0),
    'cm': 0.01,
    'mm': 0.001,
}
_TIMES = ('timestamp', 'timestamps', 'time', 'times', 'stamp', 't', 'ts')
_POSITIONS = ('p', 'pos', 'position', 't', 'trans', 'translation', 'loc', 'location')
_TURNS = ('q', 'quat', 'quaternion', 'orientation', 'ori', 'rot', 'rotation', 'att', 'attitude')
_OTHERS = ('v', 'vel', 'velocity', 'b', 'bias', 'w', 'omega', 'gyro', 'a', 'acc', 'accel', 'twist',
           'linear', 'angular', 'euler', 'covariance', 'cov', 'std', 'sigma')  # fmt: skip
_SHORT = re.compile(rf'({"|".join((*_POSITIONS, *_TURNS))})?([wxyz])')
_GROUP = re.compile(r'([A-Za-z_]\w*)\s*[(\[{]\s*([wxyz](?:[\s,;]+[wxyz]){2,3})\s*[)\]}]')
_UNIT = re.compile(r'\s*[(\[]([^)\]]*)[)\]]')
_LEAD = ''.join(COMMENTS) + ' \t/'
_ALL = ('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw')


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Where in a line what is.

    Attributes:
        count: Columns there are.
        time: Of the time; two, of seconds and nanoseconds, where it is in parts; none for a pose
            without time.
        unit: Of the time, see `dlcv.data.datasets.times`; empty where nobody says.
        pose: Of x, y, z, qx, qy, qz, qw.
        metres: Of the unit of the position.
        asl: Whether the names are those of EuRoC's files, ``p_RS_R_x``.
    """

    count: int
    time: tuple[int, ...]
    unit: str
    pose: tuple[int, ...]
    metres: float
    asl: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """The lines of a file of numbers.

    Attributes:
        rows: Number of a line, the line, and its words.
        columns: What its first line says of them; None where no line does.
        commas: Whether the columns are parted by commas or semicolons.
    """

    rows: tuple[tuple[int, str, tuple[str, ...]], ...]
    columns: Columns | None
    commas: bool


def read_table(path: Path, *, timed: bool = True) -> Table:
    """Read a table; names of its columns may stand in a comment or in its first line.

    Columns are parted by commas, semicolons, tabs or spaces.

    Args:
        path: The file.
        timed: Whether its poses must have times.

    Raises:
        DatasetError: It cannot be read, or its names do not say where the pose is.
    """
    rows: list[tuple[int, str, tuple[str, ...]]] = []
    heads: list[tuple[int, str]] = []
    for number, line in all_lines(path):
        if line.startswith(COMMENTS):
            if not rows:
                heads.append((number, line))
        else:
            rows.append((number, line, words_of(line)))
    bare = bool(rows) and not any(map(_is_number, rows[0][2]))
    if bare:
        heads.append(rows.pop(0)[:2])
    count = width(rows[0][2]) if rows else 0
    columns = None
    for number, line in heads:
        columns = _columns(path, number, line, count, timed=timed) or columns
    if bare and columns is None:
        rows.insert(0, (*heads[-1], words_of(heads[-1][1])))  # no header: a line that is wrong
    return Table(
        rows=tuple(rows), columns=columns, commas=bool(rows) and bool(set(',;') & set(rows[0][1]))
    )


def width(words: Sequence[str]) -> int:
    """Return how many columns a line has; a comma at its end begins none."""
    return len(words) - (len(words) > 1 and not words[-1])


def words_of(line: str) -> tuple[str, ...]:
    """Return the words of a line; where semicolons part them, commas are decimal points."""
    if ';' in line:
        words = [word.strip().replace(',', '.') for word in line.split(';')]
    elif ',' in line and not any(' ' in word.strip() for word in line.split(',')):
        words = [word.strip() for word in line.split(',')]
    else:
        words = line.replace(',', ' ').split()
    return tuple(word.strip('"\'') for word in words)


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def _columns(path: Path, number: int, line: str, count: int, *, timed: bool) -> Columns | None:
    """Return what a line says of the columns; None where it is about something else."""
    if '...' in line or '…' in line:
        return None  # abbreviated, as papers do
    remarkless = _fitting(_names(line.partition(' (')[0]), count)  # remarks may have any marks
    names = remarkless if len(remarkless) == count else _fitting(_names(line), count)
    roles = [_role(name, unit) for name, unit in names]
    known = {role for role in roles if role}
    turns, places = known & set(_ALL[3:]), known & set(_ALL[:3])
    about_poses = len(turns) > 1 or ('time' in known and len(places) > 1)
    if not about_poses:
        return None
    where = f'{path}, line {number}: the names of the columns, {line[:120]!r},'
    if len(names) != count:
        raise DatasetError(f'{where} are {len(names)}, but the lines have {count} columns')
    missing = [name for name in _ALL if name not in known]
    time, unit = _time(names, roles)
    if timed and not time:
        missing.insert(0, 'time')
    if missing:
        if not turns and count < 8:
            return None  # positions alone: of no format, which is said with what the formats are
        raise DatasetError(
            f'{where} name no {", ".join(missing)}; needed are a time, x y z and qx qy qz qw, '
            'named so or as EuRoC, ROS and others do (p_x, q_RS_w, pose.orientation.w)'
        )
    twice = [name for name in _ALL if roles.count(name) > 1]
    if twice:
        raise DatasetError(f'{where} name {", ".join(twice)} more than once')
    places_at = [roles.index(name) for name in _ALL]
    units = {names[at][1] for at in places_at[:3]}
    if len(units) > 1 or not units <= _METRES.keys():
        raise DatasetError(f'{where} give positions in {", ".join(sorted(units))}, not in metres')
    return Columns(
        count=count,
        time=time,
        unit=unit,
        pose=tuple(places_at),
        metres=_METRES[units.pop()],
        asl=any('_rs_' in name for name, _ in names),
    )


def _time(names: Sequence[tuple[str, str]], roles: Sequence[str]) -> tuple[tuple[int, ...], str]:
    """Return the columns of the time and its unit; the message's own before that of its arrival."""
    whole, rest = ([i for i, r in enumerate(roles) if r == part] for part in ('sec', 'nsec'))
    if whole and rest:
        return (whole[0], rest[0]), 's'
    there = [i for i, role in enumerate(roles) if role in ('time', 'sec', 'nsec')]
    if not there:
        return (), ''
    at = next((i for i in there if 'header' in names[i][0]), there[0])
    given = names[at][1] or {'sec': 's', 'nsec': 'ns'}.get(roles[at], '')
    return (at,), _TIME_UNITS.get(given, '')


def _names(line: str) -> list[tuple[str, str]]:
    """Return names, in small letters, and units of a line: ``# p_x [m], q_w []``.

    Of the ways to part it, that counts by which most names are known.
    """
    text = _GROUP.sub(
        lambda m: ' '.join(f'{m[1]}_{axis}' for axis in re.split(r'[\s,;]+', m[2])),
        line.lstrip(_LEAD),
    )
    units = _UNIT.sub(lambda m: f'[{"".join(m[1].split())}]', text)
    ways = [text.rstrip(mark + ' ').split(mark) for mark in ';,\t' if mark in text]
    ways.append(re.split(r'[\s,;]+', units.strip(' :,;')))
    found = [[_name_and_unit(word.strip(' \t"\'')) for word in words] for words in ways]
    return max(found, key=lambda names: len({_role(*name) for name in names}))


def _name_and_unit(word: str) -> tuple[str, str]:
    unit = _UNIT.search(word)
    name = _UNIT.sub('', word).strip(' :"\'')
    name = re.sub(r'(?<=[a-z])(?=[A-Z])', '_', name).lower()
    if unit is not None:
        return name, unit[1].strip().lower()
    stem, _, last = name.rpartition('_')
    if stem and (last in _TIME_UNITS or last in _METRES):
        return stem, last
    return name, ''


def _fitting(names: list[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """Return those of the names that stand over the columns: prose may come before and after."""
    for start in range(len(names) - count + 1 if len(names) > count else 0):
        window = names[start : start + count]
        if all(_role(*name) for name in window):
            return window
    return names


def _role(name: str, unit: str = '') -> str:
    """Return what a column is by its name: time, sec, nsec, x, y, z, qx, qy, qz, qw; or empty."""
    parts = [part for part in re.split(r'[^a-z0-9]+', name) if part]
    if not parts:
        return ''
    last = parts[-1]
    if (short := _SHORT.fullmatch(last)) is not None:
        kind = short[1] or next((p for p in parts[:-1] if p in (*_POSITIONS, *_TURNS, *_OTHERS)),
                                'q' if last == 'w' else 'p')  # fmt: skip
        if kind in _TURNS:
            return f'q{short[2]}'
        return short[2] if kind in _POSITIONS and short[2] != 'w' else ''
    if last in ('sec', 'secs') or (last in _TIMES and unit in ('sec', 'secs')):
        return 'sec'
    if last in ('nsec', 'nsecs', 'nanosec') or (last in _TIMES and unit in ('nsec', 'nanosec')):
        return 'nsec'
    return 'time' if last in _TIMES or last in _TIME_UNITS else ''
