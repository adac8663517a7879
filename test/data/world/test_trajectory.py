from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlcv.data.world.recording import SCENES, motions_in, stage_of
from dlcv.data.world.scene import WorldError, place
from dlcv.data.world.stage import GAITS, MOTIONS, Extras, camera_path, with_gait
from dlcv.data.world.trajectory import (
    Course,
    Drive,
    Ride,
    Shuttle,
    Space,
    Spin,
    Tumble,
    Wobble,
    ellipse,
    poses,
    rounded_rectangle,
)

SPEEDS = (5.0, 9.0)


@pytest.fixture(scope='module')
def space() -> Space:
    """An oval of paths, a lane around it."""
    path = Course(ellipse((6.0, 4.0)), 0.9)
    lane = Course(rounded_rectangle((40, 28), 9.5, 4.0), 1.0)
    return Space(
        path=path, pace=(0.7, 1.2), floor=0.1, road=Drive(lane, SPEEDS, 0.3), air=lane,
        heights=(2.0, 6.0), speeds=(3.0, 7.0),
    )  # fmt: skip


def _path(motion, space, seed=5):
    return camera_path(motion, np.random.default_rng(seed), space)


def _yaw(pose):
    return np.unwrap(np.arctan2(pose[:, 1, 2], pose[:, 0, 2]))


def _gone(gait, motion, space, start_s=20.0, seed=5):
    rng = np.random.default_rng(seed)
    return with_gait(gait, rng, camera_path(motion, rng, space), start_s)


@pytest.mark.parametrize('gait', GAITS)
@pytest.mark.parametrize('motion', MOTIONS)
def test_gaits_are_as_smooth_as_the_paths(space, motion, gait):
    path = _gone(gait, motion, space)
    start = np.linspace(3, 250, 160)
    worst = []
    for step in (0.02, 0.005):
        seconds = start[:, None] + step * np.arange(60)
        values = path.world_from_camera(seconds.ravel()).reshape(160, 60, 16)
        worst.append(np.abs(np.diff(values, n=2, axis=1)).max() / step**2)
    assert worst[1] < 1.3 * worst[0] + 1e-6
    pose = path.world_from_camera(np.linspace(0, 400, 300))
    rotation = pose[:, :3, :3]
    assert np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max() < 1e-12


@pytest.mark.parametrize('motion', MOTIONS)
def test_a_camera_that_stands_is_where_its_path_is_at_the_start(space, motion):
    there = _path(motion, space).world_from_camera(np.array([20.0]))[0]
    pose = _gone('still', motion, space).world_from_camera(np.linspace(0, 300, 7))
    assert np.array_equal(pose, np.tile(there, (7, 1, 1)))


@pytest.mark.parametrize('motion', MOTIONS)
def test_a_camera_that_turns_stays_on_the_spot_and_pauses(space, motion):
    seconds = np.arange(0, 120, 0.05)
    there = _path(motion, space).world_from_camera(np.array([20.0]))[0]
    pose = _gone('turning', motion, space).world_from_camera(seconds)
    assert np.array_equal(pose[:, :3, 3], np.tile(there[:3, 3], (len(seconds), 1)))
    rate = np.gradient(_yaw(pose), 0.05)
    assert rate.max() > 0.3
    assert rate.min() < -0.3
    assert np.abs(rate).max() < 1.3
    assert np.mean(np.abs(rate) < 0.01) > 0.02
    assert np.ptp(pose[:, 2, 2]) < 1e-9  # about the vertical


@pytest.mark.parametrize('motion', MOTIONS)
def test_a_camera_that_halts_stands_and_goes_on_along_its_path(space, motion):
    seconds = np.arange(0, 60, 0.02)
    pose = _gone('halting', motion, space).world_from_camera(seconds)
    stands = np.all(np.diff(pose, axis=0) == 0, axis=(1, 2))
    assert 0.1 < np.mean(stands) < 0.7
    assert np.count_nonzero(np.diff(stands.astype(int)) == 1) >= 8  # it stops again and again
    steady = _path(motion, space).world_from_camera(np.arange(0, 60, 0.002))
    for where in pose[::211, :3, 3]:
        assert np.linalg.norm(steady[:, :3, 3] - where, axis=1).min() < 0.05


