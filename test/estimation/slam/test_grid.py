"""An occupancy grid of a room of which everything is known, and what moves it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.slam.grid import UNKNOWN, GridMapper, GridSettings
from dlcv.estimation.slam.sweep import Sweeper, SweepSettings, fitted_ground
from dlcv.geometry.camera import CameraError, grid_rays
from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.geometry.trajectory import rigid
from dlcv.types import Camera

CAMERA = Camera(width=96, height=72, fx=60.0, fy=60.0, cx=47.5, cy=35.5)
HEIGHT = 0.7
ROOM = np.array(((-3.0, -2.0, 0.0), (3.0, 2.0, 2.5)))
CUPBOARD = np.array(((1.0, 0.5, 0.0), (1.6, 1.3, 1.2)))
LAMP = np.array(((-0.3, -0.3, 2.0), (0.3, 0.3, 2.3)))
"""It hangs higher than what drives below it."""
SETTINGS = GridSettings(camera_height=HEIGHT, spacing=0.8, hits=1.0)


def posed(x, y, yaw, tilt=0.0, height=HEIGHT):
    """Return the pose of a camera that looks along ``yaw``, and down by ``tilt``."""
    c, s = np.cos(yaw), np.sin(yaw)
    turn = np.array(((c, -s, 0), (s, c, 0), (0, 0, 1)))
    down = np.array(((np.cos(tilt), 0, np.sin(tilt)), (0, 1, 0), (-np.sin(tilt), 0, np.cos(tilt))))
    return rigid(turn @ down, [x, y, height]) @ BODY_FROM_OPTICAL


def depth_of(pose, boxes=(CUPBOARD, LAMP), slope=0.0):
    """Return the depth of the room; the floor rises by ``slope`` along x."""
    rays = grid_rays(CAMERA).astype(np.float64) @ pose[:3, :3].T
    with np.errstate(divide='ignore', invalid='ignore'):
        walls = np.where(rays > 0, ROOM[1] - pose[:3, 3], ROOM[0] - pose[:3, 3]) / rays
        floor = (slope * pose[0, 3] - pose[2, 3]) / (rays[..., 2] - slope * rays[..., 0])
        walls[..., 2] = np.where(floor > 0, floor, walls[..., 2])
        best = np.nanmin(walls, axis=-1)
        for box in boxes:
            ends = (box[:, None, None] - pose[:3, 3]) / rays
            enter, leave = ends.min(axis=0).max(axis=-1), ends.max(axis=0).min(axis=-1)
            hit = (enter < leave) & (enter > 0)
            best = np.where(hit, np.minimum(best, enter), best)
    return best.astype(np.float32)


def walk():
    """Return poses of a way around the room, looking ahead and to the sides."""
    return np.array([
        posed(1.7 * np.cos(a), 1.0 * np.sin(a), a + np.pi / 2 + turn)
        for a in np.linspace(0, 2 * np.pi, 16, endpoint=False)
        for turn in (-1.2, 0.0, 1.2)
    ])  # fmt: skip


def mapped(poses, settings=SETTINGS, truth=None):
    grid = GridMapper(settings)
    for k, pose in enumerate(poses if truth is None else truth):
        assert grid.add(depth_of(pose), CAMERA, k, np.eye(4), poses[: k + 1])
    return grid


def at(grid, x, y):
    """Return the values of a grid at points."""
    column = np.floor((np.asarray(x) - grid.origin[0]) / grid.resolution).astype(int)
    row = np.floor((np.asarray(y) - grid.origin[1]) / grid.resolution).astype(int)
    return grid.values[row, column]


def shares(grid):
    """Return the share of the walls that was found, and of the floor that is free and that is not.

    A wall counts where a cell on either side of its face is occupied.
    """
    edge = 0.12
    x, y = np.arange(-2.9, 2.9, 0.05), np.arange(-1.9, 1.9, 0.05)
    off = np.array((-0.025, 0.025))[:, None]
    found = [(at(grid, x, side + off) == 100).any(axis=0) for side in (-2.0, 2.0)]
    found += [(at(grid, side + off, y) == 100).any(axis=0) for side in (-3.0, 3.0)]
    floor_x, floor_y = np.meshgrid(np.arange(-3 + edge, 3 - edge, 0.05),
                                   np.arange(-2 + edge, 2 - edge, 0.05))  # fmt: skip
    low, high = CUPBOARD[:, :2]
    inside = (floor_x > low[0] - edge) & (floor_x < high[0] + edge)
    inside &= (floor_y > low[1] - edge) & (floor_y < high[1] + edge)
    values = at(grid, floor_x, floor_y)[~inside]
    return np.concatenate(found).mean(), (values == 0).mean(), (values == 100).mean()


@pytest.fixture(scope='module')
def room():
    return mapped(walk())


def test_walls_and_free_space_of_a_room_are_found(room):
    grid = room.render(walk())
    walls, free, false = shares(grid)
    assert walls > 0.9
    assert free > 0.9
    assert false < 0.005
    assert grid.values.dtype == np.int8
    assert set(np.unique(grid.values)) == {UNKNOWN, 0, 100}
    assert at(grid, 0.0, 0.0) == 0  # below the lamp
    assert at(grid, 1.02, 0.9) == 100  # the cupboard's face
    assert at(grid, 1.3, 0.9) == UNKNOWN  # its inside


def test_probabilities_are_given_where_they_are_wanted():
    poses = walk()[:3]
    grid = mapped(poses, GridSettings(camera_height=HEIGHT, decided=False)).render(poses)
    known = grid.values[grid.values != UNKNOWN]
    assert known.min() < 45
    assert known.max() > 60
    assert ((known >= 0) & (known <= 100)).all()


def test_keyframes_that_are_moved_take_what_they_saw_along(room):
    poses = walk()
    change = posed(0.4, -0.25, 0.7) @ np.linalg.inv(posed(0, 0, 0))
    before, moved = room.render(poses), room.render(change @ poses)
    x, y = np.meshgrid(np.arange(-2.9, 2.9, 0.05), np.arange(-1.9, 1.9, 0.05))
    there = change[:2, :2] @ np.stack((x.ravel(), y.ravel())) + change[:2, 3:]
    was, now = at(before, x.ravel(), y.ravel()), at(moved, *there)
    assert (was[was >= 0] == now[was >= 0]).mean() > 0.95
    again = room.render(poses)
    assert again.origin[0] <= before.origin[0]
    assert np.count_nonzero(again.values != UNKNOWN) == np.count_nonzero(before.values != UNKNOWN)
    assert (at(again, x, y) == at(before, x, y)).all()  # nothing is left of where it was


def test_a_correction_after_drift_puts_walls_back():
    truth = walk()
    drift = [posed(0.02 * k, -0.01 * k, 0.008 * k) @ np.linalg.inv(posed(0, 0, 0))
             for k in range(len(truth))]  # fmt: skip
    odometry = np.array(drift) @ truth
    grid = mapped(odometry, truth=truth)
    drifted, corrected = shares(grid.render(odometry)), shares(grid.render(truth))
    assert drifted[0] < 0.5
    assert corrected[0] > 0.8
    assert corrected[1] > 0.9


def test_submaps_stay_within_their_bound_and_what_they_knew_is_kept():
    poses = walk()
    settings = GridSettings(camera_height=HEIGHT, spacing=0.8, hits=1.0, submaps=4)
    grid = mapped(poses, settings)
    assert len(grid) == 4
    walls, free, _ = shares(grid.render(poses))
    assert walls > 0.85
    assert free > 0.9


def test_a_long_way_leaves_a_grid_around_the_robot():
    settings = GridSettings(camera_height=HEIGHT, spacing=1.0, side=256, submaps=6)
    one = posed(0, 0, 0)
    depth = depth_of(one)
    way = np.array([posed(3.0 * k, 0, 0) for k in range(30)])
    grid, most = GridMapper(settings), 0
    for k in range(len(way)):
        grid.add(depth, CAMERA, k, np.eye(4), way)
        seen = grid.render(way)
        most = max(most, grid.nbytes)
        assert max(seen.values.shape) <= 256 + 2 * 64
        assert at(seen, 3.0 * k + 2.5, 0.0) == 0
        assert at(seen, 3.0 * k + 3.02, 0.0) == 100
    assert len(grid) == 6
    assert most < 2_000_000


def test_a_movement_that_was_seen_free_again_leaves_the_grid():
    pose = walk()[:1]
    grid = GridMapper(SETTINGS)
    person = np.array(((1.5, 1.0, 0.0), (1.9, 1.3, 1.7)))
    ahead = posed(1.7, 0.0, np.pi / 2)[None]
    grid.add(depth_of(ahead[0], (person,)), CAMERA, 0, np.eye(4), ahead)
    assert at(grid.render(ahead), 1.7, 1.02) == 100
    for _ in range(4):
        grid.add(depth_of(ahead[0], ()), CAMERA, 0, np.eye(4), pose)
    assert at(grid.render(ahead), 1.7, 1.02) == 0


@pytest.mark.parametrize('tilt', [0.0, 0.25])
def test_the_height_of_the_camera_is_found_where_it_is_not_given(tilt):
    sweeper = Sweeper(SweepSettings())
    pose = posed(-2.5, 0.0, 0.0, tilt)
    assert sweeper.sweep(depth_of(pose), CAMERA, pose) is not None
    assert sweeper.height == pytest.approx(HEIGHT, abs=0.02)


def test_a_ramp_is_ground_and_no_wall():
    pose = posed(-2.5, 0.0, 0.0, 0.2)
    depth = depth_of(pose, (), slope=np.tan(np.deg2rad(5)))
    height = HEIGHT + 2.5 * np.tan(np.deg2rad(5))
    patch = Sweeper(SweepSettings(camera_height=height)).sweep(depth, CAMERA, pose)
    x = (np.arange(patch.cells.shape[1]) + patch.corner[0] + 0.5) * 0.05
    y = (np.arange(patch.cells.shape[0]) + patch.corner[1] + 0.5) * 0.05
    floor = patch.cells[np.ix_(np.abs(y) < 1.8, np.abs(x) < 1.5)]
    assert (floor <= 0).all()
    assert (floor < 0).mean() > 0.9
    points = np.random.default_rng(0).uniform(-3, 3, (300, 3))
    points[:, 2] = 0.05 * points[:, 0] - 0.02 * points[:, 1] - 0.9
    plane = fitted_ground(points, 0.88)
    assert np.abs(plane.above(points)).max() < 0.01


def test_a_ray_that_passes_over_something_low_does_not_clear_it():
    low = np.array(((-1.0, -0.5, 0.0), (-0.7, 0.5, 0.25)))
    poses = np.array([posed(-2.6, 0.0, 0.0), posed(-1.6, 0.0, 0.0)])
    grid = GridMapper(GridSettings(camera_height=HEIGHT, hits=1.0))
    grid.add(depth_of(poses[0], (low,)), CAMERA, 0, np.eye(4), poses)
    assert at(grid.render(poses), -0.98, 0.0) == 100
    for _ in range(5):  # from near, where it is below the picture
        grid.add(depth_of(poses[1], (low,)), CAMERA, 1, np.eye(4), poses)
    assert at(grid.render(poses), -0.98, 0.0) == 100


def test_what_is_uncertain_says_less():
    pose = posed(1.0, 0.0, 0.0)
    depth = depth_of(pose, ())
    sweeper = Sweeper(SweepSettings(camera_height=HEIGHT, hits=12.0))
    sure = sweeper.sweep(depth, CAMERA, pose)
    vague = sweeper.sweep(depth, CAMERA, pose, np.full(depth.shape, 0.3, np.float32))
    assert np.count_nonzero(vague.cells < 0) < np.count_nonzero(sure.cells < 0)
    assert np.count_nonzero(vague.cells > 0) < np.count_nonzero(sure.cells > 0)
    unknown = np.full(depth.shape, np.nan, np.float32)
    assert Sweeper().sweep(unknown, CAMERA, pose) is None


def test_what_does_not_fit_is_refused_by_name():
    grid, pose = GridMapper(), posed(0, 0, 0)[None]
    with pytest.raises(CameraError, match='the depth is 8x6, its camera 96x72'):
        grid.add(np.ones((6, 8), np.float32), CAMERA, 0, np.eye(4), pose)
    with pytest.raises(ValueError, match='keyframe must be one of 1, got 3'):
        grid.add(np.ones((72, 96), np.float32), CAMERA, 3, np.eye(4), pose)
    assert GridMapper().render(pose) is None
    with pytest.raises(ValueError, match='0 < lowest < highest'):
        GridSettings(lowest=2.0)
    with pytest.raises(ValueError, match='0 < resolution < furthest'):
        GridSettings(resolution=0.0)
