"""Patches of keyframes in pictures that were taken from nearer, and turned."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.patches import bends, fitted_from_anchors
from dlcv.types import Camera

CAMERA = Camera(width=200, height=150, fx=180.0, fy=180.0, cx=99.5, cy=74.5)
DEPTH = 4.0


@pytest.fixture
def nearer():
    """A wall, the same from a quarter nearer and rolled, where that was, and what landmarks are."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.normal(size=(150, 200)), (0, 0), 2)
    wall = cv2.normalize(soft, None, 40, 200, cv2.NORM_MINMAX).astype(np.float32)
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_rotvec((0.01, -0.02, 0.05)).as_matrix()
    pose[:3, 3] = 0.1, -0.05, DEPTH / 5
    plane = np.outer(pose[:3, 3], (0.0, 0.0, 1 / DEPTH))
    there = CAMERA.matrix @ pose[:3, :3].T @ (np.eye(3) - plane) @ np.linalg.inv(CAMERA.matrix)
    later = cv2.warpPerspective(wall, there, (200, 150), flags=cv2.INTER_CUBIC)
    origin = rng.uniform((60, 45), (140, 105), (40, 2)).astype(np.float32)
    marks = SimpleNamespace(
        origin=origin,
        rays=(origin - (CAMERA.cx, CAMERA.cy)) / CAMERA.fx,
        inverse_depth=np.full(40, 1 / DEPTH),
    )
    window = SimpleNamespace(
        landmarks=marks,
        poses=np.eye(4)[None],
        anchors_of=np.zeros_like,
        frames=[SimpleNamespace(flat=np.rint(wall).astype(np.uint8))],
    )
    true = cv2.perspectiveTransform(origin[:, None].astype(np.float64), there)[:, 0]
    return window, later, pose, true


@pytest.mark.parametrize(('gain', 'offset'), [(1.0, 0.0), (0.6, 30.0)])
def test_patches_are_bent_as_they_are_seen(nearer, gain, offset):
    window, later, pose, true = nearer
    later = np.rint(gain * later + offset).clip(0, 255).astype(np.uint8)
    start = true + np.random.default_rng(1).uniform(-0.6, 0.6, true.shape)
    rows = np.arange(len(true))
    bend = bends(window, rows, pose, CAMERA)
    assert np.median(np.linalg.det(bend)) == pytest.approx(1.25**2, rel=0.02)
    found, good = fitted_from_anchors(window, rows, later, start, bend, 1.5)
    assert good.mean() > 0.95
    off = np.linalg.norm(found - true, axis=1)[good]
    assert np.percentile(off, 90) < 0.1
    moved, fits = fitted_from_anchors(window, rows, later, start, None, 1.5)
    assert np.median(np.linalg.norm(moved - true, axis=1)[fits]) > 2 * np.median(off)


def test_what_is_shown_no_more_stays_where_it_was_expected(nearer):
    window, later, pose, true = nearer
    other = np.random.default_rng(5).integers(0, 256, later.shape, np.uint8)
    rows = np.arange(len(true))
    found, good = fitted_from_anchors(
        window, rows, other, true, bends(window, rows, pose, CAMERA), 1.5
    )
    assert good.mean() < 0.1
    np.testing.assert_array_equal(found[~good], true[~good].astype(np.float32))


def test_landmarks_behind_the_camera_are_not_bent(nearer):
    window, _, pose, _ = nearer
    passed = pose.copy()
    passed[2, 3] = 2 * DEPTH
    np.testing.assert_array_equal(bends(window, np.arange(3), passed, CAMERA), [np.eye(2)] * 3)


def test_no_landmarks_are_none(nearer):
    window, later, _, _ = nearer
    nothing = np.empty(0, np.int64)
    found, good = fitted_from_anchors(
        window, nothing, later.astype(np.uint8), np.empty((0, 2)), None, 1.5
    )
    assert found.shape == (0, 2)
    assert good.shape == (0,)
