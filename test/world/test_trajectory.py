from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.world.recording import _built
from dlcv.world.trajectory import Wobble, poses, rounded_rectangle


@pytest.fixture(scope='module', params=['room', 'street'])
def world(request):
    return request.param, *_built(request.param, 3)


def test_poses_are_rigid(world):
    _, _, path = world
    pose = path.world_from_camera(np.linspace(0, 200, 400))
    rotation = pose[:, :3, :3]
    assert np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max() < 1e-12
    assert np.allclose(np.linalg.det(rotation), 1)
    assert (pose[:, 3] == (0, 0, 0, 1)).all()
    assert (rotation[:, 2, 1] < -0.5).all()  # y points down: the camera is upright


def test_position_and_attitude_are_twice_differentiable(world):
    # The third difference of a C2 function shrinks at least as h^2; of a kink, as h or slower.
    _, _, path = world
    start = np.linspace(3, 90, 60)
    worst = []
    for step in (0.02, 0.005):
        seconds = start[:, None] + step * np.arange(60)
        values = path.world_from_camera(seconds.ravel()).reshape(60, 60, 16)
        worst.append(np.abs(np.diff(values, n=2, axis=1)).max() / step**2)
    assert worst[1] < 1.3 * worst[0]  # acceleration does not grow with resolution
    assert worst[0] < 60


def test_velocity_is_that_of_a_walker_or_a_town_car(world):
    name, _, path = world
    seconds = np.arange(0, 60, 0.1)
    position = path.world_from_camera(seconds)[:, :3, 3]
    speed = np.linalg.norm(np.diff(position, axis=0), axis=1) / 0.1
    low, high = {'room': (0.05, 1.5), 'street': (4.0, 10.5)}[name]
    assert speed.min() > low
    assert speed.max() < high


def test_the_car_drives_forwards_and_turns():
    path = _built('street', 3)[1]
    pose = path.world_from_camera(np.arange(0, 60, 0.1))
    step = np.diff(pose[:, :3, 3], axis=0)
    ahead = (step * pose[:-1, :3, 2]).sum(1) / np.linalg.norm(step, axis=1)
    assert ahead.min() > 0.99
    yaw = np.unwrap(np.arctan2(pose[:, 1, 2], pose[:, 0, 2]))
    assert abs(yaw[-1] - yaw[0]) > np.pi


def test_the_lap_closes_without_a_jump():
    path = _built('street', 3)[1]
    seconds = np.arange(0, 120, 0.02)
    position = path.world_from_camera(seconds)[:, :3, 3]
    assert np.linalg.norm(np.diff(position, axis=0), axis=1).max() < 10.5 * 0.02


@pytest.mark.parametrize(
    ('scene', 'seed', 'clearance'),
    [('room', 1, 0.3), ('room', 3, 0.3), ('street', 3, 0.8)],
)
def test_the_camera_touches_nothing(scene, seed, clearance):
    built, path = _built(scene, seed)
    centre = path.world_from_camera(np.linspace(0, 60, 200))[:, :3, 3]
    solid = ~built.infinite
    u, v = built.edge_u[solid], built.edge_v[solid]
    gap = np.inf
    for s in np.linspace(0, 1, 5):  # points of each patch, 25 of them
        for t in np.linspace(0, 1, 5):
            points = built.origin[solid] + s * u + t * v
            squared = (centre**2).sum(1)[:, None] + (points**2).sum(1)[None] - 2 * centre @ points.T
            gap = min(gap, float(np.sqrt(squared.clip(0).min())))
    assert gap > clearance


@given(yaw=st.floats(-10, 10), pitch=st.floats(-1.4, 1.4), roll=st.floats(-3, 3))
def test_poses_look_where_they_are_told(yaw, pitch, roll):
    pose = poses(np.zeros((1, 3)), *(np.array([a]) for a in (yaw, pitch, roll)))[0]
    ahead = (np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch))
    assert np.allclose(pose[:3, 2], ahead)
    assert np.allclose(np.linalg.det(pose[:3, :3]), 1)


def test_wobble_has_its_deviation():
    values = Wobble(np.random.default_rng(0), 0.3, 0.1, 1.0)(np.arange(0, 2000, 0.05))
    assert abs(values.std() - 0.3) < 0.02


def test_rounded_rectangle_keeps_its_extents():
    points = rounded_rectangle((20.0, 10.0), 5.0, 1.0)
    assert np.abs(points).max(0) == pytest.approx((20, 10), abs=0.05)
    assert (np.hypot(*(np.abs(points) - (15, 5)).clip(0).T) < 5.001).all()
    gaps = np.linalg.norm(np.diff(np.concatenate((points, points[:1])), axis=0), axis=1)
    assert gaps.max() < 1.05
