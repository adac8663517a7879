"""Errors drawn from a covariance are consistent with it, and with no other."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.metrics.consistency import Beliefs, ConsistencyError, Stretches, inside, needed, nees


@pytest.fixture
def drawn():
    """20,000 errors of six numbers, each from a covariance of its own."""
    rng = np.random.default_rng(0)
    factors = np.tril(rng.normal(0, 1, (20_000, 6, 6))) + 2 * np.eye(6)
    errors = (factors @ rng.normal(0, 1, (20_000, 6, 1)))[..., 0]
    return errors, factors @ factors.transpose(0, 2, 1)


def test_true_covariances(drawn):
    errors, covariances = drawn
    assert nees(errors, covariances).mean() == pytest.approx(6, rel=0.02)
    for share in (0.5, 0.9, 0.95, 0.99):
        assert inside(errors, covariances, share) == pytest.approx(share, abs=0.01)


def test_covariances_that_promise_too_much_or_too_little(drawn):
    errors, covariances = drawn
    assert inside(errors, covariances / 4) < 0.4
    assert inside(errors, covariances * 4) > 0.9999
    np.testing.assert_allclose(nees(errors, covariances / 4), 4 * nees(errors, covariances))


def test_known_answer():
    covariance = np.diag([4.0, 9.0])[None]
    assert nees(np.array([[2.0, 3.0]]), covariance)[0] == pytest.approx(2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConsistencyError, match=r'\(2, 3\) and \(2, 3\)'):
        nees(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ConsistencyError, match='not positive definite'):
        nees(np.zeros((1, 2)), np.diag([1.0, 0.0])[None])
    with pytest.raises(ConsistencyError, match='between 0 and 1, got 95'):
        inside(np.zeros((1, 2)), np.eye(2)[None], 95)
    assert math.isnan(inside(np.zeros((0, 2)), np.zeros((0, 2, 2))))


def test_the_factor_that_is_needed_is_what_they_were_divided_by(drawn):
    errors, covariances = drawn
    assert needed(errors, covariances) == pytest.approx(1, rel=0.02)
    assert needed(errors, covariances / 7) == pytest.approx(7, rel=0.02)
    assert inside(errors, needed(errors, covariances / 7, 0.6) * covariances / 7, 0.6) == (
        pytest.approx(0.6, abs=1e-3)
    )
    assert math.isnan(needed(np.zeros((0, 6)), np.zeros((0, 6, 6))))


def moved(vector):
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = Rotation.from_rotvec(vector[3:]).as_matrix(), vector[:3]
    return pose


def test_beliefs_in_another_unit_are_as_good():
    rng = np.random.default_rng(1)
    rows = [(moved(rng.normal(0, 0.1, 6)), moved(rng.normal(0, 0.1, 6)), 0.02 * np.eye(6))
            for _ in range(20)]  # fmt: skip
    beliefs = Beliefs.of(rows)
    foreign = Beliefs(
        found=beliefs.scaled(0.25).found,
        true=beliefs.true,
        covariances=beliefs.scaled(0.25).covariances,
    )
    np.testing.assert_allclose(foreign.scaled(4).errors, beliefs.errors, atol=1e-12)
    np.testing.assert_allclose(foreign.scaled(4).covariances, beliefs.covariances, atol=1e-12)
    assert len(Beliefs.joined([beliefs, Beliefs.of([])])) == 20


def test_truths_that_are_timed_badly_are_doubted():
    """Steps of 1 m and 0.1 rad whose truth is taken too early or too late, by 3 % of a step."""
    rng = np.random.default_rng(3)
    late = 0.03 * rng.normal(size=4001)
    step = np.array([1.0, 0.2, 0.0, 0.0, 0.1, 0.0])
    noise = np.diag(np.square([0.01, 0.01, 0.01, 0.001, 0.001, 0.001]))
    rows = [(moved(step + np.sqrt(np.diag(noise)) * rng.normal(size=6)), moved(f * step), noise)
            for f in 1 + np.diff(late)]  # fmt: skip
    exact, fair = (Beliefs.of(rows).timed(share) for share in (0.0, 0.03))
    assert inside(exact.errors, exact.covariances) < 0.6
    assert inside(fair.errors, fair.covariances) == pytest.approx(0.95, abs=0.01)
    assert len(Beliefs.of([]).timed(0.03)) == 0


def test_stretches_are_as_long_as_there_is_room_for():
    stretches = Stretches(76, (5, 20, 50))
    pose = np.eye(4)
    begun = [i for i in range(76) if stretches.push(pose, pose, np.eye(6))]
    assert begun == [0, 50, 70]  # 50 frames, then 20, then 5
    assert [len(stretches.after(n)) for n in (5, 20, 50)] == [3, 2, 1]


def test_no_stretch_begins_while_lost_but_one_goes_on():
    stretches = Stretches(12, (5,))
    pose = np.eye(4)
    lost = {0, 1, 4, 7}
    begun = [i for i in range(12) if stretches.push(pose, pose, np.eye(6), lost=i in lost)]
    assert begun == [2]
    assert len(stretches.after(5)) == 1


def test_poses_drift_as_their_summed_covariance_says():
    """Motions with noise in the older camera's axes, summed up to a pose in the axes of odom."""
    rng = np.random.default_rng(2)
    deviations = np.array([0.01, 0.02, 0.03, 0.002, 0.003, 0.001])
    step = np.array([0.05, 0.0, 0.4, 0.01, 0.05, 0.0])
    truth = moved(np.array([3.0, -2.0, 1.0, 0.3, 2.0, 0.1]))  # of another world than odom
    pose, covariance = np.eye(4), np.zeros((6, 6))
    stretches = Stretches(6001, (20,))
    for _ in range(6001):
        if stretches.push(pose, truth, covariance):
            covariance = np.zeros((6, 6))
        motion, noise = moved(step), deviations * rng.normal(size=6)
        found = moved(np.r_[np.zeros(3), noise[3:]]) @ motion
        found[:3, 3] = motion[:3, 3] + noise[:3]
        lever = pose[:3, :3] @ found[:3, 3]
        along = np.eye(6)
        along[:3, 3:] = np.cross(np.eye(3), lever).T  # w x lever
        turn = np.kron(np.eye(2), pose[:3, :3])
        covariance = along @ covariance @ along.T + turn @ np.diag(deviations**2) @ turn.T
        pose, truth = pose @ found, truth @ motion
    beliefs = stretches.after(20)
    assert len(beliefs) == 300
    assert nees(beliefs.errors, beliefs.covariances).mean() == pytest.approx(6, rel=0.1)
    assert inside(beliefs.errors, beliefs.covariances) == pytest.approx(0.95, abs=0.03)
