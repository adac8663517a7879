"""The camera in its window, from picture to picture of a drawn room."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry import adjustment
from dlcv.estimation.odometry.adjustment import Adjuster, Adjustment
from dlcv.estimation.odometry.landmarks import Fresh, Sighting
from dlcv.estimation.odometry.metre import Metre
from dlcv.estimation.odometry.sight import look
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.types import Aids


@pytest.fixture
def points(room, walked):
    """A function: what geometry is given of a picture of the room, with depth if asked."""

    def make(number, pose=None, *, depth=False, of=room):
        pose = walked(number) if pose is None else pose
        frame, keypoints = of.look(pose, number)
        aids = Aids(depth=of.depth(pose, number)) if depth else Aids()
        made, _ = look(number, frame, frame.camera, keypoints, aids, Metre('auto', 0.0), 1000)
        return replace(made, metric=depth)

    return make


def tracker(first, *, size=6, lockstep=True):
    return Tracker(first, size, 5.0, Adjuster(lockstep=lockstep))


def angle(a, b):
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def test_with_depths_the_pose_is_metric_from_the_first_motion_on(points, walked):
    it = tracker(points(0, depth=True))
    for i in range(1, 10):
        step = it.track(points(i, depth=True))
        assert step.state == 'tracking'
        off = np.linalg.norm(step.window_from_camera[:3, 3] - walked(i)[:3, 3])
        assert off < 0.01
        assert off < 5 * np.sqrt(np.trace(step.covariance[:3, :3]))


def test_without_depths_the_way_has_its_shape(points, walked):
    it = tracker(points(0))
    for i in range(1, 16):
        step = it.track(points(i))
    found, true = step.window_from_camera, walked(15)
    assert angle(found[:3, 3], true[:3, 3]) < 2.0
    assert np.abs(found[:3, :3] - true[:3, :3]).max() < 0.005


def test_a_mere_turn_moves_nothing(points):
    it = tracker(points(0))
    for i in range(1, 6):
        pose = np.eye(4)
        angle = 0.01 * i
        pose[0, 0] = pose[2, 2] = np.cos(angle)
        pose[0, 2], pose[2, 0] = np.sin(angle), -np.sin(angle)
        step = it.track(points(i, pose))
    assert np.abs(step.window_from_camera[:3, :3] - pose[:3, :3]).max() < 0.002
    assert np.linalg.norm(step.window_from_camera[:3, 3]) < 0.02


def test_creeping_ahead_is_doubted_as_a_turn_and_loses_no_near_points(points):
    """What is near moves most, and was left out of the only points that could have told depths."""
    it = tracker(points(0))
    for i in range(1, 5):
        pose = np.eye(4)
        pose[:3, 3] = 0.007 * i, 0.0, 0.0
        step = it.track(points(i, pose))
        assert step.inliers > 0.9 * step.matches
        if not step.turn_only:
            break
        turn = step.window_from_camera[:3, :3] - np.eye(3)
        deviation = np.sqrt(np.diag(step.covariance)[3:])
        assert abs(turn[0, 2]) < 3 * deviation[1]
        assert deviation[1] > 5e-4
    assert 2 <= i < 5


def test_standing_is_told_from_moving(points, walked):
    it = tracker(points(0, depth=True))
    it.track(points(1, depth=True))
    pose = it.pose.copy()
    for i in range(2, 5):
        assert it.track(points(i, walked(1))).state == 'standing'
    np.testing.assert_array_equal(it.pose, pose)
    assert it.track(points(5, walked(2), depth=True)).state == 'tracking'


def test_lost_found_and_given_up(points, rooms, room, walked):
    it = tracker(points(0, depth=True))
    for i in range(1, 7):
        it.track(points(i, depth=True))
    other = rooms.made(room.points, seed=9)
    step = it.track(points(7, of=other))
    assert step.state == 'lost'
    assert 'landmarks' in step.reason
    np.testing.assert_array_equal(step.window_from_camera, it.pose)
    assert it.track(points(8, depth=True)).state == 'tracking'
    assert it.fruitless == 0
    for i in range(9, 12):
        assert not it.exhausted
        it.track(points(i, of=other))
    assert it.exhausted


def test_a_young_window_is_given_up_at_once(points, rooms, room):
    it = tracker(points(0, depth=True))
    it.track(points(1, depth=True))
    assert it.track(points(2, of=rooms.made(room.points, seed=9))).state == 'lost'
    assert it.exhausted


def test_a_wrong_prediction_is_recovered_from(points, walked):
    it = tracker(points(0, depth=True))
    it.track(points(1, depth=True))
    wrong = np.eye(4)
    wrong[:3, 3] = 1.0, 0.5, -1.0
    step = it.track(points(2, depth=True), wrong)
    assert np.linalg.norm(step.window_from_camera[:3, 3] - walked(2)[:3, 3]) < 0.01


def test_rescaling_rescales_all_that_comes(points, walked):
    it = tracker(points(0, depth=True))
    for i in range(1, 5):
        it.track(points(i, depth=True))
    it.rescale(3.0)
    step = it.track(points(5))
    assert np.linalg.norm(step.window_from_camera[:3, 3] - 3 * walked(5)[:3, 3]) < 0.03


def test_an_adjustment_comes_when_it_comes(points, walked, monkeypatch):
    """Pictures go on while the window is adjusted, and it moves under them when that is done."""
    ready, solve = threading.Event(), adjustment.adjust

    def slow(*args, **kwargs):
        ready.wait(10)
        return solve(*args, **kwargs)

    monkeypatch.setattr(adjustment, 'adjust', slow)
    monkeypatch.setattr(adjustment, '_FIRST', 0)
    it = tracker(points(0, depth=True), lockstep=False)
    for i in range(1, 8):
        step = it.track(points(i, depth=True))
        assert step.state == 'tracking'
        assert not it.settled
    assert it.keyframes > 1
    before = it.window.landmarks.variance[: it.window.frames[0].landmarks.size].copy()
    ready.set()
    it._adjuster._worker.submit(int).result(10)  # what was begun before it is done
    it.track(points(8, depth=True))
    assert it.settled
    assert not np.array_equal(before, it.window.landmarks.variance[: len(before)])
    off = np.linalg.norm(it.pose[:3, 3] - walked(8)[:3, 3])
    assert off < 0.02
    it._adjuster.close()


def test_pictures_are_followed_whatever_an_adjustment_lags_behind(points, walked, monkeypatch):
    """Without one landmarks have depths by the keyframes where they stand, not their guesses."""
    monkeypatch.setattr(adjustment, '_FIRST', 0)
    it = tracker(points(0, depth=True))
    for i in range(1, 5):
        it.track(points(i, depth=True))
    monkeypatch.setattr(Adjuster, 'take', lambda self: None)
    for i in range(5, 16):
        assert it.track(points(i)).state == 'tracking'
    assert np.linalg.norm(it.pose[:3, 3] - walked(15)[:3, 3]) < 0.03


def test_a_late_adjustment_says_which_keyframe_it_is_of(points, monkeypatch):
    monkeypatch.setattr(adjustment, '_FIRST', 0)
    it = tracker(points(0, depth=True))
    late, take = [], Adjuster.take
    monkeypatch.setattr(Adjuster, 'take', lambda self: late.pop() if late else None)
    numbers = []
    for i in range(1, 12):
        if i == 11:
            late.append(take(it._adjuster))
        it.track(points(i, depth=True))
        numbers.append(it.settled)
    (settled,) = {one for one in numbers if one is not None}
    assert settled < it.window.frames[-1].number
    rows, at = it.seen_again(settled)
    assert len(rows) == len(at) > 0


def test_rescaling_does_not_take_over_old_lengths(points, walked, monkeypatch):
    ready, solve = threading.Event(), adjustment.adjust

    def slow(*args, **kwargs):
        ready.wait(10)
        return solve(*args, **kwargs)

    monkeypatch.setattr(adjustment, 'adjust', slow)
    monkeypatch.setattr(adjustment, '_FIRST', 0)
    it = tracker(points(0, depth=True), lockstep=False)
    for i in range(1, 6):
        it.track(points(i, depth=True))
    it.rescale(3.0)
    ready.set()
    it._adjuster._worker.submit(int).result(10)
    step = it.track(points(6))
    assert np.linalg.norm(step.window_from_camera[:3, 3] - 3 * walked(6)[:3, 3]) < 0.05
    it._adjuster.close()


def test_what_was_adjusted_moves_what_came_since(points):
    it = tracker(points(0, depth=True), size=3)
    for i in range(1, 8):
        it.track(points(i, depth=True))
    task = Adjustment.of(it.window)
    found = task.solved()
    moved = found.odom_from_camera.copy()
    moved[:, :3, 3] += 1.0
    last = it.window.frames[-1]
    for number in (90, 91):  # two keyframes come, two leave
        picture = replace(points(7, depth=True), number=number)
        it.window.add(picture, last.window_from_camera, Sighting.none(), _nothing())
    it.window.forget_oldest()
    places = [one.window_from_camera[:3, 3].copy() for one in it.window.frames]
    carry = task.apply(replace(found, odom_from_camera=moved), it.window)
    shift = [one.window_from_camera[:3, 3] for one in it.window.frames]
    np.testing.assert_allclose(shift[0], moved[-1][:3, 3])
    for before, after in zip(places[1:], shift[1:], strict=True):
        np.testing.assert_allclose(after, carry[:3, :3] @ before + carry[:3, 3])


def _nothing():
    return Fresh(
        xy=np.empty((0, 2)),
        pixels=np.empty((0, 2), np.float32),
        descriptors=np.empty((0, 64), np.float32),
        inverse_depth=np.empty(0),
        inverse_stddev=np.empty(0),
        measured=np.empty(0, np.bool_),
    )


def test_too_little_seen_twice_is_not_adjusted(points):
    it = tracker(points(0, depth=True))
    assert Adjustment.of(it.window) is None


def test_a_camera_that_turned_away_from_all_it_knew_begins_anew(points, walked):
    """By depths that are guesses, every shift aside would be as good as a turn."""
    it = tracker(points(0, np.eye(4)))
    it._start = None  # depths were told, and what they were told of is out of sight
    for i in range(1, 4):
        turn = np.eye(4)
        turn[:3, :3] = Rotation.from_rotvec((0, 0.01 * i, 0)).as_matrix()
        step = it.track(points(i, turn))
        assert it.unit_lost == (i == 1)
    assert step.turn_only
    for i in range(1, 14):
        here = turn @ walked(i)
        step = it.track(points(3 + i, here))
    assert np.abs(step.window_from_camera[:3, :3] - here[:3, :3]).max() < 0.005
    assert angle(step.window_from_camera[:3, 3], here[:3, 3]) < 2
