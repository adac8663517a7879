"""Errors of disparity by hand, and the classical methods on a shifted picture."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.metrics.baselines.disparity import block_matching, filled, semi_global_matching
from dlcv.metrics.disparity import DisparityMetricError, disparity_errors, mean_of_pictures

NAN = np.nan


def test_figures_by_hand():
    truth = np.array([[10, 10, 100, 100, NAN, 10]], np.float32)
    found = np.array([[10.5, 14, 104, 106, 3, NAN]], np.float32)
    errors = disparity_errors(found, truth)
    assert errors.epe == pytest.approx((0.5 + 4 + 4 + 6) / 4)
    assert errors.bad_1 == errors.bad_2 == errors.bad_3 == pytest.approx(80)
    assert errors.d1 == pytest.approx(60)  # 4 px of 100 are none
    assert errors.density == pytest.approx(80)
    nothing = disparity_errors(found, np.full_like(truth, NAN))
    assert all(np.isnan(nothing.figures()))
    assert mean_of_pictures([errors, nothing]).epe == errors.epe
    with pytest.raises(DisparityMetricError, match=r'\(1, 6\) and truth \(6,\)'):
        disparity_errors(found, truth[0])


def test_holes_are_filled_with_the_background():
    holes = np.array([[NAN, 4, NAN, 2, NAN], [NAN, NAN, NAN, NAN, NAN]], np.float32)
    assert filled(holes)[0].tolist() == [4, 4, 2, 2, 2]
    assert np.isnan(filled(holes)[1]).all()


@pytest.mark.parametrize('method', [block_matching, semi_global_matching])
def test_a_shifted_picture_has_its_shift(method):
    noise = np.random.default_rng(0).integers(0, 256, (60, 140, 1), np.uint8).repeat(3, 2)
    left, right = noise[:, :120], noise[:, 7:127]  # what is at x here is at x - 7 there
    errors = disparity_errors(method(20)(left, right), np.full((60, 120), 7, np.float32))
    assert errors.epe < 0.2
    assert errors.density > 60  # blocks at the border hold no block
