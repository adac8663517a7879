"""Which images are newer than the last one, and which come too soon."""

from __future__ import annotations

from typing import Literal

Verdict = Literal['', 'time_jumps', 'rejected_order', 'skipped_rate']


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
        if step > 0 and not (max_rate and step < 0.95 / max_rate):
            return ''  # a camera's own jitter must not halve the rate
        self.last_ns = last
        return 'rejected_order' if step <= 0 else 'skipped_rate'
