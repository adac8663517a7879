"""Read the small files of data sets: pictures, depth, tables, poses, times."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation
from math import nan
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.errors import DatasetError
from dlcv.files import TextError, expanded, read_text
from dlcv.types import ByteImage, FloatArray

T = TypeVar('T')

_UNKNOWN = ('', 'na', 'n/a', 'null', 'none', '-1.#ind', '1.#qnan', '-1.#qnan', '1.#inf')
COMMENTS = ('#', '%', '//')


def read_picture(path: Path) -> ByteImage:
    """Return ``(H, W)`` of a grey file or ``(H, W, 3)`` RGB, uint8; alpha is dropped.

    Raises:
        DatasetError: The file is missing or no picture.
    """
    import cv2

    pixels = decoded(path)
    if pixels.dtype == np.uint16:
        pixels = np.rint(pixels / 257.0).astype(np.uint8)
    if pixels.dtype != np.uint8:
        raise DatasetError(f'{path}: expected a picture of 8 or 16 bits, got {pixels.dtype}')
    if pixels.ndim == 2:
        return np.asarray(pixels, np.uint8)
    code = cv2.COLOR_BGRA2RGB if pixels.shape[2] == 4 else cv2.COLOR_BGR2RGB
    return np.asarray(cv2.cvtColor(pixels, code), np.uint8)


def every(
    items: tuple[T, ...], *, start: int, count: int | None, stride: int, what: str, name: str
) -> tuple[T, ...]:
    """Return every ``stride``-th of a data set's items from ``start`` on, at most ``count``.

    Args:
        items: Pictures or pairs.
        start: The first that is taken.
        count: How many at most; None for all.
        stride: Step between two.
        what: What they are, such as ``pictures``, for messages.
        name: What they are of, for messages.

    Raises:
        DatasetError: The cut is out of range, or nothing is left.
    """
    if start < 0 or stride < 1 or (count is not None and count < 1):
        raise DatasetError(
            f'a cut needs start >= 0, count >= 1 and stride >= 1, got start {start}, count '
            f'{count}, stride {stride}'
        )
    chosen = items[start::stride][:count]
    if not chosen:
        raise DatasetError(f'{name} has {len(items)} {what}, the start was {start}')
    return chosen


def read_depth(path: Path, units_per_metre: float, unknown: Sequence[int] = (0,)) -> FloatArray:
    """Return ``(H, W)`` float32 metres of a 16-bit picture, NaN where it holds ``unknown``.

    Raises:
        DatasetError: The file is missing or has not one channel of 16 bits.
    """
    values = decoded(path)
    if values.dtype != np.uint16 or values.ndim != 2:
        raise DatasetError(
            f'{path}: expected depth in one channel of 16 bits, got {values.dtype} with shape '
            f'{values.shape}'
        )
    metres = values.astype(np.float32) / np.float32(units_per_metre)
    metres[np.isin(values, unknown)] = np.nan
    return metres


def decoded(path: Path) -> npt.NDArray[Any]:
    """Return the pixels of a picture file as they are stored, colours in OpenCV's order.

    Raises:
        DatasetError: The file is missing or no picture.
    """
    import cv2

    try:
        data = np.fromfile(path, np.uint8)  # unlike imread, takes every path and says what failed
    except OSError as err:
        raise DatasetError(f'{path}: cannot be read: {err.strerror}') from None
    pixels = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if pixels is None:
        raise DatasetError(f'{path}: {data.size} bytes that are no picture')
    return np.asarray(pixels)


def read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of an ``.npz`` file by their names.

    Raises:
        DatasetError: The file is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: np.asarray(file[name]) for name in file.files}
    except FileNotFoundError:
        raise DatasetError(f'{path}: no such file') from None
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as err:
        raise DatasetError(f'{path}: no .npz that can be read: {err}') from None


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines with their numbers, without comments (#, % or //) and empty ones.

    Raises:
        DatasetError: The file cannot be read or is no text.
    """
    return [(number, line) for number, line in all_lines(path) if not line.startswith(COMMENTS)]


def listed_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a list that begin with a time; a first line of names is left out."""
    lines = read_lines(path)
    names = bool(lines) and not any(c.isdigit() for c in re.split(r'[\s,;]', lines[0][1])[0])
    return lines[1:] if names and len(lines) > 1 else lines


def all_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines with their numbers, comments too, without empty ones; see `read_lines`."""
    try:
        text = read_text(expanded(path))
    except OSError as err:
        raise DatasetError(f'{path}: cannot be read: {err.strerror}') from None
    except TextError as err:
        raise DatasetError(f'{path}: {err}') from None
    lines = enumerate((line.strip() for line in re.split(r'\r\n|\r|\n', text)), start=1)
    return [(number, line) for number, line in lines if line]


def numbers(path: Path, number: int, words: Sequence[str], count: int) -> list[float]:
    """Return the first ``count`` words of a line as finite numbers.

    Raises:
        DatasetError: There are fewer, or one is none; names file and line.
    """
    values = [as_number(path, number, word) for word in words[:count]]
    if len(values) < count:
        raise DatasetError(
            f'{path}, line {number}: expected {count} numbers, got {len(values)}: {words}'
        )
    if not np.isfinite(values).all():
        raise DatasetError(f'{path}, line {number}: not finite: {words}')
    return values


def as_number(path: Path, number: int, word: str) -> float:
    """Return a word of a line as a number; NaN of what programs write where they know none.

    Raises:
        DatasetError: It is none; names file and line.
    """
    if word.lower() in _UNKNOWN:
        return nan
    try:
        return float(word)
    except ValueError as err:
        raise DatasetError(f'{path}, line {number}: {err}') from None


def seconds_to_ns(path: Path, number: int, word: str) -> int:
    """Return decimal seconds as nanoseconds, exactly (a float would be off by 100 ns)."""
    try:
        stamp_ns = int((Decimal(word) * 1_000_000_000).to_integral_value())
    except (InvalidOperation, ValueError, OverflowError):
        raise DatasetError(f'{path}, line {number}: {word!r} is no time in seconds') from None
    if abs(stamp_ns) >= 2**63:
        raise DatasetError(
            f'{path}, line {number}: {word!r} is too large for seconds; nanoseconds?'
        )
    return stamp_ns


def date_to_ns(path: Path, number: int, text: str) -> int:
    """Return a date such as ``2011-09-26 13:02:25.964389445``, read as UTC, as nanoseconds."""
    whole, _, fraction = text.partition('.')
    try:
        moment = datetime.strptime(whole, '%Y-%m-%d %H:%M:%S').replace(tzinfo=timezone.utc)
        return int(moment.timestamp()) * 10**9 + int(f'{fraction:0<9}'[:9])
    except ValueError:
        raise DatasetError(f'{path}, line {number}: {text!r} is no date and time') from None


def keyed_numbers(path: Path) -> dict[str, list[float]]:
    """Read a KITTI calibration: ``name: numbers`` a line; lines of other text are left out."""
    found: dict[str, list[float]] = {}
    for _, line in read_lines(path):
        name, _, rest = line.partition(':')
        try:
            found[name.strip()] = [float(word) for word in rest.split()]
        except ValueError:
            continue  # calib_time: 09-Jan-2012 ...
    return found
