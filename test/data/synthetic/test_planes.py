"""Stereo scenes of planes: what is seen left is found right, by its disparity."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from dlcv.data.synthetic.layers import LayersError
from dlcv.data.synthetic.photos import PhotoPool
from dlcv.data.synthetic.planes import Plane, PlaneScenes, PlanesConfig, draw_stereo

SMALL = PlanesConfig(height=96, width=160, nearest=40.0, back=(1.0, 10.0))


@pytest.fixture(scope='module')
def photos(tmp_path_factory: pytest.TempPathFactory) -> PhotoPool:
    """Two small pictures: painting some takes seconds."""
    folder = tmp_path_factory.mktemp('photos')
    for i in range(2):
        noise = np.random.default_rng(i).integers(0, 256, (24, 32, 3), np.uint8)
        assert cv2.imwrite(str(folder / f'{i}.png'), cv2.resize(noise, (320, 240)))
    return PhotoPool([folder])


def at(values: np.ndarray, disparity: np.ndarray) -> np.ndarray:
    """Return values of the right picture where the left one's disparity leads."""
    y, x = np.mgrid[: values.shape[0], : values.shape[1]].astype(np.float32)
    return cv2.remap(values.astype(np.float32), x - disparity, y, cv2.INTER_LINEAR)


def test_the_right_picture_fetched_by_disparity_is_the_left_one(photos: PhotoPool) -> None:
    scenes = PlaneScenes(photos, replace(SMALL, plain=0.0), 3)
    for index in range(4):
        pair = scenes[index]
        miss = np.abs(at(pair.right_disparity, pair.disparity) - pair.disparity)
        x = np.arange(160) - pair.disparity
        seen = (miss < 0.1) & (x >= 0)
        assert seen.mean() > 0.5
        lost = np.abs(at(pair.right, pair.disparity) - pair.left).mean(-1)
        assert np.median(lost[seen]) < 3
        assert pair.disparity.min() >= 0
        assert pair.disparity.max() < 2 * SMALL.nearest


def test_a_tilted_plane_has_the_disparity_that_its_pixels_say() -> None:
    ramp = np.tile(np.linspace(0, 255, 160).astype(np.uint8)[None, :, None], (96, 1, 3))
    plane = Plane(
        texture=ramp, alpha=None, placed=np.eye(2, 3), disparity=np.array([0.1, 0.05, 4.0])
    )
    pair = draw_stereo([plane], 96, 160)
    x, y = 80, 40  # of the camera in the middle
    d = 0.1 * x + 0.05 * y + 4
    for disparity, side in ((pair.disparity, 0.5), (pair.right_disparity, -0.5)):
        assert disparity[y, round(x + side * d)] == pytest.approx(d, abs=0.06)


def test_the_nearer_plane_hides_the_farther_in_both_views() -> None:
    far = np.full((96, 160, 3), 50, np.uint8)
    near = np.full((20, 30, 3), 200, np.uint8)
    planes = [
        Plane(texture=far, alpha=None, placed=np.eye(2, 3), disparity=np.array([0, 0, 2.0])),
        Plane(
            texture=near,
            alpha=np.ones((20, 30), np.float32),
            placed=np.array([(1, 0, 60), (0, 1, 30.0)]),
            disparity=np.array([0, 0, 20.0]),
        ),
    ]
    pair = draw_stereo(planes, 96, 160)
    assert pair.disparity[40, 72:95].tolist() == [20] * 23
    assert pair.right_disparity[40, 52:75].tolist() == [20] * 23
    assert set(np.unique(pair.disparity)) == {2, 20}
    assert pair.left[40, 80].tolist() == [200, 200, 200]


def test_impossible_scenes_are_refused() -> None:
    with pytest.raises(LayersError, match='16 pixels at least, got 8x96'):
        replace(SMALL, width=8)
    with pytest.raises(LayersError, match='back <= nearest'):
        replace(SMALL, back=(1.0, 50.0))
    with pytest.raises(LayersError, match='fewest <= most'):
        replace(SMALL, things=(4, 2))
