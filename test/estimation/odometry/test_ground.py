"""The height over the ground from points: known floors, walls, noise, and what is stated of it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.ground import Ground, combined, ground_of_points, up_of_motion

UP = np.array((0.0, -1.0, 0.0))


def floor(rng, count=200, height=1.6, tilt=(0.0, 0.0), noise=0.01, bumps=0.0):
    """Points of a floor, tilted by pitch and roll, with the deviation of their depth."""
    down = Rotation.from_euler('xz', tilt).apply((0.0, 1.0, 0.0))
    rays = np.column_stack(
        (rng.uniform(-0.2, 0.2, count), rng.uniform(0.15, 0.5, count), np.ones(count))
    )
    level = (height + bumps * rng.standard_normal(count)) / (rays @ down)
    inverse = 1 / level + noise / height * rng.standard_normal(count)
    return rays / inverse[:, None], noise / height / inverse**2, down


def wall(rng, count, at=6.0):
    points = rng.uniform((-3, -2, at), (3, 1.6, at + 0.02), (count, 3))
    return points, np.full(count, 0.05)


def joined(*parts):
    return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])


@pytest.mark.parametrize('height', [0.02, 1.0, 40.0])  # the unit is arbitrary
def test_a_floor_has_its_height_and_its_up(height):
    points, stddev, down = floor(np.random.default_rng(0), height=height, tilt=(0.02, -0.01))
    found = ground_of_points(points, stddev)
    assert found.height == pytest.approx(height, rel=0.01)
    assert np.degrees(np.arccos(-found.up @ down)) < 0.5
    assert found.support > 150


def test_walls_boxes_and_mismatches_do_not_move_it():
    rng = np.random.default_rng(1)
    lifted = floor(rng, 40, height=1.2)  # the tops of boxes
    wild = rng.uniform((-2, 0.2, 1), (2, 6, 8), (40, 3)), np.full(40, 0.1)
    points, stddev = joined(floor(rng), wall(rng, 150), lifted, wild)
    assert ground_of_points(points, stddev).height == pytest.approx(1.6, rel=0.02)


def test_what_is_stated_is_what_is_found():
    """NEES of the logarithm: noise of points, bumps and all, is within what is said of it."""
    errors = []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        uneven = 1.6 * np.exp(0.04 * rng.standard_normal())
        tilt = 0.02 * rng.standard_normal(2)
        points, stddev, _ = floor(rng, 60, uneven, tilt, noise=0.05, bumps=0.03)
        found = ground_of_points(points, stddev, seed=seed)
        errors.append(np.log(found.height / 1.6) / (found.stddev / found.height))
    assert 0.6 < np.mean(np.square(errors)) < 1.5
    assert abs(np.mean(errors)) < 0.4


def test_more_noise_is_less_certain():
    spreads = [
        ground_of_points(*floor(np.random.default_rng(2), 60, noise=noise)[:2]).stddev
        for noise in (0.01, 0.03, 0.1)
    ]
    assert spreads[0] < spreads[1] < spreads[2]


@pytest.mark.parametrize(
    ('points', 'reason'),
    [
        (floor(np.random.default_rng(0), 8)[:2], '8 points where ground may be; 12 are needed'),
        (wall(np.random.default_rng(0), 300, at=3.0), 'level plane'),
        (
            floor(np.random.default_rng(0), tilt=(0.0, 0.6))[:2],  # a ramp is no ground
            'level plane',
        ),
        ((np.full((20, 3), np.nan), np.ones(20)), '0 points where ground may be'),
    ],
)
def test_where_there_is_no_ground_it_says_so(points, reason):
    found = ground_of_points(*points)
    assert isinstance(found, str)
    assert reason in found


def test_up_is_at_right_angles_to_what_drives():
    up = up_of_motion(np.array((0.0, 0.1, 1.0)))
    assert up @ (0.0, 0.1, 1.0) == pytest.approx(0)
    assert np.linalg.norm(up) == pytest.approx(1)
    assert up[1] < -0.99
    np.testing.assert_allclose(up_of_motion(np.array((1.0, 0.0, 0.0)), UP), UP)


def test_a_camera_that_looks_down_finds_the_floor_too():
    turn = Rotation.from_euler('x', 0.5).as_matrix()  # level axes in those of the camera
    points, stddev, _ = floor(np.random.default_rng(0))
    turned = points @ turn.T
    found = ground_of_points(turned, stddev * turned[:, 2] / points[:, 2], up=turn @ UP)
    assert found.height == pytest.approx(1.6, rel=0.02)


def test_two_grounds_that_agree_are_one_and_else_the_surer_counts():
    one = Ground(up=UP, height=1.0, stddev=0.03, support=20)
    two = Ground(up=UP, height=1.04, stddev=0.04, support=30)
    both = combined(one, two)
    assert both.height == pytest.approx(
        (1 / 0.03**2 + 1.04 / 0.04**2) / (1 / 0.03**2 + 1 / 0.04**2)
    )
    assert 1 / both.stddev**2 == pytest.approx(1 / 0.03**2 + 1 / 0.04**2)
    assert both.support == 50
    far = Ground(up=UP, height=2.0, stddev=0.3, support=30)
    assert combined(far, one) is one
    assert combined('no ground', one) is one
    assert combined(one, 'no ground') is one
    assert combined('none', 'no ground') == 'no ground'
