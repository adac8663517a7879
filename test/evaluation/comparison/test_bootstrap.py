"""Intervals hold what they should, as often as they say; known answers where there are some."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlcv.evaluation.comparison.bootstrap import (
    LEAST,
    Bootstrap,
    _along,
    _places,
    block_length,
    difference,
    interval,
)
from dlcv.evaluation.scoring.model import summary

FAST = Bootstrap(draws=300)
TRIALS = 300


def series(phi: float, n: int, generator: np.random.Generator) -> np.ndarray:
    """Return an AR(1) series of mean 0 and variance 1."""
    values = np.empty(n)
    values[0] = generator.normal()
    steps = generator.normal(scale=math.sqrt(1 - phi**2), size=n)
    for i in range(1, n):
        values[i] = phi * values[i - 1] + steps[i]
    return values


def coverage(statistic: str, truth: float, phi: float, n: int) -> float:
    generator = np.random.default_rng(5)
    found = [interval(statistic, series(phi, n, generator), FAST) for _ in range(TRIALS)]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


@pytest.mark.parametrize(('statistic', 'truth'), [('mean', 0.0), ('rms', 1.0), ('median', 0.0)])
def test_intervals_of_independent_samples_hold_the_truth_as_often_as_they_say(statistic, truth):
    assert 0.91 <= coverage(statistic, truth, phi=0.0, n=120) <= 0.98


@pytest.mark.parametrize(('statistic', 'least'), [('mean', 0.9), ('rms', 0.85), ('median', 0.88)])
def test_intervals_of_dependent_samples_come_near(statistic, least):
    """Where single samples are drawn, 95 % are about 50 % for the mean."""
    truth = 1.0 if statistic == 'rms' else 0.0
    assert least <= coverage(statistic, truth, phi=0.8, n=300) <= 0.98


def test_drawing_single_samples_would_be_wrong(monkeypatch):
    """The test above can fail: with blocks of one it does."""
    monkeypatch.setattr('dlcv.evaluation.comparison.bootstrap.block_length', lambda values: 1)
    assert coverage('mean', 0.0, phi=0.8, n=300) < 0.65


def test_a_share_is_held_as_often_as_is_said():
    generator = np.random.default_rng(6)
    found = [interval('share', generator.random(200) < 0.3, FAST) for _ in range(TRIALS)]
    assert 0.91 <= np.mean([one.low <= 0.3 <= one.high for one in found]) <= 0.98


def test_the_interval_of_a_mean_is_the_analytic_one():
    """Of N independent normal samples: mean +- t s / sqrt(N)."""
    values = np.random.default_rng(7).normal(3.0, 2.0, 400)
    found = interval('mean', values, Bootstrap(draws=20_000))
    half = 1.966 * values.std(ddof=1) / math.sqrt(400)  # t of 399 degrees, 97.5 %
    assert found.estimate == values.mean()
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)


def test_the_interval_of_an_ar1_mean_has_the_analytic_width():
    """The variance of the mean of AR(1) is (1 + phi) / (1 - phi) times that of independence."""
    generator = np.random.default_rng(8)
    found = [interval('mean', series(0.8, 2000, generator), FAST) for _ in range(30)]
    width = np.mean([one.high - one.low for one in found])
    assert width == pytest.approx(2 * 1.96 * math.sqrt(9 / 2000), rel=0.12)


def test_pairs_of_one_series_differ_by_exactly_nothing():
    values = np.random.default_rng(1).normal(size=100)
    for statistic in ('mean', 'rms', 'median'):
        found = difference(statistic, values, values, paired=True)
        assert (found.estimate, found.low, found.high) == (0.0, 0.0, 0.0)
        assert not found.excludes_zero


def test_pairs_are_surer_than_two_series():
    """What is hard for both is no difference: a shift of 0.1 in samples that vary by 1."""
    generator = np.random.default_rng(2)
    base = generator.normal(size=200)
    other = base + 0.1 + generator.normal(scale=0.1, size=200)
    paired = difference('mean', base, other, paired=True)
    unpaired = difference('mean', base, other, paired=False)
    assert paired.excludes_zero
    assert not unpaired.excludes_zero
    assert paired.estimate == pytest.approx(unpaired.estimate)
    assert (paired.pairing, paired.samples) == ('paired', (200,))
    assert (unpaired.pairing, unpaired.samples) == ('unpaired', (200, 200))


@pytest.mark.parametrize('paired', [True, False])
def test_differences_of_nothing_are_marked_as_rarely_as_is_said(paired):
    generator = np.random.default_rng(3)
    marked = [
        difference('mean', *generator.normal(size=(2, 100)), FAST, paired=paired).excludes_zero
        for _ in range(TRIALS)
    ]
    assert 0.02 <= np.mean(marked) <= 0.09


def test_series_of_other_lengths_are_drawn_each_by_itself():
    generator = np.random.default_rng(4)
    found = difference(
        'rms', generator.normal(size=80), 2 + generator.normal(size=50), paired=False
    )
    assert found.samples == (80, 50)
    assert found.excludes_zero
    assert found.low < math.sqrt(5) - 1 < found.high


def test_pairs_need_as_many_samples_of_each():
    with pytest.raises(ValueError, match='expected pairs, got 3 and 2'):
        difference('mean', [1.0, 2.0, 3.0], [1.0, 2.0], paired=True)


def test_a_frame_that_one_of_both_has_not_is_no_pair():
    generator = np.random.default_rng(5)
    base, other = generator.normal(size=(2, 60))
    with_gaps = (base.copy(), other.copy())
    with_gaps[0][[3, 7]] = math.nan
    with_gaps[1][[7, 20]] = math.nan
    kept = np.setdiff1d(np.arange(60), [3, 7, 20])
    found = difference('mean', *with_gaps, paired=True)
    assert found == difference('mean', base[kept], other[kept], paired=True)
    assert found.samples == (57,)


def test_nan_is_dropped_from_a_single_series():
    values = np.random.default_rng(9).normal(size=50)
    assert interval('mean', [*values, math.nan, math.inf]) == interval('mean', values)


@pytest.mark.parametrize('count', [0, 1, LEAST - 1])
def test_few_samples_have_no_interval(count):
    few, many = [1.0] * count, [1.0] * 50
    assert interval('mean', few) is None
    assert difference('mean', few, few, paired=True) is None
    assert difference('mean', few, many, paired=False) is None


def test_a_seed_makes_the_same_interval_and_another_seed_another():
    values = np.random.default_rng(0).normal(size=60)
    assert interval('mean', values) == interval('mean', values)
    assert interval('mean', values) != interval('mean', values, Bootstrap(seed=1))


def test_a_higher_level_is_a_wider_interval():
    values = np.random.default_rng(0).normal(size=60)
    narrow, wide = (interval('mean', values, Bootstrap(level=level)) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.high < wide.high


def test_long_series_are_drawn_in_parts_that_change_nothing(monkeypatch):
    values = np.random.default_rng(0).normal(size=70)
    whole = interval('median', values)
    monkeypatch.setattr('dlcv.evaluation.comparison.bootstrap._AT_ONCE', 1000)
    assert interval('median', values) == whole


def test_blocks_are_neighbours_and_go_on_at_the_beginning():
    places = _places(np.array([[8, 0, 4]]), block=4, n=10)
    assert places.tolist() == [[8, 9, 0, 1, 0, 1, 2, 3, 4, 5]]


def test_blocks_grow_with_the_memory_of_samples():
    generator = np.random.default_rng(0)
    lengths = [
        np.mean([block_length(series(phi, 500, generator)) for _ in range(20)])
        for phi in (0.0, 0.5, 0.9)
    ]
    assert lengths[0] < 6 < lengths[1] < 30 < lengths[2] <= 125


@pytest.mark.parametrize('phi', [0.5, 0.8])
def test_blocks_are_twice_the_best_of_an_ar1_series(phi):
    """G and g(0) of AR(1) are known, so is the length that makes the variance's error least."""
    n = 20_000
    slope = 2 * phi / (1 - phi) ** 2
    spectrum = (1 + phi) / (1 - phi)
    best = (1.5 * (slope / spectrum) ** 2 * n) ** (1 / 3)
    values = series(phi, n, np.random.default_rng(1))
    assert block_length(values) == pytest.approx(2 * best, rel=0.2)


def test_a_constant_has_blocks_of_one_and_an_interval_of_no_width():
    found = interval('rms', [2.0] * 40)
    assert (found.low, found.high, found.blocks) == (2.0, 2.0, (1,))


@given(
    st.sampled_from(['mean', 'rms', 'median', 'share']),
    st.lists(st.floats(-1e3, 1e3), min_size=LEAST, max_size=40),
)
@settings(max_examples=60, deadline=None)
def test_intervals_stay_within_the_samples(statistic, values):
    found = interval(statistic, values, FAST)
    least, most = (0.0, max(map(abs, values))) if statistic == 'rms' else (min(values), max(values))
    slack = 1e-9 * (1 + most - least)
    assert least - slack <= found.low <= found.high <= most + slack
    assert _along(statistic, np.array([values]))[0] == pytest.approx(
        summary(statistic, values), abs=1e-9
    )


@pytest.mark.parametrize(
    ('options', 'words'), [({'draws': 10}, 'at least 100'), ({'level': 95.0}, 'between 0 and 1')]
)
def test_a_bootstrap_that_says_nothing_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        Bootstrap(**options)
