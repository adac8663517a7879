"""How deep points are by a right picture: near and far, wide baselines, edges."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.estimation.odometry.disparity import stereo_depths

FOCAL, BASELINE = 100.0, 0.5


def test_stereo_depths_are_those_of_the_scene(room):
    baseline, aside = 0.2, np.eye(4)
    aside[0, 3] = baseline
    left, keypoints = room.look(np.eye(4), noise=0.0)
    right, _ = room.look(aside)
    _, _, depth = room.seen(np.eye(4))
    inverse, stddev = stereo_depths(left.image, right.image, keypoints.xy, room.camera.fx, baseline)
    found = np.isfinite(inverse)
    assert found.mean() > 0.5
    off = np.abs(inverse - 1 / depth)[found] / stddev[found]
    assert np.median(off) < 1.5  # there is something nearer or farther in many a patch


def test_stereo_pictures_that_have_nothing_in_common_give_none(room, rooms):
    left, keypoints = room.look(np.eye(4))
    right, _ = rooms.made(room.points, seed=5).look(np.eye(4))
    inverse, _ = stereo_depths(left.image, right.image, keypoints.xy, room.camera.fx, 0.2)
    assert np.isfinite(inverse).mean() < 0.2


def pair(width, disparities):
    """A left and a right picture of a grainy wall: disparities of its columns, left to right."""
    grain = np.random.default_rng(0).uniform(0, 255, (96, 2 * width)).astype(np.float32)
    grain = cv2.normalize(cv2.GaussianBlur(grain, (0, 0), 1.2), None, 0, 255, cv2.NORM_MINMAX)
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(96, dtype=np.float32))
    parts = np.array_split(np.arange(width), len(disparities))
    of_column = np.concatenate(
        [np.full(len(p), d) for p, d in zip(parts, disparities, strict=True)]
    )
    left = cv2.remap(grain, x + np.float32(width / 2), y, cv2.INTER_LINEAR)
    right = np.full_like(left, 128)
    for disparity in sorted(disparities):  # the nearer hides the farther
        shown = cv2.remap(grain, x + np.float32(width / 2 + disparity), y, cv2.INTER_LINEAR)
        at = np.round(x[0] + disparity).astype(int)
        there = (at >= 0) & (at < width) & (of_column[np.clip(at, 0, width - 1)] == disparity)
        right[:, there] = shown[:, there]
    return left.astype(np.uint8), right.astype(np.uint8)


@pytest.mark.parametrize('disparity', [0.0, 6.5, 25.25, 60.75])
@pytest.mark.parametrize('width', [200, 400])
def test_near_and_far_are_found_to_a_part_of_a_pixel(width, disparity):
    left, right = pair(width, (disparity,))
    pixels = np.random.default_rng(1).uniform((70, 8), (width - 8, 88), (150, 2))
    inverse, stddev = stereo_depths(left, right, pixels, FOCAL, BASELINE)
    off = inverse * FOCAL * BASELINE - disparity
    assert np.isfinite(off).mean() > 0.8
    assert np.nanquantile(np.abs(off), 0.9) < stddev[0] * FOCAL * BASELINE


def test_at_an_edge_nothing_between_near_and_far_is_made_up():
    left, right = pair(400, (8.0, 40.0, 8.0))
    pixels = np.random.default_rng(1).uniform((60, 8), (392, 88), (400, 2))
    inverse, _ = stereo_depths(left, right, pixels, FOCAL, BASELINE)
    found = inverse * FOCAL * BASELINE
    assert np.isfinite(found).mean() > 0.6
    either = np.minimum(np.abs(found - 8), np.abs(found - 40))
    assert np.nanmean(either > 1) < 0.01


def test_no_points_have_no_depths(room):
    frame, _ = room.look(np.eye(4))
    inverse, stddev = stereo_depths(frame.image, frame.image, np.empty((0, 2)), FOCAL, BASELINE)
    assert len(inverse) == len(stddev) == 0
