"""Frames, and tiny networks with known answers behind the doors of the real ones."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.types import Camera, Frame


@pytest.fixture
def ideal():
    """An undistorted camera of 96x64 pixels."""
    return Camera(width=96, height=64, fx=80.0, fy=80.0, cx=47.5, cy=31.5)


@pytest.fixture
def lens():
    """A distorted one."""
    return Camera(
        width=96, height=64, fx=80.0, fy=80.0, cx=47.5, cy=31.5, distortion=(-0.3, 0.1, 0, 0, 0)
    )


@pytest.fixture
def picture():
    """A function that makes a seeded, blurred noise picture."""
    import cv2

    def make(seed=0, width=96, height=64):
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        return cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)

    return make


@pytest.fixture
def frame(picture):
    """A function that makes the frame of a time in seconds."""

    def make(seconds=0.0, image=None, camera=None, seed=0):
        image = picture(seed) if image is None else image
        return Frame(stamp_ns=round(seconds * 1e9), image=image, camera=camera)

    return make
