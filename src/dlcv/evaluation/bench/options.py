"""What every bench is told, and what it is: the small protocol between benches and `dlcv bench`.

A bench is a module of this room with

* ``SUMMARY``: one line for the help;
* ``SETS``: name -> what the set is, those that need no folder first;
* ``Options``: a frozen dataclass that extends `BenchOptions`;
* ``run(options, progress) -> Report``: the tables.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar('T')
Progress = Callable[[str, int, int], None]
"""Takes what is being measured, how many parts are done, and how many there are."""


class BenchError(ValueError):
    """A bench cannot be run as asked; the message names what was asked and what there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BenchOptions:
    """What every bench is told.

    Attributes:
        weights: Weight files to measure; empty for the shipped ones.
        data: Folders of public sets, recognised by their layout.
        sets: Names of the sets to run; empty for the built-in ones and all of ``data``.
        limit: Run only this many items of each set; None for all.
        engine: What runs the networks; PyTorch computes the same numbers on every CPU.
        precision: Their arithmetic.
    """

    weights: tuple[Path, ...] = ()
    data: tuple[Path, ...] = ()
    sets: tuple[str, ...] = ()
    limit: int | None = None
    engine: str = 'torch'
    precision: str = 'fp32'

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise BenchError(f'the limit must be at least 1, got {self.limit}')

    @property
    def running(self) -> dict[str, Any]:
        """What the loaders of estimators are told: all networks of a bench run on the CPU."""
        return {'device': 'cpu', 'engine': self.engine, 'precision': self.precision}


def check_sets(asked: Collection[str], known: Collection[str]) -> None:
    """Refuse names of sets that do not exist.

    Raises:
        BenchError: One does not.
    """
    if unknown := [name for name in asked if name not in known]:
        raise BenchError(f'no set {", ".join(map(repr, unknown))}; there are {", ".join(known)}')


def told(part: str, count: int, items: Iterable[T], progress: Progress) -> Iterator[T]:
    """Give the items one after the other, and tell how many have been through.

    Args:
        part: What is being measured.
        count: How many items there are.
        items: They.
        progress: Is told.
    """
    progress(part, 0, count)
    for done, item in enumerate(items, start=1):
        yield item
        progress(part, done, count)


def silent(part: str, done: int, total: int) -> None:
    """Show no progress."""
