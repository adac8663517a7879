"""Made-up pictures and points, on which estimators are got ready for real ones."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from dlcv.types import Camera, Frame, Keypoints

POINTS = 500


def pictures(count: int, width: int, height: int, camera: Camera | None = None) -> Iterator[Frame]:
    """Yield pictures a tenth of a second apart.

    Args:
        count: How many.
        width: In pixels.
        height: In pixels.
        camera: Their camera; default is an ideal one of 53 degrees.
    """
    camera = camera or Camera(
        width=width, height=height, fx=width, fy=width, cx=(width - 1) / 2, cy=(height - 1) / 2
    )
    noise = np.random.default_rng(0)
    for i in range(count):
        coarse = noise.integers(0, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
        image = np.asarray(cv2.resize(coarse, (width, height)), np.uint8)  # as noise says nothing
        yield Frame(stamp_ns=i * 10**8, image=image, camera=camera)


def points(frame: Frame, descriptor_size: int) -> Keypoints:
    """Return points of a picture that nobody looked at, with descriptors of so many numbers."""
    noise = np.random.default_rng(0)
    descriptors = noise.normal(size=(POINTS, descriptor_size)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    return Keypoints(
        stamp_ns=frame.stamp_ns,
        xy=noise.uniform((0, 0), (frame.width, frame.height), (POINTS, 2)).astype(np.float32),
        scores=np.ones(POINTS, np.float32),
        descriptors=descriptors,
    )
