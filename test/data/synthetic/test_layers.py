"""Layered scenes obey the laws of flow, and move like FlyingChairs."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.synthetic.layers import (
    Layer,
    LayeredScenes,
    LayersConfig,
    LayersError,
    MotionConfig,
    draw_pair,
)
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.silhouettes import KINDS, raster, shading, silhouette
from dlcv.types import FloatArray, FlowPair

STILL = MotionConfig(translation=0, rotation=0, zoom=0)
SMALL = LayersConfig(height=96, width=128)


@pytest.fixture(scope='module')
def photos() -> PhotoPool:
    return PhotoPool([])


def fetched(values: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Return values of the second picture where the flow leads from the first."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    at = np.stack([x, y], -1).astype(np.float32) + flow
    return cv2.remap(values.astype(np.float32), at, None, cv2.INTER_LINEAR)


def inner(mask: np.ndarray, pixels: int = 2) -> np.ndarray:
    """Return the mask without the pixels near its border."""
    return cv2.erode(mask.astype(np.uint8), np.ones((2 * pixels + 1,) * 2)) > 0


def smooth_photo(seed: int, height: int, width: int) -> np.ndarray:
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3))
    return np.clip((cv2.GaussianBlur(noise, (0, 0), 3) - 127) * 6 + 127, 0, 255).astype(np.uint8)


def shifted(dx: float, dy: float) -> np.ndarray:
    return np.array([(1, 0, dx), (0, 1, dy)], np.float64)


def seen(pair: FlowPair) -> np.ndarray:
    assert pair.occluded is not None
    return ~pair.occluded


def test_the_second_picture_fetched_along_the_flow_is_the_first(photos: PhotoPool) -> None:
    scenes = LayeredScenes(photos, LayersConfig(height=192, width=256), 3)
    for index in range(6):
        pair = scenes[index]
        clear = inner(seen(pair))
        lost = np.abs(fetched(pair.second, pair.flow) - pair.first).mean(-1)
        still = np.abs(pair.second.astype(float) - pair.first).mean(-1)
        assert clear.mean() > 0.4
        assert np.median(lost[clear]) < 3
        assert lost[clear].mean() < 0.7 * max(still[clear].mean(), 6)


def test_forward_and_backward_flow_cancel_where_nothing_hides(photos: PhotoPool) -> None:
    scenes = LayeredScenes(photos, LayersConfig(height=192, width=256), 4)
    for index in range(6):
        pair = scenes[index]
        back = fetched(pair.backward, pair.flow)
        error = np.linalg.norm(pair.flow + back, axis=-1)
        flat = inner(seen(pair)) & (cv2.Laplacian(pair.flow[..., 0], cv2.CV_32F) ** 2 < 1e-6)
        assert np.percentile(error[flat], 99) < 1e-2


def test_flow_and_occlusion_of_one_square_are_as_computed_by_hand() -> None:
    background = Layer(
        texture=smooth_photo(0, 60, 80),
        alpha=None,
        first_from_layer=shifted(0, 0),
        second_from_layer=shifted(0, 0),
    )
    square = Layer(
        texture=smooth_photo(1, 20, 20),
        alpha=np.ones((20, 20), np.float32),
        first_from_layer=shifted(10, 20),
        second_from_layer=shifted(17, 24),
    )
    pair = draw_pair([background, square], 60, 80)
    flow, back = np.zeros((60, 80, 2)), np.zeros((60, 80, 2))
    flow[20:40, 10:30] = (7, 4)
    back[24:44, 17:37] = (-7, -4)
    hidden = np.zeros((60, 80), bool)
    hidden[24:44, 17:37] = True
    hidden[20:40, 10:30] = False  # the square hides what it moves onto, and nothing hides it
    assert np.array_equal(pair.flow, flow)
    assert np.array_equal(pair.backward, back)
    assert np.array_equal(pair.occluded, hidden)
    assert np.array_equal(pair.second[24:44, 17:37], pair.first[20:40, 10:30])


def test_what_leaves_the_picture_is_occluded() -> None:
    plane = Layer(
        texture=smooth_photo(0, 40, 50),
        alpha=None,
        first_from_layer=shifted(0, 0),
        second_from_layer=shifted(-6, 3),
    )
    pair = draw_pair([plane], 40, 50)
    hidden = np.zeros((40, 50), bool)
    hidden[:, :6] = True
    hidden[-3:] = True
    assert np.array_equal(pair.occluded, hidden)
    assert np.array_equal(pair.second[3:, :-6], pair.first[:-3, 6:])


def test_subpixel_motion_is_rendered() -> None:
    x = np.arange(60, dtype=np.float64)
    ramp = np.repeat((4 * x)[None, :, None], 40, 0).repeat(3, 2).astype(np.uint8)
    plane = Layer(
        texture=ramp,
        alpha=None,
        first_from_layer=shifted(0, 0),
        second_from_layer=shifted(-2.25, 0),
    )
    pair = draw_pair([plane], 40, 50)
    rise = pair.second[:, 5:40, 0].astype(float) - pair.first[:, 5:40, 0]
    assert np.all(np.abs(rise - 9) <= 0.5)  # 2.25 pixels of 4 grey levels


def test_a_still_scene_has_no_flow_and_hides_nothing(photos: PhotoPool) -> None:
    config = replace(SMALL, background=STILL, object_motion=STILL)
    pair = LayeredScenes(photos, config, 0)[0]
    assert not pair.flow.any()
    assert not pair.backward.any()
    assert not pair.occluded.any()
    assert np.array_equal(pair.first, pair.second)


def test_a_pair_is_a_function_of_seed_and_index(photos: PhotoPool) -> None:
    scenes, again = LayeredScenes(photos, SMALL, 7), LayeredScenes(photos, SMALL, 7)
    forwards = [scenes[i] for i in range(3)]
    backwards = [again[i] for i in reversed(range(3))][::-1]
    for one, other in zip(forwards, backwards, strict=True):
        assert np.array_equal(one.first, other.first)
        assert np.array_equal(one.second, other.second)
        assert np.array_equal(one.flow, other.flow)
    assert not np.array_equal(forwards[0].first, forwards[1].first)
    assert not np.array_equal(forwards[0].first, LayeredScenes(photos, SMALL, 8)[0].first)


def test_displacements_are_spread_like_flying_chairs(photos: PhotoPool) -> None:
    scenes = LayeredScenes(photos, LayersConfig(), 1)
    lengths = np.concatenate(
        [np.linalg.norm(scenes[i].flow[::8, ::8], axis=-1).ravel() for i in range(60)]
    )
    assert 7 < lengths.mean() < 16  # FlyingChairs: 11
    assert np.median(lengths) < 0.7 * lengths.mean()  # heavy tail
    assert 0.02 < (lengths > 40).mean() < 0.15
    assert np.percentile(lengths, 99.5) > 80


def test_motion_is_proportional_to_the_size(photos: PhotoPool) -> None:
    lengths = []
    for width in (64, 128):
        config = LayersConfig(height=width * 3 // 4, width=width, objects=(0, 0))
        scenes = LayeredScenes(photos, config, 1)
        lengths.append(np.mean([np.abs(scenes[i].flow).mean() for i in range(40)]))
    assert lengths[1] / lengths[0] == pytest.approx(2, rel=0.2)


def test_scenes_of_one_kind_move_by_little_and_by_much(photos: PhotoPool) -> None:
    steady = MotionConfig(power=1, translation=8, rotation_share=0, zoom_share=0)
    config = LayersConfig(height=48, width=512, objects=(0, 0), background=steady)

    def deviations(spread: float) -> FloatArray:
        scenes = LayeredScenes(photos, replace(config, motion_spread=spread), 1)
        return np.log2([np.linalg.norm(scenes[i].flow[0, 0]) / 8 for i in range(60)])

    steady_spread, wide_spread = deviations(1.0).std(), deviations(16.0).std()
    evenly = 8 / np.sqrt(12)  # of log2 of the factor, between -4 and 4
    assert wide_spread == pytest.approx(np.hypot(steady_spread, evenly), rel=0.25)


def test_every_pair_has_finite_truth_of_its_size(photos: PhotoPool) -> None:
    scenes = LayeredScenes(photos, LayersConfig(height=50, width=70, objects=(10, 30)), 2)
    for index in range(10):
        pair = scenes[index]
        assert pair.first.shape == pair.second.shape == (50, 70, 3)
        assert pair.first.dtype == np.uint8
        assert pair.flow.shape == pair.backward.shape == (50, 70, 2)
        assert pair.flow.dtype == pair.backward.dtype == np.float32
        assert pair.occluded.dtype == np.bool_
        assert np.isfinite(pair.flow).all()
        assert pair.name == f'layers 2/{index}'


@pytest.mark.parametrize(
    'wrong',
    [
        {'height': 8},
        {'objects': (5, 2)},
        {'objects': (0, 300)},
        {'size': (0.0, 0.5)},
        {'motion_spread': 0.5},
    ],
)
def test_impossible_scenes_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(LayersError, match='layered scenes need'):
        LayersConfig(**wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize('kind', KINDS)
def test_outlines_stay_inside_and_cover_something(kind) -> None:
    for seed in range(20):
        outline = kind(np.random.default_rng(seed))
        reach = max(np.abs(line).max() for part in outline for line in part)
        mask = raster(outline, 60, 80)
        assert reach < 1.3
        assert 0.005 < mask.mean() / 255 < 0.95
        assert {0, 255} < set(np.unique(mask).tolist())  # edges are smooth


def test_a_ring_has_a_hole_and_parts_have_their_own_light() -> None:
    square = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)], np.float64)
    mask = raster(((square * 0.8, square * 0.4),), 41, 41)
    assert mask[20, 20] == 0
    assert mask[20, 8] == 255
    left, right = ((square * 0.3 + (x, 0),) for x in (-0.5, 0.5))
    shade = shading((left, right), 41, 41, np.random.default_rng(0))
    assert shade[20, 10] != shade[20, 30]
    assert shade[0, 0] == 255


def test_silhouettes_are_of_many_kinds() -> None:
    areas = [raster(silhouette(np.random.default_rng(i)), 50, 50).mean() for i in range(60)]
    assert np.std(areas) > 20
