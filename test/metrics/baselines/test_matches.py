"""Nearest neighbours: who is near whom, how clearly, and how points differ."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.metrics.baselines.features import Classical, Described
from dlcv.metrics.baselines.matches import nearest_matches


def described(directions, **more):
    """Points in a row whose descriptors are directions in a plane."""
    ways = np.radians(directions)
    xy = np.stack((np.arange(len(ways)), np.zeros(len(ways))), 1).astype(np.float32)
    vectors = 5 * np.stack((np.cos(ways), np.sin(ways)), 1).astype(np.float32)
    return Described(xy=xy, descriptors=vectors, **more)


def test_each_point_has_its_nearest():
    found = nearest_matches(described([0, 50, 55]), described([60, 10]))
    assert len(found) == 3
    assert found.second_xy[:, 0].tolist() == [1, 0, 0]
    assert found.mutual.tolist() == [True, False, True]
    np.testing.assert_allclose(found.cosine, np.cos(np.radians([10, 10, 5])), atol=1e-6)
    chords = 2 * np.sin(np.radians([[10, 60], [10, 40], [5, 45]]) / 2)
    np.testing.assert_allclose(found.ratio, chords[:, 0] / chords[:, 1], rtol=1e-4)
    some = found.chosen(found.mutual)
    assert some.first_xy[:, 0].tolist() == [0, 2]


def test_differences_of_scale_and_angle():
    first = described([0, 90], sizes=np.float32([4, 4]), angles=np.float32([0.1, 6.2]))
    second = described([0, 90], sizes=np.float32([8, 2]), angles=np.float32([0.4, 0.1]))
    found = nearest_matches(first, second)
    np.testing.assert_allclose(found.side[:, 0], [1, 1])
    np.testing.assert_allclose(found.side[:, 1], [0.3, 2 * np.pi - 6.1], atol=1e-6)
    assert not nearest_matches(described([0, 90]), described([0, 90])).side.any()


@pytest.mark.parametrize(('count', 'other'), [(0, 5), (5, 1), (1, 1)])
def test_there_is_no_nearest_without_a_second_nearest(count, other):
    found = nearest_matches(described(np.arange(count)), described(np.arange(other)))
    assert len(found) == 0
    assert found.first_xy.shape == (0, 2)


def test_sift_tells_sizes_and_angles():
    image = np.random.default_rng(0).integers(0, 256, (80, 96), np.uint8)
    found = Classical('SIFT').detect(np.kron(image[::4, ::4], np.ones((4, 4), np.uint8)), 50)
    assert found.sizes.shape == found.angles.shape == (len(found.xy),)
    assert found.sizes.min() > 0
    assert 0 <= found.angles.min() <= found.angles.max() <= 2 * np.pi
