"""Points found again: where between the pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.estimation.odometry.tracks import fitted

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
