"""The height over the ground from two pictures of a floor that is made for it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.road import ground_of_views
from dlcv.geometry.camera import grid_rays
from dlcv.geometry.trajectory import rigid
from dlcv.types import Camera

CAMERA = Camera(width=320, height=160, fx=200.0, fy=200.0, cx=159.5, cy=69.5)
HEIGHT = 1.5
SURE = np.diag([1e-6] * 3 + [1e-10] * 3)


def texture(seed):
    """A floor of 24 x 24 m, 40 pixels a metre."""
    rng = np.random.default_rng(seed)
    total = np.zeros((960, 960), np.float32)
    for size in (12, 60, 240):
        grain = rng.standard_normal((size, size)).astype(np.float32)
        total += cv2.resize(grain, (960, 960), interpolation=cv2.INTER_CUBIC)
    return 120 + 22 * total


def view(floor, floor_from_camera, sigma=1.0, seed=0, gain=1.0):
    """What a camera sees of a floor at y = HEIGHT of axes that are like its own.

    Each pixel is the mean of 12 rows and 3 columns, or far grain would flicker.
    """
    fine = CAMERA.scaled(3 * CAMERA.width, 12 * CAMERA.height)
    rays = grid_rays(fine).astype(np.float64) @ floor_from_camera[:3, :3].T
    x, y, z = floor_from_camera[:3, 3]
    with np.errstate(divide='ignore', invalid='ignore'):
        far = np.where(rays[..., 1] > 0.01, (HEIGHT - y) / rays[..., 1], 1e3)
    u = 480 + 40 * (x + far * rays[..., 0])
    v = 40 * (z + far * rays[..., 2])
    seen = cv2.remap(floor, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_CONSTANT, borderValue=200)  # fmt: skip
    seen = cv2.resize(seen, (CAMERA.width, CAMERA.height), interpolation=cv2.INTER_AREA)
    noise = sigma * np.random.default_rng(seed).standard_normal(seen.shape)
    return np.clip(gain * seen + noise, 0, 255).astype(np.uint8)


def pair(seed=0, step=0.5, gain=1.0, turn=(0.0, 0.01, 0.0)):
    """Two pictures and the true motion ``older_from_newer``."""
    motion = rigid(Rotation.from_rotvec(turn).as_matrix(), [0.02, 0.0, step])
    floor = texture(seed)
    return view(floor, np.eye(4), seed=1), view(floor, motion, seed=2, gain=gain), motion


@pytest.mark.parametrize('unit', [1.0, 0.01, 30.0])
@pytest.mark.parametrize('step', [0.15, 0.5, 1.5])
def test_a_floor_has_its_height(unit, step):
    older, newer, motion = pair(step=step)
    motion[:3, 3] *= unit
    found = ground_of_views(older, newer, CAMERA, motion, SURE * unit**2)
    assert found.height == pytest.approx(HEIGHT * unit, rel=0.02)
    assert found.up @ (0.0, -1.0, 0.0) > 0.9999
    assert found.support > 700


def test_a_guess_and_another_exposure_change_nothing():
    older, newer, motion = pair(gain=1.2)
    free = ground_of_views(older, newer, CAMERA, motion, SURE)
    near = ground_of_views(older, newer, CAMERA, motion, SURE, guess=1.3)
    assert near.height == pytest.approx(free.height, rel=1e-3)
    assert free.height == pytest.approx(HEIGHT, rel=0.02)


def test_a_floor_tilted_to_the_camera_is_found_with_its_up():
    tilt = Rotation.from_rotvec((0.15, 0.0, 0.0)).as_matrix()  # the camera looks up or down
    floor = texture(3)
    start = rigid(tilt, [0.0, 0.0, 0.0])
    motion = rigid(np.eye(3), tilt.T @ [0.0, 0.0, 0.5])
    older, newer = view(floor, start, seed=1), view(floor, start @ motion, seed=2)
    up = tilt.T @ [0.0, -1.0, 0.0]
    found = ground_of_views(older, newer, CAMERA, motion, SURE, up=up)
    assert found.height == pytest.approx(HEIGHT, rel=0.02)
    assert found.up @ up > 0.9999


def test_an_unsure_motion_may_give_way_and_what_is_stated_is_what_is_found():
    """The motions are wrong as their covariance says; NEES of the height stays below one."""
    errors, blind, stated = [], [], []
    covariance = np.diag([0.01**2] * 3 + [0.003**2] * 3)
    for seed in range(16):
        older, newer, motion = pair(seed, step=0.6)
        wrong = np.sqrt(np.diag(covariance)) * np.random.default_rng(seed).standard_normal(6)
        turn = Rotation.from_rotvec(wrong[3:]).as_matrix() @ motion[:3, :3]
        given = rigid(turn, motion[:3, 3] + wrong[:3])
        found = ground_of_views(older, newer, CAMERA, given, covariance)
        errors.append(np.log(found.height / HEIGHT))
        stated.append(found.stddev / found.height)
        sure = ground_of_views(older, newer, CAMERA, given, SURE)
        blind.append(0.3 if isinstance(sure, str) else np.log(sure.height / HEIGHT))
    assert 0.1 < np.mean(np.square(errors) / np.square(stated)) < 1.3
    assert np.std(errors) < 0.6 * np.std(blind)


def test_where_there_is_no_ground_it_says_so():
    older, newer, motion = pair()
    assert ground_of_views(older, newer, CAMERA, np.eye(4), SURE) == 'the camera did not move'
    other = view(texture(9), motion)
    assert 'alike to' in ground_of_views(older, other, CAMERA, motion, SURE)
    blank = np.full_like(older, 90)
    assert 'alike to' in ground_of_views(blank, blank, CAMERA, motion, SURE)
    high = Camera(width=320, height=60, fx=200.0, fy=200.0, cx=159.5, cy=69.5)  # sees only sky
    sky = older[:60].copy()
    assert ground_of_views(sky, sky, high, motion, SURE) == (
        '0 pixels show the road; 200 are needed'
    )


def test_a_wall_ahead_is_no_ground():
    """The same picture, grown about its middle: what a wall at 4 m does over half a metre."""
    flat = texture(4)[:160, :320]
    grow = np.float32([[8 / 7, 0, -159.5 / 7], [0, 8 / 7, -69.5 / 7]])
    newer = cv2.warpAffine(flat, grow, (320, 160), borderMode=cv2.BORDER_REFLECT)
    older, newer = (np.clip(image, 0, 255).astype(np.uint8) for image in (flat, newer))
    found = ground_of_views(older, newer, CAMERA, rigid(np.eye(3), [0.0, 0.0, 0.5]), SURE)
    assert isinstance(found, str)
