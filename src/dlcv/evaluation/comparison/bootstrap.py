"""How sure a number is: bootstrap intervals of samples in the order of time.

The error of a frame is much like that of the frame before, so frames cannot be drawn one by one as
if they knew nothing of each other: that makes intervals too narrow. Drawn are blocks of neighbours
(Kunsch, Ann. Stat. 1989), and a block that runs over the end goes on at the beginning, so that
every sample is as likely as any other (the circular bootstrap of Politis & Romano, 1992). How long
a block is follows from the samples' autocorrelation (Politis & White, Econometric Reviews 2004,
corrected by Patton, Politis & White 2009); it is doubled, since theirs makes the error of the
variance least, while coverage asks for longer ones (Sun, Phillips & Jin, Econometrica 2008). Of
95 % intervals of the mean of 200 samples of AR(1) with 0.8, 91 % hold it so, 89 % with theirs, and
47 % where samples are drawn one by one; of independent samples it is 95 % in each way.

An interval lies between percentiles of the statistic of the draws: it stays in the range of the
statistic (no negative rms, no share above 1), and needs no variance. Plain percentiles are too
narrow where blocks are few; they are moved outwards as Student's t is wider than the normal
distribution (the expanded percentile interval of Hesterberg, The American Statistician 2015), with
blocks counted where he counts samples. BCa was not taken: its acceleration is that of independent
samples, and what goes wrong with few blocks is width, not skew.

S series, N samples, D draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log10, sqrt
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.evaluation.scoring.model import Statistic, summary
from dlcv.types import FloatArray

Indices = npt.NDArray[np.int64]
Pairing = Literal['', 'paired', 'unpaired']

LEAST = 10
"""Samples without which nothing is said: blocks of fewer are no picture of the dependence."""

_LONGER = 2.0  # than makes the error of the variance least
_AT_ONCE = 2**22  # numbers in memory


@dataclass(frozen=True, kw_only=True, slots=True)
class Bootstrap:
    """How intervals are made.

    Attributes:
        draws: Series drawn; the ends of an interval differ by some 2 % of its width between seeds.
        level: Share of intervals that hold what they are an interval of.
        seed: The same one makes the same interval.
    """

    draws: int = 2000
    level: float = 0.95
    seed: int = 0

    def __post_init__(self) -> None:
        if self.draws < 100:
            raise ValueError(f'expected at least 100 draws, got {self.draws}')
        if not 0 < self.level < 1:
            raise ValueError(f'expected a level between 0 and 1, got {self.level}')


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Where a number, or the difference of two, lies.

    Attributes:
        estimate: Its value for the samples that were drawn from.
        low: Lower end.
        high: Upper end.
        samples: How many were drawn from: of the pairs, or of each series.
        blocks: Length of their blocks.
        pairing: Of a difference: whether both series were drawn together, frame with frame.
    """

    estimate: float
    low: float
    high: float
    samples: tuple[int, ...]
    blocks: tuple[int, ...]
    pairing: Pairing = ''

    @property
    def excludes_zero(self) -> bool:
        """Whether all of it lies on one side of zero."""
        return self.low > 0 or self.high < 0


DEFAULTS = Bootstrap()


def interval(
    statistic: Statistic, samples: Sequence[float] | FloatArray, how: Bootstrap = DEFAULTS
) -> Interval | None:
    """Return the interval of a statistic; None of fewer than `LEAST` samples that are numbers."""
    series = _finite(samples)
    if len(series) < LEAST:
        return None
    block = block_length(_influence(statistic, series))
    drawn = _draw(statistic, series[None], block, how, np.random.default_rng(how.seed))
    return _between(drawn[0], how, statistic_of(statistic, series), (len(series),), (block,))


def difference(
    statistic: Statistic,
    baseline: Sequence[float] | FloatArray,
    other: Sequence[float] | FloatArray,
    how: Bootstrap = DEFAULTS,
    *,
    paired: bool,
) -> Interval | None:
    """Return the interval of ``other - baseline``.

    Args:
        statistic: Of both.
        baseline: Samples; NaN where there is none.
        other: The same.
        how: Draws, level and seed.
        paired: Whether samples of one index are of one frame. What makes a frame hard for both
            then takes no part in the difference, and the interval is narrower for it. A frame that
            one of both has no sample of is left out.

    Returns:
        None of fewer than `LEAST` samples.

    Raises:
        ValueError: Pairs were asked for, and there are not as many samples of one as of the other.
    """
    if paired:
        return _paired(statistic, _pairs(baseline, other), how)
    series = (_finite(baseline), _finite(other))
    if min(map(len, series)) < LEAST:
        return None
    generator = np.random.default_rng(how.seed)
    blocks = tuple(block_length(_influence(statistic, one)) for one in series)
    base, new = (
        _draw(statistic, one[None], block, how, generator)[0]
        for one, block in zip(series, blocks, strict=True)
    )
    estimate = statistic_of(statistic, series[1]) - statistic_of(statistic, series[0])
    counts = (len(series[0]), len(series[1]))
    return _between(new - base, how, estimate, counts, blocks, 'unpaired')


