"""What nodes of one process hand each other without ROS: pictures, and results by reference.

Each node is in the graph as it is alone: its subscription to the camera, its publishers. What is
left out is work that the process would do twice. A picture that several nodes take is decoded
once. What one node answers and another listens to goes from worker to listener as it is, without a
message being made, written, sent and read; the listener makes no subscription for it.
"""

from __future__ import annotations

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from dlcv.types import ByteImage

KEPT = 4  # decoded pictures: one in hand, and the newest, of two cameras
Take = Callable[[Any], object]


@dataclass(frozen=True, slots=True, eq=False)
class Arrived:
    """An image message, and by what another arrival of the same one is known.

    Attributes:
        message: The message.
        sample: Its topic's full name and the time of sending; None where that is not known.
    """

    message: Any
    sample: tuple[str, int] | None = None


class Exchange:
    """The meeting point of the nodes of one process; every method may be called in any thread.

    Attributes:
        pictures: What was decoded last.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._offered: set[str] = set()
        self._open: Counter[str] = Counter()
        self._listeners: dict[str, tuple[Take, ...]] = {}
        self.pictures = Pictures()

    def offer(self, topic: str) -> None:
        """Let a topic, by its full name, be answered in this process, now or later."""
        with self._lock:
            self._offered.add(topic)

    def offers(self, topic: str) -> bool:
        """Whether a node of this process answers on a topic."""
        return topic in self._offered

    def open(self, topic: str) -> None:
        """Take note of a publisher."""
        with self._lock:
            self._open[topic] += 1

    def close(self, topic: str) -> None:
        """Take note that a publisher is gone."""
        with self._lock:
            self._open[topic] -= 1

    def publishers(self, topic: str) -> int:
        """Return how many publishers of a topic there are in this process."""
        return self._open[topic]

    def listen(self, topic: str, take: Take) -> None:
        """Let something be called with what is answered on a topic, in the answering thread."""
        with self._lock:
            self._listeners[topic] = (*self._listeners.get(topic, ()), take)

    def leave(self, topic: str, take: Take) -> None:
        """Undo `listen`."""
        with self._lock:
            left = tuple(one for one in self._listeners.get(topic, ()) if one is not take)
            self._listeners[topic] = left

    def listeners(self, topic: str) -> int:
        """Return how many listeners to a topic there are in this process."""
        return len(self._listeners.get(topic, ()))

    def hand(self, topic: str, item: Any) -> None:
        """Give an answer to those who listen in this process."""
        for take in self._listeners.get(topic, ()):
            take(item)


class Pictures:
    """Decodes a picture once for all nodes that take it, while there are several."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._takers: Counter[str] = Counter()
        self._kept: OrderedDict[tuple[str, int], Future[ByteImage]] = OrderedDict()

    def expect(self, topic: str, takers: int) -> None:
        """Take note of so many more takers of a topic's pictures, or fewer."""
        with self._lock:
            self._takers[topic] += takers
            if self._takers[topic] < 2:
                self._kept.clear()

    def of(self, arrived: Arrived, decode: Callable[[Any], ByteImage]) -> ByteImage:
        """Return the pixels of a message, which nobody may change.

        Args:
            arrived: The message.
            decode: Makes pixels of it; what it raises is raised for all takers.
        """
        key = arrived.sample
        if key is None or self._takers[key[0]] < 2:
            return decode(arrived.message)
        with self._lock:
            found = self._kept.get(key)
            if mine := found is None:
                found = self._kept[key] = Future()
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
        if mine:
            try:
                found.set_result(decode(arrived.message))
            except Exception as err:  # noqa: BLE001 - the other takers are to hear of it too
                found.set_exception(err)
        return found.result()
