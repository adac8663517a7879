"""What arrives beside the pictures of a node, in whatever order, and which picture it belongs to.

The messages come on topics of their own, sooner or later than the picture, or not at all. Each is
kept for a while; a picture asks for its own and waits only for what is on its way.
"""

from __future__ import annotations

import threading
from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from time import monotonic
from typing import Any

from dlcv.interface.messages import stamp_ns
from dlcv.interface.nodes import Beside as Kind
from dlcv.interface.nodes import Topic

KEPT: dict[Kind, int] = {'moment': 8, 'span': 2000, 'latest': 1}
"""Messages of a topic that are kept: pictures, seconds of an IMU at 400 Hz, a calibration."""
STEPS = 8  # the last steps between stamps of which the shortest is the period
SILENT_NS = 2_000_000_000  # a topic that has said nothing for so long is not waited for
JUMP_NS = 1_000_000_000  # a stamp so far back is of another round of a bag
VAIN = 3  # waits in vain after which a topic is waited for now and then only
RETRY = 30  # pictures after which it is, to see whether it has become faster
SLOWER = 1.5  # a topic of so many times the pictures' period does not come with each of them

Stamped = tuple[int, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Handed:
    """What another node of this process answered, by reference: where a message would be as well.

    Attributes:
        header: Header of the picture.
        value: The result, such as `dlcv.types.Keypoints`.
    """

    header: Any
    value: Any


@dataclass(slots=True)
class _Stream:
    """The last messages of a topic in the order of their stamps."""

    most: int
    kept: list[Stamped] = field(default_factory=list)
    vain: int = 0

    @property
    def newest_ns(self) -> int | None:
        return self.kept[-1][0] if self.kept else None

    @property
    def period_ns(self) -> int:
        """Shortest of the last steps; 0 while there is none."""
        return min((b - a for (a, _), (b, _) in pairwise(self.kept[-STEPS:])), default=0)

    def add(self, stamp_ns: int, message: Any) -> None:
        if self.kept and stamp_ns < self.kept[-1][0] - JUMP_NS:
            self.kept.clear()
        insort(self.kept, (stamp_ns, message), key=_stamp)
        del self.kept[: -self.most]

    def alive(self, at_ns: int) -> bool:
        return bool(self.kept) and at_ns - self.kept[-1][0] <= SILENT_NS

    def nearest(self, at_ns: int) -> Stamped | None:
        after = bisect_left(self.kept, at_ns, key=_stamp)
        around = self.kept[max(after - 1, 0) : after + 1]
        return min(around, key=lambda one: abs(one[0] - at_ns), default=None)

    def around(self, begin_ns: int, end_ns: int) -> list[Stamped]:
        """Return the messages of a span, with the last one before it and the first one after."""
        first = bisect_left(self.kept, begin_ns + 1, key=_stamp) - 1
        last = bisect_left(self.kept, end_ns, key=_stamp)
        return self.kept[max(first, 0) : last + 1]

    def due(self, at_ns: int, every_ns: int) -> bool:
        """Whether one of this moment is on its way, by the pace of the last ones."""
        if not self.alive(at_ns) or self.kept[-1][0] >= at_ns:
            return False
        return self.kept[-1][0] + self.period_ns <= at_ns + every_ns // 2  # paces vary


class Beside:
    """The messages beside the pictures of one camera; every method may be called in any thread.

    Args:
        topics: The inputs of the node; those that belong to pictures are kept.

    Attributes:
        patient: Whether anybody puts while somebody asks, so that waiting is of use.
    """

    def __init__(self, topics: Iterable[Topic]) -> None:
        self.topics = {topic.name: topic for topic in topics if topic.beside}
        self.patient = True
        self._arrived = threading.Condition()
        self.open()

    def open(self) -> None:
        """Forget everything, and take messages from now on."""
        with self._arrived:
            self._closed = False
            self._streams = {name: _Stream(KEPT[t.beside]) for name, t in self.topics.items()}
            self._counts: Counter[tuple[str, str]] = Counter()

    def close(self) -> None:
        """Let nobody wait any longer."""
        with self._arrived:
            self._closed = True
            self._arrived.notify_all()

    def put(self, name: str, message: Any) -> None:
        """Take a message of an input."""
        with self._arrived:
            self._streams[name].add(stamp_ns(message.header.stamp), message)
            self._counts[name, 'received'] += 1
            self._arrived.notify_all()

    def moment(
        self,
        name: str,
        at_ns: int,
        within_ns: int,
        every_ns: int,
        until: float,
        *,
        hoped: bool = False,
    ) -> Any | None:
        """Return the message of a picture's moment; None where there is none.

        Args:
            name: Of the input.
            at_ns: Stamp of the picture.
            within_ns: By how much the message's may differ.
            every_ns: Time between two pictures, by which it is told whether one is missing.
            until: Time of `time.monotonic` up to which it is waited for, if it is on its way.
            hoped: Wait also where nothing has come so far: the first may be on its way.
        """
        with self._arrived:
            stream = self._streams[name]

            def found() -> Stamped | None:
                near = stream.nearest(at_ns)
                return near if near is not None and abs(near[0] - at_ns) <= within_ns else None

            def settled() -> bool:
                if hoped and not stream.kept:
                    return False
                exact = stream.nearest(at_ns)
                return (exact is not None and exact[0] == at_ns) or not stream.due(at_ns, every_ns)

            self._wait(stream, settled, until)
            if (near := found()) is not None:
                return near[1]
            if stream.alive(at_ns) and stream.period_ns <= SLOWER * every_ns:
                self._counts[name, 'unsynchronised'] += 1
            return None

    def span(
        self, name: str, begin_ns: int, end_ns: int, until: float, *, hoped: bool = False
    ) -> list[Stamped]:
        """Return the messages from one picture to the next, with those just outside.

        Args:
            name: Of the input.
            begin_ns: Stamp of the last picture.
            end_ns: Stamp of this one.
            until: Time of `time.monotonic` up to which one after it is waited for.
            hoped: Wait also where nothing has come so far: the first may be on its way.
        """
        with self._arrived:
            stream = self._streams[name]

            def settled() -> bool:
                newest = stream.newest_ns
                if newest is None:
                    return not hoped
                return newest >= end_ns or not stream.alive(end_ns)

            self._wait(stream, settled, until)
            return stream.around(begin_ns, end_ns)

    def latest(self, name: str) -> Any | None:
        """Return the newest message of an input; None before the first."""
        with self._arrived:
            kept = self._streams[name].kept
            return kept[-1][1] if kept else None

    def newest_of(self, name: str, moments: Sequence[int]) -> int | None:
        """Return which of some moments is the last that an input has something of.

        Args:
            name: Of the input.
            moments: Stamps in ns, oldest first.

        Returns:
            Its index, that of the last moment where the input has been silent for long, or has said
            nothing yet; None where something may still come.
        """
        with self._arrived:
            stream = self._streams[name]
            if not self.patient or not stream.alive(moments[-1]):
                return len(moments) - 1
            said = {stamp for stamp, _ in stream.kept}
            return next((i for i in reversed(range(len(moments))) if moments[i] in said), None)

    def count(self, name: str, what: str) -> None:
        """Note what became of a message, such as ``used`` or ``unusable``."""
        with self._arrived:
            self._counts[name, what] += 1

    def values(self) -> dict[str, str]:
        """Return what became of them as key-value pairs of a diagnostic status."""
        with self._arrived:
            return {f'{name} {what}': str(n) for (name, what), n in sorted(self._counts.items())}

    def _wait(self, stream: _Stream, settled: Any, until: float) -> None:
        """Wait for what is on its way, unless it has been late again and again."""
        if self._closed or settled():
            stream.vain = 0
            return
        seconds = until - monotonic()
        if not self.patient or seconds <= 0:
            return
        if stream.vain < VAIN or stream.vain % RETRY == 0:
            self._arrived.wait_for(lambda: self._closed or settled(), seconds)
        stream.vain = 0 if settled() else stream.vain + 1


def _stamp(one: Stamped) -> int:
    return one[0]
