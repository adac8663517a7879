"""Camera motions into body odometry, against known answers and Monte Carlo."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.body import (
    BodyOdometry,
    BodySettings,
    compounded,
    on_body,
    swung,
    twist_of,
)
from dlcv.types import Motion

SECOND = 10**9
FORWARD = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1]], np.float64)
LIMITS = np.repeat((40.0, 3.5), 3)


def _rigid(rotation: Rotation, *shift: float) -> Any:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = rotation.as_matrix(), shift
    return matrix


def _mounted(*lever: float) -> Any:
    mount = FORWARD.copy()
    mount[:3, 3] = lever
    return mount


def _motion(step: Any, start: float = 0.0, seconds: float = 0.1, variance: float = 1e-4) -> Motion:
    return Motion(
        stamp_ns=round((start + seconds) * SECOND),
        previous_stamp_ns=round(start * SECOND),
        previous_from_current=step,
        odom_from_camera=step,
        covariance=np.eye(6) * variance,
    )


def _disturbed(matrix: Any, errors: Any) -> Any:
    """Apply errors ``(N, 6)`` as ROS means them: shift, and a turn in the frame's axes."""
    out = np.broadcast_to(matrix, (len(errors), 4, 4)).copy()
    out[:, :3, :3] = Rotation.from_rotvec(errors[:, 3:]).as_matrix() @ matrix[:3, :3]
    out[:, :3, 3] += errors[:, :3]
    return out


def _errors(matrices: Any, truth: Any) -> Any:
    turns = Rotation.from_matrix(matrices[:, :3, :3] @ truth[:3, :3].T).as_rotvec()
    return np.hstack((matrices[:, :3, 3] - truth[:3, 3], turns))


def _spread(seed: int, scale: float = 0.01) -> Any:
    root = np.random.default_rng(seed).normal(size=(6, 6)) * scale
    return root @ root.T


def test_forward_for_the_camera_is_forward_for_the_body() -> None:
    body = BodyOdometry()
    state = body.advance(_motion(_rigid(Rotation.identity(), 0, 0, 2)), FORWARD)
    np.testing.assert_allclose(state.odom_from_base[:3, 3], (2, 0, 0), atol=1e-12)
    np.testing.assert_allclose(state.twist, (20, 0, 0, 0, 0, 0), atol=1e-9)


def test_a_camera_before_the_axle_swings_when_the_body_turns_on_the_spot() -> None:
    mount, yaw = _mounted(1.5, 0, 0.8), 0.3
    turn = _rigid(Rotation.from_euler('z', yaw), 0, 0, 0)
    seen = np.linalg.inv(mount) @ turn @ mount
    assert np.linalg.norm(seen[:3, 3]) > 0.4
    state = BodyOdometry().advance(_motion(seen, seconds=0.5), mount)
    np.testing.assert_allclose(state.odom_from_base, turn, atol=1e-12)
    np.testing.assert_allclose(state.twist, (0, 0, 0, 0, 0, yaw / 0.5), atol=1e-9)


def test_a_circle_ends_where_it_began() -> None:
    body, mount = BodyOdometry(), _mounted(1, 0.2, 0.5)
    step = _rigid(Rotation.from_euler('z', 2 * np.pi / 100), 0.1, 0, 0)
    seen = np.linalg.inv(mount) @ step @ mount
    for i in range(100):
        state = body.advance(_motion(seen, start=0.1 * i), mount)
    np.testing.assert_allclose(state.odom_from_base, np.eye(4), atol=1e-9)


def test_twist_is_the_velocity_that_makes_the_step() -> None:
    velocity = np.array((3, -1, 0.5, 0.2, -0.4, 1.1))
    small, pose = _rigid(Rotation.from_rotvec(velocity[3:] * 1e-5), *velocity[:3] * 1e-5), np.eye(4)
    for _ in range(50_000):  # integrate half a second in small steps
        pose = pose @ small
    np.testing.assert_allclose(twist_of(pose, 0.5), velocity, atol=1e-3)
    np.testing.assert_allclose(twist_of(np.eye(4), 0.5), np.zeros(6))


