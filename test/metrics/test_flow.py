"""Flow metrics: known answers, pixel-by-pixel references, laws."""

from __future__ import annotations

from math import acos, degrees, hypot, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.metrics.flow import (
    FlowErrors,
    FlowMetricError,
    Mean,
    angular_errors,
    by_displacement,
    end_point_errors,
    fl_all,
    flow_errors,
    mean_of_pairs,
    outliers,
    warp_error,
)


def field(*vectors):
    """Return a flow of one row."""
    return np.array([vectors], np.float32)


@pytest.fixture
def noisy():
    """A truth of 0 to 60 px with holes, an estimate beside it, and a mask."""
    rng = np.random.default_rng(3)
    angle, length = rng.uniform(0, 2 * np.pi, (9, 14)), rng.uniform(0, 60, (9, 14))
    truth = np.stack((length * np.cos(angle), length * np.sin(angle)), -1).astype(np.float32)
    flow = (truth + rng.normal(0, 3, truth.shape)).astype(np.float32)
    truth[2, 3:6] = np.nan
    truth[5, 5, 0] = np.nan
    flow[8, 0] = np.nan
    return flow, truth, rng.uniform(size=truth.shape[:2]) < 0.7


def slow_errors(flow, truth, mask):
    """Yield displacement, end-point error, angle by the paper's arc cosine, and outlier or not."""
    for y in range(truth.shape[0]):
        for x in range(truth.shape[1]):
            (u, v), (a, b) = map(float, flow[y, x]), map(float, truth[y, x])
            if not mask[y, x] or any(map(isnan, (u, v, a, b))):
                continue
            length, error = hypot(a, b), hypot(u - a, v - b)
            cosine = (u * a + v * b + 1) / sqrt((u * u + v * v + 1) * (a * a + b * b + 1))
            yield length, error, degrees(acos(cosine)), error > 3 and error / length > 0.05


def test_a_right_triangle():
    errors = end_point_errors(field((3, 4), (1, 1)), field((0, 0), (1, 1)))
    np.testing.assert_array_equal(errors, [[5, 0]])


def test_angles_are_those_of_barron():
    angles = angular_errors(
        field((1, 0), (0, 0), (1, 0), (0, 2)), field((0, 0), (0, 0), (-1, 0), (0, 2))
    )
    np.testing.assert_allclose(angles, [[45, 0, 90, 0]], atol=1e-12)


def test_small_angles_keep_their_digits():
    angle = angular_errors(np.array([[[1e-9, 0]]]), np.zeros((1, 1, 2)))
    np.testing.assert_allclose(angle, degrees(1e-9), rtol=1e-9)


def test_an_outlier_is_off_by_more_than_3_px_and_more_than_5_percent():
    truth = field((10, 0), (10, 0), (100, 0), (100, 0), (1, 0))
    flow = field((13, 0), (13.5, 0), (104.5, 0), (105.5, 0), (3.9, 0))
    np.testing.assert_array_equal(outliers(flow, truth), [[0, 100, 0, 100, 0]])
    assert fl_all(flow, truth) == 40


def test_displacements_fall_into_ranges_closed_below():
    truth = field((0, 0), (9, 0), (10, 0), (0, 39), (0, 40), (300, 400))
    flow = truth + np.array([[[1, 0], [3, 0], [5, 0], [0, 7], [0, 0], [0, 8]]], np.float32)
    assert by_displacement(flow, truth) == (Mean(4, 2), Mean(12, 2), Mean(8, 2))


def test_an_empty_range_has_no_mean():
    errors = flow_errors(field((0, 0)), field((1, 0)))
    assert [m.count for m in errors.by_displacement] == [1, 0, 0]
    assert isnan(errors.by_displacement[2].value)


def test_all_means_agree_with_a_loop_over_pixels(noisy):
    flow, truth, mask = noisy
    table = np.array(list(slow_errors(flow, truth, mask)), float)
    length, epe, angle, out = table.T
    found = flow_errors(flow, truth, mask)
    assert found.epe.count == found.angle.count == found.fl_all.count == len(table)
    assert found.epe.value == pytest.approx(epe.mean(), rel=1e-12)
    assert found.angle.value == pytest.approx(angle.mean(), rel=1e-6)
    assert found.fl_all.value == pytest.approx(100 * out.mean(), rel=1e-12)
    ranges = [length < 10, (length >= 10) & (length < 40), length >= 40]
    for part, chosen in zip(found.by_displacement, ranges, strict=True):
        assert part.count == chosen.sum() > 0
        assert part.value == pytest.approx(epe[chosen].mean(), rel=1e-12)


