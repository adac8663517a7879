"""Frames, and tiny networks with known answers behind the doors of the real ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import pytest

from dlcv.geometry.camera import pixel_rays
from dlcv.types import Camera, DepthMap, Frame, Keypoints


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


LENS = Camera(width=320, height=240, fx=260.0, fy=260.0, cx=159.5, cy=119.5)


@dataclass(frozen=True, kw_only=True)
class DrawnRoom:
    """Points around a camera that are drawn as soft patches, each with its descriptor.

    Attributes:
        points: ``(N, 3)`` metres.
        descriptors: ``(N, D)`` of length 1.
        patches: ``(N, 14, 14)`` grey.
        camera: What takes the pictures.
    """

    points: Any
    descriptors: Any
    patches: Any
    camera: Camera = LENS

    @staticmethod
    def made(points, seed=0):
        rng = np.random.default_rng([seed, 1])
        descriptors = rng.normal(size=(len(points), 64))
        noise = rng.normal(size=(len(points), 14, 14))
        patches = np.stack([cv2.GaussianBlur(one, (0, 0), 1.5) for one in noise])
        return DrawnRoom(
            points=np.asarray(points, np.float64),
            descriptors=_unit(descriptors).astype(np.float32),
            patches=np.clip(128 + 50 * patches / patches.std(), 0, 255),
        )

    def seen(self, pose):
        """Return which points are seen from ``(4, 4)``, the farthest first, where, and depths."""
        local = (self.points - pose[:3, 3]) @ pose[:3, :3]
        lens = self.camera
        with np.errstate(divide='ignore', invalid='ignore'):
            xy = local[:, :2] / local[:, 2:] * (lens.fx, lens.fy) + (lens.cx, lens.cy)
        inside = ((xy > 12) & (xy < (lens.width - 12, lens.height - 12))).all(axis=1)
        which = np.flatnonzero((local[:, 2] > 0.3) & inside)
        which = which[np.argsort(-local[which, 2])]
        return which, xy[which], local[which, 2]

    def look(self, pose, stamp_ns=0, noise=0.2):
        """Return the picture from a pose and its keypoints, detected with some noise in pixels."""
        which, xy, _ = self.seen(pose)
        corner = np.ceil(xy).astype(int)
        x, y = (corner - xy).T[..., None, None]
        looks = self.patches[which]
        across = (1 - x) * looks[:, :, :-1] + x * looks[:, :, 1:]
        drawn = (1 - y) * across[:, :-1] + y * across[:, 1:]
        reach = np.arange(-6, 7)
        image = np.full((self.camera.height, self.camera.width), 128, np.uint8)
        rows, columns = corner[:, 1, None, None] + reach[:, None], corner[:, 0, None, None] + reach
        image[rows, columns] = np.rint(drawn)
        rng = np.random.default_rng([2, stamp_ns])
        found = (xy + rng.normal(0, noise, xy.shape)).astype(np.float32)
        keypoints = Keypoints(
            stamp_ns=stamp_ns,
            xy=found,
            scores=np.linspace(0.9, 0.1, len(found), dtype=np.float32),
            descriptors=self.descriptors[which],
            rays=pixel_rays(self.camera, found),
        )
        return Frame(stamp_ns=stamp_ns, image=image, camera=self.camera), keypoints

    def depth(self, pose, stamp_ns=0):
        """Return the depth of the patches; unknown between them."""
        _, xy, metres = self.seen(pose)
        depth = np.full((self.camera.height, self.camera.width), np.nan, np.float32)
        reach = np.arange(-6, 7)
        at = np.rint(xy).astype(int)
        depth[at[:, 1, None, None] + reach[:, None], at[:, 0, None, None] + reach] = metres[
            :, None, None
        ]
        return DepthMap(
            stamp_ns=stamp_ns, disparity=np.full_like(depth, np.nan), depth=depth,
            camera=self.camera,
        )  # fmt: skip


def _unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def room():
    """Seven hundred points, 1.5 to 6 m before the camera and to its sides."""
    rng = np.random.default_rng(0)
    return DrawnRoom.made(rng.uniform((-5, -2, 1.5), (5, 2, 6), (700, 3)))


@pytest.fixture
def rooms():
    """The makers of rooms: ``rooms.made(points, seed)``."""
    return DrawnRoom


@pytest.fixture
def walked():
    """A function: the ``(4, 4)`` pose after some steps aside and ahead, with a slow turn."""

    def pose(step):
        matrix = np.eye(4)
        matrix[:3, :3], _ = cv2.Rodrigues(np.array([0.0, 0.004 * step, 0.002 * step]))
        matrix[:3, 3] = 0.03 * step, 0.005 * step, 0.02 * step
        return matrix

    return pose
