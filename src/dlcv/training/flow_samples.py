"""Pairs of pictures with flow as a network is taught by them: mixed, eased, changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dlcv.data.augment.flow import FlowAugmentConfig, augment
from dlcv.training.recipe import Sample, Samples
from dlcv.types import FlowPair

T = TypeVar('T', bound=np.generic)
S = TypeVar('S', covariant=True)


class Pairs(Protocol):
    """Endless pairs; a pair is a function of its number."""

    def __getitem__(self, index: int) -> FlowPair: ...


@dataclass(frozen=True, slots=True)
class Eased:
    """Pairs that begin with easier ones.

    Attributes:
        easy: The pairs below ``until``.
        pairs: All others.
        until: Number of the first pair that is not easy.
    """

    easy: Pairs
    pairs: Pairs
    until: int

    def __getitem__(self, index: int) -> FlowPair:
        """Return the pair of that number."""
        return self.easy[index] if index < self.until else self.pairs[index]


class Row(Protocol[S]):
    """Endless things of a kind; each is a function of its number."""

    def __getitem__(self, index: int) -> S: ...


@dataclass(frozen=True, slots=True)
class Mixed(Generic[S]):
    """Things, such as pairs, of which every n-th comes from elsewhere.

    Attributes:
        pairs: Most of them.
        others: Every ``every``-th; their numbers have no gaps.
        every: How often.
    """

    pairs: Row[S]
    others: Row[S]
    every: int

    def __getitem__(self, index: int) -> S:
        """Return the pair of that number."""
        number, rest = divmod(index, self.every)
        return self.pairs[index] if rest else self.others[number]


class FlowSamples:
    """Changed pairs with their flow; each a function of seed and number.

    A sample has ``first`` and ``second``, ``(3, H, W)`` uint8 RGB, and ``flow``, ``(2, H, W)``
    float32 in pixels. The samples of one pair have consecutive numbers, so only the last pair is
    kept.

    Args:
        pairs: Their backward flow must be known.
        changes: How they are changed.
        views: Samples made of one pair, each changed on its own; every second runs backwards.
        seed: Decides the changes.
    """

    def __init__(self, pairs: Pairs, changes: FlowAugmentConfig, views: int, seed: int) -> None:
        self._pairs = pairs
        self._changes = changes
        self._views = views
        self._seed = seed
        self._last: tuple[int, FlowPair] | None = None

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        pair = self._pair(index // self._views)
        if index % self._views % 2:
            pair = backwards(pair)
        rng = np.random.default_rng([self._seed, index, 1])  # a layered scene has [seed, number]
        return _sample(augment(pair, rng, self._changes))

    def _pair(self, number: int) -> FlowPair:
        if self._last is None or self._last[0] != number:
            self._last = (number, self._pairs[number])
        return self._last[1]


class PairArrays:
    """Pairs as arrays that can be kept in files.

    A sample has ``first`` and ``second``, ``(H, W, 3)`` uint8 RGB, and ``flow`` and ``backward``,
    ``(H, W, 2)`` float16 in pixels: of a flow of 64 pixels, off by 0.03 at most.
    """

    def __init__(self, pairs: Pairs) -> None:
        self._pairs = pairs

    def __getitem__(self, index: int) -> Sample:
        """Return the pair of that number, whose backward flow must be known."""
        pair = self._pairs[index]
        assert pair.backward is not None
        return {
            'first': pair.first,
            'second': pair.second,
            'flow': pair.flow.astype(np.float16),
            'backward': pair.backward.astype(np.float16),
        }


class ChangedPairs:
    """Pairs of `PairArrays`, changed; each sample a function of seed and number.

    Samples are those of `FlowSamples`; half of them, drawn at random, run backwards in time.
    """

    def __init__(self, pairs: Samples, changes: FlowAugmentConfig, seed: int) -> None:
        self._pairs, self._changes, self._seed = pairs, changes, seed

    def __getitem__(self, index: int) -> Sample:
        """Return the sample of that number."""
        kept = self._pairs[index]
        pair = FlowPair(
            first=np.asarray(kept['first'], np.uint8),
            second=np.asarray(kept['second'], np.uint8),
            flow=np.asarray(kept['flow'], np.float32),
            backward=np.asarray(kept['backward'], np.float32),
        )
        rng = np.random.default_rng([self._seed, index, 2])
        if rng.random() < 0.5:
            pair = backwards(pair)
        return _sample(augment(pair, rng, self._changes))


def _sample(pair: FlowPair) -> Sample:
    return {
        'first': channels_first(pair.first),
        'second': channels_first(pair.second),
        'flow': channels_first(pair.flow),
    }


def backwards(pair: FlowPair) -> FlowPair:
    """Exchange the pictures of a pair whose backward flow is known; occlusion is lost."""
    assert pair.backward is not None
    return replace(
        pair,
        first=pair.second,
        second=pair.first,
        flow=pair.backward,
        backward=pair.flow,
        occluded=None,
    )


def channels_first(values: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return ``(H, W, C)`` as ``(C, H, W)``."""
    return np.ascontiguousarray(values.transpose(2, 0, 1))