@pytest.mark.parametrize('measure', [end_point_errors, angular_errors, outliers])
def test_unknown_and_masked_pixels_are_nan(noisy, measure):
    flow, truth, mask = noisy
    known = ~np.isnan(flow).any(-1) & ~np.isnan(truth).any(-1)
    np.testing.assert_array_equal(np.isnan(measure(flow, truth)), ~known)
    np.testing.assert_array_equal(np.isnan(measure(flow, truth, mask)), ~(known & mask))


@given(st.floats(-3, 3), st.tuples(*[st.floats(-50, 50)] * 4))
def test_errors_do_not_change_when_both_flows_are_turned(turn, vectors):
    flow, truth = np.array(vectors).reshape(2, 1, 1, 2)
    matrix = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    for measure in (end_point_errors, angular_errors):
        turned = measure(flow @ matrix.T, truth @ matrix.T)
        np.testing.assert_allclose(turned, measure(flow, truth), atol=1e-9)
        np.testing.assert_array_equal(measure(flow, truth), measure(truth, flow))


def test_sums_weigh_pixels_and_pairs_weigh_pairs():
    small = flow_errors(field((6, 0)), field((0, 0)))
    large = flow_errors(field(*[(2, 0)] * 3), field(*[(0, 0)] * 3))
    assert (small + large).epe.value == 3
    assert (small + large).fl_all == Mean(100, 4)
    assert mean_of_pairs([small.epe, large.epe, Mean()]) == 4
    assert small + FlowErrors() == small
    assert isnan(mean_of_pairs([]))


def test_a_true_flow_explains_the_pictures():
    first = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    second = np.roll(first, (2, 5), axis=(0, 1))
    flow = np.broadcast_to(np.float32((5, 2)), (20, 30, 2))
    found = warp_error(first, second, flow)
    assert found.warped.count == found.unwarped.count == 18 * 25
    assert found.warped.value == pytest.approx(0, abs=1e-9)
    grey = np.array((0.299, 0.587, 0.114))
    plain = np.abs(first @ grey - second @ grey)[:18, :25].mean()
    assert found.unwarped.value == pytest.approx(plain)


def test_half_a_pixel_is_looked_up_between_two():
    first = np.zeros((1, 3), np.uint8)
    second = np.uint8([[0, 100, 200]])
    found = warp_error(first, second, np.float32([[[0.5, 0], [0.5, 0], [0.5, 0]]]))
    assert found.warped == Mean(50 + 150, 2)  # the last one leaves the picture
    assert found.unwarped == Mean(0 + 100, 2)


def test_unknown_and_masked_pixels_are_not_compared():
    picture = np.uint8([[10, 20, 30, 40]])
    flow = np.zeros((1, 4, 2), np.float32)
    flow[0, 1] = np.nan
    found = warp_error(picture, picture + np.uint8(1), flow, np.array([[True, True, False, True]]))
    assert found.warped == Mean(2, 2)


@pytest.mark.parametrize(
    ('call', 'words'),
    [
        (lambda: end_point_errors(np.zeros((2, 3, 2)), np.zeros((3, 2, 2))), r'\(2, 3, 2\).*\(3, '),
        (lambda: fl_all(np.zeros((2, 3)), np.zeros((2, 3))), r'not both \(H, W, 2\)'),
        (lambda: flow_errors(*[np.zeros((2, 3, 2))] * 2, np.ones((3, 2), bool)), r'mask of \(3, 2'),
        (
            lambda: warp_error(*[np.zeros((2, 3), np.uint8)] * 2, np.zeros((2, 4, 2))),
            r'pictures of \(2, 3\)',
        ),
    ],
)
def test_shapes_that_do_not_fit_are_named(call, words):
    with pytest.raises(FlowMetricError, match=words):
        call()
