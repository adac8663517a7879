"""Poses over time: between two given ones, and times that belong together."""

from __future__ import annotations

import numpy as np

from dlcv.geometry.trajectory import nearest, pose_at
from dlcv.types import Trajectory


def test_a_pose_between_two_is_on_the_way():
    first, last = np.eye(4), np.eye(4)
    last[:3, :3] = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]  # 90 deg about z
    last[:3, 3] = [4, 0, 0]
    truth = Trajectory(
        stamps_ns=np.array([100, 200], np.int64), world_from_body=np.stack([first, last])
    )
    between = pose_at(truth, 150, 100)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(between[:2, :2], [[half, -half], [half, half]], atol=1e-15)
    np.testing.assert_allclose(between[:3, 3], [2, 0, 0])
    np.testing.assert_array_equal(pose_at(truth, 200, 100), last)
    assert pose_at(truth, 150, 99) is None
    assert pose_at(truth, 99, 100) is None
    assert pose_at(truth, 201, 100) is None


def test_nearest_times():
    stamps = np.array([10, 20, 30], np.int64)
    wanted = np.array([-5, 10, 14, 15, 16, 29, 99], np.int64)
    assert nearest(stamps, wanted).tolist() == [0, 0, 0, 0, 1, 2, 2]
    assert nearest(stamps[:1], wanted).tolist() == [0] * 7


def test_a_single_pose_counts_that_is_near_enough():
    poses = np.tile(np.eye(4), (3, 1, 1))
    poses[:, 0, 3] = [0, 1, 2]
    truth = Trajectory(stamps_ns=np.array([0, 1000, 2000], np.int64), world_from_body=poses)

    def x(stamp, gap=100, near=10):
        found = pose_at(truth, stamp, gap, near)
        return None if found is None else found[0, 3]

    assert [x(-10), x(-11), x(2010), x(2011)] == [0, None, 2, None]  # beyond the ends
    assert [x(990), x(989), x(1010), x(1011)] == [1, None, 1, None]  # in a gap
    assert x(990, gap=1000) == 0.99  # between two goes before one alone
    empty = Trajectory(stamps_ns=np.zeros(0, np.int64), world_from_body=np.zeros((0, 4, 4)))
    assert pose_at(empty, 5, 100, 10) is None
