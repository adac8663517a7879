"""Odometry whose errors are known: scaled and moved truth, and errors drawn from a covariance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import block_diag, expm, logm
from scipy.spatial.transform import Rotation

from dlcv.evaluation.scoring.odometry import Covered, odometry_section, paired
from dlcv.types import Trajectory

STEP = 100_000_000  # ns
SECONDS = 0.1


def rigid(rotvec, position):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(rotvec).as_matrix()
    matrix[:3, 3] = position
    return matrix


ODOM_FROM_WORLD = rigid((0.2, -0.3, 1.1), (5, -7, 2))


def along(poses, every=1):
    poses = np.stack(poses)
    return Trajectory(
        stamps_ns=np.arange(0, len(poses) * every, every, np.int64) * STEP, world_from_body=poses
    )


def straight(metres, step=1.0):
    return along([rigid((0, 0, 0), (x, 0, 0)) for x in np.arange(0, metres + step / 2, step)])


def curved(count=200):
    angles = np.linspace(0, 5, count)
    positions = np.stack((30 * np.sin(angles), 30 * np.cos(angles), 3 * angles), axis=1)
    turns = np.stack((0.1 * np.sin(3 * angles), 0.2 * angles, -angles), axis=1)
    return along([rigid(turn, place) for turn, place in zip(turns, positions, strict=True)])


def published(path, covariances=None, twists=None, twist_covariances=None):
    count, nothing = len(path.stamps_ns), np.zeros((len(path.stamps_ns), 6, 6))
    return Covered(
        path=path,
        covariances=nothing if covariances is None else covariances,
        twists=np.zeros((count, 6)) if twists is None else twists,
        twist_covariances=nothing if twist_covariances is None else twist_covariances,
    )


def scaled(truth, scale, world=ODOM_FROM_WORLD):
    poses = truth.world_from_body.copy()
    poses[:, :3, 3] *= scale
    return Trajectory(stamps_ns=truth.stamps_ns, world_from_body=world @ poses)


def metrics(found, truth, **more):
    return {metric.name: metric for metric in odometry_section(found, truth, **more).metrics}


def rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def test_truth_that_was_moved_has_no_error():
    truth = curved()
    found = metrics(published(scaled(truth, 1)), truth)
    for name in ('ATE (first pose)', 'ATE (SE3)', 'ATE (Sim3)', 'RPE (none)', 'RPE turn'):
        assert found[name].value == pytest.approx(0, abs=1e-4)
    assert found['ATE (none)'].value > 1
    assert found['scale'].value == pytest.approx(1)
    assert found['t_rel'].value == pytest.approx(0, abs=1e-6)


def test_truth_that_was_scaled_by_two():
    truth = straight(450)  # in a straight line twice the way is off by the way
    found = metrics(published(scaled(truth, 2)), truth)
    ways = np.arange(451)
    assert found['ATE (first pose)'].value == pytest.approx(rms(ways))
    assert found['ATE (SE3)'].value == pytest.approx(rms(ways - 225))
    assert found['ATE (Sim3)'].value == pytest.approx(0, abs=1e-6)
    assert found['scale'].value == pytest.approx(0.5)
    assert found['RPE (none)'].value == pytest.approx(1)
    assert found['RPE (Sim3)'].value == pytest.approx(0, abs=1e-6)
    assert found['RPE turn'].value == pytest.approx(0, abs=1e-5)
    assert found['scale drift'].value == pytest.approx(0, abs=1e-6)
    # a segment of L ends at the first pose beyond L, a metre later; it starts at every tenth
    starts = {length: len(range(0, 450 - length, 10)) for length in (100, 200, 300, 400)}
    errors = [100 * (length + 1) / length for length, n in starts.items() for _ in range(n)]
    assert found['t_rel'].value == pytest.approx(np.mean(errors))
    assert len(found['t_rel'].samples) == len(errors)
    assert found['r_rel'].value == pytest.approx(0, abs=1e-5)
    assert 't_rel (eighths)' not in found


def test_a_way_that_turns_too_far():
    """A degree too much per metre: after a segment of L m it is off by L degrees."""
    truth = straight(150)
    turned = [rigid((0, 0, np.radians(x)), (x, 0, 0)) for x in range(151)]
    found = metrics(published(along(turned)), truth)
    assert found['RPE turn'].value == pytest.approx(1)
    assert found['r_rel'].value == pytest.approx(101)  # 101 degrees per 100 m


def test_a_short_way_has_no_t_rel_but_eighths():
    truth = straight(80, step=0.5)
    found = metrics(published(scaled(truth, 2)), truth)
    assert found['t_rel'].text == 'the way is 80.0 m; the shortest segment is 100 m'
    assert found['r_rel'].value is None
    lengths = [10, 20, 30, 40, 50, 60, 70]  # starts lie 5 m apart, ends half a metre beyond
    errors = [100 * (way + 0.5) / way for way in lengths for _ in range(0, 80 - way, 5)]
    assert found['t_rel (eighths)'].value == pytest.approx(np.mean(errors))
    assert 'segments of 10.0 to 70.0 m' in found['t_rel (eighths)'].doc
    assert found['r_rel (eighths)'].value == pytest.approx(0, abs=1e-4)
    assert found['scale drift'].text.startswith('it takes more than 200 m of way')


def test_a_scale_that_drifts():
    truth = straight(400)
    ways = np.cumsum([0, *(1.1 ** (np.arange(400) // 100))])  # 10 % more every 100 m
    found = metrics(published(along([rigid((0, 0, 0), (x, 0, 0)) for x in ways])), truth)
    assert found['scale drift'].value == pytest.approx(10)


def test_an_estimate_that_stands_still_has_no_scale():
    truth = straight(250)
    still = Trajectory(stamps_ns=truth.stamps_ns, world_from_body=np.tile(np.eye(4), (251, 1, 1)))
    found = metrics(published(still), truth)
    assert found['scale'].text == 'the estimate does not move'
    assert found['scale drift'].value is None
    assert found['ATE (first pose)'].value == pytest.approx(rms(np.arange(251)))


def test_a_body_that_stood_still_has_no_scale_and_no_errors_by_one():
    drifting = straight(0.5, step=0.01)
    noise = np.random.default_rng(1).normal(scale=1e-4, size=(51, 3))
    for jitter in (0, noise):  # motion capture is never quite still
        truth = straight(0.5, step=0.01)
        truth.world_from_body[:, :3, 3] = jitter
        section = odometry_section(published(drifting), truth)
        found = {metric.name: metric for metric in section.metrics}
        for name in ('scale', 'ATE (Sim3)', 'RPE (Sim3)'):
            assert found[name].text.startswith('degenerate: the true body does not move')
        assert found['ATE (SE3)'].value > 0.1
        assert found['RPE (none)'].value == pytest.approx(0.01, abs=1e-3)
        names = [series.name for plot in section.plots for series in plot.series]
        assert 'aligned, Sim3' not in names


def test_two_poses_have_no_alignment():
    truth = straight(1)
    found = metrics(published(scaled(truth, 3)), truth)
    for name in ('ATE (SE3)', 'ATE (Sim3)', 'RPE (Sim3)', 'scale'):
        assert found[name].text == 'degenerate: 2 poses, an alignment takes 3'
    assert found['RPE (none)'].value == pytest.approx(2)


def test_a_body_that_stood_still_has_no_segments():
    truth = straight(0.5, step=0.01)
    truth.world_from_body[:, :3, 3] = 0
    found = metrics(published(truth), truth)
    assert found['t_rel (eighths)'].text == 'no motion'
    assert found['ATE (SE3)'].value == pytest.approx(0, abs=1e-9)


# Truth that is not there, or not everywhere


def test_without_truth_no_metric_has_a_value():
    section = odometry_section(published(straight(150)), None)
    assert section.metrics
    for metric in section.metrics:
        assert metric.value is None
        assert metric.text == 'no truth'
        assert metric.samples == ()
    assert [series.name for series in section.plots[0].series] == ['odometry']


def test_no_odometry_is_told():
    section = odometry_section(None, straight(10))
    assert {m.text for m in section.metrics} == {'fewer than two poses were published'}
    assert section.plots == ()


def test_truth_of_a_part_of_the_way():
    path = straight(60)
    part = Trajectory(stamps_ns=path.stamps_ns[20:41], world_from_body=path.world_from_body[20:41])
    section = odometry_section(published(scaled(path, 2)), part)
    found = {metric.name: metric.value for metric in section.metrics}
    assert section.notes[0] == '21 of 61 poses have a true one; the true way is 20.0 m long.'
    assert found['ATE (first pose)'] == pytest.approx(rms(np.arange(21)))
    assert found['scale'] == pytest.approx(0.5)


def test_truth_of_other_times():
    path = straight(60)
    late = Trajectory(stamps_ns=path.stamps_ns + 10**12, world_from_body=path.world_from_body)
    texts = {metric.text for metric in odometry_section(published(path), late).metrics}
    assert texts == {'no truth at the times of the poses'}


def test_truth_between_poses_unless_they_are_too_far_apart():
    path, sparse = straight(8), along([rigid((0, 0, 0), (x, 0, 0)) for x in (0, 4, 8)], every=4)
    assert len(paired(path, sparse, 3 * STEP)) == 3
    pairs = paired(path, sparse, 4 * STEP)
    np.testing.assert_allclose(pairs.truth, path.world_from_body, atol=1e-12)
    far = {m.name: m for m in odometry_section(published(path), sparse, max_gap_ns=STEP).metrics}
    assert len(far['ATE (SE3)'].samples) == 3


# Covariances


def spread(rng):
    """Return a covariance whose axes matter: wide and narrow, in no axis of the frame."""
    wide, turn = (Rotation.random(random_state=rng).as_matrix() for _ in range(2))
    axes = block_diag(wide, turn)
    return axes @ np.diag(np.square((0.3, 0.03, 0.003, 0.02, 0.002, 0.0002))) @ axes.T


def drawn(covariance, count, rng):
    return rng.multivariate_normal(np.zeros(6), covariance, count)


def wrong_poses(truth, covariance, rng):
    """Return poses in odom: position and orientation off in the axes of odom, the first right."""
    poses = ODOM_FROM_WORLD @ truth.world_from_body
    errors = drawn(covariance, len(poses), rng)
    errors[0] = 0
    for pose, error in zip(poses, errors, strict=True):
        pose[:3, :3] = Rotation.from_rotvec(error[3:]).as_matrix() @ pose[:3, :3]
        pose[:3, 3] += error[:3]
    return Trajectory(stamps_ns=truth.stamps_ns, world_from_body=poses)


def share(truth, path, stated):
    many = np.tile(stated, (len(path.stamps_ns), 1, 1))
    return metrics(published(path, covariances=many), truth)['poses in 95 %']


def test_poses_lie_in_their_ellipsoids_where_the_covariance_is_true():
    rng, truth = np.random.default_rng(1), curved(3000)
    covariance = spread(rng)
    path = wrong_poses(truth, covariance, rng)
    true = share(truth, path, covariance)
    assert len(true.samples) == 2999  # of the first pose nothing can be said
    assert true.value == pytest.approx(95, abs=1.6)  # four standard deviations
    assert share(truth, path, covariance / 9).value < 20
    assert share(truth, path, 9 * covariance).value == 100
    axes = np.kron(np.eye(2), ODOM_FROM_WORLD[:3, :3])
    assert share(truth, path, axes.T @ covariance @ axes).value < 20  # as if in the truth's axes


def velocities(truth):
    """Return the true constant velocities between poses, by the logarithm of matrices."""
    found = [np.zeros(6)]
    for before, after in zip(truth.world_from_body[:-1], truth.world_from_body[1:], strict=True):
        motion = logm(np.linalg.inv(before) @ after).real / SECONDS
        found.append([*motion[:3, 3], motion[2, 1], motion[0, 2], motion[1, 0]])
    return np.array(found)


def moved_by(twists):
    """Return the poses to which velocities in the axes of the body lead."""
    poses = [np.eye(4)]
    for vx, vy, vz, wx, wy, wz in twists[1:]:
        step = [[0, -wz, wy, vx], [wz, 0, -wx, vy], [-wy, wx, 0, vz], [0, 0, 0, 0]]
        poses.append(poses[-1] @ expm(SECONDS * np.array(step)))
    return along(poses)


def test_velocities_have_a_nees_of_six_where_their_covariance_is_true():
    rng, truth = np.random.default_rng(2), curved(1000)
    covariance = spread(rng)
    twists = velocities(truth) + drawn(covariance, 1000, rng)
    path = moved_by(twists)  # what a node would publish

    def found(stated):
        many = np.tile(stated, (1000, 1, 1))
        return metrics(published(path, twists=twists, twist_covariances=many), truth)

    true = found(covariance)
    assert len(true['NEES'].samples) == 999
    assert true['NEES'].value == pytest.approx(6, abs=4 * np.sqrt(12 / 999))
    assert true['motions in 95 %'].value == pytest.approx(95, abs=2.8)
    assert found(covariance / 4)['NEES'].value == pytest.approx(4 * true['NEES'].value)
    assert found(covariance / 4)['motions in 95 %'].value < 50


def test_true_velocities_have_no_error():
    truth = curved(50)
    many = np.tile(1e-6 * np.eye(6), (50, 1, 1))
    exact = published(scaled(truth, 1), twists=velocities(truth), twist_covariances=many)
    assert metrics(exact, truth)['NEES'].value == pytest.approx(0, abs=1e-3)


def test_velocities_over_poses_without_truth_do_not_count():
    truth = curved(40)
    kept = np.r_[0:10, 20:40]
    part = Trajectory(stamps_ns=truth.stamps_ns[kept], world_from_body=truth.world_from_body[kept])
    many = np.tile(np.eye(6), (40, 1, 1))
    found = published(truth, covariances=many, twists=velocities(truth), twist_covariances=many)
    assert len(metrics(found, part)['NEES'].samples) == 28  # not that from the 10th to the 21st
    assert len(metrics(found, part)['poses in 95 %'].samples) == 29


def test_covariances_of_zeros_say_nothing():
    truth = curved(50)
    found = metrics(published(truth), truth)
    for name in ('poses in 95 %', 'motions in 95 %', 'NEES'):
        assert found[name].text == 'no covariance was stated'
