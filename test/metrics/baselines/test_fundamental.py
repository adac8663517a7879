"""OpenCV's estimators behind one door: they find what is there, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.geometry.epipolar import epipolar_errors
from dlcv.metrics.baselines.fundamental import NAMES, consensus


def matches(right=80, wrong=20):
    rng = np.random.default_rng(3)
    points = rng.uniform((-3, -2, 4), (3, 2, 12), (right, 3))
    there = points @ cv2.Rodrigues(np.array([0.02, 0.1, 0.0]))[0] + (0.5, 0.1, 0.4)
    first, second = (300 * p[:, :2] / p[:, 2:] + (200, 150) for p in (points, there))
    wild = rng.uniform(0, 300, (2, wrong, 2))
    both = np.concatenate((first, wild[0])), np.concatenate((second, wild[1]))
    return tuple(x.astype(np.float32) for x in both)


@pytest.mark.parametrize('name', NAMES)
def test_each_finds_the_matrix_among_wrong_matches(name):
    first, second = matches()
    found = consensus(name)(first, second)
    assert np.median(epipolar_errors(first[:80], second[:80], found)) < 0.1
    assert np.median(epipolar_errors(first[:80], second[:80], found.T)) > 1  # no transpose
    np.testing.assert_array_equal(found, consensus(name)(first, second))


@pytest.mark.parametrize('name', NAMES)
def test_nothing_is_found_where_nothing_is(name):
    assert not consensus(name)(*matches(7, 0)).any()
    same = np.ones((20, 2), np.float32)
    assert np.isfinite(consensus(name)(same, same)).all()
