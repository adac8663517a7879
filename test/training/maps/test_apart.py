"""What is left out is far from what is learned, wherever in the recordings it was taken."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.geometry.euler import euler_to_matrix
from dlcv.training.maps.apart import Far, nearest, stretches_apart

FAR = Far(metres=0.25, degrees=10.0)


def walk(xs, yaws=0.0):
    """Cameras along a line, each turned by so many degrees."""
    poses = np.tile(np.eye(4), (len(xs), 1, 1))
    poses[:, 0, 3] = xs
    for pose, yaw in zip(poses, np.broadcast_to(yaws, len(xs)), strict=True):
        pose[:3, :3] = euler_to_matrix((0.0, 0.0, np.radians(yaw)))
    return poses


def check(poses, apart):
    assert not (apart.far & apart.near).any()
    found = nearest(poses[apart.far], poses[~apart.out], FAR)
    assert (found.farness >= 1).all()
    assert np.all((found.metres >= 0.25) | (found.degrees >= 10))


def test_several_stretches_with_what_is_near_them():
    poses = walk(np.arange(400) * 0.05)
    apart = stretches_apart(poses, 60, FAR)
    check(poses, apart)
    assert apart.stretches >= 3
    assert apart.far.sum() >= 6
    assert apart.out.sum() <= 60


def test_what_was_seen_on_the_way_back_is_not_learned_either():
    there = np.arange(200) * 0.05
    poses = walk(np.concatenate([there, there[::-1]]))
    apart = stretches_apart(poses, 100, FAR)
    check(poses, apart)
    assert apart.far.any()
    assert apart.near[:200].any()
    assert apart.near[200:].any()


def test_turning_away_is_far_too():
    poses = walk(np.zeros(100), np.arange(100) * 3.0)
    apart = stretches_apart(poses, 30, FAR)
    check(poses, apart)
    assert apart.far.any()


@pytest.mark.parametrize('poses', [walk(np.zeros(50)), walk(np.arange(50) * 0.002), walk([])])
def test_where_all_is_near_nothing_is_left_out(poses):
    apart = stretches_apart(poses, 10, FAR)
    assert (apart.stretches, int(apart.out.sum())) == (0, 0)


def test_no_more_than_enough_is_left_out():
    poses = walk(np.arange(300) * 1.0)
    apart = stretches_apart(poses, 250, FAR)
    check(poses, apart)
    assert (apart.stretches, int(apart.far.sum()), int(apart.near.sum())) == (5, 30, 0)


def test_few_pictures_and_small_budgets():
    poses = walk(np.arange(12) * 1.0)
    assert not stretches_apart(poses, 0, FAR).out.any()
    for most in range(1, 12):
        apart = stretches_apart(poses, most, FAR)
        check(poses, apart)
        assert 0 < apart.far.sum() <= most


def test_the_nearest_is_the_one_that_is_least_far():
    found = nearest(walk([0.0]), walk([0.1, 0.2], [9.0, 1.0]), FAR)
    assert found.metres == pytest.approx([0.2])
    assert found.degrees == pytest.approx([1.0])
    assert found.farness == pytest.approx([0.8])


@pytest.mark.parametrize('given', [{'metres': 0}, {'degrees': 0}, {'degrees': 181}])
def test_nonsense_is_refused(given):
    with pytest.raises(ValueError, match='far needs metres > 0 and degrees'):
        Far(**given)
