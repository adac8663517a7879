"""The one rule for picture files: which of a folder's count, in which order, at which times."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.times import NAMES, to_ns, unix_unit

PICTURES = ('.png', '.jpg', '.jpeg', '.bmp', '.pgm', '.ppm', '.tif', '.tiff', '.webp')
_ONE_NUMBER = re.compile(r'(?P<before>\D*?)(?P<number>(?<!\w)-?\d+(?:\.\d+)?|\d+(?:\.\d+)?)'
                         r'(?P<after>\D*)')  # fmt: skip
_SECONDS = re.compile(r'-?\d+\.\d+')


def is_picture(path: Path) -> bool:
    """Whether a file is a picture by its name; hidden ones, such as macOS's ``._x``, are none."""
    return path.suffix.lower() in PICTURES and not path.name.startswith('.') and path.is_file()


def pictures_in(folder: Path, pattern: str = '*') -> list[Path]:
    """Return the picture files of a folder in order, see `in_order`."""
    return in_order([path for path in folder.glob(pattern) if is_picture(path)])


def in_order(paths: Sequence[Path]) -> list[Path]:
    """Return files in the order of their names.

    Where all names have one number and are alike but for it, such as times in seconds, it is the
    order of these numbers, decimals and signs included; else the natural one (frame2 before
    frame10).

    Raises:
        DatasetError: Some names are numbers with decimals, which the natural order would mix up,
            and others are none.
    """
    values = _values(paths)
    if values is None:
        ordered = sorted(paths, key=natural)
        numbers = [path for path in ordered if _SECONDS.fullmatch(path.stem)]
        if len(numbers) < len(paths) and in_order(numbers) != numbers:
            other = next(path for path in ordered if path not in numbers)
            raise DatasetError(
                f'{other}: is no number as {numbers[0].name} is, so there is no order of all '
                f'{len(paths)} pictures; leave it out'
            )
        return ordered
    numbered = zip(values, map(natural, paths), paths, strict=True)
    return [path for _, _, path in sorted(numbered)]


def natural(path: Path) -> tuple[list[tuple[int, int, str]], str]:
    """Sort key in which digits count as numbers, and capital letters as small ones."""
    parts = re.split(r'([0-9]+)', str(path.with_suffix('')).lower())
    return [(1, int(p), p) if p[:1].isdecimal() else (0, 0, p) for p in parts], str(path)


def times_of(paths: Sequence[Path]) -> tuple[list[int] | None, str]:
    """Return the times that names of pictures say, and in words what they are or are not.

    Names say times where all have one number and are alike but for it, and these are moments since
    2001 in seconds, milliseconds, microseconds or nanoseconds; or where they are nothing but
    seconds with decimals.

    Args:
        paths: In order.

    Returns:
        ``N`` times in nanoseconds, None where the names say none.

    Raises:
        DatasetError: Two of them have one time.
    """
    values, stems = _values(paths), [path.stem for path in paths]
    unit = None if values is None else unix_unit(values)
    if unit is None and values is not None and any(map(_SECONDS.fullmatch, stems)):
        unit = 's'
    if values is None or unit is None:
        return None, 'the names of the pictures are no times'
    stamps = [to_ns(value, unit) for value in values]
    for (before, first), (after, second) in pairwise(zip(stamps, paths, strict=True)):
        if before == after:
            raise DatasetError(f'{second}: has the same time in its name as {first.name}')
        if before > after:
            return None, f'the times in the names go back at {second.name}'
    return stamps, f'times are those in the names of the pictures, in {NAMES[unit]}'


def _values(paths: Sequence[Path]) -> list[Decimal] | None:
    """Return the only numbers of names that are alike but for these; None of other names."""
    found = [_ONE_NUMBER.fullmatch(path.stem) for path in paths]
    matches = [match for match in found if match is not None]
    if not matches or len(matches) < len(found):
        return None
    if len({(match['before'].lower(), match['after'].lower()) for match in matches}) > 1:
        return None
    words = [match['number'] for match in matches]
    values = [Decimal(word) for word in words]
    decimals = {len(word.partition('.')[2]) for word in words}
    if len(decimals) > 1 and unix_unit(values) is None and _are_parts(words):
        return None
    return values


def _are_parts(words: Sequence[str]) -> bool:
    """Whether numbers with points are two numbers each, as 1.9 and 1.10 are: a zero at the end."""
    fractions = [word.partition('.')[2] for word in words]
    return any(len(fraction) > 1 and fraction.endswith('0') for fraction in fractions)
