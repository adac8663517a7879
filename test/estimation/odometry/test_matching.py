"""Points found again: who is whose neighbour."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from dlcv.estimation.odometry.matching import matched, matched_near
from dlcv.networks.layers.keypoints import match_mutual


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_matches_are_mutual_nearest_neighbours():
    rng = np.random.default_rng(0)
    first = unit(rng.normal(size=(90, 32)))
    second = unit(np.concatenate((first[30:] + 0.1 * rng.normal(size=(60, 32)),
                                  rng.normal(size=(40, 32)))))  # fmt: skip
    expected, _ = match_mutual(torch.from_numpy(first), torch.from_numpy(second), max_distance=0.8)
    np.testing.assert_array_equal(matched(first, second, 0.8), expected.numpy())
    assert len(expected) >= 60


def test_of_equal_descriptors_one_is_taken():
    first = unit(np.array([[1.0, 0], [1, 0], [0, 1]]))
    second = unit(np.array([[0.0, 1], [1, 0]]))
    assert matched(first, second, 0.8).tolist() == [[0, 1], [2, 0]]


@pytest.mark.parametrize(('rows', 'columns'), [(0, 5), (5, 0), (0, 0)])
def test_nothing_matches_nothing(rows, columns):
    none = matched(np.empty((rows, 8), np.float32), np.empty((columns, 8), np.float32), 0.8)
    assert none.shape == (0, 2)


def test_near_and_anywhere_are_the_same_where_all_is_where_it_is_expected():
    rng = np.random.default_rng(1)
    first = unit(rng.normal(size=(300, 32)))
    expected = rng.uniform(-0.6, 0.6, (300, 2))
    second = unit(first[40:240] + 0.05 * rng.normal(size=(200, 32)))
    places = expected[40:240] + rng.uniform(-0.1, 0.1, (200, 2))
    near = matched_near(first, expected, second, places, 0.8, 0.1)
    np.testing.assert_array_equal(near, matched(first, second, 0.8))
    assert len(near) == 200


def test_what_is_elsewhere_or_behind_is_not_matched():
    rng = np.random.default_rng(2)
    looks = unit(rng.normal(size=(4, 32)))
    places = np.array([[0.0, 0.0], [0.5, 0.2], [-0.5, 0.1], [0.2, -0.3]])
    expected = places + np.array([[0.05, 0.05], [0.35, 0.0], [0.0, 0.0], [0.0, 0.0]])
    expected[3] = np.nan
    near = matched_near(looks, expected, looks, places, 0.8, 0.1)
    assert near.tolist() == [[0, 0], [2, 2]]


def test_what_is_expected_nowhere_matches_nothing():
    looks = unit(np.eye(3, 32))
    nowhere = np.full((3, 2), np.nan)
    assert matched_near(looks, nowhere, looks, np.zeros((3, 2)), 0.8, 0.1).shape == (0, 2)
