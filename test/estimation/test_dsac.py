"""RelocalizationEstimator: poses of a scene that is known exactly, and the gates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dlcv.estimation.consensus import solve
from dlcv.estimation.dsac import (
    RelocalizationError,
    RelocalizationEstimator,
    RelocalizationSettings,
)
from dlcv.geometry.camera import grid_rays
from dlcv.geometry.euler import euler_to_matrix
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.place import AS_STATED, UNMEASURED, Place, PoseSpread
from dlcv.types import Camera

TINY = DsacConfig(variant='tiny', width=0.0625, input_height=96)
POSE = np.eye(4)  # map_from_camera
POSE[:3, :3] = euler_to_matrix((0.4, -0.1, 0.2))
POSE[:3, 3] = (3.0, -1.0, 10.0)
SETTINGS = RelocalizationSettings(min_inliers=50, hypotheses=16)


class Scene(nn.Module):
    """Knows a bumpy wall: answers with the map points that ``camera`` at ``POSE`` sees."""

    def __init__(self, camera, wrong=0.0, config=TINY):
        super().__init__()
        self.config, self.camera, self.wrong, self.shapes = config, camera, wrong, []

    def forward(self, images):
        self.shapes.append(tuple(images.shape))
        height, width = images.shape[2:]
        ys, xs = np.mgrid[4:height:8, 4:width:8]
        rays = grid_rays(self.camera.scaled(width, height))[ys, xs]
        rng = np.random.default_rng(0)
        points = rays * rng.uniform(2, 6, (*xs.shape, 1))
        points = points @ POSE[:3, :3].T + POSE[:3, 3]
        bad = rng.uniform(size=xs.shape) < self.wrong
        points[bad] = rng.uniform(-10, 10, (bad.sum(), 3))
        return torch.from_numpy(points).float().permute(2, 0, 1)[None]


@pytest.fixture
def camera():
    return Camera(width=192, height=96, fx=150.0, fy=150.0, cx=95.5, cy=47.5)


def scene(camera, settings=SETTINGS, **more):
    return RelocalizationEstimator(Scene(camera, **more), settings, 'cpu')


def test_a_known_pose_is_found(frame, picture, camera):
    found = scene(camera).push(frame(1.5, picture(0, 192, 96), camera))
    assert found.accepted
    assert found.reason == '288 inliers, 100% of all cells'
    assert found.stamp_ns == 1_500_000_000
    np.testing.assert_allclose(found.map_from_camera, POSE, atol=1e-3)
    assert (found.inliers, found.inlier_ratio) == (288, 1.0)
    assert found.scene_coordinates.shape == (12, 24, 3)
    assert found.hypotheses.shape[1:] == (4, 4)
    assert found.hypotheses.shape[0] == len(found.scores) <= 16
    assert np.all(np.diff(found.scores) <= 0)
    assert found.covariance.shape == (6, 6)
    assert found.tries >= len(found.scores)


def test_the_pose_does_not_depend_on_the_size_of_the_image(frame, picture, camera):
    """Twice the size is resized to the map's height, and the focal length with it."""
    double = camera.scaled(384, 192)
    estimator = scene(camera)
    found = estimator.push(frame(0, picture(0, 384, 192), double))
    np.testing.assert_allclose(found.map_from_camera, POSE, atol=1e-3)
    assert estimator.network.shapes == [(1, 1, 96, 192)]


def test_wrong_coordinates_are_outvoted(frame, picture, camera):
    found = scene(camera, wrong=0.5).push(frame(0, picture(0, 192, 96), camera))
    assert found.accepted
    np.testing.assert_allclose(found.map_from_camera, POSE, atol=1e-2)
    assert 0.4 < found.inlier_ratio < 0.6


def test_the_same_frame_gives_the_same_pose(frame, picture, camera):
    estimator = scene(camera, wrong=0.5)
    first, second = (estimator.push(frame(0, picture(0, 192, 96), camera)) for _ in range(2))
    np.testing.assert_array_equal(first.map_from_camera, second.map_from_camera)
    np.testing.assert_array_equal(first.hypotheses, second.hypotheses)


@pytest.mark.parametrize(
    ('settings', 'wrong', 'reason'),
    [
        ({'min_inliers': 300}, 0.0, '288 inliers; 300 are needed'),
        ({'min_inlier_ratio': 0.9}, 0.5, r'% of the cells are inliers; 90.0% needed'),
        ({'max_tries': 5}, 1.0, 'no four of 288 scene coordinates agree'),
    ],
)
def test_gates_reject_and_say_why(frame, picture, camera, settings, wrong, reason):
    estimator = scene(camera, replace(SETTINGS, **settings), wrong=wrong)
    found = estimator.push(frame(0, picture(0, 192, 96), camera))
    assert not found.accepted
    assert reason in found.reason


