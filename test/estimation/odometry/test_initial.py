"""Poses from points drawn at random, and which of three motions a pair of pictures shows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.initial import motions_of_rays, pose_of_points

FOCAL = 500.0
TURN = Rotation.from_rotvec((0.02, 0.06, -0.01)).as_matrix()
SHIFT = np.array([0.3, 0.05, 0.1])


def seen(points, turn, shift, seed=1, pixels=0.2):
    local = (points - shift) @ turn
    noise = np.random.default_rng(seed).normal(0, pixels / FOCAL, (len(points), 2))
    return local[:, :2] / local[:, 2:] + noise


def angle(a, b):
    return float(
        np.degrees(np.arccos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1, 1)))
    )


@pytest.fixture
def scattered():
    return np.random.default_rng(0).uniform((-3, -2, 2), (3, 2, 9), (300, 3))


@pytest.fixture
def flat():
    """Points on a wall that is not square to the camera."""
    points = np.random.default_rng(0).uniform((-2, -2, 4), (2, 2, 4), (300, 3))
    points[:, 2] += 0.5 * points[:, 0] + 0.1 * points[:, 1]
    return points


def pairs_of(points, turn, shift):
    return motions_of_rays(
        seen(points, np.eye(3), np.zeros(3), 2), seen(points, turn, shift), FOCAL
    )


def test_a_scene(scattered):
    (pair,) = pairs_of(scattered, TURN, SHIFT)
    assert pair.kind == 'scene'
    assert angle(pair.older_from_newer[:3, 3], SHIFT) < 4.0  # a start, not an estimate
    assert np.abs(pair.older_from_newer[:3, :3] - TURN).max() < 0.006


def test_a_turn(scattered):
    (pair,) = pairs_of(scattered, TURN, np.zeros(3))
    assert pair.kind == 'turn'
    assert not pair.older_from_newer[:3, 3].any()
    assert np.abs(pair.older_from_newer[:3, :3] - TURN).max() < 0.001


def test_a_plane_leaves_several_motions_of_which_one_is_right(flat):
    pairs = pairs_of(flat, TURN, SHIFT)
    assert [one.kind for one in pairs].count('plane') >= 1
    off = [angle(one.older_from_newer[:3, 3], SHIFT) for one in pairs]
    assert min(off) < 3.0


def test_wrong_matches_change_nothing(scattered):
    first, second = seen(scattered, np.eye(3), np.zeros(3), 2), seen(scattered, TURN, SHIFT)
    wrong = np.arange(0, 300, 5)
    second[wrong] = np.random.default_rng(3).uniform(-0.5, 0.5, (len(wrong), 2))
    (pair,) = motions_of_rays(first, second, FOCAL)
    assert pair.kind == 'scene'
    assert angle(pair.older_from_newer[:3, 3], SHIFT) < 4.0


def test_the_same_points_give_the_same_motion(scattered):
    first, second = (pairs_of(scattered, TURN, SHIFT)[0].older_from_newer for _ in range(2))
    assert first.tobytes() == second.tobytes()


def test_too_few_points_tell_nothing(scattered):
    assert pairs_of(scattered[:7], TURN, SHIFT) == []
    assert pose_of_points(scattered[:7], scattered[:7, :2], FOCAL) is None


def test_the_pose_of_known_points(scattered):
    xy = seen(scattered, TURN, SHIFT)
    xy[::3] = np.random.default_rng(3).uniform(-0.5, 0.5, (100, 2))
    pose = pose_of_points(scattered, xy, FOCAL)
    assert np.abs(pose[:3, :3] - TURN).max() < 0.003
    assert np.linalg.norm(pose[:3, 3] - SHIFT) < 0.01


def test_points_that_fit_no_pose_give_none(scattered):
    xy = np.random.default_rng(4).uniform(-0.5, 0.5, (12, 2))
    assert pose_of_points(scattered[:12], xy, FOCAL) is None


def test_points_on_a_line_show_a_turn_at_most():
    """Their homography takes a plane to a line, and has no inverse."""
    x = np.linspace(-0.5, 0.5, 60)
    first = np.column_stack((x, 0.2 * x))
    second = np.column_stack((np.full(60, 0.1), np.full(60, 0.02)))
    pairs = motions_of_rays(first, second, FOCAL)
    assert all(np.isfinite(pair.older_from_newer).all() for pair in pairs)
