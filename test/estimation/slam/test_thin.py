"""Keyframes that are left out of a map, and what hung on them."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.slam.graph import solve
from dlcv.estimation.slam.stable import StableNumbers
from dlcv.estimation.slam.thin import leave_out, superfluous


def test_the_steps_of_those_that_go_become_one_and_the_map_stays_where_it_is(lab):
    place = lab.mapper.place.copied()
    total, before = len(place), place.poses.copy()
    numbers = StableNumbers(place)
    gone = superfluous(place, 12, recent=10)
    assert len(gone) == 12
    assert np.diff(gone).min() > 1
    assert gone[0] > 0
    assert gone[-1] < total - 10
    leave_out(place, gone)
    numbers.leave_out(gone, before)
    assert len(place) == total - 12
    np.testing.assert_allclose(numbers.poses(place.poses), before, atol=1e-12)
    steps = [e for e in place.edges if not e.loop]
    assert [(e.older, e.newer) for e in steps] == [(k, k + 1) for k in range(len(place) - 1)]
    joined = steps[gone[0] - 1]  # over the first that is gone
    old = [e for e in lab.mapper.place.edges if not e.loop]
    first, second = old[gone[0] - 1], old[gone[0]]
    np.testing.assert_allclose(joined.motion, first.motion @ second.motion, atol=1e-12)
    assert (np.diag(joined.covariance) > np.diag(first.covariance) - 1e-15).all()
    again = solve(place.poses, place.graph())
    assert np.linalg.norm((again.poses - place.poses)[:, :3, 3], axis=1).max() < 0.1
    assert place.loops

    moved = place.poses.copy()
    moved[:, 0, 3] += 1.0
    expected = before.copy()
    expected[:, 0, 3] += 1.0
    np.testing.assert_allclose(numbers.poses(moved), expected, atol=1e-12)
    more = superfluous(place, 5, recent=10)
    numbers.leave_out(more, place.poses)  # also those that carried others
    leave_out(place, more)
    np.testing.assert_allclose(numbers.poses(place.poses), before, atol=1e-12)
    numbers.add()
    assert numbers.of(len(place)) == total
