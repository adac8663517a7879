"""One camera on landmarks: found exactly, through outliers, and as uncertain as it says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dlcv.estimation.odometry.perturbation import moved_by
from dlcv.estimation.odometry.pose import Landmarks, PosePrior, refine_pose

PIXEL = 1 / 500
NOTHING = np.zeros(6)


def errors(found, truth):
    """Return the error ``(6,)`` of a pose as ROS means it."""
    turn = Rotation.from_matrix(found[:3, :3] @ truth[:3, :3].T).as_rotvec()
    return np.concatenate((found[:3, 3] - truth[:3, 3], turn))


def rotation(turn):
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    return matrix


def landmarks_of(scene, variance=0.0, rng=None):
    """Return the scene's landmarks, with errors of their depths where there is a source of them."""
    count = len(scene.anchor)
    noise = 0 if rng is None else np.sqrt(variance) * rng.normal(size=count)
    return Landmarks(
        odom_from_anchor=scene.poses,
        anchor=scene.anchor,
        rays=scene.rays,
        inverse_depth=scene.inverse_depth + noise,
        variance=np.full(count, variance),
    )


def started(truth, rng, metres=0.2, radians=0.02):
    return moved_by(truth, rng.normal(size=6) * np.repeat((metres, radians), 3))


@pytest.mark.parametrize('kernel', ['huber', 'cauchy', 'truncated'])
def test_without_noise_the_pose_is_exact(scene, kernel):
    truth = scene.poses[-1]
    start = moved_by(truth, np.repeat((0.002, 0.0005), 3))
    found = refine_pose(start, landmarks_of(scene), scene.seen(truth), PIXEL, kernel=kernel)
    np.testing.assert_allclose(found.odom_from_camera, truth, atol=1e-8)
    assert found.inliers.all()
    assert found.chi2 < 1e-8


@pytest.mark.parametrize('share', [0.3, 0.55])
def test_outliers_and_a_poor_start_change_nothing(scenes, share):
    for seed in range(20):
        scene, rng = scenes(seed), np.random.default_rng(seed)
        truth = scene.poses[-1]
        xy = scene.seen(truth)
        outlying = rng.random(len(xy)) < share
        xy[outlying] = rng.uniform(-0.5, 0.5, (outlying.sum(), 2))
        found = refine_pose(started(truth, rng), landmarks_of(scene), xy, PIXEL)
        assert np.abs(errors(found.odom_from_camera, truth)).max() < 2e-3
        assert found.inliers[~outlying].all()
        assert found.inliers[outlying].mean() < 0.05


@pytest.mark.parametrize('deviation', [0.0, 0.005, 0.06])  # of depths of 3 to 30 m
def test_errors_are_as_large_as_the_covariance_says(scenes, deviation):
    squares = []
    for seed in range(200):
        scene, rng = scenes(seed % 10), np.random.default_rng(seed)
        truth = scene.poses[-1]
        xy = scene.seen(truth) + PIXEL * rng.normal(size=(len(scene.anchor), 2))
        known = landmarks_of(scene, deviation**2, rng)
        found = refine_pose(started(truth, rng, 0.05, 0.01), known, xy, PIXEL)
        error = errors(found.odom_from_camera, truth)
        squares.append(error @ np.linalg.solve(found.covariance, error))
        assert found.chi2 == pytest.approx(1, abs=0.3)
    low, high = chi2.ppf((0.001, 0.999), 6 * len(squares)) / len(squares)
    assert low < np.mean(squares) < high
    assert np.mean(np.array(squares) < chi2.ppf(0.95, 6)) == pytest.approx(0.95, abs=0.05)


def test_least_squares_of_scipy_finds_the_same(scene):
    rng = np.random.default_rng(3)
    truth = scene.poses[-1]
    xy = scene.seen(truth) + 0.3 * PIXEL * rng.normal(size=(len(scene.anchor), 2))
    found = refine_pose(truth, landmarks_of(scene), xy, PIXEL)

    def residuals(step):
        return ((scene.seen(moved_by(truth, step)) - xy) / PIXEL).ravel()

    theirs = least_squares(residuals, NOTHING, x_scale='jac', xtol=1e-12, ftol=1e-12)
    assert found.inliers.all()
    np.testing.assert_allclose(errors(found.odom_from_camera, truth), theirs.x, atol=1e-6)
    information = theirs.jac.T @ theirs.jac
    np.testing.assert_allclose(found.covariance, np.linalg.inv(information), rtol=1e-2, atol=1e-9)


