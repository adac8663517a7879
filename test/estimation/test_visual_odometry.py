"""Visual odometry on drawn rooms: what it answers, what it knows of that, and what upsets it."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from dlcv.estimation.odometry import adjustment
from dlcv.estimation.visual_odometry import VisualOdometry, VisualOdometrySettings
from dlcv.metrics.trajectory import motion_error
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.types import Aids, Lost, Motion

STEP_NS = 10**8


@pytest.fixture(scope='module')
def _network():
    return SuperPoint(SuperPointConfig())


@pytest.fixture
def odometry(_network):
    """A function that makes one; its points come beside the pictures."""

    def make(**settings):
        chosen = {'scale_source': 'none', **settings}
        return VisualOdometry(_network, VisualOdometrySettings(**chosen), device='cpu')

    return make


def push(odometry, room, pose, index, **aids):
    frame, keypoints = room.look(pose, index * STEP_NS)
    return odometry.push(frame, Aids(keypoints=keypoints, **aids))


def follow(odometry, room, walked, steps, **aids):
    return [push(odometry, room, walked(i), i, **aids) for i in range(steps)]


def follow_depth(odometry, room, walked, steps, start=0, **aids):
    return [
        push(odometry, room, walked(i), i, depth=room.depth(walked(i)), **aids)
        for i in range(start, start + steps)
    ]


def off(odometry, pose):
    return float(np.linalg.norm(odometry.odom_from_camera[:3, 3] - pose[:3, 3]))


# --- what is measured beside the pictures ---


def test_a_depth_camera_gives_the_metre(odometry, room, walked):
    vo = odometry(scale_source='auto')
    answers = follow_depth(vo, room, walked, 15)
    assert answers[0] is None
    assert all(isinstance(one, Motion) for one in answers[1:])
    assert vo.tracking.scale_source == 'depth'
    assert off(vo, walked(14)) < 0.01 * np.linalg.norm(walked(14)[:3, 3])


def test_a_depth_that_comes_late_moves_nothing_and_what_was_guessed_stays_in_doubt(
    odometry, room, walked
):
    """As where all is beyond the range of a depth camera at first."""
    vo, late = odometry(scale_source='depth'), 9
    follow(vo, room, walked, late)
    assert (vo.tracking.scale_source, vo.tracking.scale_stddev > 2) == ('none', True)
    before = vo.odom_from_camera
    for answer in follow_depth(vo, room, walked, 12, start=late):
        step = np.linalg.norm(answer.odom_from_camera[:3, 3] - before[:3, 3])
        assert step < 3 * np.linalg.norm(walked(late)[:3, 3] - walked(late - 1)[:3, 3])
        before = answer.odom_from_camera
    assert (vo.tracking.scale_source, vo.tracking.scale_stddev < 0.02) == ('depth', True)
    error = motion_error(before, walked(late + 11))[:3]
    assert error @ np.linalg.solve(vo.pose_covariance[:3, :3], error) < 7.8  # chi-square, 95 %


def test_a_right_camera_gives_the_metre(odometry, room, walked):
    vo, baseline = odometry(scale_source='auto'), 0.12
    for i in range(15):
        aside = np.eye(4)
        aside[0, 3] = baseline
        right, _ = room.look(walked(i) @ aside, i * STEP_NS)
        push(vo, room, walked(i), i, right=right, baseline=baseline)
    assert vo.tracking.scale_source == 'stereo'
    assert off(vo, walked(14)) < 0.02 * np.linalg.norm(walked(14)[:3, 3])


def test_wheels_give_the_metre_after_some_steps(odometry, room, walked):
    vo = odometry(scale_source='wheels')
    for i in range(30):
        moved = np.linalg.inv(walked(max(i - 1, 0))) @ walked(i)
        answer = push(vo, room, walked(i), i, wheels=moved)
    assert vo.tracking.scale_source == 'wheels'
    found = np.linalg.norm(answer.previous_from_current[:3, 3])
    assert found == pytest.approx(np.linalg.norm(moved[:3, 3]), rel=0.05)


def test_a_network_gives_a_doubtful_metre(odometry, room, walked):
    vo = odometry(scale_source='network')
    follow_depth(vo, room, walked, 25, depth_source='network')
    assert vo.tracking.scale_source == 'network'
    assert off(vo, walked(24)) < 0.3 * np.linalg.norm(walked(24)[:3, 3])
    assert vo.tracking.scale_stddev > 0.01


@pytest.mark.parametrize(('source', 'depth'), [('camera_height', 2.1), ('auto', 2.1), ('none', 5)])
def test_before_anything_is_measured_points_are_as_far_as_the_height_suggests(
    odometry, room, walked, source, depth
):
    vo = odometry(scale_source=source, camera_height=0.3)
    follow(vo, room, walked, 2)
    assert vo.tracking.scale_stddev > 2
    z = (vo.tracking.landmarks - vo.odom_from_camera[:3, 3]) @ vo.odom_from_camera[:3, 2]
    assert np.median(z) == pytest.approx(depth, rel=0.05)


def test_a_turn_that_a_creeping_shift_was_taken_for_is_taken_back(odometry, room):
    """When depths tell that the camera did not turn, the next motion says so."""
    vo = odometry()
    for i in range(16):
        pose = np.eye(4)
        pose[0, 3] = 0.012 * i
        push(vo, room, pose, i)
        if i == 2:
            wrong = abs(vo.odom_from_camera[0, 2])
    assert wrong > 1e-3
    assert abs(vo.odom_from_camera[0, 2]) < wrong / 2


def test_a_source_that_is_not_chosen_is_not_asked(odometry, room, walked):
    vo = odometry(scale_source='stereo')
    follow_depth(vo, room, walked, 6)
    assert vo.tracking.scale_source == 'none'


def test_a_turn_that_is_measured_helps_where_the_prediction_fails(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 6)
    jump = walked(5).copy()
    turn = np.array([[np.cos(0.2), 0, np.sin(0.2)], [0, 1, 0], [-np.sin(0.2), 0, np.cos(0.2)]])
    jump[:3, :3] = jump[:3, :3] @ turn
    answer = push(vo, room, jump, 6, depth=room.depth(jump), turn=turn)
    assert isinstance(answer, Motion)
    assert np.abs(answer.previous_from_current[:3, :3] - turn).max() < 0.003


def test_masked_points_are_not_looked_at(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 5)
    whole = vo.tracking.matches
    mask = np.zeros((room.camera.height, room.camera.width), np.bool_)
    mask[:, :160] = True
    push(vo, room, walked(5), 5, depth=room.depth(walked(5)), mask=mask)
    assert 0 < vo.tracking.matches < 0.8 * whole
    assert vo.tracking.tracks.xy[:, 0].max() < 161
    mask[:] = False
    answer = push(vo, room, walked(6), 6, depth=room.depth(walked(6)), mask=mask)
    assert isinstance(answer, Lost)
    assert '0 points' in answer.reason


# --- the pose and its doubt ---


def test_motions_add_up_to_the_pose(odometry, room, walked):
    vo = odometry(scale_source='depth')
    before = vo.odom_from_camera
    for answer in follow_depth(vo, room, walked, 12)[1:]:
        expected = before @ answer.previous_from_current
        np.testing.assert_allclose(answer.odom_from_camera, expected, atol=1e-9)
        before = answer.odom_from_camera


def test_the_error_of_the_scale_adds_up_in_full(odometry, room, walked):
    vo = odometry(scale=1.0)
    answers = follow(vo, room, walked, 20)
    stddev = answers[-1].scale_stddev
    way = vo.odom_from_camera[:3, 3]
    along = way / np.linalg.norm(way)
    deviation = np.sqrt(along @ vo.pose_covariance[:3, :3] @ along)
    assert deviation >= 0.95 * stddev * np.linalg.norm(way)


def test_a_factor_on_the_scale_is_one_on_all_translations(odometry, room, walked):
    plain, double = odometry(), odometry(scale=2.0)
    for vo in (plain, double):
        follow(vo, room, walked, 8)
    expected = 2 * plain.odom_from_camera[:3, 3]
    np.testing.assert_allclose(double.odom_from_camera[:3, 3], expected, rtol=1e-6)


def test_a_pose_that_is_set_is_gone_on_from(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 5)
    start, doubt = walked(40), np.diag([0.04, 0.01, 0.01, 1e-4, 1e-4, 1e-4])
    vo.set_pose(start, doubt)
    np.testing.assert_array_equal(vo.pose_covariance, doubt)
    answer = follow_depth(vo, room, walked, 1, start=5)[0]
    np.testing.assert_allclose(
        answer.odom_from_camera, start @ answer.previous_from_current, atol=1e-9
    )
    assert vo.pose_covariance[0, 0] >= 0.04


def test_landmarks_are_where_the_points_are(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 15)
    said = vo.tracking
    sure = said.landmarks[said.landmark_stddev < 0.02]
    depth = np.linalg.norm(sure - vo.odom_from_camera[:3, 3], axis=1)
    apart = np.linalg.norm(room.points[None] - sure[:, None], axis=2).min(axis=1)
    assert len(sure) > 100
    assert np.median(apart / depth) < 0.015


# --- what upsets it ---


def test_standing_adds_neither_way_nor_drift(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 5)
    pose, doubts = vo.odom_from_camera, [vo.pose_covariance]
    for i in range(5, 9):
        frame, keypoints = room.look(walked(4), 4 * STEP_NS)
        frame = replace(frame, stamp_ns=i * STEP_NS)
        answer = vo.push(frame, Aids(keypoints=keypoints))
        assert vo.tracking.state == 'standing'
        np.testing.assert_array_equal(answer.previous_from_current, np.eye(4))
        doubts.append(vo.pose_covariance)
    np.testing.assert_allclose(vo.odom_from_camera, pose, atol=1e-12)
    crept = np.sqrt(np.diag(doubts[1] - doubts[0]))  # what cannot be seen to move, once
    assert 0 < crept.max() < 0.01
    np.testing.assert_allclose(doubts[-1], doubts[1], rtol=1e-9)


def test_lost_and_found_again(odometry, room, rooms, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 8)
    pose, doubt = vo.odom_from_camera, vo.pose_covariance
    other = rooms.made(room.points, seed=9)
    for i in (8, 9):
        answer = push(vo, other, walked(i), i)
        assert isinstance(answer, Lost)
        assert 'landmarks' in answer.reason
        np.testing.assert_array_equal(answer.odom_from_camera, pose)
        assert (np.diag(answer.pose_covariance) > np.diag(doubt)).all()
    found = follow_depth(vo, room, walked, 1, start=10)[0]
    assert isinstance(found, Motion)
    assert found.previous_stamp_ns == 7 * STEP_NS
    assert off(vo, walked(10)) < 0.02


def test_after_three_fruitless_pictures_it_begins_anew(odometry, room, rooms, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 8)
    other = rooms.made(room.points, seed=9)
    answers = follow_depth(vo, other, walked, 5, start=8)
    assert [isinstance(one, Lost) for one in answers] == [True] * 3 + [False] * 2
    assert answers[3].previous_stamp_ns == 10 * STEP_NS
    assert off(vo, walked(12)) < np.sqrt(np.trace(vo.pose_covariance[:3, :3])) * 3
    before = follow_depth(odometry(scale_source='depth'), room, walked, 8)[-1]
    assert np.trace(answers[3].covariance) > 10 * np.trace(before.covariance)


def test_what_says_nothing_is_lost(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 4)
    frame, keypoints = room.look(walked(4), 4 * STEP_NS)
    answer = vo.push(replace(frame, image=np.zeros_like(frame.image)), Aids(keypoints=keypoints))
    assert isinstance(answer, Lost)
    assert 'black' in answer.reason
    answer = vo.push(replace(frame, stamp_ns=5 * STEP_NS, camera=None), Aids(keypoints=keypoints))
    assert 'not calibrated' in answer.reason
    assert isinstance(follow_depth(vo, room, walked, 1, start=6)[0], Motion)


@pytest.mark.parametrize(
    ('stamp_ns', 'reason'), [(2 * STEP_NS, 'time went from'), (40 * STEP_NS, 'no frame for')]
)
def test_time_that_jumps(odometry, room, walked, stamp_ns, reason):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 6)
    frame, keypoints = room.look(walked(6), stamp_ns)
    answer = vo.push(frame, Aids(keypoints=keypoints, depth=room.depth(walked(6))))
    assert isinstance(answer, Lost)
    assert reason in answer.reason
    frame, keypoints = room.look(walked(7), stamp_ns + STEP_NS)
    answer = vo.push(frame, Aids(keypoints=keypoints, depth=room.depth(walked(7))))
    assert isinstance(answer, Motion)


def test_another_camera(odometry, room, walked):
    vo = odometry(scale_source='depth')
    follow_depth(vo, room, walked, 6)
    answer = follow_depth(vo, replace(room, camera=replace(room.camera, fx=300.0)), walked, 1, 6)[0]
    assert isinstance(answer, Lost)
    assert 'camera' in answer.reason


@pytest.mark.parametrize(
    ('setting', 'reason'), [('max_linear_speed', 'm/s'), ('max_angular_speed', 'rad/s')]
)
def test_what_is_faster_than_possible_is_not_believed(odometry, room, walked, setting, reason):
    vo = odometry(scale_source='depth', **{setting: 1e-3})
    answers = follow_depth(vo, room, walked, 2)
    assert isinstance(answers[1], Lost)
    assert reason in answers[1].reason
    assert off(vo, np.eye(4)) == 0


# --- time, memory, threads ---


def test_the_same_pictures_give_the_same_bits(odometry, room, walked):
    vo = odometry(scale_source='depth')
    first = follow_depth(vo, room, walked, 12)
    vo.reset()
    second = follow_depth(vo, room, walked, 12)
    for a, b in zip(first[1:], second[1:], strict=True):
        assert a.odom_from_camera.tobytes() == b.odom_from_camera.tobytes()
        assert a.covariance.tobytes() == b.covariance.tobytes()


def test_what_is_kept_does_not_grow(odometry, room, rooms, walked):
    room = rooms.made(room.points[:250])
    vo = odometry(scale_source='none', window=5)
    views = [room.look(walked(i)) for i in range(12)]
    kept = []
    for i in range(1000):
        frame, keypoints = views[min(i % 22, 22 - i % 22)]
        vo.push(replace(frame, stamp_ns=i * STEP_NS), Aids(keypoints=keypoints))
        if i % 100 == 99:
            window = vo._tracker.window
            kept.append((len(window), len(window.landmarks)))
    assert all(frames <= 5 for frames, _ in kept)
    assert max(marks for _, marks in kept) < 3 * len(views[0][1].xy)


def test_beside_the_pictures_it_answers_as_well(odometry, room, walked):
    vo = odometry(scale_source='depth', lockstep=False)
    answers = follow_depth(vo, room, walked, 20)
    assert all(isinstance(one, Motion) for one in answers[1:])
    assert off(vo, walked(19)) < 0.02 * np.linalg.norm(walked(19)[:3, 3])
    vo.reset()
    assert vo.odom_from_camera.tolist() == np.eye(4).tolist()


def test_an_adjustment_that_fails_beside_them_is_survived_and_told(
    odometry, room, walked, monkeypatch, caplog
):
    def fail(*_, **__):
        raise np.linalg.LinAlgError('singular')

    monkeypatch.setattr(adjustment, 'adjust', fail)
    vo = odometry(scale_source='depth', lockstep=False)
    with caplog.at_level(logging.WARNING):
        answers = follow_depth(vo, room, walked, 20)
        vo.reset()
    assert all(isinstance(one, Motion) for one in answers[1:])
    assert 'not adjusted: LinAlgError: singular' in caplog.text