def test_the_prior_gates_by_distance(frame, picture, camera):
    estimator = scene(camera, replace(SETTINGS, prior_gate_distance=2.0))
    shot = frame(0, picture(0, 192, 96), camera)
    near, far = POSE.copy(), POSE.copy()
    near[0, 3] += 1.5
    far[0, 3] += 2.5
    assert estimator.push(shot).accepted
    assert estimator.push(shot, prior=near).accepted
    rejected = estimator.push(shot, prior=far)
    assert not rejected.accepted
    assert rejected.reason.startswith('2.50 m from where the camera was believed to be')
    np.testing.assert_allclose(rejected.map_from_camera, POSE, atol=1e-3)


def test_a_frame_without_calibration_is_refused(frame, camera):
    with pytest.raises(RelocalizationError, match='the frame has no calibration'):
        scene(camera).push(frame(0))


def test_a_lens_is_undone_and_what_it_does_not_see_is_not_used(frame, picture, camera):
    wide = replace(camera, distortion=(0.5, 0.0, 0.0, 0.0, 0.0))
    found = scene(camera).push(frame(0, picture(0, 192, 96), wide))
    np.testing.assert_allclose(found.map_from_camera, POSE, atol=1e-3)
    assert np.isnan(found.scene_coordinates[0, 0]).all()
    assert found.inliers == np.isfinite(found.scene_coordinates[..., 0]).sum() < 288


def test_the_real_network_is_rejected_untrained(frame, picture, camera):
    network = SceneCoordinateNet(TINY)
    estimator = RelocalizationEstimator(network, replace(SETTINGS, max_tries=50), 'cpu')
    estimator.warm_up(192, 96)
    found = estimator.push(frame(0, picture(0, 192, 96), camera))
    assert not found.accepted
    assert found.scene_coordinates.shape == (12, 24, 3)


def test_a_map_refuses_cameras_and_poses_that_are_not_its_own(frame, picture, camera):
    place = Place(frame='map', focal=(1.0, 2.0), low=(2, -2, 9), high=(4, 0, 11), pictures=9)
    config = replace(TINY, place=place)
    assert scene(camera, config=config).push(frame(0, picture(0, 192, 96), camera)).accepted
    far = replace(place, low=(20, -2, 9), high=(22, 0, 11))  # POSE is 17 m from there
    found = scene(camera, config=replace(TINY, place=far)).push(
        frame(0, picture(0, 192, 96), camera)
    )
    assert not found.accepted
    assert found.reason == ('17.00 m from the place where the map was made; 2.73 m are allowed')
    np.testing.assert_allclose(found.map_from_camera, POSE, atol=1e-3)
    strict = replace(TINY, place=replace(place, least_share=0.9))
    found = scene(camera, config=strict, wrong=0.3).push(frame(0, picture(0, 192, 96), camera))
    assert found.reason.endswith('of the cells are inliers; 90.0% needed')
    wide = replace(camera, fx=48.0, fy=48.0)
    with pytest.raises(RelocalizationError, match=r'focal length of 0\.50 .*, 2\.00 times shorter'):
        scene(camera, config=config).push(frame(0, picture(0, 192, 96), wide))


HERE = Place(frame='map', focal=(0.1, 9.0), low=(0, -3, 7), high=(6, 1, 13), pictures=9)


def stated(frame, picture, camera, spread):
    known = replace(TINY, place=replace(HERE, spread=spread))
    return scene(camera, wrong=0.3, config=known).push(frame(0, picture(0, 192, 96), camera))


def test_the_map_says_how_far_off_its_poses_are(frame, picture, camera):
    plain = stated(frame, picture, camera, AS_STATED).covariance
    spread = PoseSpread(translation=4.0, rotation=2.0)
    told = stated(frame, picture, camera, spread).covariance
    np.testing.assert_allclose(told, spread.widened(plain))
    unknown = stated(frame, picture, camera, None).covariance
    np.testing.assert_allclose(unknown, UNMEASURED.widened(plain))
    nowhere = scene(camera, wrong=0.3).push(frame(0, picture(0, 192, 96), camera)).covariance
    np.testing.assert_allclose(nowhere, UNMEASURED.widened(plain))


@pytest.mark.parametrize('place', [HERE, None])
def test_a_rejected_pose_may_be_anywhere(frame, picture, camera, place):
    strict = replace(SETTINGS, min_inliers=300)
    known = replace(TINY, place=place)
    found = scene(camera, strict, config=known).push(frame(0, picture(0, 192, 96), camera))
    assert not found.accepted
    deviations = np.sqrt(np.diag(found.covariance))
    assert (deviations[:3] > 1).all()
    assert (deviations[3:] > 1.5).all()


def test_cells_that_do_not_fix_a_pose_give_none(frame, picture, camera, monkeypatch):
    nothing = torch.full((6, 6), torch.nan, dtype=torch.float64)
    monkeypatch.setattr(solve, 'pose_covariance', lambda *_: nothing)
    found = scene(camera).push(frame(0, picture(0, 192, 96), camera))
    assert not found.accepted
    assert found.reason == '288 inliers lie so that they do not fix a pose'
    assert np.isfinite(found.covariance).all()
