"""Numbers that are times, in the unit that they are written in."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from itertools import pairwise
from statistics import median

import numpy as np

from dlcv.geometry.trajectory import nearest

NS_OF = {'s': 1_000_000_000, 'ms': 1_000_000, 'us': 1_000, 'ns': 1}
"""Unit of time -> nanoseconds."""

NAMES = {'s': 'seconds', 'ms': 'milliseconds', 'us': 'microseconds', 'ns': 'nanoseconds'}

APART_NS = 20_000_000
"""Between a picture and its depth, as TUM's own associate.py."""

_SINCE_2001, _TO_2100 = 10**9, 4_102_444_800  # seconds of Unix time
_LONGEST_STEP = 10_000  # seconds between two of one recording, in the middle


def decimal(word: str) -> Decimal | None:
    """Return a finite number exactly as it is written; None where it is none."""
    try:
        value = Decimal(word)
    except InvalidOperation:
        return None
    return value if value.is_finite() else None


def unix_unit(values: Sequence[Decimal]) -> str | None:
    """Return the unit in which all numbers are moments between 2001 and 2100, a key of `NS_OF`.

    Returns:
        None where there is none: they may count from some start, or be no times.
    """
    if not values:
        return None
    ordered = sorted(values)
    steps = [b - a for a, b in pairwise(ordered) if b > a]
    step = median(steps) if steps else Decimal(0)
    for unit, factor in NS_OF.items():
        scale = Decimal(factor).scaleb(-9)  # seconds of the unit
        moments = ordered[0] * scale >= _SINCE_2001 and ordered[-1] * scale <= _TO_2100
        if moments and step * scale <= _LONGEST_STEP:
            return unit
    return None


def to_ns(value: Decimal, unit: str) -> int:
    """Return a time in nanoseconds, exactly."""
    return int((value * NS_OF[unit]).to_integral_value())


def matches(there: Sequence[int], wanted: Sequence[int]) -> list[int | None]:
    """Return for each wanted time the index of that nearest to it, None where none is near enough.

    Args:
        there: Ascending, nanoseconds.
        wanted: The same.
    """
    if not there:
        return [None] * len(wanted)
    have, asked = np.array(there, np.int64), np.array(wanted, np.int64)
    index = nearest(have, asked)
    near = np.abs(have[index] - asked) <= APART_NS
    return [int(i) if fits else None for i, fits in zip(index, near, strict=True)]
