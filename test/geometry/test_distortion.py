from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dlcv.geometry import camera as cam
from dlcv.geometry.distortion import DistortionError, known_distortion
from dlcv.types import Camera

FIVE = (-0.3, 0.1, 0.001, -0.002, -0.01)
PLAIN = Camera(width=64, height=48, fx=60.0, fy=61.0, cx=31.0, cy=23.5, distortion=FIVE)


@pytest.mark.parametrize(
    ('model', 'd'),
    [
        ('plumb_bob', (*FIVE, 0.0, 0.0, 0.0)),  # as Orbbec's driver sends it
        ('plumb_bob', (*FIVE, 0.0)),
        ('', FIVE),
        ('radtan', FIVE),
        ('radial-tangential', FIVE),
        ('Brown-Conrady', FIVE),
        ('rational_polynomial', FIVE),
        ('rational_polynomial', (*FIVE, 0.0, 0.0, 0.0)),
    ],
)
def test_other_names_and_zeros_at_the_end_are_the_same_lens(model, d):
    other = replace(PLAIN, distortion_model=model, distortion=d)
    xy = np.array([[3.0, 4.0], [60.0, 40.0]])
    np.testing.assert_array_equal(cam.undistort_points(other, xy), cam.undistort_points(PLAIN, xy))
    for a, b in zip(cam.rectify_maps(other), cam.rectify_maps(PLAIN), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize('name', ['fisheye', 'kannala_brandt', 'EQUIDISTANT', 'equi'])
@pytest.mark.parametrize('zeros', [0, 1])
def test_names_of_the_equidistant_model(name, zeros):
    d = (0.02, -0.01, 0.003, 0.001)
    plain = replace(PLAIN, distortion_model='equidistant', distortion=d)
    other = replace(PLAIN, distortion_model=name, distortion=d + zeros * (0.0,))
    point = np.array([[0.3, -0.2, 1.0]])
    np.testing.assert_array_equal(cam.project(other, point), cam.project(plain, point))


@pytest.mark.parametrize('name', ['pinhole', 'none', 'inverse_brown_conrady', 'omni', 'fisheye'])
@pytest.mark.parametrize('count', [0, 1, 5, 7, 9, 20])
def test_zeros_distort_nothing_whatever_the_model_is_called(name, count):
    ideal = replace(PLAIN, distortion=())
    zeros = replace(PLAIN, distortion_model=name, distortion=count * (0.0,))
    point = np.array([[0.3, -0.2, 1.0]])
    np.testing.assert_array_equal(cam.project(zeros, point), cam.project(ideal, point))
    cam.Rectifier(zeros)


def test_more_numbers_than_plumb_bob_has_are_the_rational_model():
    d = (*FIVE, 0.1, 0.0, 0.0)
    assert known_distortion('plumb_bob', d) == ('rational_polynomial', d)


@pytest.mark.parametrize(
    ('model', 'd', 'text'),
    [
        ('omni', (0.1,), "'omni'; known are .*fisheye.*plumb_bob"),
        ('plumb_bob', (0.1, 0.2, 0.3), 'takes 4, 5, 8, 12, 14 coefficients, got 3'),
        ('plumb_bob', (0.1, 0.2, 0.3, 0.1, 0.1, 0.1), 'got 6'),
        ('fisheye', (0.1, 0.2, 0.3, 0.1, 0.1), 'takes 4 coefficients, got 5'),
    ],
)
def test_what_distorts_by_no_known_model_is_refused(model, d, text):
    with pytest.raises(DistortionError, match=text):
        known_distortion(model, d)
