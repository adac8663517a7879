"""How the pictures since a first one are understood, of drawn points that nothing measures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry import beginning
from dlcv.estimation.odometry.beginning import PARALLAX, Pictures

FOCAL, PIXELS = 500.0, 0.1
VIEW = 0.35  # x/z and y/z up to which a camera sees


def pose(shift, turn=(0, 0, 0)):
    made = np.eye(4)
    made[:3, :3], made[:3, 3] = Rotation.from_rotvec(turn).as_matrix(), shift
    return made


def shown(points, camera, rng):
    """Return where a camera sees points, with noise, and which it sees."""
    local = (points - camera[:3, 3]) @ camera[:3, :3]
    xy = local[:, :2] / local[:, 2:] + rng.normal(0, PIXELS / FOCAL, (len(points), 2))
    return xy, (local[:, 2] > 0.1) & (np.abs(xy) < VIEW).all(axis=1)


class Follower:
    """Sees points from one place after another; the first is the origin."""

    def __init__(self, points, seed=0):
        self.rng = np.random.default_rng(seed)
        xy, self.there = shown(points, np.eye(4), self.rng)
        self.points = points
        self.pictures = Pictures(0, np.flatnonzero(self.there), xy[self.there], FOCAL)
        self.number = 0

    def see(self, camera):
        """Return how the pictures are understood; None if they tell nothing new."""
        self.number += 1
        xy, seen = shown(self.points, camera, self.rng)
        names = np.flatnonzero(seen)
        stddev = np.full(len(names), PIXELS / FOCAL)
        self.turn = self.pictures.note(self.number, names, xy[names], stddev)
        return self.pictures.understood(set()) if self.pictures.tell() else None


def angle(found, true):
    a, b = found[:3, 3], true[:3, 3]
    return float(np.degrees(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b)))


@pytest.fixture
def scattered():
    return np.random.default_rng(0).uniform((-3, -2, 2), (3, 2, 9), (400, 3))


@pytest.fixture
def wall():
    """Points on a wall that is not square to the camera."""
    points = np.random.default_rng(0).uniform((-1.5, -1.2, 3), (1.5, 1.2, 3), (400, 3))
    points[:, 2] += 0.2 * points[:, 0]
    return points


def along(i):
    return pose(0.05 * i * np.array((0.9, 0.1, 0.4)), (0.0, 0.0125 * i, 0.0))


def test_before_a_scene_it_is_clear_with_the_first_parallax(scattered):
    camera = pose((0.1, 0.02, 0.05), (0.0, 0.02, 0.0))
    found = Follower(scattered).see(camera)
    assert found.decided
    assert found.rival is None
    assert angle(found.poses[1], camera) < 4.0
    depth = scattered[found.names, 2] / np.linalg.norm(camera[:3, 3])
    assert np.median(np.abs(1 / found.inverse_depth / depth - 1)) < 0.05


def test_before_a_wall_two_motions_are_possible_and_the_right_one_wins(wall):
    it = Follower(wall)
    found = {i: one for i in range(1, 7) if (one := it.see(along(i))) is not None}
    first, last = min(found), max(found)
    assert not found[first].decided
    off = [angle(one[first], along(first)) for one in (found[first].poses, found[first].rival)]
    assert min(off) < 5.0
    assert max(off) > 30.0
    assert angle(found[last].poses[last], along(last)) < 3.0


def test_in_the_end_the_best_is_taken(wall, monkeypatch):
    monkeypatch.setattr(beginning, '_LONGEST', 2)
    it = Follower(wall)
    found = [one for i in range(2, 4) if (one := it.see(along(i))) is not None]
    assert [one.decided for one in found] == [False, True]


def test_while_it_waits_the_other_motion_is_within_the_doubt(wall):
    it, numbers = Follower(wall), (3, 4)
    found = [it.see(along(i)) for i in range(1, 5)][-1]
    assert found.rival is not None
    doubt = found.ambiguity(*numbers, found.poses) + 1e-9 * np.eye(6)
    older, newer = (found.rival[i] for i in numbers)
    ours = np.linalg.inv(found.poses[3]) @ found.poses[4]
    off = found.poses[3][:3, :3] @ ((np.linalg.inv(older) @ newer)[:3, 3] - ours[:3, 3])
    assert off @ np.linalg.solve(doubt[:3, :3], off) < 1.1
    assert np.linalg.norm(off) > 0.1


def test_turning_tells_no_depths_and_creeping_tells_them_late(scattered):
    it = Follower(scattered)
    for i in range(1, 5):
        camera = pose((0, 0, 0), (0.0, 0.03 * i, 0.0))
        assert it.see(camera) is None
        assert it.pictures.parallax < PARALLAX / 2
        assert np.abs(it.turn - camera[:3, :3]).max() < 1e-3
    creep = [pose((0, 0, 0.03 * i), (0.0, 0.12, 0.0)) for i in range(1, 7)]
    found = [it.see(camera) for camera in creep]
    assert found[0] is None
    assert found[-1] is not None or found[-2] is not None
    last, camera = next((f, c) for f, c in zip(found[::-1], creep[::-1], strict=True) if f)
    assert angle(last.poses[max(last.poses)], camera) < 10.0


def test_without_its_points_a_picture_says_nothing(scattered):
    it = Follower(scattered)
    assert it.see(pose((0, 0, 0), (0, np.pi, 0))) is None
    assert it.turn is None
    assert it.pictures.left == 0
