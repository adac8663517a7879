"""Where the metre comes from, and how deep points are by what is measured beside a picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.estimation.odometry.adjustment import Adjuster
from dlcv.estimation.odometry.metre import Metre, depth_camera_stddev, depths_at
from dlcv.estimation.odometry.sight import look
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.types import Aids, Camera, DepthMap

LENS = Camera(width=40, height=30, fx=30.0, fy=30.0, cx=19.5, cy=14.5)


def depth_map(depth, camera=LENS):
    return DepthMap(stamp_ns=0, disparity=np.zeros_like(depth), depth=depth, camera=camera)


def rays(pixels):
    return (np.asarray(pixels, np.float64) - (19.5, 14.5)) / 30.0


def test_depths_are_read_where_it_is_even():
    depth = np.full((30, 40), 2.0, np.float32)
    depth[:, 20:] = 5.0
    depth[:5] = np.nan
    metres, spread = depths_at(depth_map(depth), LENS, rays([(5, 20), (35, 20), (20, 20), (5, 2)]))
    np.testing.assert_allclose(metres, [2.0, 5.0, np.nan, np.nan])
    np.testing.assert_allclose(spread[:2], 0.0)


def test_a_smaller_map_of_depth_is_read_at_the_same_places():
    depth = np.full((15, 20), 2.0, np.float32)
    depth[:, 10:] = 5.0
    metres, _ = depths_at(depth_map(depth, None), LENS, rays([(5, 20), (35, 20), (-9, 20)]))
    np.testing.assert_allclose(metres, [2.0, 5.0, np.nan])


def test_a_slope_is_a_doubt():
    depth = np.tile(np.linspace(2, 3, 40, dtype=np.float32), (30, 1))
    metres, spread = depths_at(depth_map(depth), LENS, rays([(20, 15)]))
    flat, tilted = depth_camera_stddev(metres, np.zeros(1)), depth_camera_stddev(metres, spread)
    assert tilted[0] > flat[0] > 0


@pytest.fixture
def seen(room, walked):
    """A function: what is seen from a step of the walk, and depths by a network."""

    def make(step, metre, depth=None, **aids):
        frame, keypoints = room.look(walked(step), step * 10**8)
        aids = Aids(depth=depth and room.depth(walked(step)), **aids)
        return look(step, frame, frame.camera, keypoints, aids, metre, 1000)

    return make


def begun(metre, points):
    points = replace(points, metric=metre.begin(points))
    return Tracker(points, 6, 5.0 / metre.filter.scale, Adjuster(lockstep=True))


def test_a_depth_camera_from_the_start_makes_the_unit(seen):
    metre = Metre('auto', 0.0)
    it = begun(metre, seen(0, metre, depth=True)[0])
    assert metre.metric == 'depth'
    for step in range(1, 8):
        points, network = seen(step, metre, depth=True)
        it.track(points)
        if it.settled:
            metre.measure(it, points, network)
    assert metre.filter.source == 'depth'
    assert metre.filter.scale == pytest.approx(1.0, rel=0.01)


def test_a_depth_camera_that_comes_later_changes_the_unit_once(seen, walked):
    metre = Metre('auto', 0.0)
    it = begun(metre, seen(0, metre)[0])
    for step in range(1, 25):
        points, network = seen(step, metre, depth=True if step > 10 else None)
        it.track(points)
        if it.settled:
            metre.measure(it, points, network)
    assert metre.metric == 'depth'
    assert metre.filter.scale == pytest.approx(1.0, rel=0.02)
    moved = np.linalg.inv(walked(23)) @ walked(24)
    assert np.linalg.norm(it.motion[:3, 3]) == pytest.approx(
        np.linalg.norm(moved[:3, 3]), rel=0.1
    )  # fmt: skip


def test_wheels_are_compared_over_steps(seen, walked):
    metre = Metre('wheels', 0.0)
    it = begun(metre, seen(0, metre)[0])
    for step in range(1, 25):
        points, network = seen(step, metre)
        it.track(points)
        moved = np.linalg.inv(walked(step - 1)) @ walked(step)
        metre.step(float(np.linalg.norm(it.motion[:3, 3])), float(np.linalg.norm(moved[:3, 3])))
        if it.settled:
            metre.measure(it, points, network)
    assert metre.filter.source == 'wheels'
    way = metre.filter.scale * np.linalg.norm(it.motion[:3, 3])
    assert way == pytest.approx(np.linalg.norm(moved[:3, 3]), rel=0.1)


@pytest.mark.parametrize('choice', ['stereo', 'none', 'camera_height'])
def test_what_is_not_chosen_makes_no_unit(seen, choice):
    metre = Metre(choice, 0.0)
    points, _ = seen(0, metre, depth=True)
    assert not metre.begin(points)
    assert not np.isfinite(points.inverse_depth).any()
    assert metre.metric == 'none'


def test_a_network_guesses_depths_but_makes_no_unit(seen):
    metre = Metre('auto', 0.0)
    points, network = seen(0, metre, depth=True, depth_source='network')
    assert np.isfinite(network).mean() > 0.5
    there = np.isfinite(points.inverse_depth)
    np.testing.assert_allclose(points.inverse_depth[there], 1 / network[there])
    assert not metre.begin(points)


def test_a_motion_that_nothing_was_said_of_shows_no_ground(seen):
    """The first keyframes may not have been adjusted: the covariance of their motion is zero."""
    metre = Metre('camera_height', 1.0)
    it = begun(metre, seen(0, metre)[0])
    for step in range(1, 25):
        points, network = seen(step, metre)
        it.track(points)
        it.motion_covariance = np.zeros((6, 6))
        if it.is_keyframe(step):
            metre.measure(it, points, network)
    assert metre.filter.source == 'none'
