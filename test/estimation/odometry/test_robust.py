"""Kernels: weights are slopes of costs, true residuals count, outliers do not."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.robust import GATE, cost, spread, weights

KERNELS = ('huber', 'cauchy', 'truncated')


@pytest.mark.parametrize('kernel', KERNELS)
def test_a_weight_is_the_slope_of_the_cost(kernel):
    squared = np.array([0.01, 1.0, 2.9, 3.1, 6.0, 13.0, 14.0, 400.0])
    slopes = [(cost(s + d, kernel) - cost(s - d, kernel)) / 2e-6
              for s, d in zip(squared[:, None], np.full((8, 1), 1e-6), strict=True)]  # fmt: skip
    np.testing.assert_allclose(weights(squared, kernel), slopes, atol=1e-6)


@pytest.mark.parametrize('kernel', KERNELS)
def test_small_residuals_count_whole_and_large_ones_less(kernel):
    few = weights(np.array([0.0, 10.0, 1e6]), kernel)
    assert few[0] == 1
    assert (np.diff(few) <= 0).all()
    assert few[2] < 2e-3


def test_one_true_residual_in_a_thousand_is_beyond_the_gate():
    draws = np.square(np.random.default_rng(0).normal(size=(2, 400_000))).sum(0)
    assert (draws > GATE).mean() == pytest.approx(1e-3, rel=0.15)


def test_spread_is_the_share_of_the_variance_that_was_not_stated():
    draws = np.square(np.random.default_rng(0).normal(size=(2, 10_000))).sum(0)
    outlying = np.concatenate((draws, np.full(12_000, 1e5)))
    assert spread(9 * draws) == pytest.approx(9, rel=0.05)
    assert 9 < spread(9 * outlying) < 40
    assert spread(0.1 * draws) == spread(np.zeros(0)) == 1