def block_length(values: FloatArray) -> int:
    """Return how long blocks must be to keep the dependence of samples: a quarter of them at most.

    Long memory makes long blocks, samples that know nothing of each other blocks of one or two.

    Args:
        values: ``(N,)``, in the order of time.
    """
    n = len(values)
    correlations = _autocorrelations(values, min(ceil(sqrt(n)) + _checked(n), n - 1))
    lags = np.arange(1, min(2 * _memory(correlations, n), len(correlations)) + 1)
    window = np.clip(2 * (1 - lags / len(lags)), 0, 1)  # flat top: 1 as far as the half
    weighted = window * correlations[: len(lags)]
    slope = 2 * float(np.sum(lags * weighted))
    spectrum = 1 + 2 * float(np.sum(weighted))
    if spectrum <= 0:
        return 1
    best = (1.5 * (slope / spectrum) ** 2 * n) ** (1 / 3)  # D of circular blocks is 4/3 g(0)^2
    return int(np.clip(round(_LONGER * best), 1, max(n // 4, 1)))


def statistic_of(statistic: Statistic, series: FloatArray) -> float:
    """Return the statistic of ``(N,)`` samples, N > 0."""
    value = summary(statistic, series)
    assert value is not None
    return value


def _paired(statistic: Statistic, pairs: FloatArray, how: Bootstrap) -> Interval | None:
    count = pairs.shape[1]
    if count < LEAST:
        return None
    base, new = (_influence(statistic, one) for one in pairs)
    block = block_length(new - base)
    drawn = _draw(statistic, pairs, block, how, np.random.default_rng(how.seed))
    estimate = statistic_of(statistic, pairs[1]) - statistic_of(statistic, pairs[0])
    return _between(drawn[1] - drawn[0], how, estimate, (count,), (block,), 'paired')


def _pairs(
    baseline: Sequence[float] | FloatArray, other: Sequence[float] | FloatArray
) -> FloatArray:
    """Return ``(2, N)`` samples of what both have."""
    if len(baseline) != len(other):
        raise ValueError(f'expected pairs, got {len(baseline)} and {len(other)} samples')
    both = np.array([baseline, other], np.float64)
    return both[:, np.isfinite(both).all(axis=0)]


def _finite(samples: Sequence[float] | FloatArray) -> FloatArray:
    values = np.asarray(samples, np.float64)
    kept: FloatArray = values[np.isfinite(values)]
    return kept


def _influence(statistic: Statistic, series: FloatArray) -> FloatArray:
    """Return ``(N,)``: what a statistic is, to first order, the mean of.

    Its dependence, not that of the samples, is what blocks must keep.
    """
    match statistic:
        case 'rms':
            squares: FloatArray = series**2
            return squares / (2 * statistic_of('rms', series) or 1.0)
        case 'median':
            return np.asarray(np.sign(series - np.median(series)))
        case _:
            return series


def _draw(
    statistic: Statistic,
    series: FloatArray,
    block: int,
    how: Bootstrap,
    generator: np.random.Generator,
) -> FloatArray:
    """Return the statistic ``(S, D)`` of drawn series, the same blocks of all S of ``(S, N)``."""
    n = series.shape[1]
    starts = generator.integers(n, size=(how.draws, ceil(n / block)))
    rows = max(1, _AT_ONCE // series.size)
    drawn = [
        _along(statistic, series[:, _places(starts[i : i + rows], block, n)])  # (S, rows)
        for i in range(0, how.draws, rows)
    ]
    return np.concatenate(drawn, axis=1)


def _places(starts: Indices, block: int, n: int) -> Indices:
    """Return indices ``(D, N)`` of the samples in blocks that begin at ``(D, blocks)``."""
    places = (starts[..., None] + np.arange(block)) % n  # (D, blocks, block)
    return places.reshape(len(starts), -1)[:, :n]


def _along(statistic: Statistic, values: FloatArray) -> FloatArray:
    """Return the statistic along the last axis."""
    match statistic:
        case 'rms':
            return np.asarray(np.sqrt(np.mean(values**2, axis=-1)))
        case 'median':
            return np.asarray(np.median(values, axis=-1))
        case _:
            return np.asarray(np.mean(values, axis=-1))


def _between(
    drawn: FloatArray,
    how: Bootstrap,
    estimate: float,
    samples: tuple[int, ...],
    blocks: tuple[int, ...],
    pairing: Pairing = '',
) -> Interval:
    """Return the interval of draws ``(D,)``."""
    independent = min(n / block for n, block in zip(samples, blocks, strict=True))
    tail = _tail(how.level, independent)
    low, high = np.quantile(drawn, (tail, 1 - tail))
    return Interval(
        estimate=estimate,
        low=float(low),
        high=float(high),
        samples=samples,
        blocks=blocks,
        pairing=pairing,
    )


def _tail(level: float, blocks: float) -> float:
    """Return the share of draws beyond each end, for so many blocks: Hesterberg's equation 5."""
    from scipy.special import ndtr, stdtrit

    freedom = max(blocks - 1, 1)
    return float(ndtr(sqrt((freedom + 1) / freedom) * stdtrit(freedom, (1 - level) / 2)))


def _autocorrelations(values: FloatArray, lags: int) -> FloatArray:
    """Return ``(lags,)`` of lags 1 and up; zeros of a constant."""
    centred = values - values.mean()
    power = float(centred @ centred)
    if power <= 1e-24 * max(1.0, float(values @ values)):
        return np.zeros(lags)
    return np.array([centred[k:] @ centred[:-k] for k in range(1, lags + 1)]) / power


def _checked(n: int) -> int:
    """Return how many lags in a row must be small."""
    return max(5, ceil(sqrt(log10(n))))


def _memory(correlations: FloatArray, n: int) -> int:
    """Return the lag after which autocorrelations cannot be told from zero, at least 1."""
    small = np.abs(correlations) < 2 * sqrt(log10(n) / n)
    run = _checked(n)
    for lag in range(len(small) - run + 1):
        if small[lag : lag + run].all():
            return max(lag, 1)
    large = np.flatnonzero(~small)
    return int(large[-1]) + 1 if len(large) else 1
