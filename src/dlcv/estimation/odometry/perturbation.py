"""Poses with small errors: ``p + dp`` and ``exp(dr) R``, as `dlcv.estimation.body` has them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
ANYWHERE = np.repeat((100.0**-2, np.pi**-2), 3)
"""Information ``(6,)`` on a pose of which nothing is known: a hundred metres and half a turn."""


def moved_by(pose: FloatArray, step: FloatArray) -> Matrix:
    """Return a pose ``(4, 4)`` after a step ``(6,)``: ``p + dp`` and ``exp(dr) R``."""
    moved = np.array(pose, np.float64)
    moved[:3, 3] += step[:3]
    moved[:3, :3] = Rotation.from_rotvec(step[3:]).as_matrix() @ pose[:3, :3]
    return moved


def hat(v: FloatArray) -> Matrix:
    """Return ``(..., 3, 3)`` with which ``v`` ``(..., 3)`` multiplies as a cross product."""
    found = np.zeros((*v.shape, 3))
    x, y, z = v[..., 0], v[..., 1], v[..., 2]
    found[..., 0, 1], found[..., 0, 2], found[..., 1, 2] = -z, y, -x
    found[..., 1, 0], found[..., 2, 0], found[..., 2, 1] = z, -y, x
    return found


def turn_jacobian(turn: FloatArray) -> Matrix:
    """Return how ``log(exp(d) exp(turn))`` changes with a small ``d``, ``(..., 3, 3)``.

    Inverse of SO(3)'s left Jacobian (Barfoot, "State estimation for robotics", 2017, 7.77).
    """
    angle, k = np.linalg.norm(turn, axis=-1)[..., None, None], hat(turn)
    safe = np.maximum(angle, 1e-3)
    quadratic = np.where(angle < 1e-3, 1 / 12, (1 - safe / 2 / np.tan(safe / 2)) / safe**2)
    return np.asarray(np.eye(3) - k / 2 + quadratic * (k @ k))
