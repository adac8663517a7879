"""What belongs to images and may have been recorded after them, given before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar('T')
LEAD_NS = 100_000_000  # so much later than its image something may have been recorded


class Ahead(Generic[T]):
    """Messages that are given up to a time.

    Args:
        items: The messages in the order of the bag.
        stamp_of: Returns when the bag received one, in nanoseconds.
    """

    def __init__(self, items: Iterator[T], stamp_of: Callable[[T], int]) -> None:
        self._items, self._stamp_of = items, stamp_of
        self._next = next(items, None)

    def before(self, stamp_ns: int) -> Iterator[T]:
        """Give what was recorded before an image of this time, or shortly after it."""
        while self._next is not None and self._stamp_of(self._next) <= stamp_ns + LEAD_NS:
            yield self._next
            self._next = next(self._items, None)
