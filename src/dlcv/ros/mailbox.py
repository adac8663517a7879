"""A slot between the thread that receives and the thread that works."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

T = TypeVar('T')


class Mailbox(Generic[T]):
    """Hold the newest items; those that nobody took in time are superseded, never queued.

    A queue in front of a slow network only makes its answers old: with 30 Hz in and 10 Hz out a
    queue of five adds 150 ms, this slot adds none.

    Args:
        dropped: Called with each item that is superseded, in the thread that superseded it.
        choose: Given what is held, oldest first, returns which item is next; None for none yet.
            Items before it are superseded with it. Called under the lock: it must be quick.

    Attributes:
        kept: How many items are held at most: one, unless which one is next hangs on more.
    """

    def __init__(
        self,
        dropped: Callable[[T], object] = lambda _: None,
        choose: Callable[[Sequence[T]], int | None] = lambda items: len(items) - 1,
    ) -> None:
        self.kept = 1
        self._dropped, self._choose = dropped, choose
        self._ready = threading.Condition()
        self._items: deque[T] = deque()
        self._closed = False

    def put(self, item: T) -> None:
        """Leave ``item``; the oldest make room for it."""
        with self._ready:
            if self._closed:
                return
            self._items.append(item)
            superseded = [self._items.popleft() for _ in range(len(self._items) - self.kept)]
            self._ready.notify()
        for one in superseded:
            self._dropped(one)

    def look(self) -> None:
        """Choose again: what it hangs on has changed."""
        with self._ready:
            self._ready.notify()

    def take(self, timeout: float) -> T | None:
        """Take the next item, waiting up to ``timeout`` seconds; None if there is none."""
        with self._ready:
            self._ready.wait_for(lambda: self._closed or self._next() is not None, timeout)
            index = self._next()
            if index is None:
                return None
            superseded = [self._items.popleft() for _ in range(index)]
            item = self._items.popleft()
        for one in superseded:
            self._dropped(one)
        return item

    def close(self) -> None:
        """Drop what is there, wake whoever waits, and take nothing more."""
        with self._ready:
            self._items.clear()
            self._closed = True
            self._ready.notify_all()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def _next(self) -> int | None:
        return self._choose(self._items) if self._items else None
