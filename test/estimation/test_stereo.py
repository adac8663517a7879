"""Stereo: disparity of any size to metres, confidence by both ways, what cannot be a pair."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from dlcv.engines import TORCH, Part
from dlcv.estimation.load import load_stereo
from dlcv.estimation.stereo import StereoEstimator, StereoSettings
from dlcv.geometry.stereo import RectifiedPair, StereoError
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.psmnet import PSMNet, PSMNetConfig
from dlcv.networks.weights import WeightsError, save_network, shipped
from dlcv.types import Camera, Frame

WIDTH, HEIGHT = 192, 128
CAMERA = Camera(width=WIDTH, height=HEIGHT, fx=100.0, fy=100.0, cx=95.5, cy=63.5)
TINY = DispNetConfig(width=1 / 16, max_disparity=32, spread=True, refines=True)


class Answering:
    """Stands in for an engine: answers with given maps, and keeps what it was shown."""

    choice = TORCH

    def __init__(self, *maps: np.ndarray) -> None:
        self.maps, self.seen = torch.from_numpy(np.stack(maps).astype(np.float32)), []

    def __call__(self, left: torch.Tensor, right: torch.Tensor) -> tuple[torch.Tensor, ...]:
        self.seen.append((left, right))
        return (self.maps,)


@pytest.fixture
def estimator() -> StereoEstimator:
    torch.manual_seed(0)
    return StereoEstimator(DispNet(TINY), StereoSettings(), 'cpu')


def pair(**changes: object) -> RectifiedPair:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    soft = cv2.resize(noise, (WIDTH + 8, HEIGHT))  # noise itself says nothing
    frames = [
        Frame(stamp_ns=5, image=np.ascontiguousarray(soft[:, at : at + WIDTH]), camera=CAMERA)
        for at in (0, 8)
    ]
    return RectifiedPair(**({'left': frames[0], 'right': frames[1], 'baseline': 0.2} | changes))


def maps(disparity: float, spread: float = 0.0, size=(HEIGHT, WIDTH)) -> np.ndarray:
    return np.stack([np.full(size, disparity), np.full(size, spread)])


def test_depth_is_focal_length_times_baseline_over_disparity(estimator: StereoEstimator) -> None:
    estimator.runner = Answering(maps(8))
    found = estimator.push(pair())
    np.testing.assert_allclose(found.disparity * WIDTH, 8, rtol=1e-6)
    np.testing.assert_allclose(found.depth, 100 * 0.2 / 8, rtol=1e-6)
    assert (found.stamp_ns, found.baseline, found.camera) == (5, 0.2, CAMERA)
    assert found.confidence is None


def test_principal_points_that_are_apart_are_no_disparity(estimator: StereoEstimator) -> None:
    estimator.runner = Answering(maps(8))
    right = replace(pair().right, camera=replace(CAMERA, cx=CAMERA.cx - 3))
    np.testing.assert_allclose(estimator.push(pair(right=right)).depth, 100 * 0.2 / 5, rtol=1e-6)


def test_disparity_of_a_shrunk_pair_is_in_pixels_of_the_whole(estimator: StereoEstimator) -> None:
    estimator.settings = StereoSettings(resize_long_side=96)
    estimator.runner = Answering(maps(8, size=(64, 128)))  # 96x64, padded
    found = estimator.push(pair())
    assert estimator.runner.seen[0][0].shape == (1, 3, 64, 128)
    np.testing.assert_allclose(found.disparity * WIDTH, 16, rtol=1e-6)
    assert estimator.scale(pair().left) == 0.5


def test_confidence_is_the_agreement_of_both_ways(estimator: StereoEstimator) -> None:
    other = maps(8)
    other[0, :, : WIDTH // 2] = 9  # mirrored: the right half of the right picture is off by one
    estimator.runner = Answering(maps(8), other)
    found = estimator.push(pair(), confidence=True)
    left, right = estimator.runner.seen[0]
    assert torch.equal(left[1], right[0].flip(2))  # the second pair is the mirrored first
    assert torch.equal(right[1], left[0].flip(2))
    assert not found.confidence[:, :7].any()  # the match lies beyond the border
    np.testing.assert_allclose(found.confidence[:, 9 : WIDTH // 2], 1, atol=1e-5)
    np.testing.assert_allclose(found.confidence[:, WIDTH // 2 + 10 :], 0.5, atol=1e-5)
    estimator.settings = StereoSettings(confidence_threshold=0.6)
    assert np.isnan(estimator.push(pair()).depth).mean() > 0.4


def test_confidence_by_the_spread_takes_one_run(estimator: StereoEstimator) -> None:
    estimator.settings = StereoSettings(confidence_source='spread')
    estimator.runner = Answering(maps(8, np.log(2)))
    np.testing.assert_allclose(
        estimator.push(pair(), confidence=True).confidence, np.exp(-2 / 8), rtol=1e-5
    )


def test_beyond_the_limits_depth_is_infinite(estimator: StereoEstimator) -> None:
    disparity = maps(8)
    disparity[0, 0, :3] = 0, 0.1, 300
    estimator.runner = Answering(disparity)
    assert estimator.push(pair()).depth[0, :4].tolist() == [np.inf, np.inf, -np.inf, 2.5]


def test_a_picture_that_says_nothing_has_no_depth(estimator: StereoEstimator) -> None:
    estimator.runner = Answering(maps(8))
    dark = replace(pair().right, image=np.zeros((HEIGHT, WIDTH, 3), np.uint8))
    found = estimator.push(pair(right=dark), confidence=True)
    assert found.reason
    assert np.isnan(found.depth).all()
    assert not found.confidence.any()
    assert not estimator.runner.seen


def test_the_network_itself_runs_on_both(estimator: StereoEstimator) -> None:
    estimator.warm_up(WIDTH, HEIGHT)
    left, right = (torch.rand(1, 3, HEIGHT, WIDTH) for _ in range(2))
    network = DispNet(TINY).eval()
    network.load_state_dict(estimator.network.state_dict())
    part = Part(estimator.network, estimator.part)
    torch.testing.assert_close(part(left, right), network(left, right))


def test_a_file_of_psmnet_is_as_good(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PSMNet(PSMNetConfig(max_disparity=16, width=1 / 32))
    file = save_network(network, tmp_path / 'psmnet.safetensors')
    settings = StereoSettings(confidence_source='spread', resize_long_side=0)
    made = load_stereo(file, settings, device='cpu')
    assert isinstance(made.network, PSMNet)
    found = made.push(pair(), confidence=True)  # too small a picture for it: padded
    assert found.depth.shape == (HEIGHT, WIDTH)
    assert 0 <= np.nanmin(found.disparity) * WIDTH < made.reach


def test_without_weights_the_reason_is_said(tmp_path: Path) -> None:
    if shipped('dispnet') is None:
        with pytest.raises(WeightsError, match='no dispnet weights are shipped yet: name a file'):
            load_stereo()
    network = DispNet(replace(TINY, spread=False))
    file = save_network(network, tmp_path / 'a.safetensors')
    assert load_stereo(file, device='cpu').network.config == network.config


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'baseline': 0.0}, 'baseline must be above 0 m, got 0.0'),
        ({'right': Frame(stamp_ns=0, image=np.zeros((9, 9), np.uint8))}, 'is of 9x9 pixels'),
        (
            {'right': replace(pair().right, camera=replace(CAMERA, distortion=(0.1,) * 5))},
            'not rectified',
        ),
    ],
)
def test_what_is_no_pair_is_refused(changes: dict, message: str) -> None:
    with pytest.raises(StereoError, match=message):
        pair(**changes)
