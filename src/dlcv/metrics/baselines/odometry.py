"""Odometry without a network: what a learned one is measured beside."""

from __future__ import annotations

from typing import Literal, Protocol

import cv2
import numpy as np

from dlcv.geometry.camera import pixel_rays
from dlcv.metrics.baselines.features import Classical, Described, mutual, neighbours
from dlcv.types import Camera, FloatArray, Snapshot

_POINTS = 2000
_PIXELS = 1.0  # RANSAC's threshold
_LEAST = 8  # matches below which there is no motion to be found


class Odometry(Protocol):
    """Something that follows a camera from view to view."""

    def push(self, view: Snapshot) -> FloatArray:
        """Return the motion ``(4, 4)`` since the last view, ``older_from_newer`` in metres.

        It is the identity for the first view.
        """


class ConstantVelocity:
    """Repeats the true first motion for ever."""

    def __init__(self) -> None:
        self._first: FloatArray | None = None
        self._motion: FloatArray | None = None

    def push(self, view: Snapshot) -> FloatArray:
        """See `Odometry`."""
        pose = _truth(view)
        if self._first is None:
            self._first = pose
            return np.eye(4)
        if self._motion is None:
            self._motion = np.linalg.inv(self._first) @ pose
        return self._motion


class StraightLine:
    """Goes ahead, where the camera looks at first, with the true mean speed.

    Args:
        world_from_camera: ``(T, 4, 4)`` the true poses.
    """

    def __init__(self, world_from_camera: FloatArray) -> None:
        steps = np.linalg.norm(np.diff(world_from_camera[:, :3, 3], axis=0), axis=1)
        self._motion = np.eye(4)
        self._motion[2, 3] = float(steps.mean()) if len(steps) else 0.0
        self._moves = False

    def push(self, view: Snapshot) -> FloatArray:
        """See `Odometry`."""
        del view
        moves, self._moves = self._moves, True
        return self._motion if moves else np.eye(4)


class FivePoint:
    """Matches points of neighbouring pictures, and takes the motion from the essential matrix.

    OpenCV's five-point solver in RANSAC (Nister 2004). One camera cannot tell how far it moved:
    the length of every motion is the true one.

    Args:
        features: What is matched, by mutual nearest neighbours.
    """

    def __init__(self, features: Literal['SIFT', 'ORB'] = 'SIFT') -> None:
        self._features = Classical(features)
        self._last: tuple[Described, FloatArray] | None = None
        self._motion: FloatArray = np.eye(4)

    def push(self, view: Snapshot) -> FloatArray:
        """See `Odometry`; where nothing is found, the last motion goes on."""
        camera, pose = view.frame.camera, _truth(view)
        assert camera is not None
        found = self._features.detect(view.frame.image, _POINTS)
        last, self._last = self._last, (found, pose)
        if last is None:
            return np.eye(4)
        length = float(np.linalg.norm(pose[:3, 3] - last[1][:3, 3]))
        motion = _relative(last[0], found, camera)
        if motion is not None:
            self._motion = motion
        scaled = self._motion.copy()
        scaled[:3, 3] *= length
        return scaled


def _relative(older: Described, newer: Described, camera: Camera) -> FloatArray | None:
    """Return the motion ``older_from_newer`` with a translation of length 1, if one is found."""
    matches = mutual(*neighbours(older.descriptors, newer.descriptors))
    if len(matches) < _LEAST:
        return None
    before, after = (
        pixel_rays(camera, points[index])[:, :2].astype(np.float64)
        for points, index in ((older.xy, matches[:, 0]), (newer.xy, matches[:, 1]))
    )
    cv2.setRNGSeed(0)
    essential, inliers = cv2.findEssentialMat(
        before, after, np.eye(3), cv2.RANSAC, 0.999, 2 * _PIXELS / (camera.fx + camera.fy)
    )
    if essential is None or essential.shape != (3, 3):
        return None
    count, rotation, translation, _ = cv2.recoverPose(
        essential, before, after, np.eye(3), mask=inliers
    )
    if count < _LEAST:
        return None
    newer_from_older = np.eye(4)
    newer_from_older[:3, :3], newer_from_older[:3, 3] = rotation, translation[:, 0]
    return np.asarray(np.linalg.inv(newer_from_older), np.float64)


def _truth(view: Snapshot) -> FloatArray:
    assert view.world_from_camera is not None, 'only views with a known pose are followed'
    return view.world_from_camera
