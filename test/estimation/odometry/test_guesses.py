"""Depths that nothing measured are those of what is around them."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.odometry.guesses import new_depths
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Sighting
from dlcv.estimation.odometry.view import Points
from dlcv.types import Camera

LENS = Camera(width=200, height=100, fx=100.0, fy=100.0, cx=99.5, cy=49.5)


def first_picture(measured):
    """A floor below, a metre away, and a wall above, five metres away."""
    pixels = np.random.default_rng(0).uniform((0, 0), (200, 100), (120, 2)).astype(np.float32)
    true = np.where(pixels[:, 1] > 50, 1.0, 1 / 5)
    known = np.where(measured(pixels), true, np.nan)
    blank = np.zeros((100, 200), np.uint8)
    points = Points(
        number=1,
        stamp_ns=0,
        grey=blank,
        flat=blank,
        camera=LENS,
        pixels=pixels,
        descriptors=np.zeros((120, 8), np.float32),
        inverse_depth=known,
        inverse_stddev=0.01 * known,
        metric=True,
    )
    return points, true


def guessed(points):
    window, new = Keyframes(10, 8), np.ones(120, np.bool_)
    return new_depths(window, np.eye(4), points, Sighting.none(), new, 3.0)


def test_a_floor_of_which_a_part_is_measured_is_no_wall():
    points, true = first_picture(lambda pixels: pixels[:, 0] > 60)  # stereo sees no left edge
    found, stddev, measured = guessed(points)
    unknown = ~measured
    assert 20 < np.count_nonzero(unknown) < 60
    assert np.mean(found[unknown] == true[unknown]) > 0.7  # but along the edge
    assert (stddev[unknown] > 0.5 * found[unknown]).all()
    np.testing.assert_allclose(found[measured], true[measured])


def test_where_hardly_anything_is_measured_all_is_as_far_as_is_thought():
    points, _ = first_picture(lambda pixels: pixels[:, 0] < 5)
    found, _, measured = guessed(points)
    np.testing.assert_allclose(found[~measured], 1 / 3)
