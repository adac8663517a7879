"""What a bench measures on: sets of items by their names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from dlcv.evaluation.bench.options import BenchError

T = TypeVar('T')


class Named(Protocol):
    """Anything with a name."""

    @property
    def name(self) -> str:
        """Short, for tables."""


N = TypeVar('N', bound=Named)


@dataclass(frozen=True, kw_only=True)  # slots do not go with Generic: `ItemSet[T](...)` fails
class ItemSet(Generic[T]):
    """Items to measure on, such as pairs of pictures.

    Attributes:
        name: Short, for tables.
        title: What they are, for people.
        count: How many.
        read: Returns them one after the other; each call starts anew.
    """

    name: str
    title: str
    count: int
    read: Callable[[], Iterator[T]]

    def cut(self, limit: int | None) -> ItemSet[T]:
        """Return at most the first ``limit`` items."""
        if limit is None or limit >= self.count:
            return self
        return replace(self, count=limit, read=lambda: islice(self.read(), limit))


def add_set(found: dict[str, N], one: N, folder: Path) -> None:
    """Add the set of a folder to those that there are.

    Raises:
        BenchError: If one of that name is there.
    """
    if one.name in found:
        raise BenchError(f'{folder}: there is already a set {one.name}')
    found[one.name] = one
