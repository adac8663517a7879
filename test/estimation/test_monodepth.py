"""DepthEstimator: the unit of depth, REP 117 values, confidence, the ground."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from dlcv.estimation.monodepth import DepthEstimator, DepthSettings, height_over_ground
from dlcv.geometry.camera import grid_rays
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.types import Camera

CONFIG = MonodepthConfig(input_size=(128, 256), baseline=0.5)


class Red(nn.Module):
    """Disparity is the red channel, as a share of the width."""

    def __init__(self, config=CONFIG):
        super().__init__()
        self.config, self.multiple, self.passes = config, 128, []

    def forward(self, images):
        self.passes.append(len(images))
        return (images[:, [0, 0]],) * 4


class Slanted(Red):
    """Disparity 0.1 on the left of what it sees to 0.2 on the right, mirrored or not."""

    def forward(self, images):
        ramp = torch.linspace(0.1, 0.2, images.shape[3]).expand(images[:, [0, 0]].shape)
        return (ramp,) * 4


class Unsure(Slanted):
    """Expects its answer to be off by a factor of two in the left half, by none in the right."""

    def __init__(self):
        super().__init__(replace(CONFIG, spread=True))

    def forward(self, images):
        finest, *others = super().forward(images)
        spread = torch.full_like(finest[:, :1], -20.0)
        spread[..., : images.shape[3] // 2] = float(np.log(np.log(2)))
        return (torch.cat((finest, spread), 1), *others)


def red(level, height=64, width=96):
    """A picture that speaks, by its green; what `Red` answers to is of one level."""
    image = np.zeros((height, width, 3), np.uint8)
    blocks = np.random.default_rng(0).integers(0, 256, (height // 4, width // 4), np.uint8)
    image[..., 0], image[..., 1] = level, blocks.repeat(4, axis=0).repeat(4, axis=1)
    return image


def estimate(frame, network=None, **settings):
    estimator = DepthEstimator(network or Red(), DepthSettings(**settings), 'cpu')
    return estimator.push(frame)


def test_depth_is_focal_times_baseline_over_disparity(frame, ideal):
    found = estimate(frame(2.5, red(51), ideal))
    assert found.stamp_ns == 2_500_000_000
    np.testing.assert_allclose(found.disparity, 0.2, rtol=1e-5)
    np.testing.assert_allclose(found.depth, 80 * 0.5 / (0.2 * 96), rtol=1e-5)
    assert found.depth.shape == (64, 96)
    assert found.camera == ideal
    assert found.confidence is None


def test_twice_the_focal_length_is_twice_the_depth(frame, ideal):
    """The same picture through a lens twice as long shows things twice as far away."""
    tele = replace(ideal, fx=2 * ideal.fx, fy=2 * ideal.fy)
    near, far = (estimate(frame(0, red(51), c)).depth for c in (ideal, tele))
    np.testing.assert_allclose(far, 2 * near)


def test_the_size_of_the_image_does_not_change_depth(frame, ideal):
    double = ideal.scaled(192, 128)
    small = estimate(frame(0, red(51), ideal)).depth
    large = estimate(frame(0, red(51, 128, 192), double)).depth
    np.testing.assert_allclose(large[0, 0], small[0, 0], rtol=1e-6)


def test_without_a_camera_there_is_only_disparity(frame):
    found = estimate(frame(0, red(51)))
    assert found.depth is None
    assert found.camera is None
    np.testing.assert_allclose(found.disparity, 0.2, rtol=1e-5)


def test_disparity_lies_on_the_pixels_of_the_frame(frame, ideal):
    image = red(np.arange(96))
    found = estimate(frame(0, image, ideal)).disparity * 255
    np.testing.assert_allclose(
        found[:, 2:-2], np.broadcast_to(np.arange(2, 94), (64, 92)), atol=0.6
    )


def test_limits_and_unknown_values_are_those_of_rep_117(frame, ideal):
    image = red(0)
    image[:, :24, 0], image[:, 24:48, 0], image[:, 48:72, 0] = 255, 51, 2
    found = estimate(frame(0, image, ideal), min_depth=1.0, max_depth=10.0).depth
    assert (found[:, 4:20] == -np.inf).all()  # 0.4 m
    assert np.isfinite(found[:, 28:44]).all()  # 2.1 m
    assert (found[:, 52:68] == np.inf).all()  # 53 m
    assert np.isnan(found[:, 76:92]).all()  # no disparity


def test_fixed_scale_is_a_factor_on_metric_depth(frame, ideal):
    metric = estimate(frame(0, red(51), ideal)).depth
    fixed = estimate(frame(0, red(51), ideal), scale_mode='fixed', scale=5.4).depth
    np.testing.assert_allclose(fixed, 5.4 * metric, rtol=1e-6)


def test_a_distorted_picture_is_rectified_and_the_unseen_is_nan(frame, lens):
    wide = replace(lens, distortion=(0.5, 0.0, 0.0, 0.0, 0.0))  # corners come from outside
    found = estimate(frame(0, red(51, 64, 96), wide))
    assert found.camera == wide.undistorted()
    assert np.isnan(found.depth[0, 0])
    assert np.isnan(found.disparity[0, 0])
    np.testing.assert_allclose(found.depth[32, 48], 80 * 0.5 / (0.2 * 96), rtol=1e-5)


def test_the_mirrored_pass_is_run_only_when_it_is_needed(frame):
    network = Red()
    estimator = DepthEstimator(network, device='cpu')
    passes = estimator.network.passes
    estimator.push(frame(0, red(51)))
    estimator.push(frame(1, red(51)), confidence=True)
    estimator.settings = DepthSettings(pp=True)
    assert estimator.push(frame(2, red(51))).confidence is None
    assert passes == [1, 2, 2]


@pytest.mark.parametrize('pp', [False, True])
def test_a_spread_is_the_confidence_without_the_mirrored_picture(frame, ideal, pp):
    network = Unsure()
    estimator = DepthEstimator(network, DepthSettings(pp=pp), 'cpu')
    found = estimator.push(frame(0, red(51), ideal), confidence=True)
    np.testing.assert_allclose(found.confidence[:, :40], 0.5, atol=1e-4)
    np.testing.assert_allclose(found.confidence[:, 56:], 1, atol=1e-4)
    assert estimator.push(frame(1, red(51), ideal)).confidence is None


def test_confidence_is_the_agreement_with_the_mirrored_picture(frame, ideal):
    agreeing = DepthEstimator(Red(), device='cpu').push(frame(0, red(51), ideal), confidence=True)
    np.testing.assert_allclose(agreeing.confidence, 1, atol=1e-4)
    found = DepthEstimator(Slanted(), device='cpu').push(frame(0, red(51), ideal), confidence=True)
    x = (np.arange(96) + 0.5) / 96
    plain, back = 0.1 + 0.1 * x, 0.2 - 0.1 * x
    want = np.minimum(plain, back) / np.maximum(plain, back)
    np.testing.assert_allclose(found.confidence[30, 1:-1], want[1:-1], atol=5e-3)


def test_doubtful_depth_is_nan_when_a_threshold_is_set(frame, ideal):
    found = estimate(frame(0, red(51), ideal), Slanted(), confidence_threshold=0.75)
    assert np.isnan(found.depth[:, :10]).all()
    assert np.isfinite(found.depth[:, 45:51]).all()
    assert found.confidence is not None


def test_post_processing_takes_each_side_from_the_better_pass(frame, ideal):
    """The mirrored pass, brought back, falls from 0.2 to 0.1; it counts at the left border."""
    found = estimate(frame(0, red(51), ideal), Slanted(), pp=True).disparity[30]
    np.testing.assert_allclose(found[0], 0.2, atol=2e-3)
    np.testing.assert_allclose(found[48], 0.15, atol=2e-3)
    np.testing.assert_allclose(found[-1], 0.2, atol=2e-3)


def ground_depth(camera, height, ceiling=np.inf):
    """Depth of a level floor, ``height`` below the camera, and the sky."""
    y = grid_rays(camera)[..., 1]
    with np.errstate(divide='ignore'):
        return np.where(y > 0, height / y, ceiling).astype(np.float32)


@pytest.mark.parametrize('height', [0.3, 1.65])
def test_height_over_a_level_floor(ideal, height):
    assert height_over_ground(ground_depth(ideal, height), ideal) == pytest.approx(height, rel=1e-3)


def test_a_wall_is_no_ground(ideal):
    assert height_over_ground(np.full((64, 96), 3.0, np.float32), ideal) is None


def test_walls_and_things_on_the_floor_do_not_move_it(ideal):
    depth = ground_depth(ideal, 1.2)
    depth = np.minimum(depth, 8.0)  # a wall ahead
    depth[40:, :20] = 2.0  # a box
    assert height_over_ground(depth, ideal) == pytest.approx(1.2, rel=0.02)


class Floor(Red):
    """Disparity of a floor 0.75 of the units below the camera, if the picture is red at all."""

    def forward(self, images):
        camera = Camera(width=256, height=128, fx=256 * 80 / 96, fy=160.0, cx=127.5, cy=63.5)
        floor = torch.from_numpy(ground_depth(camera, 0.75))
        disparity = camera.fx * self.config.baseline / (floor * camera.width)
        seen = images[:, [0]].amax((2, 3), keepdim=True) > 0
        return (torch.where(seen, disparity.expand(len(images), 2, -1, -1), 0.0),) * 4


def test_camera_height_sets_the_scale_and_keeps_it(frame, ideal):
    settings = DepthSettings(scale_mode='camera_height', camera_height=1.5)
    estimator = DepthEstimator(Floor(), settings, 'cpu')
    assert np.isnan(estimator.push(frame(0, red(0), ideal)).depth).all()  # no ground seen yet
    depth = estimator.push(frame(1, red(9), ideal)).depth
    np.testing.assert_allclose(depth[60, 5:-5], ground_depth(ideal, 1.5)[60, 5:-5], rtol=0.02)
    assert estimator._ground_scale == pytest.approx(2.0, rel=0.02)
    estimator.reset()
    assert np.isnan(estimator._ground_scale)


def test_the_real_network_on_any_size(frame, picture):
    network = Monodepth(MonodepthConfig(width=0.0625, input_size=(128, 128)))
    estimator = DepthEstimator(network, device='cpu')
    found = estimator.push(frame(image=picture(width=61, height=47)), confidence=True)
    assert found.disparity.shape == found.confidence.shape == (47, 61)
    assert (found.disparity > 0).all()
    assert (found.disparity < 0.3).all()


@pytest.mark.parametrize('given', [None, 'ideal', 'lens'])
def test_a_picture_that_says_nothing_has_no_depth(frame, request, given):
    camera = request.getfixturevalue(given) if given else None
    network = Red()
    estimator = DepthEstimator(network, device='cpu')
    found = estimator.push(frame(1.5, np.full((64, 96, 3), 51, np.uint8), camera), confidence=True)
    assert found.reason == 'the picture is of one shade, 51 of 255: the lens may be covered'
    assert found.stamp_ns == 1_500_000_000
    assert np.isnan(found.disparity).all()
    assert (found.confidence == 0).all()
    assert found.camera == (camera and camera.undistorted())
    assert found.depth is None if camera is None else np.isnan(found.depth).all()
    assert found.disparity.shape == found.confidence.shape == (64, 96)
    assert estimator.network.passes == []
    assert estimator.push(frame(1.6, red(51), camera)).reason == ''
