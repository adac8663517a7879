"""The normal equations of a graph of keyframes, sparse.

A measurement says ``older_from_newer`` of two keyframes and, where each has a unit of its own, by
how much longer the newer one's is. A keyframe is ``x_map = s R x + p``; errors are ``p + dp``,
``exp(dr) R`` and ``exp(ds) s``. Letters in this file: N keyframes, E edges, D unknowns of a
keyframe, 6 or 7.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import hat, turn_jacobian

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

LEAST = 1e-12
"""Information that is added, so that nothing is wholly unknown."""

_CONVERGED = 1e-6  # share of the cost by which it must fall


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edges:
    """What was measured between keyframes.

    Attributes:
        older: ``(E,)`` keyframes.
        newer: ``(E,)`` keyframes.
        motion: ``(E, 4, 4)`` older_from_newer, in the older one's unit.
        log_scale: ``(E,)`` logarithm of the newer one's unit over the older one's.
        covariance: ``(E, 7, 7)`` of (x, y, z, rx, ry, rz, log scale) in the older camera's axes.
        doubted: ``(E,)`` bool: closes a loop, and may be wrong.
    """

    older: Indices
    newer: Indices
    motion: Matrix
    log_scale: Matrix
    covariance: Matrix
    doubted: Mask

    def __len__(self) -> int:
        return len(self.older)


def residuals(
    poses: Matrix, log_scale: Matrix, edges: Edges, size: int
) -> tuple[Matrix, Matrix, Matrix]:
    """Return by how much poses miss what was measured, and the derivatives.

    With ``v = p_j - p_i`` the errors are ``R_i' v / s_i - t``, ``log(R_i' R_j R')`` and
    ``log s_j - log s_i - log s``, in the axes of the older keyframe.

    Args:
        poses: ``(N, 4, 4)``.
        log_scale: ``(N,)``.
        edges: What was measured.
        size: 6, or 7 with the scale.

    Returns:
        ``(E, D)``, and ``(E, D, D)`` by the older and by the newer keyframe.
    """
    first, last = poses[edges.older], poses[edges.newer]
    back = np.swapaxes(first[:, :3, :3], 1, 2)
    unit = np.exp(-log_scale[edges.older])[:, None]
    way = last[:, :3, 3] - first[:, :3, 3]
    shift = np.einsum('eij,ej->ei', back, way) * unit
    turn = back @ last[:, :3, :3] @ np.swapaxes(edges.motion[:, :3, :3], 1, 2)
    angle = Rotation.from_matrix(turn).as_rotvec()
    count = len(edges)
    error = np.zeros((count, size))
    error[:, :3] = shift - edges.motion[:, :3, 3]
    error[:, 3:6] = angle
    older, newer = np.zeros((count, size, size)), np.zeros((count, size, size))
    newer[:, :3, :3] = back * unit[:, :, None]
    older[:, :3, :3] = -newer[:, :3, :3]
    older[:, :3, 3:6] = newer[:, :3, :3] @ hat(way)
    newer[:, 3:6, 3:6] = turn_jacobian(angle) @ back
    older[:, 3:6, 3:6] = -newer[:, 3:6, 3:6]
    if size == 7:
        error[:, 6] = log_scale[edges.newer] - log_scale[edges.older] - edges.log_scale
        newer[:, 6, 6], older[:, 6, 6] = 1.0, -1.0
        older[:, :3, 6] = -shift
    return error, older, newer


class System:
    """The sparse normal equations of the keyframes that are free."""

    def __init__(self, edges: Edges, held: Mask, size: int) -> None:
        self.edges, self.size = edges, size
        self.place = np.where(held, -1, np.cumsum(~held) - 1)  # of a keyframe among the free
        self.free = np.flatnonzero(~held)
        cut = edges.covariance[:, :size, :size]
        self.whiten = np.swapaxes(np.linalg.cholesky(np.linalg.inv(cut)), 1, 2)
        ends = self.place[edges.older], self.place[edges.newer]
        steps = np.arange(size)
        self._entries: list[tuple[Mask, Matrix, Matrix]] = []
        for a in ends:
            for b in ends:
                there = (a >= 0) & (b >= 0)
                rows = (size * a[there, None] + steps)[:, :, None]
                columns = (size * b[there, None] + steps)[:, None, :]
                shape = (int(there.sum()), size, size)
                self._entries.append((
                    there,
                    np.broadcast_to(rows, shape).ravel(),
                    np.broadcast_to(columns, shape).ravel(),
                ))  # fmt: skip
        self._factor: Any = None

    def squares(self, poses: Matrix, logs: Matrix) -> Matrix:
        """Return ``(E,)`` squared errors, normalised."""
        error, _, _ = residuals(poses, logs, self.edges, self.size)
        return np.asarray(np.square(np.einsum('eij,ej->ei', self.whiten, error)).sum(1))

    def descend(
        self, poses: Matrix, logs: Matrix, weights: Matrix, damping: float, most: int
    ) -> tuple[Matrix, Matrix, float, int]:
        """Return poses and scales of lower cost, the damping, and how many steps were tried."""
        tried = 0
        cost = float(weights @ self.squares(poses, logs))
        while tried < most and len(self.free):
            information, gradient = self._normal(poses, logs, weights)
            lower = cost
            while tried < most:
                tried += 1
                step = -self._solver(information, damping).solve(gradient)
                other = self._moved(poses, logs, step.reshape(-1, self.size))
                lower = float(weights @ self.squares(*other))
                if lower <= cost:
                    (poses, logs), damping = other, max(damping / 10, 1e-12)
                    break
                damping = max(damping * 100, 1e-6)
            gain, cost = cost - lower, min(lower, cost)
            if gain <= _CONVERGED * cost + LEAST:
                break
        return poses, logs, damping, tried

    def factorise(self, poses: Matrix, logs: Matrix, weights: Matrix) -> None:
        """Keep the information of the solution, for covariances."""
        if len(self.free):
            self._factor = self._solver(self._normal(poses, logs, weights)[0], 0.0)

    def covariance(self, keyframes: Indices) -> Matrix:
        """See `Solved.covariance`."""
        size = self.size
        at = self.place[keyframes]
        rows = (size * at[:, None] + np.arange(size)).ravel()
        known = np.repeat(at >= 0, size)
        joint = np.zeros((len(rows), len(rows)))
        if self._factor is None or not known.any():
            return joint
        unit = np.zeros((size * len(self.free), int(known.sum())))
        unit[rows[known], np.arange(unit.shape[1])] = 1.0
        columns = self._factor.solve(unit)[rows[known]]
        joint[np.ix_(known, known)] = (columns + columns.T) / 2
        return joint

    def _normal(self, poses: Matrix, logs: Matrix, weights: Matrix) -> tuple[Any, Matrix]:
        """Return the information as a sparse matrix, and half the gradient."""
        error, *slopes = residuals(poses, logs, self.edges, self.size)
        root = np.sqrt(weights)[:, None, None] * self.whiten
        slopes = [root @ slope for slope in slopes]
        off = np.einsum('eij,ej->ei', root, error)
        count = len(self.free)
        gradient = np.zeros((count, self.size))
        values = []
        entries = iter(self._entries)
        for a, end in zip(slopes, (self.edges.older, self.edges.newer), strict=True):
            at = self.place[end]
            np.add.at(gradient, at[at >= 0], np.einsum('eij,ei->ej', a, off)[at >= 0])
            for b in slopes:
                there = next(entries)[0]
                values.append((np.swapaxes(a[there], 1, 2) @ b[there]).ravel())
        rows, columns = (np.concatenate([one[k] for one in self._entries]) for k in (1, 2))
        whole = self.size * count
        matrix = coo_matrix((np.concatenate(values), (rows, columns)), shape=(whole, whole))
        return matrix.tocsc(), gradient.ravel()

    def _solver(self, information: Any, damping: float) -> Any:
        damped = information.copy()
        diagonal = information.diagonal()
        damped.setdiag(diagonal * (1 + damping) + LEAST)
        return splu(
            damped,
            permc_spec='MMD_AT_PLUS_A',
            diag_pivot_thresh=0.0,
            options={'SymmetricMode': True},
        )

    def _moved(self, poses: Matrix, logs: Matrix, steps: Matrix) -> tuple[Matrix, Matrix]:
        poses, logs = poses.copy(), logs.copy()
        poses[self.free, :3, 3] += steps[:, :3]
        turns = Rotation.from_rotvec(steps[:, 3:6]) * Rotation.from_matrix(poses[self.free, :3, :3])
        poses[self.free, :3, :3] = turns.as_matrix()
        if self.size == 7:
            logs[self.free] += steps[:, 6]
        return poses, logs
