"""Transforms are followed over several, as TF does it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.bags.chain import chained
from dlcv.data.bags.poses import Edge

SECOND = 10**9


def edge(parent, child, x, stamp=0):
    matrix = np.eye(4)
    matrix[0, 3] = x
    return Edge(stamp_ns=stamp, parent=parent, child=child, parent_from_child=matrix)


def moving():
    """The map -> odom of a localizer, once a second, and wheels, five times a second."""
    seldom = [edge('map', 'odom', 10.0 * t, t * SECOND) for t in range(3)]
    return seldom + [edge('odom', 'base', 0.1 * i, i * SECOND // 5) for i in range(11)]


def xs(edges):
    return [e.parent_from_child[0, 3] for e in edges]


def test_the_most_frequent_one_gives_the_times_and_the_others_are_taken_between():
    found = chained(moving(), [], 'map', 'base')
    assert [e.stamp_ns for e in found] == [i * SECOND // 5 for i in range(11)]
    assert xs(found) == pytest.approx([2.1 * i for i in range(11)])
    assert {(e.parent, e.child) for e in found} == {('map', 'base')}
    back = chained(moving(), [], 'base', 'map')
    assert xs(back) == pytest.approx([-2.1 * i for i in range(11)])


def test_where_one_does_not_reach_there_is_no_pose():
    late = [e for e in moving() if e.child == 'base' or e.stamp_ns]
    assert min(e.stamp_ns for e in chained(late, [], 'map', 'base')) == SECOND


def test_static_ones_may_lie_between_and_the_last_said_counts():
    fixed = [edge('base', 'mast', 1), edge('mast', 'camera', 5), edge('base', 'mast', 2)]
    assert xs(chained(moving(), fixed, 'odom', 'camera'))[:2] == pytest.approx([7, 7.1])


def test_frames_that_nothing_that_moves_connects():
    assert chained(moving(), [], 'map', 'nose') == []
    assert chained([], moving(), 'map', 'base') == []
    assert chained(moving(), [], 'nose', 'ear') == []