def test_an_unknown_gait_is_refused_with_those_there_are(space):
    with pytest.raises(
        WorldError, match="no gait 'hop'; there are steady, still, turning, halting"
    ):
        _gone('hop', 'walk', space)


@pytest.mark.parametrize('motion', MOTIONS)
def test_poses_are_rigid(space, motion):
    pose = _path(motion, space).world_from_camera(np.linspace(0, 200, 400))
    rotation = pose[:, :3, :3]
    assert np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max() < 1e-12
    assert np.allclose(np.linalg.det(rotation), 1)
    assert (pose[:, 3] == (0, 0, 0, 1)).all()
    assert (rotation[:, 2, 1] < -0.3).all()  # y points down: the camera is upright


@pytest.mark.parametrize('motion', MOTIONS)
def test_position_and_attitude_are_twice_differentiable(space, motion):
    # The third difference of a C2 function shrinks at least as h^2; of a kink, as h or slower.
    path = _path(motion, space)
    start = np.linspace(3, 250, 160)
    worst = []
    for step in (0.02, 0.005):
        seconds = start[:, None] + step * np.arange(60)
        values = path.world_from_camera(seconds.ravel()).reshape(160, 60, 16)
        worst.append(np.abs(np.diff(values, n=2, axis=1)).max() / step**2)
    assert worst[1] < 1.3 * worst[0]  # acceleration does not grow with resolution
    assert worst[0] < 60


