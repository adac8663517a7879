"""The window: landmarks stay where they are, whatever they hang on."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Fresh, Sighting
from dlcv.estimation.odometry.view import Points
from dlcv.types import Camera

LENS = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
COUNT = 20


def picture(number, count=COUNT):
    return Points(
        number=number,
        stamp_ns=number,
        grey=np.zeros((48, 64), np.uint8),
        flat=np.zeros((48, 64), np.uint8),
        camera=LENS,
        pixels=np.zeros((count, 2), np.float32),
        descriptors=np.eye(count, 32, dtype=np.float32),
        inverse_depth=np.full(count, np.nan),
        inverse_stddev=np.full(count, np.nan),
    )


def pose_at(k):
    pose = np.eye(4)
    angle = 0.05 * k
    pose[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)],
    ]  # fmt: skip
    pose[:3, 3] = 0.2 * k, 0.02 * k, 0.1 * k
    return pose


def fresh(xy, inverse_depth, measured=True):
    count = len(xy)
    return Fresh(
        xy=xy,
        pixels=(50 * xy + 30).astype(np.float32),
        descriptors=np.eye(count, 32, dtype=np.float32),
        inverse_depth=inverse_depth,
        inverse_stddev=0.1 * inverse_depth,
        measured=np.full(count, measured),
    )


def nothing():
    return fresh(np.empty((0, 2)), np.empty(0))


@pytest.fixture
def scene_points():
    return np.random.default_rng(0).uniform((-2, -1, 3), (2, 1, 9), (COUNT, 3))


@pytest.fixture
def window(scene_points):
    """Three keyframes; all points hang on the first, all but two are seen by the others too."""
    window = Keyframes(3, 32)
    xy = scene_points[:, :2] / scene_points[:, 2:]
    first = fresh(xy, 1 / scene_points[:, 2])
    window.add(picture(0), np.eye(4), Sighting.none(), first)
    for k in (1, 2):
        window.add(
            picture(k), pose_at(k), sighting(scene_points, k, np.arange(2, COUNT)), nothing()
        )
    return window


def sighting(points, k, rows):
    local = (points[rows] - pose_at(k)[:3, 3]) @ pose_at(k)[:3, :3]
    xy = local[:, :2] / local[:, 2:]
    return Sighting(
        rows=rows,
        points=np.arange(len(rows)),
        xy=xy,
        pixels=(50 * xy + 30).astype(np.float32),
        stddev=np.full(len(rows), 0.01),
        links=np.ones(len(rows), np.int64),
        away=np.zeros(len(rows)),
    )


def test_landmarks_are_where_they_were_put(window, scene_points):
    np.testing.assert_allclose(window.points(), scene_points, atol=1e-12)
    local = (scene_points - pose_at(2)[:3, 3]) @ pose_at(2)[:3, :3]
    depth = window.depths_in(pose_at(2), np.arange(COUNT))
    np.testing.assert_allclose(depth, local[:, 2], atol=1e-12)


def test_landmarks_are_seen_from_anywhere_but_behind(window, scene_points):
    camera = pose_at(4)
    local = (scene_points - camera[:3, 3]) @ camera[:3, :3]
    seen = window.seen_from(camera)
    np.testing.assert_allclose(seen, local[:, :2] / local[:, 2:], atol=1e-12)
    camera[2, 3] = 6.0  # past some
    local = (scene_points - camera[:3, 3]) @ camera[:3, :3]
    np.testing.assert_array_equal(np.isnan(window.seen_from(camera)[:, 0]), local[:, 2] <= 0)


def test_a_keyframe_that_leaves_hands_its_landmarks_on_and_they_stay(window, scene_points):
    window.add(picture(3), pose_at(3), Sighting.none(), nothing())
    window.forget_oldest()
    assert [one.number for one in window.frames] == [1, 2, 3]
    assert window.landmarks.name.tolist() == list(range(2, COUNT))  # two had nowhere to go
    assert set(window.landmarks.anchor.tolist()) == {1}
    np.testing.assert_allclose(window.points(), scene_points[2:], atol=1e-9)


def test_what_was_known_of_a_depth_is_handed_on(window, scene_points):
    """The new deviation is what the old one moves the point by, along the new ray."""
    marks = window.landmarks
    stddev = np.sqrt(marks.variance[2:])
    shifted = marks.inverse_depth[2:] + 1e-6
    points = scene_points[2:] / scene_points[2:, 2:] / shifted[:, None]
    depth = ((points - pose_at(1)[:3, 3]) @ pose_at(1)[:3, :3])[:, 2]
    before = ((scene_points[2:] - pose_at(1)[:3, 3]) @ pose_at(1)[:3, :3])[:, 2]
    change = np.abs(1 / depth - 1 / before) / 1e-6
    window.add(picture(3), pose_at(3), Sighting.none(), nothing())
    window.forget_oldest()
    np.testing.assert_allclose(np.sqrt(window.landmarks.variance), stddev * change, rtol=1e-3)
    np.testing.assert_allclose(window.landmarks.prior_stddev, stddev * change, rtol=1e-3)
    np.testing.assert_allclose(window.landmarks.prior, window.landmarks.inverse_depth)


def test_a_landmark_behind_the_next_keyframe_goes(scene_points):
    window = Keyframes(1, 32)
    xy = scene_points[:, :2] / scene_points[:, 2:]
    window.add(picture(0), np.eye(4), Sighting.none(), fresh(xy, 1 / scene_points[:, 2]))
    far = np.eye(4)
    far[2, 3] = 100.0
    window.add(picture(1), far, sighting(scene_points, 0, np.arange(COUNT)), nothing())
    window.forget_oldest()
    assert len(window.landmarks) == 0
    assert len(window.points()) == 0


def test_all_lengths_are_rescaled(window, scene_points):
    variance = window.landmarks.variance.copy()
    window.rescale(2.0)
    np.testing.assert_allclose(window.points(), 2 * scene_points)
    np.testing.assert_allclose(window.frames[2].window_from_camera[:3, 3], 2 * pose_at(2)[:3, 3])
    np.testing.assert_allclose(window.landmarks.variance, variance / 4)


def test_what_is_not_seen_for_long_is_forgotten_the_unconfirmed_sooner(window):
    window.landmarks.last_seen[:] = 5
    window.landmarks.last_seen[4] = 1
    window.forget_unseen(4, 4)
    assert window.landmarks.name.tolist() == [0, 1, 2, 3, *range(5, COUNT)]
    window.forget_unseen(4, 6)  # the first two were seen by one keyframe alone
    assert window.landmarks.name.tolist() == [2, 3, *range(5, COUNT)]


def test_observations_are_those_beside_the_anchors(window, scene_points):
    keyframe, rows, xy, stddev = window.observations()
    assert keyframe.tolist() == [1] * (COUNT - 2) + [2] * (COUNT - 2)
    np.testing.assert_allclose(xy[: COUNT - 2], sighting(scene_points, 1, rows[: COUNT - 2]).xy)
    assert (stddev == 0.01).all()
    assert window.sightings().tolist() == [1, 1] + [3] * (COUNT - 2)
