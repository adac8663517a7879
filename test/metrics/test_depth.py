"""Depth figures have known answers, and equal a slow computation by their definitions."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest

from dlcv.metrics.depth import (
    CROPS,
    DepthCaps,
    DepthErrors,
    DepthMetricError,
    depth_errors,
    mean_of_pictures,
    sparsification,
)


def slow(depth, truth, caps):
    """One pixel after the other."""
    height, width = truth.shape
    top, bottom, left, right = CROPS[caps.crop]
    rows = range(int(top * height), int(bottom * height))
    columns = range(int(left * width), int(right * width))
    pairs = [
        (min(max(depth[y, x], caps.nearest), caps.farthest), truth[y, x])
        for y in rows
        for x in columns
        if caps.nearest < truth[y, x] < caps.farthest and math.isfinite(depth[y, x])
    ]
    count = len(pairs)
    ratios = [max(d / t, t / d) for d, t in pairs]
    return {
        'abs_rel': sum(abs(d - t) / t for d, t in pairs) / count,
        'sq_rel': sum((d - t) ** 2 / t for d, t in pairs) / count,
        'rmse': math.sqrt(sum((d - t) ** 2 for d, t in pairs) / count),
        'rmse_log': math.sqrt(sum((math.log(d) - math.log(t)) ** 2 for d, t in pairs) / count),
        'a1': sum(r < 1.25 for r in ratios) / count,
        'a2': sum(r < 1.25**2 for r in ratios) / count,
        'a3': sum(r < 1.25**3 for r in ratios) / count,
        'scale': 1.0,
        'pixels': count,
    }


def test_a_depth_that_is_a_tenth_too_large():
    truth = np.full((4, 6), 10.0)
    errors = depth_errors(1.1 * truth, truth)
    assert errors.abs_rel == pytest.approx(0.1)
    assert errors.sq_rel == pytest.approx(0.1)
    assert errors.rmse == pytest.approx(1)
    assert errors.rmse_log == pytest.approx(math.log(1.1))
    assert (errors.a1, errors.scale, errors.pixels) == (1, 1, 24)
    scaled = depth_errors(1.1 * truth, truth, median_scaling=True)
    assert scaled.abs_rel == pytest.approx(0, abs=1e-12)
    assert scaled.scale == pytest.approx(1 / 1.1)


@pytest.mark.parametrize('crop', CROPS)
def test_equals_the_definitions(crop):
    rng = np.random.default_rng(0)
    truth = rng.uniform(-2, 90, (40, 60))
    depth = rng.uniform(-2, 90, (40, 60))
    truth[rng.random(truth.shape) < 0.3] = np.nan
    depth[rng.random(depth.shape) < 0.1] = np.nan
    caps = DepthCaps(nearest=1.0, farthest=50.0, crop=crop)
    found, wanted = depth_errors(depth, truth, caps), slow(depth, truth, caps)
    for name, value in wanted.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-12), name


def test_what_is_too_near_and_too_far_is_clamped():
    """The node publishes -inf and +inf there (REP 117): wrong, but not unknown."""
    truth = np.array([[2.0, 2.0, 2.0, 2.0]])
    errors = depth_errors(np.array([[-np.inf, np.inf, 2.0, np.nan]]), truth, DepthCaps(nearest=1))
    assert errors.pixels == 3
    assert errors.abs_rel == pytest.approx((0.5 + 39 + 0) / 3)


def test_crops_are_those_of_kitti():
    """Rows and columns of a 375x1242 picture in the public evaluations of Garg and Eigen."""
    seen = {}
    for crop in ('garg', 'eigen'):
        truth = np.full((375, 1242), 5.0)
        errors = depth_errors(truth, truth, DepthCaps(crop=crop))
        seen[crop] = errors.pixels
    assert seen['garg'] == (371 - 153) * (1197 - 44)
    assert seen['eigen'] == (342 - 124) * (1197 - 44)


def test_pictures_count_alike_and_empty_ones_not_at_all():
    large = depth_errors(np.full((10, 10), 12.0), np.full((10, 10), 10.0))
    small = depth_errors(np.full((2, 2), 10.0), np.full((2, 2), 10.0))
    nothing = depth_errors(np.full((2, 2), 10.0), np.full((2, 2), np.nan))
    assert nothing.pixels == 0
    assert all(
        math.isnan(getattr(nothing, f.name)) for f in fields(DepthErrors) if f.name != 'pixels'
    )
    mean = mean_of_pictures([large, small, nothing])
    assert mean.abs_rel == pytest.approx(0.1)
    assert mean.pixels == 104
    assert mean_of_pictures([nothing]).pixels == 0


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(DepthMetricError, match=r'\(2, 3\) and \(3, 2\)'):
        depth_errors(np.ones((2, 3)), np.ones((3, 2)))
    with pytest.raises(DepthMetricError, match='nearest < farthest'):
        DepthCaps(nearest=5, farthest=2)
    with pytest.raises(DepthMetricError, match="no crop 'middle'"):
        DepthCaps(crop='middle')


@pytest.mark.parametrize('most', [np.inf, -np.inf, 0.0, -1.0])
def test_a_median_that_is_no_depth_has_no_scale(most):
    depth = np.array([[most, most, most, 4.0]])
    truth = np.full((1, 4), 2.0)
    assert depth_errors(depth, truth, median_scaling=True).pixels == 0
    depth[0, :2] = 4.0
    scaled = depth_errors(np.c_[depth, [[4.0]]], np.full((1, 5), 2.0), median_scaling=True)
    assert (scaled.scale, scaled.pixels) == (0.5, 5)
    assert math.isfinite(scaled.rmse_log)


def test_a_confidence_that_ranks_errors_is_perfect_and_its_opposite_is_not():
    rng = np.random.default_rng(0)
    truth = rng.uniform(1, 5, (60, 80)).astype(np.float32)
    error = rng.exponential(0.2, truth.shape).astype(np.float32)
    depth = truth * (1 + error)
    perfect = sparsification(depth, truth, -error)
    chance = sparsification(depth, truth, rng.random(truth.shape, np.float32))
    wrong = sparsification(depth, truth, error)
    assert perfect.above_oracle == pytest.approx(0, abs=1e-4)
    assert perfect.below_random == pytest.approx(math.pi**2 / 6 - 1, abs=0.02)  # exponential's
    assert chance.below_random == pytest.approx(0, abs=0.05)
    assert wrong.below_random < -0.3
    assert perfect.below_random + perfect.above_oracle == pytest.approx(
        wrong.below_random + wrong.above_oracle
    )


def test_sparsification_counts_what_is_known():
    truth = np.full((4, 4), 2, np.float32)
    truth[0] = np.nan
    depth, confidence = np.full((4, 4), 3, np.float32), np.ones((4, 4), np.float32)
    confidence[1] = np.nan
    even = sparsification(depth, truth, confidence)
    assert even.above_oracle == even.below_random == 0
    assert math.isnan(sparsification(truth, truth, confidence).above_oracle)  # nothing is wrong
    with pytest.raises(DepthMetricError, match='one size'):
        sparsification(depth, truth, confidence[:2])


def test_a_single_pixel_is_not_scaled_to_itself():
    truth = np.full((2, 2), np.nan, np.float32)
    truth[0, 0] = 5
    scaled = depth_errors(np.full((2, 2), 3.0, np.float32), truth, median_scaling=True)
    assert scaled.pixels == 0
