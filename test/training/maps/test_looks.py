"""Looks at pictures: turned, zoomed and moved ones show the place where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.geometry.camera import back_project, project
from dlcv.geometry.trajectory import moved
from dlcv.training.maps.looks import LookConfig, known_views, look
from dlcv.training.recipe import TrainError

STRAIGHT = LookConfig(light=OFF, rotation=0, tilt=0, zoom=(1, 1), shifted=0)
BESIDE = replace(STRAIGHT, shifted=1.0, shift=0.2)


@pytest.fixture(scope='module')
def walk():
    camera = ideal_camera(96, 64, 70)
    return list(WorldRecording('room', seed=5, frames=4, rate_hz=5, camera=camera, workers=1))


def level(image, xy):
    """Return the mean grey around pixels."""
    grey = [image[int(y) - 1 : int(y) + 3, int(x) - 1 : int(x) + 3].mean() for x, y in xy]
    return np.array(grey)


def inside(camera, xy):
    return ((xy > 3) & (xy < (camera.width - 4, camera.height - 4))).all(axis=1)


def test_known_views_are_those_with_pose_and_camera(walk):
    blind = replace(walk[0], frame=replace(walk[0].frame, camera=None))
    lost = replace(walk[1], world_from_camera=None)
    lacking = []
    (view,) = known_views([blind, lost, walk[2]], 32, lacking.append)
    assert view.image.shape == (32, 48) == (view.camera.height, view.camera.width)
    assert view.camera.fx == pytest.approx(walk[2].frame.camera.fx / 2)
    assert np.array_equal(view.world_from_camera, walk[2].world_from_camera)
    assert lacking == ['calibration', 'pose']


@pytest.mark.parametrize('seed', range(5))
def test_a_turned_look_shows_the_same_points_through_its_own_camera(walk, seed):
    (view,) = known_views(walk[:1], 64)
    seen = back_project(view.camera, walk[0].depth)[16:48:8, 24:72:8].reshape(-1, 3)
    config = replace(STRAIGHT, rotation=25, tilt=12, zoom=(0.7, 1.4))
    found = look(view, np.random.default_rng(seed), config)
    assert found.image.shape == found.valid.shape == (found.camera.height, found.camera.width)
    points = moved(view.world_from_camera, seen)
    uv = project(found.camera, moved(np.linalg.inv(found.world_from_camera), points))
    shown = inside(found.camera, uv)
    before = project(view.camera, seen)[shown]
    assert np.abs(level(found.image, uv[shown]) - level(view.image, before)).max() < 40
    assert all(found.valid[int(v), int(u)] for u, v in uv[shown])


def test_a_look_that_changes_nothing_is_the_view(walk):
    (view,) = known_views(walk[:1], 64)
    found = look(view, np.random.default_rng(0), STRAIGHT)
    assert np.array_equal(found.image, view.image)
    assert found.camera == view.camera
    assert np.allclose(found.world_from_camera, view.world_from_camera)
    assert found.valid.all()


@pytest.mark.parametrize('seed', range(5))
def test_a_moved_look_shows_points_where_they_are(walk, seed):
    (view,) = known_views(walk[:1], 64)
    found = look(view, np.random.default_rng(seed), BESIDE)
    away = np.linalg.norm(found.world_from_camera[:3, 3] - view.world_from_camera[:3, 3])
    assert 0.01 < away < 0.2 * 3**0.5 * np.nanmedian(walk[0].depth)
    y, x = np.nonzero(found.valid)
    assert len(x) > 0.4 * found.valid.size
    xy = np.column_stack([x, y]).astype(float)
    points = found.places(xy)
    assert np.isfinite(points).all()
    back = project(found.camera, moved(np.linalg.inv(found.world_from_camera), points))
    assert np.abs(back - xy).max() < 1e-3  # each lies on the ray of its pixel
    seen = moved(np.linalg.inv(view.world_from_camera), points)
    before = project(view.camera, seen)
    shown = inside(view.camera, before) & inside(found.camera, xy)
    column, row = np.rint(before[shown]).astype(int).T
    off = np.abs(seen[shown, 2] / walk[0].depth[row, column] - 1)
    assert np.median(off) < 0.01  # and on the surface that the view saw
    assert np.mean(off < 0.1) > 0.9
    error = np.abs(level(found.image, xy[shown]) - level(view.image, before[shown]))
    assert np.median(error) < 6
    assert np.median(error) < 0.5 * np.median(
        np.abs(level(found.image, xy[shown]) - level(view.image, xy[shown]))
    )


def test_what_is_near_hides_what_is_far(walk):
    depth = np.full((64, 96), 4.0, np.float32)
    depth[:, 40:50] = 1.0
    striped = np.zeros((64, 96, 3), np.uint8)
    striped[:, 40:50] = 200
    frame = replace(walk[0].frame, image=striped)
    (view,) = known_views([replace(walk[0], frame=frame, depth=depth)], 64)
    found = look(view, np.random.default_rng(1), replace(BESIDE, shift=0.05))
    bright = found.image > 150
    xy = np.argwhere(bright & found.valid)[:, ::-1].astype(float)
    seen = moved(np.linalg.inv(view.world_from_camera), found.places(xy))
    assert len(xy) > 300
    assert np.mean(seen[:, 2] < 1.01) > 0.95  # grey is read between pixels at the edges
    assert not found.valid.all()  # what the stripe hid is unknown


def test_only_what_was_measured_is_shown_by_a_moved_look(walk):
    depth = np.where(np.arange(96) < 48, walk[0].depth, np.nan)
    (view,) = known_views([replace(walk[0], depth=depth)], 64)
    found = look(view, np.random.default_rng(0), BESIDE)
    assert 0.1 < found.valid.mean() < 0.6
    assert (found.image[found.valid] > 0).any()
    (blind,) = known_views([replace(walk[0], depth=np.full_like(depth, np.nan))], 64)
    same = look(blind, np.random.default_rng(0), BESIDE)
    assert np.array_equal(same.image, blind.image)
    assert not same.valid.any()


@pytest.mark.parametrize(
    'wrong', [{'zoom': (2.0, 1.0)}, {'tilt': 45}, {'shift': 1}, {'shifted': 2}]
)
def test_impossible_looks_are_refused(wrong):
    with pytest.raises(TrainError, match='looks need'):
        LookConfig(**wrong)
