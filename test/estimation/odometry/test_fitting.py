"""Points found again: where between the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.fitting import fitted, turned
from dlcv.types import Camera

SHIFT = np.array([1.37, -0.62])


@pytest.fixture
def pair():
    """Two pictures, the second moved by a part of a pixel."""
    noise = np.random.default_rng(0).normal(size=(120, 160))
    soft = cv2.GaussianBlur(noise, (0, 0), 2)
    soft = cv2.normalize(soft, None, 0, 255, cv2.NORM_MINMAX)
    move = np.float32([[1, 0, SHIFT[0]], [0, 1, SHIFT[1]]])
    moved = cv2.warpAffine(soft, move, (160, 120), flags=cv2.INTER_CUBIC)
    return np.rint(soft).astype(np.uint8), np.rint(moved.clip(0, 255)).astype(np.uint8)


@pytest.fixture
def spots():
    return np.random.default_rng(1).uniform((20, 20), (140, 100), (50, 2)).astype(np.float32)


def test_points_are_fitted_to_a_part_of_a_pixel(pair, spots):
    detected = np.rint(spots + SHIFT)
    found, good = fitted(*pair, spots, detected, away=3.0)
    assert good.mean() > 0.95
    error = np.linalg.norm(found[good] - spots[good] - SHIFT, axis=1)
    assert error.max() < 0.1
    assert np.median(np.linalg.norm(detected - spots - SHIFT, axis=1)) > 0.3


def test_a_point_that_would_leave_its_detection_stays(pair, spots):
    found, good = fitted(*pair, spots, spots, away=1.0)  # they moved by 1.5
    assert not good.any()
    np.testing.assert_array_equal(found, spots)


def test_what_shows_something_else_is_not_fitted(pair, spots):
    other = np.random.default_rng(5).integers(0, 256, pair[0].shape, np.uint8)
    _, good = fitted(pair[0], other, spots, spots, away=3.0)
    assert good.mean() < 0.1


def test_no_points_are_none(pair):
    found, good = fitted(*pair, np.empty((0, 2)), np.empty((0, 2)), away=3.0)
    assert found.shape == (0, 2)
    assert good.shape == (0,)


@pytest.mark.parametrize('unsure', [0.0, 0.01])
def test_a_picture_is_turned_with_the_camera_or_patches_fit_beside_their_points(unsure):
    """A wide lens that turns by a tenth of a rad stretches patches by a fifth."""
    lens = Camera(width=300, height=200, fx=130.0, fy=130.0, cx=149.5, cy=99.5)
    noise = np.random.default_rng(0).normal(size=(200, 300))
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
    before, now, thought = np.eye(4), np.eye(4), np.eye(4)
    now[:3, :3] = Rotation.from_rotvec((0, 0.1, 0)).as_matrix()
    thought[:3, :3] = Rotation.from_rotvec((0, 0.1 + unsure, unsure)).as_matrix()
    bend = lens.matrix @ now[:3, :3].T @ np.linalg.inv(lens.matrix)
    later = cv2.warpPerspective(soft, bend, (300, 200), flags=cv2.INTER_CUBIC)
    earlier, later = (np.rint(one.clip(0, 255)).astype(np.uint8) for one in (soft, later))
    spots = np.random.default_rng(1).uniform((60, 20), (280, 180), (200, 2)).astype(np.float32)
    there = cv2.perspectiveTransform(spots[:, None], bend)[:, 0]

    def off(grey, start):
        found, good = fitted(grey, later, start, np.rint(there), away=3.0)
        assert good.mean() > 0.8
        return np.sqrt(np.mean(np.square((found - there)[good])))

    assert off(*turned(earlier, spots, lens, before, thought)) < off(earlier, spots) / 3
    for known in ((None, now), (before, None), (before, before)):
        assert turned(earlier, spots, lens, *known)[0] is earlier
