"""Training data out of several sources, whose shares change while training goes on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from dlcv.training.recipe import Sample, Samples, TrainError

_BLOCK = 64  # samples over which shares are kept to, each source's up to one sample


@dataclass(frozen=True, kw_only=True, slots=True)
class Knot:
    """Shares of the sources at one time of a run; between two times they change evenly.

    Attributes:
        at: When, as a share of the run.
        shares: Of each source; they are divided by their sum.
    """

    at: float
    shares: tuple[float, ...]


class Staged:
    """Samples of several sources, mixed; each a function of seed and number.

    What is taken of a source has no gaps: its first sample, its second, and so on. So a source
    that is made of shards is read in order, however small its share is.

    Args:
        sources: What is mixed.
        knots: Their shares over the run, in the order of time; those of the first hold before it,
            those of the last one after it.
        length: Number of the run's samples, to which ``at`` refers.
        seed: Of the order within each 64 samples.
    """

    def __init__(
        self, sources: Sequence[Samples], knots: Sequence[Knot], length: int, seed: int
    ) -> None:
        check_stages(len(sources), knots, length)
        self._sources, self._seed = sources, seed
        at = np.array([knot.at for knot in knots])
        shares = np.array([knot.shares for knot in knots])  # (knots, sources)
        shares = shares / shares.sum(1, keepdims=True)
        blocks = -(-length // _BLOCK) + 1  # the last one stands for all after the end
        middle = ((np.arange(blocks) + 0.5) * _BLOCK / length).clip(0, 1)
        wanted = np.stack([np.interp(middle, at, column) for column in shares.T], 1)
        self._counts = _rounded(wanted * _BLOCK)  # (blocks, sources)
        zero = np.zeros((1, len(sources)), np.int64)
        self._before = np.concatenate((zero, np.cumsum(self._counts, 0)))
        self._last: tuple[int, npt.NDArray[np.intp]] | None = None

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        source, number = self.place(index)
        return self._sources[source][number]

    def place(self, index: int) -> tuple[int, int]:
        """Return which source a sample is of, and its number there."""
        block, place = divmod(index, _BLOCK)
        order = self._order(block)
        source = int(order[place])
        rank = np.count_nonzero(order[:place] == source)
        return source, int(self._taken(block)[source] + rank)

    def taken(self, index: int) -> tuple[int, ...]:
        """Return how many samples of each source have numbers below this one."""
        block, place = divmod(index, _BLOCK)
        part = np.bincount(self._order(block)[:place], minlength=len(self._sources))
        return tuple(int(count) for count in self._taken(block) + part)

    def _taken(self, block: int) -> npt.NDArray[np.int64]:
        last = len(self._counts) - 1
        beyond = max(0, block - last)
        return np.asarray(self._before[min(block, last)] + beyond * self._counts[last])

    def _order(self, block: int) -> npt.NDArray[np.intp]:
        if self._last is None or self._last[0] != block:
            counts = self._counts[min(block, len(self._counts) - 1)]
            row = np.repeat(np.arange(len(counts)), counts)
            rng = np.random.default_rng([self._seed, block, 8])
            self._last = (block, np.asarray(rng.permutation(row), np.intp))
        return self._last[1]


def check_stages(sources: int, knots: Sequence[Knot], length: int) -> None:
    """Check the shares of so many sources over so many samples.

    Raises:
        TrainError: If they are none.
    """
    times = [knot.at for knot in knots]
    ordered = all(before < after for before, after in pairwise(times))
    if not knots or not ordered or times[0] < 0 or times[-1] > 1 or length < 1:
        raise TrainError(
            'stages need times in [0, 1], each after the one before, and samples >= 1, got '
            f'{times} and {length}'
        )
    for knot in knots:
        if len(knot.shares) != sources or min(knot.shares) < 0 or not sum(knot.shares) > 0:
            raise TrainError(
                f'a stage needs {sources} shares >= 0, not all of them 0, got '
                f'{list(knot.shares)} at {knot.at}'
            )


def _rounded(wanted: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return whole numbers with the same sum in each row, and nearly the same in each column."""
    counts = np.zeros(wanted.shape, np.int64)
    owed = np.zeros(wanted.shape[1])
    for row, exact in zip(counts, wanted, strict=True):
        owed += exact
        row[:] = np.floor(owed).clip(min=0)
        while row.sum() > _BLOCK:
            row[np.where(row > 0, owed - row, np.inf).argmin()] -= 1
        while row.sum() < _BLOCK:
            row[np.where(exact > 0, owed - row, -np.inf).argmax()] += 1
        owed -= row
    return counts
