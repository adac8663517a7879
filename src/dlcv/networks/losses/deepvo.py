"""DeepVO's loss, and how its six numbers stand for a motion.

A motion vector is ``[a0 a1 a2 (rad), x y z (m)]``, angles first, with ``R = Ry(a0) Rx(a1) Rz(a2)``.
Two conventions of labels exist:

* pair: the newer camera's pose in the older camera, exactly; what a memory that runs on can learn.
* window: the public code's. In each window the translations are expressed in the axes of the
  window's FIRST camera, and the angles are plain differences of world Euler angles.

Letters in this file: B clips, T motions (T + 1 frames), N windows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from torch import Tensor

from dlcv.geometry.euler import euler_to_matrix, matrix_to_euler, wrap
from dlcv.networks.layers.shapes import expect, expect_same

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class OdometryLoss:
    """The loss and what it is made of.

    Attributes:
        total: Scalar: ``kappa * angles + translation``.
        angles: Scalar: mean squared error of the angles in rad^2.
        translation: Scalar: mean squared error of the translation in m^2.
    """

    total: Tensor
    angles: Tensor
    translation: Tensor


def deepvo_loss(predicted: Tensor, target: Tensor, kappa: float = 100.0) -> OdometryLoss:
    """Return the weighted squared error of motions (Wang et al. 2017, equation 8).

    Args:
        predicted: ``(B, T, 6)``, angles first.
        target: ``(B, T, 6)``.
        kappa: Weight of the angles.

    Raises:
        ShapeError: If the shapes are not these.
    """
    expect(predicted, 'B T 6', 'predicted')
    expect_same(predicted, target, 'predicted and target')
    squared = (predicted - target).square()
    angles, translation = squared[..., :3].mean(), squared[..., 3:].mean()
    return OdometryLoss(total=kappa * angles + translation, angles=angles, translation=translation)


def pair_labels(world_from_camera: npt.ArrayLike) -> Array:
    """Return the motion of each camera in the one before it.

    Args:
        world_from_camera: ``(T+1, 4, 4)`` poses, metres.

    Returns:
        ``(T, 6)`` motion vectors.
    """
    poses = np.asarray(world_from_camera, np.float64)
    older_from_world = poses[:-1, :3, :3].transpose(0, 2, 1)
    rotation = older_from_world @ poses[1:, :3, :3]
    translation = older_from_world @ np.diff(poses[:, :3, 3:], axis=0)
    return np.concatenate((matrix_to_euler(rotation), translation[..., 0]), axis=1)


def window_labels(world_from_camera: npt.ArrayLike) -> Array:
    """Return the labels of one window as the public code makes them.

    Args:
        world_from_camera: ``(T+1, 4, 4)`` poses, metres.

    Returns:
        ``(T, 6)`` motion vectors: differences of Euler angles (the heading's brought into
        (-pi, pi]), and differences of position in the axes of the first camera.
    """
    poses = np.asarray(world_from_camera, np.float64)
    angles = np.diff(matrix_to_euler(poses[:, :3, :3]), axis=0)
    angles[:, 0] = wrap(angles[:, 0])
    translation = np.diff(poses[:, :3, 3], axis=0) @ poses[0, :3, :3]  # rows times R = R^T columns
    return np.concatenate((angles, translation), axis=1)


def motions(vectors: npt.ArrayLike) -> Array:
    """Return ``older_from_newer`` matrices ``(..., 4, 4)`` of motion vectors ``(..., 6)``."""
    vectors = np.asarray(vectors, np.float64)
    result = np.zeros((*vectors.shape[:-1], 4, 4))
    result[..., :3, :3] = euler_to_matrix(vectors[..., :3])
    result[..., :3, 3] = vectors[..., 3:]
    result[..., 3, 3] = 1
    return result


def integrate(vectors: npt.ArrayLike) -> Array:
    """Chain motions ``(T, 6)`` of the pair convention into poses ``(T+1, 4, 4)`` from identity."""
    poses: list[Array] = [np.eye(4)]
    for older_from_newer in motions(vectors):
        poses.append(poses[-1] @ older_from_newer)
    return np.stack(poses)


def integrate_windows(windows: npt.ArrayLike) -> Array:
    """Chain predictions of overlapping windows as the public test script does.

    The first window's motions are summed as they are; of each later window, which starts one
    frame later, only the last motion counts. Its translation is turned by the heading alone, and
    angles are summed.

    Args:
        windows: ``(N, T, 6)`` predictions of windows that each start one frame after the other.

    Returns:
        ``(N + T, 4, 4)`` poses ``first_from_camera``, the first of them identity.
    """
    windows = np.asarray(windows, np.float64)
    states: list[Array] = [np.zeros(6), *np.cumsum(windows[0], axis=0)]
    for vector in windows[1:, -1]:
        states.append(step(states[-1], vector))
    return motions(np.stack(states))


def step(state: npt.ArrayLike, vector: npt.ArrayLike) -> Array:
    """Add the last motion of a window to summed angles and position, as ``integrate_windows`` does.

    Args:
        state: ``(6,)`` summed angles and position of the older camera.
        vector: ``(6,)`` motion vector of the window convention.

    Returns:
        ``(6,)`` state of the newer camera, its heading in (-pi, pi].
    """
    state, vector = np.asarray(state, np.float64), np.asarray(vector, np.float64)
    heading = euler_to_matrix((state[0], 0.0, 0.0))
    newer: Array = state + np.concatenate((vector[:3], heading @ vector[3:]))
    newer[0] = wrap(newer[0])
    return newer
