"""Where a camera sees landmarks, and what moves the image points.

A landmark is a ray ``m = (x/z, y/z, 1)`` of its anchor camera and an inverse depth ``q`` along z.
Camera ``k`` sees it along ``R_k' w`` with ``w = R_a m + q (p_a - p_k)``, which is ``q`` times the
vector from camera to landmark and stays finite at infinity (Civera et al., "Inverse depth
parametrization for monocular SLAM", 2008). With errors of poses as `dlcv.estimation.body` has
them (``p + dp``, ``exp(dr) R``) and ``G`` the derivative of the image point by ``w``:

* by the pose of the camera ``-q G dp + G hat(w) dr``, by that of the anchor
  ``q G dp - G hat(R_a m) dr``, by the inverse depth ``G (p_a - p_k)``, by the ray ``G R_a``.

Arrays hold components first, landmarks last: N landmarks or M observations of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
NEAREST = 0.02
"""Least depth, in depths in the anchor, of a landmark that counts as ahead of a camera."""
BEHIND = 1e6
"""Squared residual, at least, of a landmark that is not ahead of the camera that sees it."""
BLIND = 100.0
"""Standard deviation, in 1/m, of an inverse depth of which nothing is known."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reprojection:
    """Landmarks in the pictures of cameras.

    Attributes:
        xy: ``(2, M)`` normalised image coordinates.
        ahead: ``(M,)`` bool; what is not is projected as if it stood just before the camera.
        vector: ``(3, M)`` from camera to landmark in odom axes, times the inverse depth.
        depth: ``(M,)`` along the camera's z of that.
    """

    xy: Matrix
    ahead: npt.NDArray[np.bool_]
    vector: Matrix
    depth: Matrix


def reproject(
    turn: FloatArray, bearing: FloatArray, offset: FloatArray, inverse_depth: FloatArray
) -> Reprojection:
    """See landmarks by cameras.

    Args:
        turn: ``(3, 3, M)`` or ``(3, 3, 1)`` rotations odom_from_camera.
        bearing: ``(3, M)`` rays ``R_a m`` in odom axes.
        offset: ``(3, M)`` anchor minus camera, metres, in odom axes.
        inverse_depth: ``(M,)`` in 1/m.
    """
    vector = bearing + inverse_depth * offset
    if turn.shape[2] == 1 and turn.ndim == 3:  # one camera
        x, y, z = turn[..., 0].T @ vector
    else:
        x, y, z = (turn[0, i] * vector[0] + turn[1, i] * vector[1] + turn[2, i] * vector[2]
                   for i in range(3))  # fmt: skip
    depth = np.maximum(z, NEAREST)
    return Reprojection(xy=np.stack((x, y)) / depth, ahead=z > NEAREST, vector=vector, depth=depth)


def by_vector(turn: FloatArray, seen: Reprojection) -> Matrix:
    """Return ``G``, the derivative ``(3, 2, M)`` of the image points by the vector to them."""
    return np.asarray((turn[:, :2] - turn[:, 2:] * seen.xy) / seen.depth)


def along(gradient: FloatArray, direction: FloatArray) -> Matrix:
    """Return the change ``(2, M)`` of image points with ``G`` ``(3, 2, M)`` along ``(3, M)``."""
    return np.asarray(
        gradient[0] * direction[0] + gradient[1] * direction[1] + gradient[2] * direction[2]
    )


def turned(gradient: FloatArray, vector: FloatArray) -> Matrix:
    """Return ``G hat(v)`` as ``(3, 2, M)``, of ``G`` ``(3, 2, M)`` and ``v`` ``(3, M)``."""
    (a, b, c), (x, y, z) = gradient, vector
    return np.stack((b * z - c * y, c * x - a * z, a * y - b * x))


def squares(residual: FloatArray, ahead: npt.NDArray[np.bool_]) -> Matrix:
    """Return squared lengths of residuals ``(2, M)``; what is not ahead is as wrong as can be."""
    squared = residual[0] ** 2 + residual[1] ** 2
    return np.where(ahead, squared, np.maximum(squared, BEHIND))


def confidence(inverse_depth: FloatArray, variance: FloatArray) -> Matrix:
    """Return how much of a landmark's pull on positions counts in a covariance, 0 to 1.

    Positions act through ``q G``, and the square of an uncertain ``q`` is too large by its
    variance: far points, and points of no known depth, would make positions look certain. With
    this factor on ``q`` the square is right for ``q`` well known and vanishes for ``q`` unknown.
    """
    squared = np.square(inverse_depth)
    return np.asarray(np.sqrt(squared / np.maximum(squared + variance, 1e-30)))
