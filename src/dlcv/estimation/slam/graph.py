"""The graph of a map: poses of keyframes, what was measured between them, and where all agree.

Sparse Levenberg-Marquardt. A measurement says of two keyframes ``older_from_newer`` and, where the
scale drifts as monocular odometry's does, by how much longer the newer one's unit is (Strasdat et
al., "Scale drift-aware large scale monocular SLAM", 2010): a seventh unknown of each keyframe. What
closes a loop may be wrong: the kernel of Geman and McClure is made narrower step by step, so that
wrong loops lose their weight before they have bent anything (Yang et al., "Graduated non-convexity
for robust spatial perception", 2020), and what is left of them is dropped.

A keyframe is ``x_map = s R x + p``; errors are ``p + dp``, ``exp(dr) R`` and ``exp(ds) s``. Letters
in this file: N keyframes, E edges, D unknowns of a keyframe, 6 or 7.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from scipy.spatial.transform import Rotation

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

GATE = {6: 22.46, 7: 24.32}
"""Squared length that one true edge in a thousand exceeds (chi-squared, six or seven degrees)."""

_NARROWER = 4.0  # from one width of the kernel to the next
_AGAIN = 3  # times that weights are found at the last
_ANYWHERE = 1e6  # variance of a step that nothing tells of
_STEPS = 20  # Levenberg-Marquardt's at most, once the weights stand still
_CONVERGED = 1e-6  # share of the cost by which it must fall
_LEAST = 1e-12  # information that is added, so that nothing is wholly unknown


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Solved:
    """Poses that agree with the edges.

    Attributes:
        poses: ``(N, 4, 4)`` map_from_keyframe without scale.
        log_scale: ``(N,)`` of their units; zero where scale is no unknown.
        weights: ``(E,)`` 1 for edges that count, 0 for those that were found wrong.
        cost: Sum of the weighted squares, each of ``D`` degrees of freedom.
        iterations: Linear systems that were solved.
    """

    poses: Matrix
    log_scale: Matrix
    weights: Matrix
    cost: float
    iterations: int
    _system: _System = field(repr=False)

    def covariance(self, keyframes: Indices) -> Matrix:
        """Return the joint covariance ``(n D, n D)`` of some keyframes, given the fixed ones.

        Each as (x, y, z, rx, ry, rz[, log scale]) in the axes of the map.
        """
        return self._system.covariance(keyframes)

    def relative_covariance(self, older: int, newer: int) -> Matrix:
        """Return ``(D, D)`` of ``older_from_newer``, in the older one's axes and unit."""
        size = self._system.size
        joint = self.covariance(np.array([older, newer]))
        pair = Edges(
            older=np.array([0]),
            newer=np.array([1]),
            motion=np.eye(4)[None],
            log_scale=np.zeros(1),
            covariance=np.eye(7)[None],
            doubted=np.zeros(1, np.bool_),
        )
        two = np.array([older, newer])
        poses, logs = self.poses[two], self.log_scale[two]
        first, last = poses
        pair.motion[0, :3, :3] = first[:3, :3].T @ last[:3, :3]  # no error, and its derivative one
        _, by_older, by_newer = residuals(poses, logs, pair, size)
        change = np.hstack((by_older[0], by_newer[0]))
        found = change @ joint @ change.T
        return np.asarray((found + found.T) / 2)


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
    older[:, :3, 3:6] = newer[:, :3, :3] @ _hats(way)
    newer[:, 3:6, 3:6] = _turn_jacobians(angle) @ back
    older[:, 3:6, 3:6] = -newer[:, 3:6, 3:6]
    if size == 7:
        error[:, 6] = log_scale[edges.newer] - log_scale[edges.older] - edges.log_scale
        newer[:, 6, 6], older[:, 6, 6] = 1.0, -1.0
        older[:, :3, 6] = -shift
    return error, older, newer


def solve(
    poses: FloatArray,
    edges: Edges,
    *,
    log_scale: FloatArray | None = None,
    scaled: bool = False,
    fixed: Mask | None = None,
) -> Solved:
    """Move keyframes until they agree with the edges, but for edges that are wrong.

    Args:
        poses: ``(N, 4, 4)`` to start from.
        edges: What was measured; those between fixed keyframes change nothing.
        log_scale: ``(N,)`` to start from; zero by default.
        scaled: Whether each keyframe has a unit of its own.
        fixed: ``(N,)`` keyframes that stand still. By default, and in parts of the graph without
            any, the first.

    Raises:
        ValueError: If an edge names a keyframe that is not there, or a covariance is none.
    """
    size = 7 if scaled else 6
    placed: Matrix = np.array(poses, np.float64)
    logs: Matrix = np.zeros(len(placed)) if log_scale is None else np.array(log_scale, np.float64)
    _check(placed, edges, size)
    held = _held(len(placed), edges, fixed)
    system = _System(edges, held, size)
    weights: Matrix = np.ones(len(edges))
    gate, tried, damping = GATE[size], 0, 1e-9
    if edges.doubted.any():
        doubted = edges.doubted
        squared = system.squares(placed, logs)
        width = np.ones(len(edges))
        width[doubted] = np.maximum(squared / _surprises(placed, logs, edges, size), 1)[doubted]
        for kernel in [*_narrowing(width), *[np.ones(len(edges))] * _AGAIN]:
            weights = np.where(doubted, np.square(kernel * gate / (squared + kernel * gate)), 1.0)
            placed, logs, damping, steps = system.descend(placed, logs, weights, damping, 1)
            tried += steps
            squared = system.squares(placed, logs)
        weights = np.where(doubted & (squared > gate), 0.0, 1.0)
    placed, logs, _, steps = system.descend(placed, logs, weights, damping, _STEPS)
    cost = float(weights @ system.squares(placed, logs))
    system.factorise(placed, logs, weights)
    return Solved(
        poses=placed,
        log_scale=logs,
        weights=weights,
        cost=cost,
        iterations=tried + steps,
        _system=system,
    )


