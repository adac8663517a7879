"""Figures of fundamental matrices: a perfect one, none, and what their means leave out."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.geometry.epipolar import fundamental_of
from dlcv.metrics.fundamental import FundamentalScore, score, summary
from dlcv.types import Camera

CAMERA = Camera(width=400, height=300, fx=300, fy=300, cx=199.5, cy=149.5)


@pytest.fixture
def pair():
    """Ten right matches and thirty wrong ones, off by far more than a pixel, and the truth."""
    rng = np.random.default_rng(0)
    points = rng.uniform((-2, -2, 4), (2, 2, 9), (40, 3))
    pose = np.eye(4)
    pose[:3, 3] = 1, 0, 0  # epipolar lines are rows
    first, second = (
        (p @ CAMERA.matrix.T)[:, :2] / p[:, 2:] for p in (points, points - pose[:3, 3])
    )
    second[10:, 1] += 20
    return first, second, fundamental_of(CAMERA, CAMERA, pose)


def test_the_true_matrix_is_perfect(pair):
    first, second, true = pair
    found = score(first, second, true, true)
    assert found == FundamentalScore(inliers=0.25, f_score=1.0, error=pytest.approx(0, abs=1e-6))


def test_a_matrix_of_the_wrong_matches_is_worth_nothing(pair):
    first, second, true = pair
    shift = np.eye(3)
    shift[1, 2] = -20  # x1^T F x2 = 0 where rows are twenty apart
    found = score(first, second, true @ shift, true)
    assert (found.inliers, found.f_score) == (0.75, 0)
    assert found.error == pytest.approx(40)  # twenty in each picture


def test_no_matrix_has_infinite_errors(pair):
    first, second, true = pair
    found = score(first, second, np.zeros((3, 3)), true)
    assert (found.inliers, found.f_score, found.error) == (0, 0, np.inf)


def test_a_pair_without_true_inliers_has_no_score(pair):
    first, second, true = pair
    assert score(first[10:], second[10:], true, true) is None


def test_means_are_over_pairs_and_errors_are_limited():
    scores = [
        FundamentalScore(inliers=0.5, f_score=1.0, error=1.0),
        FundamentalScore(inliers=0.25, f_score=0.5, error=2.0),
        FundamentalScore(inliers=0.0, f_score=0.0, error=np.inf),
    ]
    assert summary(scores, 30.0) == pytest.approx((25.0, 50.0, 11.0, 2.0))
    assert summary([], 30.0) == (None, None, None, None)
