"""Which images are taken and which results are published, by their stamps alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlcv.estimation.tasks.order import Order
from dlcv.interface.parameters import CommonParameters
from dlcv.ros.faults import Rejections
from dlcv.ros.health import Health

FUTURE = 0.5  # seconds that a stamp may be ahead: /clock ticks, and clocks are never quite the same
CLOCKS = ' (a slow driver, or a host whose clock is behind: synchronise the clocks)'


class Screening:
    """Drops images that are too old, out of order or too many; sees where time jumps."""

    def __init__(
        self,
        health: Health,
        rejections: Rejections,
        parameters: Callable[[], CommonParameters],
        now: Callable[[], int],
        jumped: Callable[[], Any],
        warn: Callable[[str], Any],
    ) -> None:
        """Make one that has seen no image.

        Args:
            health: Counts what is dropped as a matter of course.
            rejections: Takes note of what is dropped as bad.
            parameters: Gives the limits as they are now.
            now: Gives the node's time in nanoseconds; 0 while simulated time has not begun.
            jumped: Called when images are of a time long before the last one's.
            warn: Called with what people should know, once.
        """
        self._health, self._rejections = health, rejections
        self._parameters, self._now, self._jumped = parameters, now, jumped
        self._warn = warn
        self.clear()

    def clear(self) -> None:
        """Take the next image for the first."""
        self._order = Order()
        self._warned = False

    def refusal(self, stamp_ns: int) -> str:
        """Return what becomes of an image that is not taken; empty if it is."""
        self._look_ahead(stamp_ns)
        return self._too_old(stamp_ns) or self._out_of_order(stamp_ns)

    def lateness(self, stamp_ns: int) -> str:
        """Return why the result of an image is too old to be published; empty if it is not."""
        now, limit = self._now(), self._parameters().output_age_limit
        age = (now - stamp_ns) / 1e9
        if not limit or not now or age <= limit:
            return ''
        return f'late: a result is {age:.2f} s old; max_output_age is {limit}'

    def _look_ahead(self, stamp_ns: int) -> None:
        now = self._now()
        ahead = (stamp_ns - now) / 1e9
        if not now or ahead <= FUTURE:
            return
        why = (
            f'a stamp is {ahead:.2f} s ahead of this clock; synchronise the clocks of the hosts '
            '(chrony, NTP), or set use_sim_time where /clock tells the time'
        )
        self._health.count('from_future', why=why)
        if not self._warned:
            self._warned = True
            self._warn(f'an image from the future: {why}')

    def _too_old(self, stamp_ns: int) -> str:
        now = self._now()
        limit = self._parameters().max_input_age
        age = (now - stamp_ns) / 1e9
        if not limit or not now or age <= limit:
            return ''
        hint = ' (a replayed bag needs use_sim_time and a /clock)' if age > 3600 else CLOCKS
        reason = f'an image is {age:.2f} s old; max_input_age is {limit}{hint}'
        return self._rejections.add('rejected_age', reason)

    def _out_of_order(self, stamp_ns: int) -> str:
        p, last = self._parameters(), self._order.last_ns
        verdict = self._order.judge(stamp_ns, p.time_jump_back_threshold, p.max_rate)
        if verdict == 'time_jumps':
            self._health.count(verdict)
            self._jumped()
            return ''
        if verdict == 'rejected_order':
            behind = ((last or 0) - stamp_ns) / 1e9
            reason = f'an image is {behind:.3f} s older than the last one'
            return self._rejections.add(verdict, reason)
        if verdict:
            self._health.count(verdict)
        return verdict
