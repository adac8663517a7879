"""Which images are newer than the last one, and which come too soon."""

from __future__ import annotations

from typing import Literal

Verdict = Literal['', 'time_jumps', 'rejected_order', 'skipped_rate']


_EARLY = 0.95  # of a period: a camera's own jitter must not halve the rate


class Pace:
    """Remembers when an image was last computed, where a rate says how often one is."""

    def __init__(self) -> None:
        self._last_ns: int | None = None

    def due(self, stamp_ns: int, rate: float) -> bool:
        """Whether the image of this time is; it is then the last.

        Args:
            stamp_ns: Its time; one before the last begins anew.
            rate: Images per second at most; 0 for all.
        """
        last = self._last_ns
        if rate and last is not None and 0 <= stamp_ns - last < _EARLY * 1e9 / rate:
            return False
        self._last_ns = stamp_ns
        return True


class Order:
    """Remembers the time of the last image that was taken.

    Attributes:
        last_ns: That time; None before the first.
    """

    def __init__(self) -> None:
        self.last_ns: int | None = None

    def judge(self, stamp_ns: int, jump: float, max_rate: float) -> Verdict:
        """Say what is to become of an image.

        Args:
            stamp_ns: Its time.
            jump: Seconds back that are no late image but a jump of time, as of a looped bag.
            max_rate: Images per second that are taken at most; 0 for all.

        Returns:
            Empty to take it; ``time_jumps`` to take it and forget what was before; else why it is
            dropped.
        """
        last, self.last_ns = self.last_ns, stamp_ns
        if last is None:
            return ''
        step = (stamp_ns - last) / 1e9
        if step < -jump:
            return 'time_jumps'
        if step > 0 and not (max_rate and step < _EARLY / max_rate):
            return ''
        self.last_ns = last
        return 'rejected_order' if step <= 0 else 'skipped_rate'