@pytest.mark.parametrize('motion', MOTIONS)
def test_ways_differ_and_can_be_gone_again(space, motion):
    now = np.array([3.0, 4.0])
    one, again, other = (_path(motion, space, seed).world_from_camera(now) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert np.abs(one - other).max() > 0.001


def test_a_walker_keeps_to_the_path_at_eye_height(space):
    seconds = np.arange(0, 120, 0.1)
    position = _path('walk', space).world_from_camera(seconds)[:, :3, 3]
    speed = np.linalg.norm(np.diff(position, axis=0), axis=1) / 0.1
    assert speed.min() > 0.1
    assert speed.max() < 2.2
    assert position[:, 2].min() > 1.0
    assert position[:, 2].max() < 2.1
    line = space.path.at(np.linspace(0, space.path.length, 500))[0]
    off = np.linalg.norm(position[:, None, :2] - line[None], axis=2).min(1)
    assert off.max() < space.path.clearance - 0.3


def test_a_robot_is_planar_and_never_slips_sideways(space):
    seconds = np.arange(0, 300, 0.02)
    pose = _path('robot', space).world_from_camera(seconds)
    assert np.ptp(pose[:, 2, 3]) < 1e-12
    step = np.diff(pose[:, :2, 3], axis=0)
    yaw = _yaw(pose)
    middle = (yaw[1:] + yaw[:-1]) / 2
    aside = step[:, 1] * np.cos(middle) - step[:, 0] * np.sin(middle)
    assert np.abs(aside).max() < 1e-5  # of steps of up to 2 cm


def test_a_robot_stops_and_turns_in_place(space):
    seconds = np.arange(0, 300, 0.02)
    pose = _path('robot', space).world_from_camera(seconds)
    speed = np.linalg.norm(np.diff(pose[:, :2, 3], axis=0), axis=1) / 0.02
    rate = np.abs(np.diff(_yaw(pose))) / 0.02
    assert ((speed < 1e-6) & (rate > 0.3)).mean() > 0.02  # turns in place
    assert ((speed < 1e-6) & (rate < 1e-6)).mean() > 0.005  # stands
    assert (speed > 0.2).mean() > 0.2  # rolls
    assert speed.max() < 1.1


def test_the_car_drives_forwards_and_turns(space):
    pose = _path('car', space).world_from_camera(np.arange(0, 60, 0.1))
    step = np.diff(pose[:, :3, 3], axis=0)
    speed = np.linalg.norm(step, axis=1) / 0.1
    assert speed.min() > 0.8 * SPEEDS[0]
    assert speed.max() < 1.1 * SPEEDS[1]
    ahead = (step * pose[:-1, :3, 2]).sum(1) / np.linalg.norm(step, axis=1)
    assert ahead.min() > 0.99
    assert abs(_yaw(pose)[-1] - _yaw(pose)[0]) > np.pi


def test_the_lap_closes_without_a_jump(space):
    seconds = np.arange(0, 3 * space.road.lap, 0.02)
    position, yaw = space.road.at(seconds)
    assert np.linalg.norm(np.diff(position, axis=0), axis=1).max() < 1.1 * SPEEDS[1] * 0.02
    assert np.abs(np.diff(np.unwrap(yaw))).max() < 0.05
    here, again = (space.road.at(np.array([t]))[0] for t in (7.0, 7.0 + space.road.lap))
    assert np.allclose(here, again)


def test_a_drone_climbs_leans_and_stays_in_its_air(space):
    seconds = np.arange(0, 200, 0.05)
    pose = _path('drone', space).world_from_camera(seconds)
    assert 2.0 <= pose[:, 2, 3].min() < pose[:, 2, 3].max() - 1.0
    assert pose[:, 2, 3].max() <= 6.0
    roll = np.arcsin(pose[:, 2, 0])  # of the camera's x axis against the horizon
    assert np.abs(roll).max() > 0.15
    pull = np.diff(pose[:, :2, 3], n=2, axis=0) / 0.05**2
    heading = np.diff(pose[:, :2, 3], axis=0)[:-1]
    right = np.stack((heading[:, 1], -heading[:, 0]), 1)
    right /= np.linalg.norm(right, axis=1, keepdims=True)
    assert np.corrcoef((pull * right).sum(1), -roll[1:-1])[0, 1] > 0.6  # into the bend


def test_a_car_needs_a_road(space):
    indoors = Space(path=space.path, pace=(1, 1), air=space.path, heights=(1, 2), speeds=(1, 2))
    with pytest.raises(WorldError, match='no road for a car here; there is room for walk, robot'):
        camera_path('car', np.random.default_rng(0), indoors)
    with pytest.raises(WorldError, match="no motion 'swim'; there are walk, robot, car, drone"):
        camera_path('swim', np.random.default_rng(0), indoors)


@pytest.mark.parametrize('scene', SCENES)
def test_the_camera_touches_nothing(scene):
    stage = stage_of(scene, 3, Extras())
    built = stage.scene
    solid = ~built.infinite & (built.body == 0)
    u, v = built.edge_u[solid], built.edge_v[solid]
    steps = np.linspace(0, 1, 5)  # points of each patch, 25 of them
    points = np.concatenate(
        [built.origin[solid] + s * u + t * v for s in steps for t in steps]
    ).astype(np.float32)
    for motion in motions_in(scene):
        path = camera_path(motion, np.random.default_rng(1), stage.space)
        centre = path.world_from_camera(np.linspace(0, 90, 60))[:, :3, 3].astype(np.float32)
        gap = min(np.linalg.norm(points - at, axis=1).min() for at in centre)
        assert gap > {'walk': 0.25, 'robot': 0.2, 'car': 0.8, 'drone': 0.3}[motion], motion


# -- things that move by themselves ----------------------------------------------------------------


def test_every_thing_moves_rigidly_and_smoothly(space):
    rng = np.random.default_rng(0)
    rest = place(1.0, 2.0, 0.5, 0.4)
    things = (
        Ride(space.road, 3.0, rest),
        Spin(rest, 2.0),
        Shuttle(rng, np.array([0.0, 2.0]), rest, 9.0),
        Tumble(rng, np.array([1.0, 2.0, 3.0]), 0.5),
    )
    seconds = np.arange(0, 30, 0.01)
    for thing in things:
        motion = thing.world_from_rest(seconds)
        rotation = motion[:, :3, :3]
        assert np.abs(rotation.transpose(0, 2, 1) @ rotation - np.eye(3)).max() < 1e-12
        there = motion @ np.append(rest[:3, 3], 1)
        assert np.linalg.norm(np.diff(there, axis=0), axis=1).max() < 0.12
        assert np.abs(motion[1:] - motion[:-1]).max() > 1e-5


def test_a_ride_brings_the_thing_to_its_place_in_the_lane(space):
    rest = place(1.0, 2.0, 0.0, 0.4)
    motion = Ride(space.road, 3.0, rest).world_from_rest(np.array([10.0]))[0]
    position, yaw = space.road.at(np.array([13.0]))
    assert np.allclose(motion @ rest, place(*position[0], 0.0, yaw[0]))


def test_a_tumbling_thing_stays_in_its_ball():
    centre = np.array([1.0, 2.0, 3.0])
    motion = Tumble(np.random.default_rng(0), centre, 0.5).world_from_rest(np.arange(0, 300, 0.1))
    assert np.linalg.norm((motion @ np.append(centre, 1))[:, :3] - centre, axis=1).max() < 0.5


# -- lines and poses -------------------------------------------------------------------------------


def test_a_course_runs_through_its_points_and_can_be_left_aside():
    points = ellipse((5.0, 3.0))
    course = Course(points, 1.0)
    s = np.linspace(0, course.length, 400)
    line, yaw = course.at(s)
    assert np.linalg.norm(line[:, None] - points[None], axis=2).min(0).max() < 0.05
    left, _ = course.at(s, 0.4)
    assert np.allclose(np.linalg.norm(left - line, axis=1), 0.4)
    assert np.allclose((left - line) @ np.ones(2), 0.4 * (np.cos(yaw) - np.sin(yaw)))
    back, turned = course.reversed().at(s)
    nearest = np.linalg.norm(back[:, None] - line[None], axis=2).argmin(1)
    assert np.cos(turned - yaw[nearest]).max() < -0.98


def test_curvature_of_a_circle():
    circle = Course(ellipse((4.0, 4.0), 48), 1.0)
    assert circle.curvature(np.linspace(0, circle.length, 100)) == pytest.approx(0.25, rel=0.01)


@given(yaw=st.floats(-10, 10), pitch=st.floats(-1.4, 1.4), roll=st.floats(-3, 3))
def test_poses_look_where_they_are_told(yaw, pitch, roll):
    pose = poses(np.zeros((1, 3)), *(np.array([a]) for a in (yaw, pitch, roll)))[0]
    ahead = (np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch))
    assert np.allclose(pose[:3, 2], ahead)
    assert np.allclose(np.linalg.det(pose[:3, :3]), 1)


def test_wobble_has_its_deviation_and_its_bound():
    values = Wobble(np.random.default_rng(0), 0.3, 0.1, 1.0)(np.arange(0, 2000, 0.05))
    assert abs(values.std() - 0.3) < 0.02
    assert np.abs(values).max() < 3.2 * 0.3


def test_rounded_rectangle_keeps_its_extents():
    points = rounded_rectangle((20.0, 10.0), 5.0, 1.0)
    assert np.abs(points).max(0) == pytest.approx((20, 10), abs=0.05)
    assert (np.hypot(*(np.abs(points) - (15, 5)).clip(0).T) < 5.001).all()
    gaps = np.linalg.norm(np.diff(np.concatenate((points, points[:1])), axis=0), axis=1)
    assert gaps.max() < 1.05