@pytest.mark.parametrize('joint', [False, True])
@pytest.mark.parametrize('seed', range(3))
def test_motion_covariance_on_the_body_agrees_with_monte_carlo(seed: int, joint: bool) -> None:
    generator = np.random.default_rng(seed)
    mount = _rigid(Rotation.random(random_state=seed), 1.0, -2.0, 0.5)
    motion = _rigid(Rotation.from_rotvec((0.1, -0.3, 0.2)), 0.5, 0.2, 2.0)
    spread = _spread(seed)
    turned = _rigid(Rotation.from_rotvec((0, 0, 0.4)), 0.1, 0, 0) @ mount  # by a joint meanwhile
    after = turned if joint else mount
    moved, predicted = on_body(motion, spread, after, mount if joint else None)
    noisy = _disturbed(motion, generator.multivariate_normal(np.zeros(6), spread, 40_000))
    drawn = mount @ noisy @ np.linalg.inv(after)
    measured = np.cov(_errors(drawn, moved).T)
    assert np.linalg.norm(measured - predicted) < 0.04 * np.linalg.norm(predicted)


@pytest.mark.parametrize('seed', range(3))
def test_pose_covariance_after_steps_agrees_with_monte_carlo(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pose, covariance = _rigid(Rotation.random(random_state=seed), 5, 6, 7), _spread(seed, 0.005)
    drawn = _disturbed(pose, generator.multivariate_normal(np.zeros(6), covariance, 40_000))
    step, spread = _rigid(Rotation.from_rotvec((0, 0.1, 0.4)), 3, 0.5, 0), _spread(seed + 9, 0.005)
    for _ in range(4):
        pose, covariance = compounded(pose, covariance, step, spread)
        noise = generator.multivariate_normal(np.zeros(6), spread, 40_000)
        drawn = drawn @ _disturbed(step, noise)
    measured = np.cov(_errors(drawn, pose).T)
    assert np.linalg.norm(measured - covariance) < 0.04 * np.linalg.norm(covariance)


@pytest.mark.parametrize('seed', range(3))
def test_covariance_beside_a_pose_agrees_with_monte_carlo(seed: int) -> None:
    generator = np.random.default_rng(seed)
    pose, spread = _rigid(Rotation.random(random_state=seed), 5, 6, 7), _spread(seed)
    beside = _rigid(Rotation.random(random_state=9), 0.4, -1.0, 2.0)
    drawn = _disturbed(pose, generator.multivariate_normal(np.zeros(6), spread, 40_000)) @ beside
    measured = np.cov(_errors(drawn, pose @ beside).T)
    predicted = swung(spread, pose[:3, :3] @ beside[:3, 3])
    assert np.linalg.norm(measured - predicted) < 0.04 * np.linalg.norm(predicted)


def test_a_covariance_that_is_known_counts_instead_of_the_sum() -> None:
    body = BodyOdometry()
    step = _rigid(Rotation.identity(), 0, 0, 1)
    known = np.diag((1.0, 2, 3, 4, 5, 0))
    state = body.advance(_motion(step), FORWARD, pose_covariance=known)
    np.testing.assert_allclose(state.covariance, known, atol=1e-8)
    assert state.covariance[5, 5] > 0  # a filter must be able to invert it
    lost = body.held(2 * SECOND, LIMITS, np.diag((0.5, 9, 0, 0, 0, 0)))
    assert lost.covariance[0, 0] > 1
    assert lost.covariance[1, 1] >= 9
    assert lost.covariance[2, 2] > 3


def test_covariances_are_symmetric_positive_and_grow_with_the_path() -> None:
    body, last = BodyOdometry(), 0.0
    step = _rigid(Rotation.from_euler('y', 0.02), 0, 0, 1)
    for i in range(200):
        state = body.advance(_motion(step, start=0.1 * i), _mounted(1, 0, 1))
        np.testing.assert_array_equal(state.covariance, state.covariance.T)
        assert np.linalg.eigvalsh(state.covariance)[0] > 0
        assert np.linalg.eigvalsh(state.twist_covariance)[0] > 0
        assert np.trace(state.covariance) > last
        last = float(np.trace(state.covariance))


def test_twist_covariance_is_the_motions_over_time_with_floors() -> None:
    floors = (0.1, 0.2, 0.3, 0.04, 0.05, 0.06)
    body = BodyOdometry(BodySettings(twist_stddev=floors))
    quiet = body.advance(_motion(np.eye(4), variance=1e-12), FORWARD)
    np.testing.assert_allclose(np.sqrt(np.diag(quiet.twist_covariance)), floors)
    noisy = body.advance(_motion(np.eye(4), start=0.1, variance=0.25), FORWARD)
    np.testing.assert_allclose(np.diag(noisy.twist_covariance), 0.25 / 0.1**2)


def test_two_d_mode_keeps_to_the_floor() -> None:
    body = BodyOdometry(BodySettings(two_d_mode=True))
    step = _rigid(Rotation.from_euler('xyz', (0.1, 0.05, 0.07)), 0.1, 0.2, 1)
    for i in range(20):
        state = body.advance(_motion(step, start=0.1 * i), FORWARD)
    assert state.odom_from_base[2, 3] == 0
    np.testing.assert_allclose(state.odom_from_base[2, :3], (0, 0, 1), atol=1e-12)
    np.testing.assert_allclose(state.twist[2:5], 0, atol=1e-12)
    out, flat = [2, 3, 4], [0, 1, 5]
    assert (np.diag(state.covariance)[out] < 1e-6).all()
    np.testing.assert_allclose(state.covariance[np.ix_(out, flat)], 0, atol=1e-12)
    assert np.linalg.eigvalsh(state.covariance)[0] > 0


def test_set_pose_goes_on_from_there() -> None:
    body = BodyOdometry()
    start = _rigid(Rotation.from_euler('z', np.pi / 2), 10, 20, 0)
    body.set_pose(start, np.eye(6) * 0.5)
    state = body.advance(_motion(_rigid(Rotation.identity(), 0, 0, 1)), FORWARD)
    np.testing.assert_allclose(state.odom_from_base[:3, 3], (10, 21, 0), atol=1e-12)
    assert np.diag(state.covariance)[0] > 0.5


def test_the_first_image_stands_at_the_start_at_any_speed() -> None:
    body = BodyOdometry()
    assert body.new
    state = body.begin(5, LIMITS)
    assert not body.new
    np.testing.assert_array_equal(state.odom_from_base, np.eye(4))
    np.testing.assert_allclose(np.sqrt(np.diag(state.twist_covariance)), LIMITS)
    assert (np.diag(state.covariance) > 0).all()


def test_while_lost_the_pose_stays_and_is_trusted_less() -> None:
    body = BodyOdometry()
    moved = body.advance(_motion(_rigid(Rotation.identity(), 0, 0, 1), seconds=0.1), FORWARD)
    held = body.held(round(1.1 * SECOND), LIMITS)
    np.testing.assert_array_equal(held.odom_from_base, moved.odom_from_base)
    grown = np.sqrt(np.diag(held.covariance)) - np.sqrt(np.diag(moved.covariance))
    np.testing.assert_allclose(grown[:3], 10.0)  # it went on at 10 m/s for a second, or not
    assert (grown[3:] > 0).all()
    again = body.advance(_motion(np.eye(4), start=0.1), FORWARD)  # `held` changed nothing
    assert np.diag(again.covariance)[0] < 1


def test_hold_leaves_the_pose_and_keeps_the_doubt() -> None:
    body = BodyOdometry()
    body.advance(_motion(_rigid(Rotation.identity(), 0, 0, 1)), FORWARD)
    body.hold(round(0.6 * SECOND))
    body.hold(round(1.1 * SECOND))
    state = body.advance(_motion(np.eye(4), start=1.1), FORWARD)
    np.testing.assert_allclose(state.odom_from_base[:3, 3], (1, 0, 0))
    assert np.sqrt(np.diag(state.covariance))[0] == pytest.approx(10, rel=0.01)


def test_reset_returns_to_the_origin() -> None:
    body = BodyOdometry()
    body.advance(_motion(_rigid(Rotation.identity(), 0, 0, 1)), FORWARD)
    body.reset()
    assert body.new
    state = body.begin(9, LIMITS)
    np.testing.assert_array_equal(state.odom_from_base, np.eye(4))