def test_a_landmark_of_unknown_depth_binds_across_its_epipolar_line_only(scene):
    truth = scene.poses[-1]
    known = landmarks_of(scene)
    xy = scene.seen(truth)
    some = np.arange(len(xy)) < 100
    doubtful = replace(known, variance=np.where(some, np.inf, 0.0))
    depths = np.where(some, 0.02, scene.inverse_depth)  # wrong by up to a factor of sixteen
    found = refine_pose(truth, replace(doubtful, inverse_depth=depths), xy, PIXEL)
    np.testing.assert_allclose(found.odom_from_camera, truth, atol=1e-4)
    assert found.inliers.mean() > 0.95
    sure = refine_pose(truth, replace(known, inverse_depth=depths), xy, PIXEL)
    assert sure.inliers[some].mean() < 0.9


def test_landmarks_at_infinity_tell_the_turn_and_not_the_place(scene):
    truth = scene.poses[-1]
    far = replace(landmarks_of(scene), inverse_depth=np.zeros(len(scene.anchor)))
    rays = np.column_stack((scene.rays, np.ones(len(scene.rays))))
    toward = np.einsum('nij,nj->ni', scene.poses[scene.anchor, :3, :3], rays) @ truth[:3, :3]
    start = moved_by(truth, np.array([0.3, -0.2, 0.1, 0.01, 0.02, -0.01]))
    found = refine_pose(start, far, toward[:, :2] / toward[:, 2:], PIXEL)
    np.testing.assert_allclose(found.odom_from_camera[:3, :3], truth[:3, :3], atol=1e-8)
    np.testing.assert_allclose(found.odom_from_camera[:3, 3], start[:3, 3], atol=1e-8)
    deviation = np.sqrt(np.diag(found.covariance))
    assert (deviation[:3] > 10).all()
    assert (deviation[3:] < 1e-3).all()


def test_one_camera_and_no_depth_tell_the_direction_and_not_the_length(scene):
    truth = scene.poses[-1]
    scene = replace(scene, anchor=np.zeros_like(scene.anchor))
    unknown = replace(landmarks_of(scene), variance=np.full(len(scene.anchor), np.inf))
    found = refine_pose(truth, unknown, scene.seen(truth), PIXEL)
    variances, axes = np.linalg.eigh(found.covariance[:3, :3])
    way = truth[:3, 3] - scene.poses[0, :3, 3]
    assert np.sqrt(variances[2]) > 10
    assert abs(axes[:, 2] @ way) > 0.999 * np.linalg.norm(way)
    assert np.sqrt(variances[1]) < 0.1


@pytest.mark.parametrize(('disorder', 'outliers'), [(0.0, 0.0), (0.0, 0.3), (0.5, 0.0)])
def test_the_first_motion_is_found_before_points_of_guessed_depth(scenes, disorder, outliers):
    for seed in range(8):
        scene, rng = scenes(seed, landmarks=600), np.random.default_rng(seed)
        scene = replace(scene, anchor=np.zeros_like(scene.anchor))
        truth = scene.poses[1]
        guess = 0.2 * np.exp(disorder * rng.normal(size=600))
        guessed = replace(landmarks_of(scene), inverse_depth=guess, variance=guess**2)
        xy = scene.seen(truth) + 0.3 * PIXEL * rng.normal(size=(600, 2))
        outlying = rng.random(600) < outliers
        xy[outlying] = rng.uniform(-0.5, 0.5, (outlying.sum(), 2))
        found = refine_pose(scene.poses[0], guessed, xy, 0.3 * PIXEL)
        assert np.abs(errors(found.odom_from_camera, truth)[3:]).max() < 2e-3
        way, true = (p[:3, 3] - scene.poses[0, :3, 3] for p in (found.odom_from_camera, truth))
        cosine = way @ true / np.linalg.norm(way) / np.linalg.norm(true)
        assert np.degrees(np.arccos(cosine)) < 1


