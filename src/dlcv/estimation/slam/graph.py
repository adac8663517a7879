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

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from dlcv.estimation.odometry.perturbation import hat
from dlcv.estimation.slam.equations import LEAST, Edges, System, residuals
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

GATE = {6: 22.46, 7: 24.32}
"""Squared length that one true edge in a thousand exceeds (chi-squared, six or seven degrees)."""

_NARROWER = 4.0  # from one width of the kernel to the next
_WIDEST = 1e8  # kernel, in widths of the last
_AGAIN = 3  # times that weights are found at the last
_ANYWHERE = 1e6  # variance of a step that nothing tells of
_STEPS = 20  # Levenberg-Marquardt's at most, once the weights stand still


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
    _system: System = field(repr=False)

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
    at: Matrix = np.asarray(poses, np.float64)
    logs: Matrix = np.zeros(len(at))
    if log_scale is not None:
        logs = np.asarray(log_scale, np.float64)
    _check(at, edges, size)
    held = _held(len(at), edges, fixed)
    system = System(edges, held, size)
    weights: Matrix = np.ones(len(edges))
    gate, tried, damping = GATE[size], 0, 1e-9
    if edges.doubted.any():
        doubted = edges.doubted
        squared = system.squares(at, logs)
        width = np.ones(len(edges))
        width[doubted] = np.clip(squared / surprises(at, logs, edges, size), 1, _WIDEST)[doubted]
        for kernel in [*_narrowing(width), *[np.ones(len(edges))] * _AGAIN]:
            weights = np.where(doubted, np.square(kernel * gate / (squared + kernel * gate)), 1.0)
            at, logs, damping, steps = system.descend(at, logs, weights, damping, 1)
            tried += steps
            squared = system.squares(at, logs)
        weights = np.where(doubted & (squared > gate), 0.0, 1.0)
    at, logs, _, steps = system.descend(at, logs, weights, damping, _STEPS)
    cost = float(weights @ system.squares(at, logs))
    system.factorise(at, logs, weights)
    return Solved(
        poses=at,
        log_scale=logs,
        weights=weights,
        cost=cost,
        iterations=tried + steps,
        _system=system,
    )


def _narrowing(width: Matrix) -> list[Matrix]:
    """Return the widths of the kernel ``(E,)``, from the widest down to one."""
    steps = int(np.ceil(np.log(width.max()) / np.log(_NARROWER)))
    return [np.maximum(width / _NARROWER**k, 1.0) for k in range(steps)]


def surprises(poses: Matrix, logs: Matrix, edges: Edges, size: int) -> Matrix:
    """Return how far ``(E,)`` edges are from what the way from keyframe to keyframe says.

    As squared errors over the covariance of both together. The errors of the way are twists about
    the map's origin, where those of one step after another simply add up: an error of a turn and
    of the scale moves all that comes later. Keyframes that no way leads between may be anywhere.
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
    lever[:, :3, 3:6] = -hat(edges.motion[:, :3, 3])
    if size == 7:
        lever[:, :3, 6] = edges.motion[:, :3, 3]
    joint = lever @ way @ np.swapaxes(lever, 1, 2) + edges.covariance[:, :size, :size]
    return np.asarray((error * np.linalg.solve(joint, error[..., None])[..., 0]).sum(1) + LEAST)


def _to_origin(poses: Matrix, logs: Matrix, size: int) -> Matrix:
    """Return ``(E, D, D)`` errors in keyframes' axes as twists about the origin of the map."""
    turn, place = poses[:, :3, :3], poses[:, :3, 3]
    shift = np.zeros((len(poses), size, size))
    shift[:, :3, :3] = turn * np.exp(logs)[:, None, None]
    shift[:, 3:6, 3:6] = turn
    shift[:, :3, 3:6] = hat(place) @ turn
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
