"""Odometry without networks: exact motions come back, failures go on."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.data.world import WorldRecording
from dlcv.metrics.baselines.odometry import ConstantVelocity, FivePoint, StraightLine
from dlcv.metrics.trajectory import rotation_degrees
from dlcv.types import Camera, Frame, Snapshot


def poses(count=5):
    made = np.tile(np.eye(4), (count, 1, 1))
    for i in range(count):
        made[i, :3, :3] = Rotation.from_euler('y', 0.1 * i).as_matrix()
        made[i, :3, 3] = (0.1 * i**2, 0, 2.0 * i)
    return made


def view(pose):
    return Snapshot(
        frame=Frame(stamp_ns=0, image=np.zeros((8, 8, 3), np.uint8)), world_from_camera=pose
    )


def chained(follower, truth):
    pose, found = np.eye(4), []
    for true in truth:
        pose = pose @ follower.push(view(true))
        found.append(pose)
    return np.stack(found)


def test_constant_velocity_repeats_the_true_first_motion():
    truth = poses()
    found = chained(ConstantVelocity(), truth)
    first = np.linalg.inv(truth[0]) @ truth[1]
    for i, pose in enumerate(found):
        assert np.allclose(pose, np.linalg.matrix_power(first, i))


def test_a_straight_line_has_the_true_mean_speed():
    truth = poses()
    found = chained(StraightLine(truth), truth)
    length = np.linalg.norm(np.diff(truth[:, :3, 3], axis=0), axis=1).sum()
    assert np.allclose(found[0], np.eye(4))
    assert np.allclose(found[-1][:3, 3], (0, 0, length))
    assert np.allclose(found[-1][:3, :3], np.eye(3))
    assert np.allclose(chained(StraightLine(truth[:1]), truth[:1])[-1], np.eye(4))


@pytest.mark.parametrize(('features', 'degrees'), [('SIFT', 1), ('ORB', 3)])
def test_five_points_follow_a_camera_through_a_room(features, degrees):
    follower, before = FivePoint(features), None
    for seen in WorldRecording('room', seed=3, frames=4, rate_hz=5, workers=1):
        motion = follower.push(seen)
        if before is None:
            assert np.array_equal(motion, np.eye(4))
        else:
            true = np.linalg.inv(before) @ seen.world_from_camera
            assert np.linalg.norm(motion[:3, 3]) == pytest.approx(np.linalg.norm(true[:3, 3]))
            assert rotation_degrees((np.linalg.inv(true) @ motion)[None])[0] < degrees
        before = seen.world_from_camera


def test_where_nothing_is_found_the_last_motion_goes_on():
    camera = Camera(width=8, height=8, fx=8, fy=8, cx=3.5, cy=3.5)
    follower = FivePoint()
    for pose in poses(3):
        blank = Frame(stamp_ns=0, image=np.zeros((8, 8, 3), np.uint8), camera=camera)
        motion = follower.push(Snapshot(frame=blank, world_from_camera=pose))
    assert np.array_equal(motion, np.eye(4))  # there was none: it rests
