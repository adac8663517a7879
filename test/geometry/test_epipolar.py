"""Fundamental matrices of known motions, and distances of matches to them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.geometry.epipolar import epipolar_errors, fundamental_of
from dlcv.types import Camera

FIRST = Camera(width=400, height=300, fx=300, fy=310, cx=190, cy=140)
SECOND = Camera(width=640, height=480, fx=500, fy=480, cx=320, cy=250)


@pytest.fixture
def pose():
    made = np.eye(4)
    made[:3, :3] = cv2.Rodrigues(np.array([0.1, -0.2, 0.05]))[0]
    made[:3, 3] = 0.3, -0.1, 0.5
    return made


def seen(first_from_second, count=30):
    points = np.random.default_rng(0).uniform((-2, -2, 4), (2, 2, 9), (count, 3))
    back = np.linalg.inv(first_from_second)
    there = points @ back[:3, :3].T + back[:3, 3]
    pixels = (p @ c.matrix.T for p, c in ((points, FIRST), (there, SECOND)))
    return [p[:, :2] / p[:, 2:] for p in pixels]


def test_points_of_the_scene_lie_on_their_lines(pose):
    first, second = seen(pose)
    matrix = fundamental_of(FIRST, SECOND, pose)
    assert np.linalg.norm(matrix) == pytest.approx(1)
    assert epipolar_errors(first, second, matrix).max() < 1e-8


def test_it_is_the_transpose_of_opencv(pose):
    first, second = seen(pose)
    theirs, _ = cv2.findFundamentalMat(first, second, cv2.FM_8POINT)
    ours = fundamental_of(FIRST, SECOND, pose).T
    np.testing.assert_allclose(ours / ours[2, 2], theirs, atol=1e-6)


def test_errors_are_distances_to_both_lines(pose):
    first, second = seen(pose, 6)
    second = second + np.random.default_rng(1).normal(0, 3, second.shape)
    matrix = fundamental_of(FIRST, SECOND, pose)
    lines = [cv2.computeCorrespondEpilines(p[:, None], side, matrix.T)[:, 0]
             for side, p in ((1, first), (2, second))]  # fmt: skip
    away = [
        np.abs((line * np.c_[p, np.ones(6)]).sum(1))
        for line, p in zip(lines, (second, first), strict=True)
    ]
    np.testing.assert_allclose(epipolar_errors(first, second, matrix), sum(away), rtol=1e-3)


def test_a_camera_that_only_turns_decides_nothing(pose):
    pose[:3, 3] = 1e-16
    matrix = fundamental_of(FIRST, SECOND, pose)
    assert not matrix.any()
    assert np.isinf(epipolar_errors(*seen(pose), matrix)).all()


def test_no_matches_have_no_errors():
    assert epipolar_errors(np.zeros((0, 2)), np.zeros((0, 2)), np.eye(3)).shape == (0,)
