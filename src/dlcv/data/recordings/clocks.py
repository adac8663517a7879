"""What to say when truth and pictures have no time in common: which clock looks like which."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import numpy.typing as npt

Stamps = npt.NDArray[np.int64]

_SECOND = 10**9
_HOUR = 3600 * _SECOND
_UNIX_NOW = 10**9 * _SECOND  # Unix time is beyond this since 2001
_SINCE_START = 10**8 * _SECOND  # no simulation and no run counts three years from its start
_GPS_EPOCH = (315_964_800 - 18) * _SECOND  # Unix time of GPS time 0, with the leap seconds since


def span(stamps: Stamps) -> str:
    """Return the first and last time in seconds, in words."""
    if not len(stamps):
        return 'none'
    return f'{_seconds(int(stamps[0]))} to {_seconds(int(stamps[-1]))} s'


def clock_hint(truth: Stamps, pictures: Stamps) -> str:
    """Return what may be wrong with the clocks of truth and pictures, and an offset to try.

    Args:
        truth: ``(N,)`` ascending nanoseconds, at least one.
        pictures: ``(M,)`` the same, none of them within the truth's.
    """
    apart = int(pictures[0]) - int(truth[0])
    hours = round(apart / _HOUR)
    if 1 <= abs(hours) <= 14 and _meet(truth + hours * _HOUR, pictures):
        return f'they are {abs(hours)} h apart as time zones are: try --time-offset {hours * 3600}'
    if abs(abs(apart) - _GPS_EPOCH) < 60 * _SECOND:
        offset = _GPS_EPOCH if apart > 0 else -_GPS_EPOCH
        return f'one looks like GPS time, the other like Unix time: {_try(offset)}'
    if _since_start(truth) and pictures[0] > _UNIX_NOW:
        return f'the truth counts from its start, the pictures have Unix time: {_try(apart)}'
    if truth[0] > _UNIX_NOW and _since_start(pictures):
        return f'the pictures have simulated time, the truth has Unix time: {_try(apart)}'
    return f'if both begin at one moment: {_try(apart)}'


def _try(offset_ns: int) -> str:
    return f'try --time-offset {_seconds(offset_ns)}, which brings their beginnings together'


def _since_start(stamps: Stamps) -> bool:
    return 0 <= int(stamps[0]) < _SINCE_START


def _meet(one: Stamps, other: Stamps) -> bool:
    return bool(one[0] <= other[-1] and other[0] <= one[-1])


def _seconds(stamp_ns: int) -> str:
    text = f'{Decimal(stamp_ns).scaleb(-9):.9f}'.rstrip('0')
    return text + '0' if text.endswith('.') else text
