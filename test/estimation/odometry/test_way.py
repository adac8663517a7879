"""The way so far: which errors add up along it, which come and go, and what a gap leaves."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.scale import ScaleFilter
from dlcv.estimation.odometry.way import Doubt, Way

STEP_NS = 10**8
METRIC = 1e-9  # of scale, so small that it does not count


@pytest.fixture
def scale():
    known = ScaleFilter()
    known.measure('stereo', 0.0, METRIC, 0)
    return known


def gone(scale, doubts, way=None):
    """A way of steps of a metre, straight on, as well known as these doubts say."""
    way = way or Way()
    motion = np.eye(4)
    motion[2, 3] = 1.0
    for i, doubt in enumerate(doubts):
        step = np.eye(4) if doubt.still else motion
        way.move(step, doubt, (i + 1) * STEP_NS, i * STEP_NS, scale)
    return way


def noisy(places=1e-4, turns=0.0, drift=0.0):
    of_pose = np.diag(np.repeat((places, turns), 3))
    return Doubt(motion=2 * of_pose, before=of_pose, after=of_pose, drift=drift * np.eye(6))


def across(way, scale):
    return float(way.covariance(scale)[0, 0])


@pytest.mark.parametrize('steps', [1, 10, 100])
def test_what_a_pose_alone_is_off_by_comes_and_goes(scale, steps):
    """The first and the last pose's errors are in a sum of motions; those between cancel."""
    assert across(gone(scale, [noisy()] * steps), scale) == pytest.approx(2e-4, rel=1e-4)


def test_what_the_first_pose_is_turned_by_is_as_far_aside_as_the_way_is_long(scale):
    way = gone(scale, [noisy(0.0, 1e-6)] * 20)
    assert across(way, scale) == pytest.approx(20**2 * 1e-6)


def test_drift_adds_up(scale):
    drifts = [across(gone(scale, [noisy(0.0, drift=1e-6)] * n), scale) for n in (1, 4)]
    assert drifts[1] > 4 * drifts[0]


def test_where_nothing_was_seen_the_error_of_the_pose_before_stays(scale):
    way = gone(scale, [noisy()] * 5)
    way.miss(STEP_NS)
    gone(scale, [noisy()], way)
    unseen = across(gone(scale, [noisy()] * 5), scale)
    assert across(way, scale) > unseen + 0.99e-4


def test_what_stands_may_have_crept_once_and_is_found_out_when_it_goes_on(scale):
    still = Doubt.standing(5.0)
    before = across(gone(scale, [noisy()] * 3), scale)
    for pause in (1, 50):
        way = gone(scale, [noisy()] * 3 + [still] * pause)
        assert across(way, scale) == pytest.approx(before + still.after[0, 0])
    motion = way.move(np.eye(4), noisy(), 10**10, 10**10 - STEP_NS, scale)
    np.testing.assert_allclose(
        motion.covariance[:3, :3], (2e-4 + still.after[0, 0]) * np.eye(3), rtol=1e-4
    )
    assert across(way, scale) == pytest.approx(before)


def test_a_pose_that_is_set_is_as_sure_as_it_was_said_to_be(scale):
    way = gone(scale, [noisy(drift=1e-3)] * 5)
    said = np.diag([0.1, 0.2, 0.3, 0.01, 0.02, 0.03])
    way.set_pose(np.eye(4), said)
    np.testing.assert_array_equal(way.covariance(scale), said)
    gone(scale, [noisy()], way)
    assert across(way, scale) > 0.1 + 1.9e-4


def test_a_view_that_is_another_one_drifts_and_the_same_one_does_not():
    """The same scene in another size, and at another rate of pictures, drifts alike."""
    of_pose = np.diag(np.repeat((1e-6, 1e-8), 3))

    def drift(shift, depth):
        motion = np.eye(4)
        motion[2, 3] = shift
        size = np.kron(np.diag((depth, 1.0)), np.eye(3))
        made = Doubt.between(
            size @ of_pose @ size, size @ of_pose @ size, np.eye(4), 1.0, motion, depth
        )
        return np.sqrt(np.diag(made.drift)) / np.repeat((depth, 1.0), 3)

    np.testing.assert_allclose(drift(0.5, 5.0), drift(5.0, 50.0))
    np.testing.assert_allclose(drift(0.5, 5.0) ** 2, 10 * drift(0.05, 5.0) ** 2)
    assert not drift(0.0, 5.0).any()


def test_a_unit_that_is_lost_leaves_the_way_so_far_as_sure_as_it_was(scale):
    def along(of):
        return float(of.covariance(scale)[2, 2])

    way = gone(scale, [noisy(0.0)] * 10)
    before = along(way)
    assert before == pytest.approx((10 * scale.stddev) ** 2)
    way.keep(scale)
    scale.doubt(1.0)
    assert along(way) == pytest.approx(before)
    assert scale.stddev > 1
    gone(scale, [noisy(0.0)], way)
    assert along(way) == pytest.approx(before + scale.stddev**2)
