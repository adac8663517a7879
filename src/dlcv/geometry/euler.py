"""Euler angles as DeepVO and the KITTI labels use them; NumPy only.

``R = Ry(a0) Rx(a1) Rz(a2)``: intrinsic turns about y, then x, then z. In optical axes (x right,
y down, z forward) a0 is the heading, a1 the pitch and a2 the roll. Angles are radians.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

Array = npt.NDArray[np.float64]


def euler_to_matrix(angles: npt.ArrayLike) -> Array:
    """Return the rotations ``(..., 3, 3)`` of angles ``(..., 3)`` in the order a0, a1, a2."""
    angles = np.asarray(angles, np.float64)
    flat = Rotation.from_euler('YXZ', angles.reshape(-1, 3)).as_matrix()
    return np.asarray(flat).reshape(*angles.shape, 3)


def matrix_to_euler(rotation: npt.ArrayLike) -> Array:
    """Return the angles ``(..., 3)`` of rotations ``(..., 3, 3)``; a1 lies in [-pi/2, pi/2]."""
    rotation = np.asarray(rotation, np.float64)
    flat = Rotation.from_matrix(rotation.reshape(-1, 3, 3)).as_euler('YXZ')
    return np.asarray(flat).reshape(*rotation.shape[:-1])


def wrap(angle: npt.ArrayLike) -> Array:
    """Bring angles into (-pi, pi]."""
    angle = np.asarray(angle, np.float64)
    return np.asarray(np.pi - (np.pi - angle) % (2 * np.pi), np.float64)
