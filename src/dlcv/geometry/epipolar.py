"""Fundamental matrices of known motions, and how far matches are from them.

As everywhere in this package, F stands for ``x1^T F x2 = 0``, x1 being a pixel of the first
picture: the transpose of OpenCV's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.types import Camera, FloatArray

_NEAR = 1e-12  # shorter normals are those of no line
_STANDS = 1e-9  # metres: less is what rounding makes of a camera that stands


def fundamental_of(first: Camera, second: Camera, first_from_second: npt.ArrayLike) -> FloatArray:
    """Return the fundamental matrix of two ideal cameras.

    Args:
        first: Of the first picture; its distortion is not looked at.
        second: Of the second.
        first_from_second: ``(4, 4)`` pose of the second camera in the first.

    Returns:
        ``(3, 3)`` with norm 1; zeros where the camera at most turned, which leaves it undecided.
    """
    pose = np.asarray(first_from_second, np.float64)
    if np.linalg.norm(pose[:3, 3]) < _STANDS:
        return np.zeros((3, 3))
    x, y, z = pose[:3, 3]
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    essential = cross @ pose[:3, :3]  # r1^T [t] R r2 = 0
    found = np.linalg.inv(first.matrix).T @ essential @ np.linalg.inv(second.matrix)
    return np.asarray(found / np.linalg.norm(found))


def epipolar_errors(
    first_xy: npt.ArrayLike, second_xy: npt.ArrayLike, fundamental: npt.ArrayLike
) -> FloatArray:
    """Return symmetric epipolar distances ``(N,)`` in pixels: of both points to their lines.

    The two distances are summed.

    Args:
        first_xy: ``(N, 2)`` pixels of the first picture.
        second_xy: ``(N, 2)`` of the second.
        fundamental: ``(3, 3)``; of zeros, every distance is infinite.
    """
    matrix = np.asarray(fundamental, np.float64)
    a, b = (
        np.concatenate((np.asarray(xy, np.float64), np.ones((len(np.asarray(xy)), 1))), 1)
        for xy in (first_xy, second_xy)
    )
    if not matrix.any():
        return np.full(len(a), np.inf)
    in_second, in_first = a @ matrix, b @ matrix.T  # (N, 3) lines
    least = _NEAR * np.linalg.norm(matrix)
    lengths = [np.maximum(np.hypot(*line[:, :2].T), least) for line in (in_second, in_first)]
    return np.asarray(np.abs((in_second * b).sum(1)) * (1 / lengths[0] + 1 / lengths[1]))
