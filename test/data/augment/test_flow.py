"""A pair that was changed still obeys its flow."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.augment.flow import (
    FlowAugmentConfig,
    FlowAugmentError,
    augment,
    crop_pair,
    light_pair,
    mirror_pair,
    upend_pair,
    warp_pair,
)
from dlcv.data.augment.photometric import OFF, PhotometricConfig
from dlcv.types import FlowPair

HEIGHT, WIDTH = 96, 128
DARK = FlowAugmentConfig(shared_light=OFF, own_light=OFF)  # geometry only


def affine(turn: float, zoom: float, dx: float, dy: float) -> np.ndarray:
    c, s = zoom * np.cos(turn), zoom * np.sin(turn)
    linear, centre = np.array([(c, -s), (s, c)]), np.array([(WIDTH - 1) / 2, (HEIGHT - 1) / 2])
    return np.column_stack([linear, centre + np.array([dx, dy]) - linear @ centre])


def positions(height: int, width: int) -> np.ndarray:
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)


def inverse(matrix: np.ndarray) -> np.ndarray:
    return np.asarray(cv2.invertAffineTransform(matrix))


def applied(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    return points @ matrix[:, :2].T + matrix[:, 2]


@pytest.fixture
def pair() -> FlowPair:
    """Return a plane seen twice, with its exact flow."""
    noise = np.random.default_rng(0).uniform(0, 255, (HEIGHT + 80, WIDTH + 80, 3))
    noise = (cv2.GaussianBlur(noise, (0, 0), 3) - 127) * 6 + 127
    plane = np.clip(noise, 0, 255).astype(np.uint8)
    first_from_plane = np.array([(1, 0, -40), (0, 1, -40)], np.float64)
    move = affine(0.06, 1.03, 5, -3)
    second_from_plane = np.vstack([move, (0, 0, 1)]) @ np.vstack([first_from_plane, (0, 0, 1)])
    size = (WIDTH, HEIGHT)
    at = positions(HEIGHT, WIDTH)
    there = applied(move, at)
    outside = (there < -0.5).any(-1) | (there >= (WIDTH - 0.5, HEIGHT - 0.5)).any(-1)
    return FlowPair(
        first=cv2.warpAffine(plane, first_from_plane, size),
        second=cv2.warpAffine(plane, second_from_plane[:2], size),
        flow=(there - at).astype(np.float32),
        backward=(applied(inverse(move), at) - at).astype(np.float32),
        occluded=outside,
        name='plane',
    )


def check(pair: FlowPair) -> None:
    """Fetch each picture along the flow and compare it with the other."""
    assert pair.backward is not None
    for here, there, flow in (
        (pair.first, pair.second, pair.flow),
        (pair.second, pair.first, pair.backward),
    ):
        height, width = here.shape[:2]
        at = positions(height, width) + np.nan_to_num(flow, nan=-1e4)
        fetched = cv2.remap(there.astype(np.float32), at.astype(np.float32), None, cv2.INTER_LINEAR)
        inside = (at > 1).all(-1) & (at < (width - 2, height - 2)).all(-1)
        assert inside.mean() > 0.5
        error = np.abs(fetched - here)[inside].mean()
        still = np.abs(here.astype(np.float32) - there)[inside].mean()
        assert error < 1.5
        assert still > 10  # or the check would say nothing


def test_the_pair_itself_is_true(pair: FlowPair) -> None:
    check(pair)


def test_crops(pair: FlowPair) -> None:
    part = crop_pair(pair, 10, 20, (60, 70))
    check(part)
    assert np.array_equal(part.first, pair.first[10:70, 20:90])
    assert np.array_equal(part.flow, pair.flow[10:70, 20:90])


def test_mirror_and_upend_change_one_sign(pair: FlowPair) -> None:
    flow = np.zeros_like(pair.flow)
    flow[3, 5] = (2, 7)
    one = replace(pair, flow=flow)
    assert mirror_pair(one).flow[3, WIDTH - 6].tolist() == [-2, 7]
    assert upend_pair(one).flow[HEIGHT - 4, 5].tolist() == [2, -7]
    check(mirror_pair(pair))
    check(upend_pair(pair))
    again = upend_pair(mirror_pair(mirror_pair(upend_pair(pair))))
    assert np.array_equal(again.flow, pair.flow)
    assert np.array_equal(again.occluded, pair.occluded)


@pytest.mark.parametrize('turn', [0.0, 0.2, -0.3])
@pytest.mark.parametrize('difference', [0.0, 0.07])
def test_warps_keep_the_flow_true(pair: FlowPair, turn: float, difference: float) -> None:
    first, second = affine(turn, 1.5, 2, 1), affine(turn + difference, 1.55, -3, 2.5)
    warped = warp_pair(pair, first, second, (HEIGHT, WIDTH))
    check(warped)
    assert np.isfinite(warped.flow).all()


def test_warping_by_the_motion_itself_leaves_no_flow(pair: FlowPair) -> None:
    move = affine(0.06, 1.03, 5, -3)
    still = warp_pair(pair, affine(0, 1, 0, 0), inverse(move), (HEIGHT, WIDTH))
    assert np.abs(still.flow).max() < 1e-3


def test_beyond_the_old_picture_flow_is_unknown(pair: FlowPair) -> None:
    shift = np.array([(1, 0, 9), (0, 1, 0)], np.float64)
    moved = warp_pair(pair, shift, shift, (HEIGHT, WIDTH))
    assert np.isnan(moved.flow[:, :9]).all()
    assert np.isfinite(moved.flow[:, 9:]).all()
    assert moved.occluded[:, :9].all()


def test_flow_at_an_edge_belongs_to_one_side(pair: FlowPair) -> None:
    flow = np.zeros_like(pair.flow)
    flow[:, 64:] = (30, 0)
    edge = replace(pair, flow=flow, backward=None, occluded=None)
    shift = np.array([(1, 0, 0.4), (0, 1, 0.3)], np.float64)
    moved = warp_pair(edge, shift, shift, (HEIGHT, WIDTH)).flow[5:-5, 5:-5, 0]
    assert np.all((np.abs(moved) < 1e-3) | (np.abs(moved - 30) < 1e-3))


def test_what_leaves_the_crop_is_occluded(pair: FlowPair) -> None:
    flow = np.broadcast_to(np.float32((10, 0)), pair.flow.shape)
    even = replace(pair, flow=flow, occluded=np.zeros((HEIGHT, WIDTH), bool))
    part = crop_pair(even, 0, 0, (HEIGHT, 50))
    assert part.occluded[:, 40:].all()
    assert not part.occluded[:, :40].any()


def test_random_changes_keep_the_flow_true(pair: FlowPair) -> None:
    config = replace(DARK, crop=(64, 80), relative_translation=4)
    for seed in range(12):
        changed = augment(pair, np.random.default_rng(seed), config)
        assert changed.flow.shape == (64, 80, 2)
        assert np.isfinite(changed.flow).all()
        check(changed)


def test_relative_motion_is_added(pair: FlowPair) -> None:
    config = replace(
        DARK, crop=(48, 64), rotation=0, zoom=(1, 1), relative_rotation=0, relative_zoom=0,
        mirror=0, upend=0,
    )  # fmt: skip
    still = replace(pair, flow=np.zeros_like(pair.flow), second=pair.first, backward=None)
    shifts = np.array(
        [augment(still, np.random.default_rng(i), config).flow[20, 20] for i in range(30)]
    )
    assert np.abs(shifts).max() <= 10
    assert np.abs(shifts).mean() > 3


def test_light_changes_alike_and_noise_does_not(pair: FlowPair) -> None:
    same = replace(pair, second=pair.first)
    shared = PhotometricConfig(noise=0, speckle=0, shade=(0, 0), probability=1.0)
    alike = light_pair(same, np.random.default_rng(0), shared, OFF)
    assert np.array_equal(alike.first, alike.second)
    assert not np.array_equal(alike.first, pair.first)
    noisy = light_pair(same, np.random.default_rng(0), OFF, FlowAugmentConfig().own_light)
    assert not np.array_equal(noisy.first, noisy.second)
    assert np.abs(noisy.first.astype(int) - noisy.second).mean() < 25


def test_changes_are_a_function_of_the_random_numbers(pair: FlowPair) -> None:
    one, other = (augment(pair, np.random.default_rng(3), FlowAugmentConfig()) for _ in range(2))
    assert np.array_equal(one.first, other.first)
    assert np.array_equal(one.second, other.second)
    assert np.array_equal(one.flow, other.flow, equal_nan=True)


def test_impossible_changes_are_refused(pair: FlowPair) -> None:
    with pytest.raises(FlowAugmentError, match='cannot cut 200x100 pixels from a pair of 128x96'):
        augment(pair, np.random.default_rng(0), FlowAugmentConfig(crop=(100, 200)))
    with pytest.raises(FlowAugmentError, match='probabilities'):
        FlowAugmentConfig(mirror=2)
    with pytest.raises(FlowAugmentError, match='zoom'):
        FlowAugmentConfig(zoom=(2, 1))
