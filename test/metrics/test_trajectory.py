"""Trajectory errors have known answers and do not depend on what they must not depend on."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.metrics.trajectory import (
    ALIGNMENTS,
    PosePairs,
    TrajectoryMetricError,
    absolute_errors,
    align,
    associate,
    degenerate,
    drift,
    fitting_lengths,
    relative_errors,
    scale_drift,
)
from dlcv.types import Trajectory


def pose(xyz, rotvec=(0, 0, 0)):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    matrix[:3, 3] = xyz
    return matrix


def pairs_of(estimate, truth):
    return PosePairs(stamps_ns=np.arange(len(truth)), estimate=estimate, truth=truth)


@pytest.fixture
def walk():
    """Positions and turns of a smooth random walk, 300 poses over some 300 m."""
    rng = np.random.default_rng(1)
    poses = [np.eye(4)]
    for turn in np.cumsum(rng.normal(0, 0.01, (299, 3)), axis=0) / 5:
        poses.append(poses[-1] @ pose((0.1, 0, 1), turn))
    return np.stack(poses)


def straight(count, step=1.0):
    return np.stack([pose((0, 0, step * i)) for i in range(count)])


def test_what_alignments_take_away(walk):
    """A moved, turned and scaled trajectory is perfect after the alignment that undoes it."""
    move = pose((5, -3, 2), (0.3, -1, 2))
    moved = move @ walk
    scaled = moved.copy()
    scaled[:, :3, 3] *= 0.5
    errors = {
        (name, alignment): absolute_errors(pairs_of(estimate, walk), alignment).rmse
        for name, estimate in (('moved', moved), ('scaled', scaled))
        for alignment in ALIGNMENTS
    }
    perfect = {key for key, value in errors.items() if value < 1e-9}
    assert perfect == {
        ('moved', 'origin'), ('moved', 'scale'), ('moved', 'se3'), ('moved', 'sim3'),
        ('scaled', 'scale'), ('scaled', 'sim3'),
    }  # fmt: skip
    assert align(pairs_of(scaled, walk), 'sim3').scale == pytest.approx(2)
    rotations = absolute_errors(pairs_of(scaled, walk), 'sim3').degrees
    np.testing.assert_allclose(rotations, 0, atol=1e-6)


def test_alignment_is_the_best_one(walk):
    """No small change of the transform makes the squared error smaller."""
    rng = np.random.default_rng(0)
    noisy = walk.copy()
    noisy[:, :3, 3] += rng.normal(0, 3, (300, 3))
    for alignment in ('se3', 'sim3'):
        found = align(pairs_of(noisy, walk), alignment)
        best = absolute_errors(pairs_of(noisy, walk), alignment).rmse
        for _ in range(20):
            turn = Rotation.from_rotvec(rng.normal(0, 1e-3, 3)).as_matrix() @ found.rotation
            scale = found.scale * (1 + rng.normal(0, 1e-3) * (alignment == 'sim3'))
            shift = found.translation + rng.normal(0, 1e-2, 3)
            other = scale * noisy[:, :3, 3] @ turn.T + shift
            assert np.sqrt(np.mean(np.sum((other - walk[:, :3, 3]) ** 2, axis=1))) > best


def test_a_mirrored_trajectory_is_not_mirrored_back(walk):
    mirrored = walk.copy()
    mirrored[:, 0, 3] *= -1
    found = align(pairs_of(mirrored, walk), 'se3')
    assert np.linalg.det(found.rotation) == pytest.approx(1)


@pytest.mark.parametrize('alignment', ALIGNMENTS)
def test_a_straight_line_and_a_single_pose_can_be_aligned(alignment):
    line = straight(20)
    assert absolute_errors(pairs_of(line, line), alignment).rmse < 1e-9
    alone = absolute_errors(pairs_of(line[:1], line[:1]), alignment)
    assert alone.rmse == pytest.approx(0)
    still = np.repeat(line[:1], 5, axis=0)
    assert math.isfinite(absolute_errors(pairs_of(still, line[:5]), alignment).rmse)


def test_known_absolute_error():
    truth, estimate = straight(4), straight(4)
    estimate[2] = pose((3, 0, 2), (0, 0, math.radians(30)))
    errors = absolute_errors(pairs_of(estimate, truth), 'none')
    np.testing.assert_allclose(errors.metres, [0, 0, 3, 0])
    np.testing.assert_allclose(errors.degrees, [0, 0, 30, 0], atol=1e-9)
    assert errors.rmse == pytest.approx(1.5)
    assert errors.rmse_degrees == pytest.approx(15)


def test_relative_errors_do_not_see_the_world(walk):
    rng = np.random.default_rng(2)
    noisy = np.stack([p @ pose(rng.normal(0, 0.1, 3), rng.normal(0, 0.01, 3)) for p in walk])
    here = relative_errors(pairs_of(noisy, walk), delta=3)
    there = relative_errors(pairs_of(pose((9, 8, 7), (1, 2, 3)) @ noisy, walk), delta=3)
    assert len(here.metres) == 297
    np.testing.assert_allclose(here.metres, there.metres, atol=1e-9)
    slow = [
        np.linalg.inv(np.linalg.inv(walk[i]) @ walk[i + 3]) @ np.linalg.inv(noisy[i]) @ noisy[i + 3]
        for i in range(297)
    ]
    np.testing.assert_allclose(here.metres, [np.linalg.norm(m[:3, 3]) for m in slow], atol=1e-9)


def test_relative_errors_over_metres():
    truth, estimate = straight(50, 0.5), straight(50, 0.55)
    by_truth = relative_errors(pairs_of(estimate, truth), delta=10, unit='metres')
    assert len(by_truth.metres) == 50 - 18  # an end within a tenth will do: 18 steps are 9 m
    assert by_truth.metres[0] == pytest.approx(1)
    by_estimate = relative_errors(
        pairs_of(estimate, truth), delta=11, unit='metres', along='estimate'
    )
    assert by_estimate.metres[0] == pytest.approx(1)
    scaled = relative_errors(pairs_of(estimate, truth), delta=1, alignment='sim3')
    assert scaled.rmse == pytest.approx(0, abs=1e-9)


def test_drift_of_a_scaled_and_of_a_turning_drive():
    truth = straight(1001)
    two_percent = drift(pairs_of(straight(1001, 1.02), truth))
    assert two_percent.t_rel == pytest.approx(2.008, abs=0.005)  # segments are a little too long
    assert two_percent.r_rel == pytest.approx(0, abs=1e-9)
    assert {s.length for s in two_percent.segments} == {100 * i for i in range(1, 9)}
    assert all(s.end - s.start == s.length + 1 for s in two_percent.segments)
    assert all(s.start % 10 == 0 for s in two_percent.segments)
    turning = straight(1001)
    for i in range(1001):
        turning[i, :3, :3] = Rotation.from_rotvec((0, math.radians(0.02 * i), 0)).as_matrix()
    found = drift(pairs_of(turning, truth))
    assert found.r_rel == pytest.approx(0.02 * 100, rel=0.02)
    assert len(found.of_length(800).segments) == 20  # starts 0, 10, ..., 190


def test_a_way_too_short_for_kitti():
    pairs = pairs_of(straight(81), straight(81))
    nothing = drift(pairs)
    assert nothing.segments == ()
    assert math.isnan(nothing.t_rel)
    assert nothing.path == pytest.approx(80)
    assert fitting_lengths(pairs) == tuple(10.0 * i for i in range(1, 8))
    assert drift(pairs, fitting_lengths(pairs)).t_rel == pytest.approx(0, abs=1e-9)
    assert fitting_lengths(pairs_of(straight(251), straight(251))) == (100, 200)
    assert fitting_lengths(pairs_of(np.repeat(np.eye(4)[None], 3, 0), straight(3)[[0, 0, 0]])) == ()


def test_scale_drift_is_the_growth_over_a_hundred_metres():
    truth = straight(1001)
    growth = 1.05 ** (np.arange(1001) / 100)
    estimate = truth.copy()
    estimate[1:, 2, 3] = np.cumsum((growth[1:] + growth[:-1]) / 2)
    assert scale_drift(pairs_of(estimate, truth)) == pytest.approx(5, rel=1e-3)
    assert scale_drift(pairs_of(truth, truth)) == pytest.approx(0, abs=1e-9)
    assert math.isnan(scale_drift(pairs_of(truth[:50], truth[:50])))


def trajectory(seconds):
    stamps = np.round(np.array(seconds) * 1e9).astype(np.int64)
    return Trajectory(stamps_ns=stamps, world_from_body=straight(len(stamps)))


def test_poses_are_paired_by_time():
    estimate = trajectory([0.0, 0.1, 0.2, 0.35])
    truth = trajectory([-1, 0.004, 0.095, 0.104, 0.3, 0.34])
    pairs = associate(estimate, truth)
    assert pairs.stamps_ns.tolist() == [0, 10**8, 350_000_000]
    assert pairs.truth[:, 2, 3].tolist() == [1, 3, 5]
    assert pairs.estimate[:, 2, 3].tolist() == [0, 1, 3]
    swapped = associate(truth, estimate)
    assert swapped.truth[:, 2, 3].tolist() == [0, 1, 3]
    late = associate(estimate, trajectory([9.5, 9.6]), offset_ns=-9_500_000_000)
    assert len(late) == 2


def test_trajectories_that_do_not_meet():
    with pytest.raises(TrajectoryMetricError, match=r'0\.000 to 0\.100 s.*5\.000 to 6\.000 s'):
        associate(trajectory([0, 0.1]), trajectory([5, 6]))
    with pytest.raises(TrajectoryMetricError, match="no alignment 'best'"):
        align(pairs_of(straight(2), straight(2)), 'best')
    with pytest.raises(TrajectoryMetricError, match='no poses'):
        align(pairs_of(np.zeros((0, 4, 4)), np.zeros((0, 4, 4))), 'se3')
    with pytest.raises(TrajectoryMetricError, match=r'delta > 0 frames, got 0\.5'):
        relative_errors(pairs_of(straight(3), straight(3)), delta=0.5)
    with pytest.raises(TrajectoryMetricError, match=r'expected 2 poses'):
        pairs_of(straight(3), straight(2))


def test_what_too_few_or_still_poses_do_not_decide(walk):
    pairs = pairs_of(walk, walk)
    assert [degenerate(pairs, alignment) for alignment in ALIGNMENTS] == [''] * 5
    few = pairs_of(walk[:2], walk[:2])
    assert degenerate(few, 'se3') == 'degenerate: 2 poses, an alignment takes 3'
    assert [bool(degenerate(few, one)) for one in ALIGNMENTS] == [False, False, False, True, True]
    noise = np.random.default_rng(0).normal(scale=1e-4, size=walk[:, :3, 3].shape)
    still = walk.copy()
    still[:, :3, 3] = walk[0, :3, 3] + noise
    for alignment in ('sim3', 'scale'):
        assert 'the true body does not move' in degenerate(pairs_of(walk, still), alignment)
    assert degenerate(pairs_of(walk, still), 'se3') == ''
    assert degenerate(pairs_of(still, walk), 'sim3') == ''
