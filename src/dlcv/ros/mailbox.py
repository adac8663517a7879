"""A slot for one item between the thread that receives and the thread that works."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Hold the newest item; an item that nobody took in time is superseded, never queued.

    A queue in front of a slow network only makes its answers old: with 30 Hz in and 10 Hz out a
    queue of five adds 150 ms, this slot adds none.
    """

    def __init__(self) -> None:
        self._ready = threading.Condition()
        self._item: T | None = None
        self._closed = False

    def put(self, item: T) -> T | None:
        """Leave ``item``; return the one whose place it took, if nobody had taken that."""
        with self._ready:
            superseded = self._item
            self._item = None if self._closed else item
            self._ready.notify()
            return superseded

    def take(self, timeout: float) -> T | None:
        """Take the newest item, waiting up to ``timeout`` seconds; None if there is none."""
        with self._ready:
            self._ready.wait_for(lambda: self._item is not None or self._closed, timeout)
            item, self._item = self._item, None
            return item

    def close(self) -> None:
        """Drop what is there, wake whoever waits, and take nothing more."""
        with self._ready:
            self._item, self._closed = None, True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed
