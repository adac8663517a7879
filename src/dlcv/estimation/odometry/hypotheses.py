"""Poses from a few points that are drawn at random, for when no prediction holds."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

_TRIES, _CONFIDENCE = 200, 0.999
_PIXELS = 2.0  # a pose by three points with uncertain depths is rough
_EPIPOLAR = 0.5  # pixels; more ruins the direction of the translation
_LEAST = 8


def by_depth(points: FloatArray, xy: FloatArray, focal: float) -> Matrix | None:
    """Return the pose from points of known depth (P3P in RANSAC), or None.

    Args:
        points: ``(N, 3)`` in the window.
        xy: ``(N, 2)`` x/z and y/z in the camera.
        focal: Pixels per unit of ``xy``.

    Returns:
        ``(4, 4)`` window_from_camera.
    """
    if len(points) < _LEAST:
        return None
    cv2.setRNGSeed(0)
    found, turn, shift, inliers = cv2.solvePnPRansac(
        np.ascontiguousarray(points),
        np.ascontiguousarray(xy),
        np.eye(3),
        None,
        iterationsCount=_TRIES,
        reprojectionError=_PIXELS / focal,
        confidence=_CONFIDENCE,
        flags=cv2.SOLVEPNP_AP3P,
    )
    if not found or inliers is None or len(inliers) < _LEAST:
        return None
    camera_from_window = np.eye(4)
    camera_from_window[:3, :3] = cv2.Rodrigues(turn)[0]
    camera_from_window[:3, 3] = shift[:, 0]
    return np.asarray(np.linalg.inv(camera_from_window), np.float64)


def by_rays(earlier: FloatArray, later: FloatArray, focal: float) -> Matrix | None:
    """Return the motion from rays alone (five points in RANSAC), with a shift of length one.

    Args:
        earlier: ``(N, 2)`` x/z and y/z in the older camera.
        later: ``(N, 2)`` in the newer one.
        focal: Pixels per unit of them.

    Returns:
        ``(4, 4)`` older_from_newer, or None.
    """
    if len(earlier) < _LEAST:
        return None
    cv2.setRNGSeed(0)
    first, second = np.ascontiguousarray(earlier), np.ascontiguousarray(later)
    essential, inliers = cv2.findEssentialMat(
        first, second, np.eye(3), cv2.RANSAC, _CONFIDENCE, _EPIPOLAR / focal
    )
    if essential is None or essential.shape != (3, 3):
        return None
    count, turn, shift, _ = cv2.recoverPose(essential, first, second, np.eye(3), mask=inliers)
    if count < _LEAST:
        return None
    newer_from_older = np.eye(4)
    newer_from_older[:3, :3], newer_from_older[:3, 3] = turn, shift[:, 0]
    return np.asarray(np.linalg.inv(newer_from_older), np.float64)
