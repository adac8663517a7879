"""The picture of a map: which way it is looked at, and that everything is in it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.view.place import above, place_picture


def looking(down, forward):
    """Return an upright camera's pose by where its picture's down and its view go."""
    pose = np.eye(4)
    pose[:3, 1], pose[:3, 2] = down, forward
    pose[:3, 0] = np.cross(pose[:3, 1], pose[:3, 2])
    return pose


@pytest.mark.parametrize(
    ('down', 'forward', 'axes'),
    [
        ((0, 0, -1), (1, 0, 0), (0, 1)),  # ROS: z up
        ((0, 1, 0), (0, 0, 1), (0, 2)),  # the first camera's axes: y down
        ((0, -1, 0), (0, 0, 1), (2, 0)),
        ((0, 0, 1), (1, 0, 0), (1, 0)),
    ],
)
def test_the_place_is_seen_from_above(down, forward, axes):
    poses = np.stack([looking(down, forward), looking(down, forward)])
    assert above(poses) == axes
    right, up = (np.eye(3)[axis] for axis in axes)
    assert np.cross(right, up) @ np.array(down) == -1  # towards whoever looks down


def test_cameras_points_and_answers_are_drawn():
    rng = np.random.default_rng(0)
    cameras = np.stack([looking((0, 0, -1), (1, 0, 0))] * 5)
    cameras[:, 0, 3] = np.arange(5)
    held_out = cameras[:3] + 0.0
    elsewhere = held_out[1].copy()
    elsewhere[1, 3] += 2
    drawn = place_picture(
        rng.uniform(-3, 3, (500, 3)),
        rng.integers(0, 255, 500).astype(np.uint8),
        cameras,
        held_out,
        [held_out[0], elsewhere, None],
        np.array([True, False, False]),
        size=(500, 400),
    )
    assert drawn.shape == (400, 500, 3)
    flat = drawn.reshape(-1, 3).astype(int)
    for colour in ((27, 158, 63), (224, 138, 0), (214, 39, 40), (31, 119, 180)):
        assert (np.abs(flat - colour).sum(1) < 30).any(), colour


def test_a_map_without_points_or_held_out_pictures_is_drawn():
    cameras = np.stack([looking((0, 1, 0), (0, 0, 1))] * 2)
    empty = np.zeros((0, 3))
    drawn = place_picture(
        empty, np.zeros(0, np.uint8), cameras, np.zeros((0, 4, 4)), [], np.zeros(0, bool)
    )
    assert drawn.std() > 1
