"""What visual odometry says and returns of what befalls robots; no confident pose while lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from dlcv.types import Lost, Motion

BAD = range(12, 17)  # a quarter of a second
SPEECHLESS = ('black', 'white', 'noise', 'covered')
SOON = 3  # pictures after which it is back


def path(told):
    return np.linalg.norm(np.diff([s.truth[:3, 3] for s in told], axis=0), axis=1).sum()


def jump(older, newer):
    return float(np.linalg.norm(newer.pose[:3, 3] - older.pose[:3, 3]))


def check_lost(told, which):
    """Lost frames say so and why, hold the pose, and promise less with every frame."""
    for before, now in pairwise(told[which[0] - 1 : which[-1] + 1]):
        assert isinstance(now.answer, Lost)
        assert now.answer.reason
        assert now.tracking.state == 'lost'
        assert now.tracking.reason == now.answer.reason
        assert jump(before, now) == 0
        assert now.stddev > before.stddev


def check_back(told, first):
    """It is back soon after the last bad frame, without a jump that it does not answer for."""
    assert any(isinstance(s.answer, Motion) for s in told[first : first + SOON])
    assert not any(s.lost for s in told[first + SOON :])
    assert all(s.honest for s in told)


def test_walking_through_a_room(follow, walk):
    told = follow(walk)
    assert told[0].answer is None
    assert told[0].tracking.state == 'starting'
    assert {s.tracking.state for s in told[1:]} == {'tracking'}
    assert told[-1].metres < 0.02 * path(told)
    assert told[-1].degrees < 0.5
    assert all(s.honest for s in told)
    assert told[-1].tracking.scale_source == 'depth'
    assert told[-1].stddev > told[5].stddev > 0


def test_without_any_aid_the_unit_is_unknown_but_the_shape_is_right(follow, walk):
    told = follow(walk, depth=False)
    assert told[-1].tracking.scale_source == 'none'
    moved = next(i for i, s in enumerate(told) if s.tracking.state == 'tracking') - 1
    assert moved < 5  # until points have moved enough, nothing but the turn is known
    found, true = (np.array([getattr(s, name)[:3, 3] for s in told]) for name in ('pose', 'truth'))
    found, true = found[moved:] - found[moved], true[moved:] - true[moved]
    unit = np.sum(found * true) / np.sum(found * found)
    assert np.linalg.norm(unit * found - true, axis=1).max() < 0.03 * path(told)
    assert told[-1].degrees < 0.5


@pytest.mark.parametrize('depth', [True, False])
def test_standing_for_a_minute(follow, still, depth):
    told = follow(still, depth=depth)
    assert {s.tracking.state for s in told[2:]} == {'standing'}
    assert all(isinstance(s.answer, Motion) for s in told[1:])
    assert max(s.metres for s in told) < 1e-3
    assert max(s.degrees for s in told) < 0.02


def test_standing_while_people_walk_through(follow, scenes, still):
    told = follow(scenes.peopled(still[:24]))
    assert not any(s.lost for s in told)
    assert max(s.metres for s in told) < 0.01
    assert max(s.degrees for s in told) < 0.1
    assert all(s.tracking.state == 'standing' for s in told[3:])


def test_walking_among_people(follow, scenes, walk):
    told = follow(scenes.peopled(walk[:24]))
    assert not any(s.lost for s in told)
    assert told[-1].metres < 0.04 * path(told)
    assert told[-1].degrees < 0.5
    assert all(s.honest for s in told)


def test_turning_on_the_spot(follow, turning):
    told = follow(turning, depth=False)
    turns = [
        s
        for s, older in zip(told[1:], told, strict=False)
        if np.trace(s.truth[:3, :3].T @ older.truth[:3, :3]) < 3 - 1e-4
    ]  # 0.6 degrees
    assert len(turns) > 5
    assert all(s.tracking.state == 'turning' for s in turns[2:])
    assert max(s.degrees for s in told) < 0.5
    assert max(s.metres for s in told) < 0.02
    assert all(s.honest for s in told)


@pytest.mark.parametrize('depth', [True, False])
def test_hills_far_away(follow, far, depth):
    """Only the turn can be seen: it is right, and nothing is promised of the way."""
    told = follow(far, depth=depth)
    assert {s.tracking.state for s in told[2:]} == {'turning'}
    assert max(s.degrees for s in told) < 0.2
    assert all(s.honest for s in told)


@pytest.mark.parametrize('kind', SPEECHLESS)
def test_a_picture_that_says_nothing(follow, scenes, walk, kind):
    told = follow(scenes.changed(walk[:28], BAD, getattr(scenes, kind)))
    check_lost(told, BAD)
    check_back(told, BAD[-1] + 1)


@pytest.mark.parametrize('kind', SPEECHLESS)
def test_nothing_but_pictures_that_say_nothing(follow, scenes, walk, kind):
    told = follow(scenes.changed(walk[:8], range(8), getattr(scenes, kind)))
    assert not any(isinstance(s.answer, Motion) for s in told)
    assert all(s.tracking.state in {'starting', 'lost'} for s in told)
    assert all(s.lost for s in told[1:])


def test_half_of_the_lens_covered(follow, scenes, walk):
    told = follow(scenes.changed(walk[:24], range(8, 24), scenes.half_covered))
    assert {s.tracking.state for s in told[1:]} == {'tracking'}
    assert told[-1].metres < 0.04 * path(told)
    assert told[-1].degrees < 0.7
    assert all(s.honest for s in told)


def test_blur(follow, scenes, walk):
    told = follow(scenes.changed(walk[:28], BAD, scenes.blurred))
    for now in told[1:]:
        assert now.lost == (now.tracking.state == 'lost')
    check_back(told, BAD[-1] + 1)


def test_five_pictures_that_never_come(follow, walk):
    """0.3 s are bridged: the motion is over all of them."""
    told = follow(walk[:12] + walk[17:28])
    after = told[12]
    assert isinstance(after.answer, Motion)
    assert after.answer.stamp_ns - after.answer.previous_stamp_ns == 300_000_000
    assert told[-1].metres < 0.04 * path(told)
    check_back(told, 12)


def test_a_pause(follow, scenes, walk):
    late = [scenes.at(view, i + (40 if i >= 12 else 0)) for i, view in enumerate(walk[:24])]
    told = follow(late)
    assert isinstance(told[12].answer, Lost)
    assert '2.05 s' in told[12].answer.reason
    check_lost(told, range(12, 13))
    check_back(told, 13)


def test_time_that_goes_backwards(follow, scenes, walk):
    told = follow(
        [scenes.at(view, i - (100 if i >= 12 else 0)) for i, view in enumerate(walk[:24])]
    )
    assert isinstance(told[12].answer, Lost)
    assert 'time' in told[12].answer.reason
    check_lost(told, range(12, 13))
    assert not any(s.lost for s in told[12 + SOON :])


def test_a_kidnapped_camera(follow, scenes, walk, elsewhere):
    """It says so at once, comes back in the other room, and goes on from the pose it had."""
    views = [scenes.at(view, i) for i, view in enumerate(walk[:12] + elsewhere)]
    told = follow(views)
    assert told[12].lost
    check_lost(told, range(12, 13))
    back = next(i for i in range(12, 24) if isinstance(told[i].answer, Motion))
    assert back <= 12 + SOON
    assert not any(s.lost for s in told[back:])
    for before, now in pairwise(told[11:]):
        assert jump(before, now) < 0.06  # a walk's step is half of it
    assert told[back].stddev > 2 * told[11].stddev
    moved = np.linalg.inv(elsewhere[back - 12].world_from_camera) @ elsewhere[-1].world_from_camera
    found = np.linalg.inv(told[back].pose) @ told[-1].pose
    length = np.linalg.norm(moved[:3, 3])
    assert np.linalg.norm(found[:3, 3] - moved[:3, 3]) < 0.05 * length + 0.005


def test_exposure_that_jumps(follow, scenes, walk):
    views = walk[:24]
    for first, gain in ((6, 0.35), (10, 1.8), (14, 0.5), (18, 2.2)):
        views = scenes.changed(views, range(first, first + 3), scenes.exposed(gain))
    told = follow(views)
    assert not any(s.lost for s in told)
    assert np.mean([s.metres for s in told]) < 0.03 * path(told)
    assert all(s.honest for s in told)


def test_another_camera(follow, walk):
    wider = replace(walk[0].frame.camera, fx=200.0, fy=200.0)
    views = [
        view if i < 12 else replace(view, frame=replace(view.frame, camera=wider))
        for i, view in enumerate(walk[:18])
    ]
    told = follow(views)
    assert 'camera' in told[12].answer.reason
    check_lost(told, range(12, 13))
    assert not any(s.lost for s in told[12 + SOON :])


def test_no_camera(follow, walk):
    blind = [replace(view, frame=replace(view.frame, camera=None)) for view in walk[:4]]
    told = follow(blind, depth=False)
    assert not any(isinstance(s.answer, Motion) for s in told)
    assert told[-1].tracking.state in {'lost', 'starting'}
    assert 'camera' in told[-1].tracking.reason


def test_the_same_pictures_give_the_same_answers(follow, walk):
    first, again = (follow(walk[:14]) for _ in range(2))
    for one, other in zip(first, again, strict=True):
        assert np.array_equal(one.pose, other.pose)
        assert np.array_equal(one.covariance, other.covariance)


def test_a_pose_that_is_set_is_gone_on_from(follow, walk):
    free = follow(walk[:12])
    follow.estimator.reset()
    start = np.eye(4)
    start[:3, 3] = (3.0, -2.0, 0.5)
    start[:3, :3] = ((0, -1, 0), (1, 0, 0), (0, 0, 1))
    first = np.linalg.inv(walk[0].world_from_camera)
    follow.push(walk[0], np.eye(4))
    follow.estimator.set_pose(start, 0.04 * np.eye(6))
    told = [follow.push(view, start @ first @ view.world_from_camera) for view in walk[1:12]]
    np.testing.assert_allclose(told[-1].pose, start @ free[-1].pose, atol=1e-6)
    assert told[-1].stddev > 0.2
