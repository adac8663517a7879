"""Images that never arrived, told by the stamps of those that did."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby, pairwise
from statistics import median
from time import monotonic

from dlcv.ros.health import SPAN

KEPT = 300  # stamps that are looked at, at most
FEWEST = 8  # steps below which nothing is said
SHORT = 1.5  # steps up to this many times the lower quartile are of one period
NEAR = 0.25  # share of a period by which a step may miss a whole number of periods
REGULAR = 0.8  # share of the steps that must be whole numbers of periods, or it is no such camera
CLEAR = 5  # periods up to which a step tells whether it is a whole number of them
PAUSE = 20  # periods from which on a step is the camera's own pause
STEADY = 5  # as many equal steps in a row are another rate, not losses


@dataclass(frozen=True, slots=True)
class Missing:
    """What is missing among the last images.

    Attributes:
        images: How many, by estimate.
        gaps: In how many places.
        of: How many there should be.
        period: Seconds between two images.
    """

    images: int
    gaps: int
    of: int
    period: float


class Gaps:
    """Looks at the steps between stamps: losses leave steps of two, three, four periods."""

    def __init__(self, now: Callable[[], float] = monotonic) -> None:
        self._now = now
        self._arrived: deque[tuple[float, int]] = deque(maxlen=KEPT)

    def add(self, stamp_ns: int) -> None:
        """Take the stamp of an image that arrived."""
        self._arrived.append((self._now(), stamp_ns))

    def missing(self) -> Missing | None:
        """Return what is missing of the last `SPAN` seconds; None where nobody can tell.

        A pause of the camera is none, a change of its rate is none, and a camera without a rate of
        its own, such as one that is triggered by motion, has no gaps.
        """
        since = self._now() - SPAN
        stamps = [stamp for when, stamp in self._arrived if when >= since]
        steps = [(after - before) / 1e9 for before, after in pairwise(stamps) if after > before]
        if len(steps) < FEWEST:
            return None
        period = _period(steps)
        counts = [round(step / period) for step in steps]
        off = sum(
            abs(step / period - count) > NEAR
            for step, count in zip(steps, counts, strict=True)
            if count <= CLEAR
        )
        if off > (1 - REGULAR) * len(steps):
            return None
        left_out = [count - 1 for count in _of_one_rate(counts) if 1 < count < PAUSE]
        images = sum(left_out)
        return Missing(images, len(left_out), len(steps) + 1 + images, period)


def _period(steps: list[float]) -> float:
    """Return the median of the shortest kind of steps; that of all is doubled by many losses."""
    quartile = sorted(steps)[len(steps) // 4]
    return median(step for step in steps if step <= SHORT * quartile)


def _of_one_rate(counts: list[int]) -> Iterator[int]:
    for count, run in groupby(counts):
        length = sum(1 for _ in run)
        if count == 1 or length < STEADY:
            yield from [count] * length
