"""The camera's arithmetic keeps viewing rays; impossible cameras are refused."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.types import Camera

CAMERA = Camera(width=640, height=480, fx=500.0, fy=510.0, cx=300.0, cy=250.0)


def ray(camera, x, y):
    return np.linalg.solve(camera.matrix, [x, y, 1.0])


@pytest.mark.parametrize('size', [(320, 240), (416, 128), (1280, 960)])
def test_resizing_keeps_the_ray_of_each_place(size):
    resized = CAMERA.scaled(*size)
    x, y = 123.0, 45.0
    moved = (x + 0.5) * size[0] / 640 - 0.5, (y + 0.5) * size[1] / 480 - 0.5
    np.testing.assert_allclose(ray(resized, *moved), ray(CAMERA, x, y), atol=1e-12)


def test_cropping_keeps_the_ray_of_each_pixel():
    window = CAMERA.cropped(100, 50, 200, 100)
    np.testing.assert_allclose(ray(window, 10, 20), ray(CAMERA, 110, 70), atol=1e-12)
    assert (window.width, window.height) == (200, 100)


def test_halving_twice_is_quartering():
    assert CAMERA.scaled(320, 240).scaled(160, 120) == CAMERA.scaled(160, 120)


@pytest.mark.parametrize(
    ('changes', 'words'),
    [
        ({'width': 0}, 'positive size, got 0x480'),
        ({'fx': float('nan')}, 'finite intrinsics'),
        ({'fy': 0.0}, 'positive focal lengths'),
        ({'distortion': (float('inf'),)}, 'finite intrinsics'),
    ],
)
def test_an_impossible_camera_is_refused(changes, words):
    fields = {'width': 640, 'height': 480, 'fx': 500.0, 'fy': 500.0, 'cx': 0.0, 'cy': 0.0}
    with pytest.raises(ValueError, match=words):
        Camera(**(fields | changes))
