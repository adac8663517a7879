"""SIFT and PnP: exact matches give exact poses, rooms are recognised, other places are not."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.geometry.camera import grid_rays, project
from dlcv.metrics.baselines import relocalization as methods
from dlcv.metrics.baselines.relocalization import PointMap
from dlcv.metrics.relocalization import relocalizations
from dlcv.types import Camera, Frame, Snapshot

CAMERA = Camera(width=320, height=240, fx=230.0, fy=240.0, cx=155.0, cy=123.0)


@pytest.fixture(scope='module')
def walk():
    """Views of a room; a map is made of the even ones."""
    return list(WorldRecording('room', seed=3, frames=16, rate_hz=4))


@pytest.fixture(scope='module')
def places(walk):
    """Maps of points placed by depth and by triangulation."""
    return {
        'depth': PointMap(walk[::2]),
        'no depth': PointMap(replace(view, depth=None) for view in walk[::2]),
    }


def errors(place, views):
    found = [place.locate(view.frame) for view in views]
    return relocalizations(found, [view.world_from_camera for view in views])


@pytest.mark.parametrize(
    ('name', 'metres', 'degrees'), [('depth', 0.01, 0.2), ('no depth', 0.02, 0.4)]
)
def test_a_room_is_recognised(walk, places, name, metres, degrees):
    assert errors(places[name], walk[1::2]).within(metres, degrees) == 1


def test_its_negative_is_not(walk, places):
    for view in walk[1::4]:
        for place in places.values():
            assert place.locate(replace(view.frame, image=255 - view.frame.image)) is None


def test_the_same_views_give_the_same_map(walk, places):
    again = PointMap(walk[::2])
    frame = walk[5].frame
    assert np.array_equal(again.locate(frame), places['depth'].locate(frame))
    assert len(again) == len(places['depth'])


def test_a_map_takes_what_its_points_and_descriptors_take(places):
    place = places['depth']
    assert len(place) > 500
    assert place.nbytes == len(place) * (3 * 4 + 128)


def test_lens_distortion_is_undone(walk):
    lens = Camera(
        width=320, height=240, fx=225.0, fy=225.0, cx=160.0, cy=118.0,
        distortion=(-0.25, 0.06, 0.001, -0.001, 0.0),
    )  # fmt: skip
    seen = [through(lens, view) for view in walk[:6]]
    place = PointMap(seen[::2])
    assert errors(place, seen[1::2]).within(0.02, 0.4) == 1
    assert errors(place, walk[1:6:2]).within(0.02, 0.4) == 1  # by another camera


def through(lens, view):
    """Return a view as a camera with distortion has it."""
    x, y = np.moveaxis(project(view.frame.camera, grid_rays(lens)), -1, 0).astype(np.float32)
    image = cv2.remap(view.frame.image, x, y, cv2.INTER_LINEAR)
    depth = cv2.remap(view.depth, x, y, cv2.INTER_NEAREST, borderValue=float('nan'))
    frame = replace(view.frame, image=image, camera=lens)
    return Snapshot(frame=frame, world_from_camera=view.world_from_camera, depth=depth)


def test_pictures_without_points_are_nowhere(walk, places):
    blank = np.zeros((240, 320, 3), np.uint8)
    frame = Frame(stamp_ns=0, image=blank, camera=ideal_camera(320, 240))
    assert places['depth'].locate(frame) is None
    empty = replace(walk[0], frame=frame)
    assert PointMap([]).locate(walk[0].frame) is None
    assert PointMap([empty, empty]).locate(walk[0].frame) is None
    some = PointMap([empty, walk[0], empty, walk[2]])
    assert errors(some, [walk[1]]).within(0.02, 0.4) == 1


def test_unknown_depth_gives_no_points(walk):
    hollow = replace(walk[0], depth=np.where(walk[0].depth < 3, np.nan, walk[0].depth))
    lost = replace(walk[0], depth=np.full_like(walk[0].depth, np.nan))
    assert 0 < len(PointMap([hollow])) < len(PointMap([walk[0]]))
    assert len(PointMap([lost])) == 0


def looking(seed, points):
    """A view of points, with their rays."""
    rng = np.random.default_rng(seed)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec(rng.normal(0, 0.1, 3)).as_matrix()
    pose[:3, 3] = rng.normal(0, 0.3, 3)
    rays = points - pose[:3, 3]
    return methods._Seen(
        camera=CAMERA,
        world_from_camera=pose,
        xy=project(CAMERA, rays @ pose[:3, :3]),
        rays=rays / np.linalg.norm(rays, axis=1, keepdims=True),
        descriptors=np.zeros((len(points), 128), np.uint8),
        points=np.full_like(points, np.nan),
    )


def test_rays_meet_in_their_point():
    points = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
    first, second = looking(1, points), looking(2, points)
    same = np.stack((np.arange(20), np.arange(20)), axis=1)
    places, parallax = methods._triangulated(first, second, same)
    np.testing.assert_allclose(places, points, atol=1e-9)
    to = [points - view.world_from_camera[:3, 3] for view in (first, second)]
    sine = np.linalg.norm(np.cross(*to), axis=1) / np.prod(
        [np.linalg.norm(t, axis=1) for t in to], 0
    )
    np.testing.assert_allclose(parallax, np.degrees(np.arcsin(sine)), rtol=1e-6)


def test_rays_that_do_not_meet_before_the_cameras_give_no_point():
    points = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
    first, second = looking(1, points), looking(2, points)
    other = np.stack((np.arange(20), np.roll(np.arange(20), 1)), axis=1)
    _, parallax = methods._triangulated(first, second, other)
    assert np.mean(parallax == 0) > 0.8
    _, parallax = methods._triangulated(first, first, other[:, [0, 0]])
    np.testing.assert_allclose(parallax, 0, atol=1e-4)  # no baseline, no parallax


def test_points_behind_a_camera_are_none():
    points = np.random.default_rng(0).uniform((-1, -1, 3), (1, 1, 6), (20, 3))
    first, second = looking(1, points), looking(2, points)
    same = np.stack((np.arange(20), np.arange(20)), axis=1)
    pose = second.world_from_camera @ np.diag((-1.0, 1.0, -1.0, 1.0))  # turned round
    assert not methods._triangulated(first, replace(second, world_from_camera=pose), same)[1].any()


def test_matches_are_mutual_and_distinct():
    a = np.zeros((4, 128), np.uint8)
    a[0, 0], a[1, 1], a[2, 2], a[3, 3] = 200, 200, 200, 200
    b = np.zeros((5, 128), np.uint8)
    b[0, 1] = 190  # a1
    b[1, 0] = b[2, 0] = 150  # a0, but twice the same
    b[3, 2] = 200  # a2
    b[4, 2], b[4, 3] = 100, 90  # the nearest one of a3, to which a2 is nearer
    assert methods._matches(a, b).tolist() == [[1, 0], [2, 3]]
    assert methods._matches(a, b[:1]).shape == (0, 2)
    assert methods._matches(a[:0], b).shape == (0, 2)


def agreeing(count, wrong=0):
    """Points of a picture of known pose, the first of them moved elsewhere."""
    rng = np.random.default_rng(3)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('xyz', (0.3, -0.2, 0.1)).as_matrix()
    pose[:3, 3] = (0.5, -1.0, 2.0)
    xy = rng.uniform((0, 0), (320, 240), (count, 2))
    rays = np.column_stack(((xy - (CAMERA.cx, CAMERA.cy)) / (CAMERA.fx, CAMERA.fy), np.ones(count)))
    points = rays * rng.uniform(1, 5, (count, 1)) @ pose[:3, :3].T + pose[:3, 3]
    points[:wrong] += rng.uniform(-2, 2, (wrong, 3))
    return points, xy, pose


def test_matches_that_agree_give_the_exact_pose():
    points, xy, pose = agreeing(120, wrong=60)
    found = methods._pose(points, xy, CAMERA, np.arange(120))
    np.testing.assert_allclose(found, pose, atol=1e-5)


def test_a_point_counts_once_however_often_it_matches():
    points, xy, pose = agreeing(29)
    often = np.tile(np.arange(29), 4)
    assert methods._pose(points[often], xy[often], CAMERA, often) is None
    points, xy, pose = agreeing(30)
    np.testing.assert_allclose(methods._pose(points, xy, CAMERA, np.arange(30)), pose, atol=1e-5)
