"""Windows: exact without noise, through outliers, and as uncertain as they say."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dlcv.estimation.body import compounded
from dlcv.estimation.odometry.bundle import MotionPriors
from dlcv.estimation.odometry.perturbation import moved_by
from dlcv.estimation.odometry.reprojection import BLIND
from dlcv.estimation.odometry.window import Window, adjust

PIXEL = 1 / 500


def errors(found, truth):
    """Return the error ``(6,)`` of a pose as ROS means it."""
    turn = Rotation.from_matrix(found[:3, :3] @ truth[:3, :3].T).as_rotvec()
    return np.concatenate((found[:3, 3] - truth[:3, 3], turn))


def motion(poses, older, newer):
    return np.linalg.inv(poses[older]) @ poses[newer]


def window_of(scene, *, rng=None, fixed=2, start=None, **changes):
    """Return a window of a scene in which every landmark is seen in four keyframes or so.

    Args:
        scene: The truth.
        rng: Source of a pixel of noise in all pictures; none for none.
        fixed: Keyframes that stand still.
        start: Source of errors of the poses and inverse depths to start from; none for none.
        changes: Fields of the window.
    """
    seen = [
        (k, n)
        for n, a in enumerate(scene.anchor)
        for k in range(len(scene.poses))
        if k != a and (k + n) % 5
    ]
    keyframe, landmark = np.array(seen).T
    xy = np.zeros((len(seen), 2))
    for k, pose in enumerate(scene.poses):
        xy[keyframe == k] = scene.seen(pose, landmark[keyframe == k])
    poses, inverse_depth = scene.poses.copy(), scene.inverse_depth.copy()
    if start is not None:
        scales = np.repeat((0.03, 0.01), 3)
        for k in range(fixed, len(poses)):
            poses[k] = moved_by(poses[k], scales * start.normal(size=6))
        inverse_depth *= np.exp(0.2 * start.normal(size=len(inverse_depth)))
    noisy = rng is not None
    fields = {
        'odom_from_camera': poses,
        'fixed': fixed,
        'anchor': scene.anchor,
        'rays': scene.rays + (PIXEL * rng.normal(size=scene.rays.shape) if noisy else 0),
        'ray_stddev': PIXEL,
        'inverse_depth': inverse_depth,
        'keyframe': keyframe,
        'landmark': landmark,
        'xy': xy + (PIXEL * rng.normal(size=xy.shape) if noisy else 0),
        'stddev': PIXEL,
        'prior_inverse_depth': np.zeros(len(inverse_depth)),
        'prior_stddev': np.full(len(inverse_depth), np.inf),
    }
    return Window(**(fields | changes))


def unmeasured(count):
    """Return priors of the motion that say nothing."""
    nothing = np.full(count - 1, np.inf)
    return MotionPriors(
        turn=np.tile(np.eye(3), (count - 1, 1, 1)),
        turn_stddev=nothing,
        length=np.zeros(count - 1),
        length_stddev=nothing,
    )


@pytest.mark.parametrize('kernel', ['huber', 'cauchy'])
@pytest.mark.parametrize('ray_stddev', [0.0, PIXEL])
def test_without_noise_the_window_is_exact(scene, kernel, ray_stddev):
    window = window_of(scene, start=np.random.default_rng(0), ray_stddev=ray_stddev)
    found = adjust(window, kernel=kernel, iterations=15)
    np.testing.assert_allclose(found.odom_from_camera, scene.poses, atol=1e-7)
    np.testing.assert_allclose(found.inverse_depth, scene.inverse_depth, atol=1e-7)
    np.testing.assert_allclose(found.rays, scene.rays, atol=1e-8)
    assert found.inliers.all()
    assert found.chi2 < 1e-8
    np.testing.assert_array_equal(found.odom_from_camera[:2], scene.poses[:2])


def test_a_third_of_outliers_changes_nothing(scene):
    rng = np.random.default_rng(1)
    window = window_of(scene, start=rng)
    outlying = rng.random(len(window.xy)) < 0.3
    xy = window.xy.copy()
    xy[outlying] = rng.uniform(-0.5, 0.5, (outlying.sum(), 2))
    found = adjust(replace(window, xy=xy))
    assert np.abs(found.odom_from_camera - scene.poses).max() < 1e-2
    assert found.inliers[~outlying].mean() > 0.98
    assert found.inliers[outlying].mean() < 0.05


def test_errors_are_as_large_as_the_covariance_says(scenes):
    pairs = ((0, 4), (1, 3), (3, 4))
    squares, depths = [], []
    for seed in range(150):
        scene, rng = scenes(seed, cameras=5, landmarks=80), np.random.default_rng(seed)
        found = adjust(window_of(scene, rng=rng, start=rng))
        for pair in pairs:
            error = errors(motion(found.odom_from_camera, *pair), motion(scene.poses, *pair))
            squares.append(error @ np.linalg.solve(found.relative_covariance(*pair), error))
        depths.append(
            (found.inverse_depth - scene.inverse_depth) / np.sqrt(found.inverse_depth_variance)
        )
        assert found.chi2 == pytest.approx(1, abs=0.3)
    nees = np.reshape(squares, (-1, len(pairs)))
    low, high = chi2.ppf((0.001, 0.999), 6 * len(nees)) / len(nees)
    assert ((low < nees.mean(0)) & (nees.mean(0) < high)).all()
    assert (nees < chi2.ppf(0.95, 6)).mean() == pytest.approx(0.95, abs=0.03)
    assert np.std(depths) == pytest.approx(1, abs=0.05)


def test_scale_is_as_uncertain_as_the_depths_that_tell_it(scenes):
    squares = []
    for seed in range(60):
        scene, rng = scenes(seed, cameras=4, landmarks=80), np.random.default_rng(seed)
        deviation = 0.1 * scene.inverse_depth
        measured = scene.inverse_depth + deviation * rng.normal(size=80)
        window = window_of(
            scene, rng=rng, start=rng, fixed=1,
            prior_inverse_depth=measured, prior_stddev=deviation,
        )  # fmt: skip
        found = adjust(window)
        error = errors(found.odom_from_camera[3], scene.poses[3])
        squares.append(error @ np.linalg.solve(found.pose_covariance(3), error))
    low, high = chi2.ppf((0.001, 0.999), 6 * len(squares)) / len(squares)
    assert low < np.mean(squares) < high


def test_least_squares_of_scipy_finds_the_same(scenes):
    scene, rng = scenes(2, cameras=4, landmarks=15), np.random.default_rng(2)
    window = window_of(scene, rng=rng)
    window = replace(window, xy=0.5 * window.xy + 0.5 * window_of(scene).xy)  # no outliers
    found = adjust(window)

    def residuals(x):
        poses = window.odom_from_camera.copy()
        poses[2:] = [moved_by(p, s) for p, s in zip(poses[2:], x[:12].reshape(2, 6), strict=True)]
        now = replace(
            scene,
            poses=poses,
            rays=window.rays + PIXEL * x[27:].reshape(-1, 2),
            inverse_depth=window.inverse_depth + x[12:27],
        )
        sights = [
            now.seen(poses[k], [n])[0]
            for k, n in zip(window.keyframe, window.landmark, strict=True)
        ]
        return np.concatenate((((np.array(sights) - window.xy) / PIXEL).ravel(), x[27:]))

    theirs = least_squares(residuals, np.zeros(57), x_scale='jac', xtol=1e-14, ftol=1e-14)
    steps = [errors(found.odom_from_camera[k], window.odom_from_camera[k]) for k in (2, 3)]
    assert found.inliers.all()
    depths = window.inverse_depth + theirs.x[12:27]
    off = (found.inverse_depth - depths) / np.sqrt(found.inverse_depth_variance)
    assert np.abs(off).max() < 0.03
    covariance = np.linalg.inv(theirs.jac.T @ theirs.jac)
    stated = np.sqrt(np.diag(found.covariance)[12:])
    assert np.abs((np.ravel(steps) - theirs.x[:12]) / stated).max() < 0.01
    np.testing.assert_allclose(stated, np.sqrt(np.diag(covariance)[:12]), rtol=0.05)
    freedom = len(theirs.fun) - len(theirs.x)
    assert found.chi2 == pytest.approx(2 * theirs.cost / freedom, rel=1e-3)


def test_covariances_of_motions_are_what_differences_of_poses_say(scene):
    found = adjust(window_of(scene, rng=np.random.default_rng(0)))
    rng = np.random.default_rng(1)
    draws = rng.multivariate_normal(np.zeros(36), found.covariance, 4000, method='cholesky'
                                    if found.covariance[0, 0] else 'eigh')  # fmt: skip
    base = motion(found.odom_from_camera, 2, 5)
    drawn = []
    for steps in draws.reshape(-1, 6, 6):
        older, newer = (moved_by(found.odom_from_camera[k], steps[k]) for k in (2, 5))
        drawn.append(errors(np.linalg.inv(older) @ newer, base))
    stated = found.relative_covariance(2, 5)
    deviation = np.sqrt(np.diag(stated))
    scaled = (np.cov(np.array(drawn).T) - stated) / np.outer(deviation, deviation)
    assert np.abs(scaled).max() < 0.1
    assert (found.pose_covariance(1) == 0).all()


def test_a_pose_is_as_uncertain_as_the_motion_to_it_from_a_certain_one(scene):
    found = adjust(window_of(scene, rng=np.random.default_rng(0)))
    step = motion(found.odom_from_camera, 1, 5)
    pose, covariance = compounded(
        found.odom_from_camera[1], np.zeros((6, 6)), step, found.relative_covariance(1, 5)
    )
    np.testing.assert_allclose(pose, found.odom_from_camera[5], atol=1e-12)
    np.testing.assert_allclose(covariance, found.pose_covariance(5), rtol=1e-6, atol=1e-12)


def test_one_fixed_pose_and_no_measured_length_leave_the_scale_open(scene):
    found = adjust(window_of(scene, rng=np.random.default_rng(0), fixed=1))
    way = found.odom_from_camera[5, :3, 3] - found.odom_from_camera[0, :3, 3]
    variances, axes = np.linalg.eigh(found.pose_covariance(5)[:3, :3])
    assert np.sqrt(variances[2]) > 10
    assert abs(axes[:, 2] @ way) > 0.99 * np.linalg.norm(way)
    assert np.sqrt(variances[1]) < 0.1 * np.sqrt(variances[2])
    assert np.abs(found.odom_from_camera - scene.poses).max() < 0.2


@pytest.mark.parametrize('noisy', [False, True])
def test_turning_on_the_spot_tells_turns_and_no_places(scene, noisy):
    poses = scene.poses.copy()
    poses[:, :3, 3] = poses[0, :3, 3]
    rng = np.random.default_rng(0)
    still = replace(scene, poses=poses)
    window = window_of(still, rng=rng if noisy else None, start=rng)
    found = adjust(window)
    error = errors(motion(found.odom_from_camera, 0, 5), motion(poses, 0, 5))
    deviation = np.sqrt(np.diag(found.relative_covariance(0, 5)))
    assert (deviation[:3] > 0.01).all()  # 3 mm where depths are known, see below
    assert deviation[:3].max() > 0.2
    assert (deviation[3:] < 2e-3).all()
    assert (np.abs(error) < 3 * deviation).all()


def test_depths_tell_that_a_turn_on_the_spot_goes_nowhere(scene):
    poses = scene.poses.copy()
    poses[:, :3, 3] = poses[0, :3, 3]
    rng = np.random.default_rng(0)
    still = replace(scene, poses=poses)
    window = window_of(
        still, rng=rng, start=rng, fixed=1,
        prior_inverse_depth=scene.inverse_depth, prior_stddev=0.1 * scene.inverse_depth,
    )  # fmt: skip
    found = adjust(window)
    error = errors(motion(found.odom_from_camera, 0, 5), motion(poses, 0, 5))
    deviation = np.sqrt(np.diag(found.relative_covariance(0, 5)))
    assert (deviation[:3] < 0.005).all()
    assert (np.abs(error) < 4 * deviation).all()


def test_points_at_infinity_stay_there(scene):
    far = replace(scene, inverse_depth=np.where(np.arange(300) < 100, 1e-9, scene.inverse_depth))
    rng = np.random.default_rng(0)
    found = adjust(window_of(far, rng=rng, start=None, inverse_depth=far.inverse_depth + 0.01))
    deviation = np.sqrt(found.inverse_depth_variance)
    assert (np.abs(found.inverse_depth[:100]) < 4 * deviation[:100]).all()
    assert (found.inverse_depth[:100] < 0).mean() == pytest.approx(0.5, abs=0.15)
    assert np.abs(found.odom_from_camera - scene.poses).max() < 0.05


def test_landmarks_behind_cameras_are_outliers_and_harm_nothing(scene):
    window = window_of(scene)
    depths = scene.inverse_depth.copy()
    depths[:30] = 5.0  # driven past by the next keyframe already
    xy = window.xy.copy()
    wrong = np.isin(window.landmark, np.arange(30))
    xy[wrong] = np.random.default_rng(0).uniform(-0.5, 0.5, (wrong.sum(), 2))
    found = adjust(replace(window, inverse_depth=depths, xy=xy))
    np.testing.assert_allclose(found.odom_from_camera, scene.poses, atol=1e-2)
    assert found.inliers[~wrong].mean() > 0.98
    assert np.isfinite(found.inverse_depth).all()
    assert np.isfinite(found.covariance).all()


def test_a_wrong_depth_is_outvoted(scene):
    rng = np.random.default_rng(0)
    deviation = 0.05 * scene.inverse_depth
    measured = scene.inverse_depth + deviation * rng.normal(size=300)
    measured[:60] *= 3
    window = window_of(
        scene, rng=rng, start=rng, fixed=1, prior_inverse_depth=measured, prior_stddev=deviation
    )
    found = adjust(window)
    way, true = (p[5, :3, 3] - p[0, :3, 3] for p in (found.odom_from_camera, scene.poses))
    assert np.linalg.norm(way) == pytest.approx(np.linalg.norm(true), rel=0.02)


def test_measured_depths_tell_the_scale(scene):
    poses = scene.poses.copy()
    poses[:, :3, 3] = 4 * poses[:, :3, 3] - 3 * poses[0, :3, 3]
    measured, deviation = scene.inverse_depth.copy(), 0.1 * scene.inverse_depth
    measured[:60] = 1
    deviation[200:] = np.inf
    window = window_of(
        scene, fixed=1, odom_from_camera=poses, inverse_depth=scene.inverse_depth / 4,
        prior_inverse_depth=measured, prior_stddev=deviation,
    )  # fmt: skip
    found = adjust(window)
    np.testing.assert_allclose(found.odom_from_camera, scene.poses, atol=1e-5)
    np.testing.assert_allclose(found.inverse_depth, scene.inverse_depth, atol=1e-5)


def test_measured_lengths_tell_the_scale(scene):
    lengths = np.linalg.norm(np.diff(scene.poses[:, :3, 3], axis=0), axis=1)
    half = replace(scene, inverse_depth=2 * scene.inverse_depth)
    poses = scene.poses.copy()
    poses[:, :3, 3] = (poses[:, :3, 3] + poses[0, :3, 3]) / 2
    for deviation in (0.01, 0.03):
        measured = replace(unmeasured(6), length=lengths, length_stddev=np.full(5, deviation))
        found = adjust(
            window_of(scene, fixed=1, motion=measured, odom_from_camera=poses,
                      inverse_depth=half.inverse_depth),
        )  # fmt: skip
        np.testing.assert_allclose(found.odom_from_camera, scene.poses, atol=1e-5)
        np.testing.assert_allclose(found.inverse_depth, scene.inverse_depth, atol=1e-5)
        way = scene.poses[5, :3, 3] - scene.poses[0, :3, 3]
        total = np.linalg.norm(way)
        along = np.sqrt(way @ found.pose_covariance(5)[:3, :3] @ way) / total
        share = deviation / np.sqrt(np.square(lengths).sum())
        assert along == pytest.approx(share * total, rel=0.1)


def test_a_gyroscope_holds_turns_that_no_landmark_tells(scene):
    nothing = {name: getattr(window_of(scene), name)[:0] for name in ('keyframe', 'landmark', 'xy')}
    turns = np.stack([motion(scene.poses, k, k + 1)[:3, :3] for k in range(5)])
    gyroscope = replace(unmeasured(6), turn=turns, turn_stddev=np.full(5, 0.01))
    window = window_of(scene, start=np.random.default_rng(0), fixed=1, motion=gyroscope, **nothing)
    found = adjust(window, iterations=20)
    for k in range(5):
        got = motion(found.odom_from_camera, k, k + 1)[:3, :3]
        np.testing.assert_allclose(got, turns[k], atol=1e-6)
        deviation = np.sqrt(np.diag(found.relative_covariance(k, k + 1)))
        np.testing.assert_allclose(deviation[3:], 0.01, rtol=1e-2)
        assert (deviation[:3] > 0.9 * BLIND).all()


def test_windows_without_landmarks_or_without_free_poses_are_answered(scene):
    window = window_of(scene, start=np.random.default_rng(0))
    none = {name: getattr(window, name)[:0]
            for name in ('anchor', 'rays', 'inverse_depth', 'keyframe', 'landmark', 'xy',
                         'prior_inverse_depth', 'prior_stddev')}  # fmt: skip
    empty = adjust(replace(window, **none))
    np.testing.assert_array_equal(empty.odom_from_camera, window.odom_from_camera)
    assert (np.diag(empty.covariance)[12:] > 1).all()
    still = adjust(replace(window, odom_from_camera=scene.poses, fixed=6))
    np.testing.assert_allclose(still.inverse_depth, scene.inverse_depth, atol=1e-6)
    assert (still.covariance == 0).all()


def test_the_same_is_the_same_to_the_bit(scene):
    window = window_of(scene, rng=np.random.default_rng(0), start=np.random.default_rng(1))
    first, second = adjust(window), adjust(window)
    for name in ('odom_from_camera', 'inverse_depth', 'covariance', 'inverse_depth_variance'):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'fixed': 0}, '1 to 6 keyframes must be fixed, got 0'),
        ({'rays': np.zeros((3, 2))}, r'rays must be \(300, 2\), got \(3, 2\)'),
        ({'anchor': np.full(300, 6)}, r'anchor must be in 0..5, got 6..6'),
        ({'motion': unmeasured(5)}, r'turn_stddev between 6 keyframes is 5, got \(4,\)'),
        ({'inverse_depth': np.full(300, np.nan)}, 'inverse_depth must be finite, 300 numbers are'),
        ({'stddev': 0.0}, 'stddev must be above zero'),
        ({'keyframe': np.zeros(0, int)}, r'landmark must be \(0,\)'),
    ],
)
def test_what_does_not_belong_together_is_refused(scene, changes, message):
    with pytest.raises(ValueError, match=message):
        adjust(replace(window_of(scene), **changes))


def test_seeing_twice_is_refused(scene):
    window = window_of(scene)
    twice = np.r_[0, np.arange(len(window.xy))]
    again = {name: getattr(window, name)[twice] for name in ('keyframe', 'landmark', 'xy')}
    with pytest.raises(ValueError, match='seen twice in one keyframe'):
        adjust(replace(window, **again))
    own = replace(window, anchor=np.full(300, window.keyframe[0]))
    with pytest.raises(ValueError, match='in its own anchor'):
        adjust(own)