class _System:
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
            if gain <= _CONVERGED * cost + _LEAST:
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
        damped.setdiag(diagonal * (1 + damping) + _LEAST)
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


def _narrowing(width: Matrix) -> list[Matrix]:
    """Return the widths of the kernel ``(E,)``, from the widest down to one."""
    steps = int(np.ceil(np.log(width.max()) / np.log(_NARROWER)))
    return [np.maximum(width / _NARROWER**k, 1.0) for k in range(steps)]


def _surprises(poses: Matrix, logs: Matrix, edges: Edges, size: int) -> Matrix:
    """Return how far ``(E,)`` edges are from what the way from keyframe to keyframe says.

    As squared errors over the covariance of both together. The errors of the way are twists about
    the map's origin, where those of one step after another simply add up: an error of a turn and
    of the scale moves all that comes later.
    """
    error, _, _ = residuals(poses, logs, edges, size)
    steps = np.flatnonzero(~edges.doubted & (edges.newer == edges.older + 1))
    spread = np.zeros((len(poses), size, size))  # of the step to a keyframe
    spread[1:] = np.eye(size) * _ANYWHERE
    shift = _to_origin(poses[edges.older[steps]], logs[edges.older[steps]], size)
    covariance = edges.covariance[steps][:, :size, :size]
    spread[edges.newer[steps]] = shift @ covariance @ np.swapaxes(shift, 1, 2)
    summed = np.cumsum(spread, axis=0)
    first, last = np.minimum(edges.older, edges.newer), np.maximum(edges.older, edges.newer)
    back = np.linalg.inv(_to_origin(poses[edges.older], logs[edges.older], size))
    way = back @ (summed[last] - summed[first]) @ np.swapaxes(back, 1, 2)
    lever = np.broadcast_to(np.eye(size), way.shape).copy()
    lever[:, :3, 3:6] = -_hats(edges.motion[:, :3, 3])
    if size == 7:
        lever[:, :3, 6] = edges.motion[:, :3, 3]
    joint = lever @ way @ np.swapaxes(lever, 1, 2) + edges.covariance[:, :size, :size]
    return np.asarray((error * np.linalg.solve(joint, error[..., None])[..., 0]).sum(1) + _LEAST)


def _to_origin(poses: Matrix, logs: Matrix, size: int) -> Matrix:
    """Return ``(E, D, D)`` errors in keyframes' axes as twists about the origin of the map."""
    turn, place = poses[:, :3, :3], poses[:, :3, 3]
    shift = np.zeros((len(poses), size, size))
    shift[:, :3, :3] = turn * np.exp(logs)[:, None, None]
    shift[:, 3:6, 3:6] = turn
    shift[:, :3, 3:6] = _hats(place) @ turn
    if size == 7:
        shift[:, :3, 6] = -place
        shift[:, 6, 6] = 1.0
    return shift


def _held(count: int, edges: Edges, fixed: Mask | None) -> Mask:
    """Return which keyframes stand still: one at least of each part that hangs together."""
    held = np.zeros(count, np.bool_) if fixed is None else np.array(fixed, np.bool_)
    links = coo_matrix((np.ones(len(edges)), (edges.older, edges.newer)), shape=(count, count))
    _, part = connected_components(links, directed=False)
    _, firsts = np.unique(part, return_index=True)
    loose = ~np.isin(part[firsts], part[held])
    held[firsts[loose]] = True
    return held


def _check(poses: Matrix, edges: Edges, size: int) -> None:
    for name in ('older', 'newer'):
        ends = getattr(edges, name)
        if len(ends) and not (ends.min() >= 0 and ends.max() < len(poses)):
            raise ValueError(
                f'{name} must be one of {len(poses)} keyframes, got {ends.min()} to {ends.max()}'
            )
    cut = edges.covariance[:, :size, :size]
    if not np.isfinite(cut).all() or (len(cut) and not np.linalg.eigvalsh(cut).min() > 0):
        raise ValueError('covariances of edges must be finite and positive definite')


def _hats(v: Matrix) -> Matrix:
    """Return ``(E, 3, 3)`` matrices that multiply as a cross product with ``(E, 3)``."""
    x, y, z = v.T
    zero = np.zeros_like(x)
    return np.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(-1, 3, 3)


def _turn_jacobians(turn: Matrix) -> Matrix:
    """Return ``(E, 3, 3)`` how ``log(exp(d) exp(turn))`` changes with a small ``d``."""
    angle, k = np.linalg.norm(turn, axis=1)[:, None, None], _hats(turn)
    safe = np.maximum(angle, 1e-3)
    quadratic = np.where(angle < 1e-3, 1 / 12, (1 - safe / 2 / np.tan(safe / 2)) / safe**2)
    return np.asarray(np.eye(3) - k / 2 + quadratic * (k @ k))
