"""Of two trackers that follow the same pictures the better one is believed in the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from dlcv.estimation.odometry.adjustment import Adjuster
from dlcv.estimation.odometry.metre import Metre
from dlcv.estimation.odometry.rivals import Rivals
from dlcv.estimation.odometry.sight import look
from dlcv.estimation.odometry.step import Step
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.types import Aids


@dataclass
class Follower:
    """Says what it is told to say."""

    misfit: float
    lost_at: int = -1
    rival: Any = None
    number: int = 0
    pose: Any = field(default_factory=lambda: np.eye(4))

    def track(self, points, motion=None):
        self.number += 1
        self.pose = self.pose.copy()
        self.pose[0, 3] += 1
        state = 'lost' if self.number == self.lost_at else 'tracking'
        return Step(state=state, window_from_camera=self.pose, covariance=np.eye(6))

    def succeed(self, other):
        assert other is not self


@pytest.mark.parametrize(('ours', 'theirs'), [(1.0, 2.0), (2.0, 1.0)])
def test_who_explains_more_is_believed(ours, theirs):
    first, second = Follower(ours), Follower(theirs)
    first.rival = second
    rivals, changes = Rivals(first), 0
    for _ in range(15):
        rivals.track(None)
        changes += rivals.changed
    assert rivals.tracker is (first if ours < theirs else second)
    assert rivals.tracker.rival is None
    assert changes == (ours > theirs)


def test_who_is_lost_is_not_followed():
    first, second = Follower(2.0), Follower(1.0, lost_at=3)
    first.rival = second
    rivals = Rivals(first)
    for _ in range(15):
        rivals.track(None)
    assert rivals.tracker is first
    assert second.number == 3


def test_where_one_is_lost_the_other_goes_on():
    first, second = Follower(1.0, lost_at=3), Follower(2.0)
    first.rival = second
    rivals = Rivals(first)
    steps = [rivals.track(None) for _ in range(3)]
    assert rivals.tracker is second
    assert rivals.changed
    assert steps[-1].state == 'tracking'
    np.testing.assert_array_equal(rivals.before, steps[-2].window_from_camera)


def test_before_a_wall_the_right_motion_is_found_in_the_end(rooms, walked):
    points = np.random.default_rng(0).uniform((-4, -2, 3), (4, 2, 3), (500, 3))
    points[:, 2] += 0.5 * points[:, 0]
    wall = rooms.made(points)

    def seen(number):
        frame, keypoints = wall.look(walked(number), number)
        return look(number, frame, frame.camera, keypoints, Aids(), Metre('auto', 0.0), 1000)[0]

    rivals = Rivals(Tracker(seen(0), 6, 3.0, Adjuster(lockstep=True)))
    for number in range(1, 20):
        step = rivals.track(seen(number))
    found, true = step.window_from_camera[:3, 3], walked(19)[:3, 3]
    cosine = found @ true / np.linalg.norm(found) / np.linalg.norm(true)
    assert np.degrees(np.arccos(cosine)) < 5.0