def test_turning_on_the_spot_before_points_of_unknown_depth_tells_no_place(scene):
    truth = scene.poses[0] @ rotation((0.02, 0.05, -0.03))
    scene = replace(scene, anchor=np.zeros_like(scene.anchor))
    unknown = replace(landmarks_of(scene), variance=np.full(len(scene.anchor), np.inf))
    found = refine_pose(scene.poses[0], unknown, scene.seen(truth), PIXEL)
    np.testing.assert_allclose(found.odom_from_camera, truth, atol=1e-5)
    deviation = np.sqrt(np.diag(found.covariance))
    assert (deviation[:3] > 0.3).all()
    assert (deviation[3:] < 1e-3).all()
    sure = refine_pose(scene.poses[0], landmarks_of(scene), scene.seen(truth), PIXEL)
    assert (np.sqrt(np.diag(sure.covariance))[:3] < 0.01).all()


def test_a_prior_weighs_what_its_covariance_says(scene):
    truth = scene.poses[-1]
    nothing = Landmarks(
        odom_from_anchor=scene.poses,
        anchor=scene.anchor[:0],
        rays=scene.rays[:0],
        inverse_depth=scene.inverse_depth[:0],
        variance=scene.inverse_depth[:0],
    )
    covariance = np.diag(np.repeat((0.04, 0.0004), 3))
    prior = PosePrior(odom_from_camera=truth, covariance=covariance)
    start = moved_by(truth, np.array([0.1, 0.2, -0.1, 0.3, -0.2, 0.1]))
    alone = refine_pose(start, nothing, np.zeros((0, 2)), PIXEL, prior=prior)
    np.testing.assert_allclose(alone.odom_from_camera, truth, atol=1e-4)
    np.testing.assert_allclose(alone.covariance, covariance, rtol=1e-3, atol=1e-12)

    free = refine_pose(truth, landmarks_of(scene), scene.seen(truth), PIXEL)
    step = 3 * np.sqrt(np.diag(free.covariance))
    off = PosePrior(odom_from_camera=moved_by(truth, step), covariance=free.covariance)
    both = refine_pose(truth, landmarks_of(scene), scene.seen(truth), PIXEL, prior=off)
    np.testing.assert_allclose(errors(both.odom_from_camera, truth), step / 2, rtol=0.03)
    np.testing.assert_allclose(both.covariance, free.covariance / 2, rtol=0.03, atol=1e-9)


def test_landmarks_behind_the_camera_are_no_inliers(scene):
    truth = scene.poses[-1]
    xy = scene.seen(truth)
    known = landmarks_of(scene)
    some = np.arange(len(xy)) < 60
    behind = replace(known, inverse_depth=np.where(some, 5.0, scene.inverse_depth))
    found = refine_pose(truth, behind, xy, PIXEL)  # 20 cm before their anchors: driven past
    np.testing.assert_allclose(found.odom_from_camera, truth, atol=1e-6)
    passed = some & (scene.anchor < 4)
    assert not found.inliers[passed].any()
    assert found.inliers[~some].all()


def test_nothing_seen_is_said(scene):
    nothing = replace(
        landmarks_of(scene),
        **{n: getattr(landmarks_of(scene), n)[:0]
           for n in ('anchor', 'rays', 'inverse_depth', 'variance')},
    )  # fmt: skip
    found = refine_pose(scene.poses[0], nothing, np.zeros((0, 2)), PIXEL)
    np.testing.assert_array_equal(found.odom_from_camera, scene.poses[0])
    assert np.sqrt(np.diag(found.covariance)).min() > 3


def test_arrays_that_do_not_belong_together_are_refused(scene):
    with pytest.raises(ValueError, match=r'xy of 300 landmarks must be \(300, 2\), got \(299, 2\)'):
        refine_pose(scene.poses[0], landmarks_of(scene), np.zeros((299, 2)), PIXEL)
    with pytest.raises(ValueError, match='xy of 300 landmarks must be finite'):
        refine_pose(scene.poses[0], landmarks_of(scene), np.full((300, 2), np.nan), PIXEL)


def test_the_same_is_the_same_to_the_bit(scene):
    rng = np.random.default_rng(0)
    truth = scene.poses[-1]
    xy = scene.seen(truth) + PIXEL * rng.normal(size=(len(scene.anchor), 2))
    start = started(truth, rng)
    first, second = (refine_pose(start, landmarks_of(scene, 1e-4), xy, PIXEL) for _ in range(2))
    np.testing.assert_array_equal(first.odom_from_camera, second.odom_from_camera)
    np.testing.assert_array_equal(first.covariance, second.covariance)
