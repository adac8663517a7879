"""Plain programs and ours find the same: what is timed beside each other does the same work."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.estimation.consensus import ConsensusSettings, solve_pose
from dlcv.estimation.deepvo import OdometryEstimator, OdometrySettings
from dlcv.estimation.flownet import FlowEstimator, FlowSettings
from dlcv.estimation.monodepth import DepthEstimator, DepthSettings
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.evaluation.speed.film import Film
from dlcv.evaluation.speed.plain.deepvo import PlainDeepVO
from dlcv.evaluation.speed.plain.dsac import one_by_one
from dlcv.evaluation.speed.plain.flownet import PlainFlowNet, correlation_loop
from dlcv.evaluation.speed.plain.monodepth import PlainMonodepth
from dlcv.evaluation.speed.plain.superpoint import PlainSuperPoint
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.layers.correlation import correlation
from dlcv.networks.losses.deepvo import motions
from dlcv.networks.monodepth import MonodepthConfig
from dlcv.networks.registry import build
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.types import Camera

CAMERA = Camera(width=128, height=128, fx=100.0, fy=100.0, cx=63.5, cy=63.5)


@pytest.fixture(scope='module')
def frames():
    pictures = np.random.default_rng(0).integers(0, 256, (3, 128, 128, 3), np.uint8)
    shown = Film(pictures=pictures, camera=CAMERA).frames()
    return [next(shown) for _ in range(4)]


def network(config):
    torch.manual_seed(0)
    return build(config).eval().requires_grad_(False)


def test_superpoint(frames):
    net = network(SuperPointConfig(width=0.1, sampling='demo_unaligned'))
    settings = FeatureSettings(
        detection_threshold=0.015,
        pipeline='demo',
        max_keypoints=10_000,
        resize_long_side=0,
        subpixel='off',
    )
    ours = FeatureEstimator(net, settings, 'cpu').push(frames[0])
    points, descriptors = PlainSuperPoint(net, threshold=0.015)(frames[0].image)
    assert len(ours.xy) == points.shape[1] > 20
    here, there = np.lexsort(ours.xy.T), np.lexsort(points[:2])
    np.testing.assert_array_equal(ours.xy[here], points[:2, there].T)
    np.testing.assert_allclose(ours.scores[here], points[2, there], rtol=1e-3)
    assert descriptors.shape == (ours.descriptors.shape[1], len(ours.xy))


def test_correlation_loop():
    first, second = torch.rand(2, 1, 4, 9, 7)
    for reach, stride in ((4, 2), (3, 1), (5, 2)):
        torch.testing.assert_close(
            correlation_loop(first, second, max_displacement=reach, stride=stride),
            correlation(first, second, max_displacement=reach, stride=stride),
        )


@pytest.mark.parametrize('variant', ['s', 'c'])
def test_flownet(frames, variant):
    net = network(FlowNetConfig(variant=variant, width=0.1, max_displacement=4))
    ours, plain = FlowEstimator(net, FlowSettings(), 'cpu'), PlainFlowNet(net)
    for frame in frames[:2]:
        found, expected = ours.push(frame), plain(frame.image)
    np.testing.assert_allclose(found.flow, expected, atol=1e-4)


def test_monodepth(frames):
    net = network(MonodepthConfig(width=0.1, input_size=(128, 128)))
    settings = DepthSettings(pp=True, min_depth=1e-6, max_depth=1e6)
    ours = DepthEstimator(net, settings, 'cpu')
    image = np.repeat(np.repeat(frames[0].image[::8, ::8], 8, 0), 8, 1)  # noise says nothing
    found = ours.push(replace(frames[0], image=image)).depth
    np.testing.assert_allclose(found, PlainMonodepth(net, CAMERA)(image), rtol=1e-4)


def test_deepvo(frames):
    net = network(
        DeepVOConfig(width=0.1, memory=8, input_size=(64, 64), batch_norm=False, labels='pair')
    )
    settings = OdometrySettings(
        inference_mode='windowed', sequence_length=2, max_linear_speed=1e9, max_angular_speed=1e9
    )
    ours, plain = OdometryEstimator(net, settings, 'cpu'), PlainDeepVO(net, pairs=2)
    for frame in frames:
        image = np.repeat(np.repeat(frame.image[::8, ::8], 8, 0), 8, 1)
        found, expected = ours.push(replace(frame, image=image)), plain(image)
    np.testing.assert_allclose(found.previous_from_current, motions(expected), atol=1e-4)


def test_dsac():
    rng = np.random.default_rng(0)
    pixels = rng.random((200, 2)) * 127
    depth = 1 + 3 * rng.random((200, 1))
    points = np.hstack(((pixels - 63.5) / 100, np.ones((200, 1)))) * depth + (1, 2, 3)
    points[:60] = rng.random((60, 3)) * 4
    found = one_by_one(points, pixels, CAMERA, hypotheses=8, threshold=3.0, seed=0)
    ours = solve_pose(
        torch.from_numpy(points),
        torch.from_numpy(pixels),
        CAMERA,
        ConsensusSettings(hypotheses=8, threshold=3.0),
    )
    np.testing.assert_allclose(np.linalg.inv(found), ours.world_from_camera, atol=1e-5)
    np.testing.assert_allclose(found[:3, 3], (-1, -2, -3), atol=1e-5)
