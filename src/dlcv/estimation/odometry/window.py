"""A window of keyframes and landmarks, adjusted together.

Bundle adjustment over poses and inverse depths (Engel et al., "Direct sparse odometry", 2018, in
the choice of unknowns) by robust Levenberg-Marquardt. A landmark's ray was measured in its anchor
as everything else was, with noise that all its residuals share; it is bent by as much as that noise
allows, or covariances would be too small.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.bundle import Grid, MotionPriors, State
from dlcv.estimation.odometry.perturbation import ANYWHERE, hat
from dlcv.estimation.odometry.reprojection import BLIND, confidence
from dlcv.estimation.odometry.robust import GATE, Kernel
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]
_COARSE, _FINE = 1.0, 0.1  # squared steps, over their covariance, that end a descent
_POLISH = 2  # steps on inliers only


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """K keyframes, L landmarks, M observations of them in other keyframes than their anchors.

    Attributes:
        odom_from_camera: ``(K, 4, 4)`` poses to start from, oldest first, metres.
        fixed: How many of the oldest stand still; 1 at least, 2 hold the scale as well.
        anchor: ``(L,)`` keyframe in which a landmark's ray was measured.
        rays: ``(L, 2)`` x/z and y/z there, as measured.
        ray_stddev: ``(L,)`` or one for all, of them; zero for rays that are certain.
        inverse_depth: ``(L,)`` to start from, 1/m along z of the anchor.
        keyframe: ``(M,)`` where a landmark was seen.
        landmark: ``(M,)`` which; at most once in a keyframe.
        xy: ``(M, 2)`` normalised image coordinates.
        stddev: ``(M,)`` or one for all, of them, normalised.
        prior_inverse_depth: ``(L,)`` measured by stereo, a depth camera or a network.
        prior_stddev: ``(L,)`` of that; inf for none.
        motion: What other sensors say of the motion.
    """

    odom_from_camera: FloatArray
    fixed: int
    anchor: Indices
    rays: FloatArray
    ray_stddev: FloatArray | float
    inverse_depth: FloatArray
    keyframe: Indices
    landmark: Indices
    xy: FloatArray
    stddev: FloatArray | float
    prior_inverse_depth: FloatArray
    prior_stddev: FloatArray
    motion: MotionPriors | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Adjusted:
    """A window that agrees with most of its observations.

    Attributes:
        odom_from_camera: ``(K, 4, 4)`` metres.
        rays: ``(L, 2)`` bent by what the other keyframes saw. They are estimates: the next window
            is to be given the measured ones again.
        inverse_depth: ``(L,)`` 1/m; slightly negative for points beyond what can be measured.
        inverse_depth_variance: ``(L,)`` of it; ``BLIND ** 2`` where nothing tells it.
        inliers: ``(M,)`` bool, observations that agree.
        chi2: Squared residuals of inliers and priors over their degrees of freedom; 1 if the
            standard deviations are right.
        iterations: Steps that were tried.
        covariance: ``(6 K, 6 K)`` of the poses, each as (x, y, z, rx, ry, rz) in odom axes, m and
            rad, given the fixed ones; large in directions that nothing tells of.
    """

    odom_from_camera: Matrix
    rays: Matrix
    inverse_depth: Matrix
    inverse_depth_variance: Matrix
    inliers: npt.NDArray[np.bool_]
    chi2: float
    iterations: int
    covariance: Matrix = field(repr=False)

    def pose_covariance(self, k: int) -> Matrix:
        """Return the ``(6, 6)`` of keyframe ``k``, in odom axes, given the fixed ones."""
        own = np.r_[6 * k : 6 * k + 6]
        return np.asarray(self.covariance[np.ix_(own, own)])

    def relative_covariance(self, older: int, newer: int) -> Matrix:
        """Return the ``(6, 6)`` of the motion ``older_from_newer``, in the older camera's axes.

        With poses ``R, p`` and ``d = p_j - p_i`` the motion is ``R_i' d, R_i' R_j``: it changes by
        ``R_i' (dp_j - dp_i + hat(d) dr_i)`` and ``R_i' (dr_j - dr_i)``.
        """
        first, last = self.odom_from_camera[older], self.odom_from_camera[newer]
        change = np.zeros((6, len(self.covariance)))
        own, other = (change[:, 6 * k : 6 * k + 6] for k in (older, newer))
        back = first[:3, :3].T
        other[:3, :3] += back
        other[3:, 3:] += back
        own[:3, :3] -= back
        own[:3, 3:] += back @ hat(last[:3, 3] - first[:3, 3])
        own[3:, 3:] -= back
        covariance = change @ self.covariance @ change.T
        return np.asarray((covariance + covariance.T) / 2)


def adjust(window: Window, *, iterations: int = 10, kernel: Kernel = 'cauchy') -> Adjusted:
    """Move keyframes and landmarks until the landmarks are seen where they were seen.

    The kernel is as wide as the residuals are at first; the last steps are least squares on the
    inliers. Measured depths are weighed by the kernel too.

    Args:
        window: What was seen, and where to start.
        iterations: At most this many robust steps, and a few on the inliers after them.
        kernel: Of the robust steps.

    Raises:
        ValueError: If the window's arrays do not belong together, or nothing holds it still.
    """
    grid, order = _grid(window)
    state = State(
        grid,
        np.array(window.odom_from_camera, np.float64),
        np.zeros((2, len(order))),
        np.asarray(window.inverse_depth, np.float64)[order],
    )
    if window.fixed == 1:
        state = state.rescaled(kernel)
    state, tried = _descend(state, kernel, iterations)
    state, polished = _descend(state, 'truncated', _POLISH)
    return _result(window, state, order, tried + polished)


def _descend(state: State, kernel: Kernel, iterations: int) -> tuple[State, int]:
    """Return a state of lower cost, and how many steps were tried."""
    damping, tried = 1e-6, 0
    while tried < iterations:
        width = 1.0 if kernel == 'truncated' else state.spread()
        before = state.cost(kernel, width)
        normal = state.normal(kernel, width)
        while tried < iterations:
            tried += 1
            reduced = normal.reduced(damping)
            poses, landmarks = reduced.step()
            candidate = state.moved(poses, landmarks)
            if candidate.cost(kernel, width) <= before:
                state, damping = candidate, max(damping / 10, 1e-9)
                break
            damping = max(damping * 100, 1e-4)
        gain = -(normal.poses_gradient @ poses + (normal.landmarks_gradient * landmarks).sum())
        if gain < (_FINE if kernel == 'truncated' else _COARSE):
            break
    return state, tried


def _result(window: Window, state: State, order: Indices, iterations: int) -> Adjusted:
    grid, count = state.grid, len(state.poses)
    first = state.normal('truncated', 1.0).reduced()
    size = len(first.gradient)
    variance = first.depth_variance(np.zeros((size, size)))
    share = confidence(state.inverse_depth, variance)
    reduced = state.normal('truncated', 1.0, share).reduced()
    free = reduced.covariance(ANYWHERE.min())
    covariance = np.zeros((6 * count, 6 * count))
    covariance[6 * grid.fixed :, 6 * grid.fixed :] = free
    back = np.argsort(order, kind='stable')
    inlying = state.ahead & (state.squared <= GATE) & np.isfinite(grid.stddev)  # (K, L)
    measured = np.isfinite(grid.depth_stddev) & (state.depth_squared <= GATE)
    chi2 = state.squared[inlying].sum() + state.depth_squared[measured].sum()
    chi2 += np.square(state.bend).sum() + np.square(state.motion_error()[0]).sum()
    told = inlying.any(0) | measured
    freedom = 2 * inlying.sum() + measured.sum() - told.sum() - size
    return Adjusted(
        odom_from_camera=state.poses,
        rays=state.rays()[:2].T[back],
        inverse_depth=state.inverse_depth[back],
        inverse_depth_variance=np.minimum(reduced.depth_variance(free), BLIND**2)[back],
        inliers=inlying[window.keyframe, back[window.landmark]],
        chi2=float(chi2 / max(freedom, 1)),
        iterations=iterations,
        covariance=covariance,
    )


def _grid(window: Window) -> tuple[Grid, Indices]:
    """Return the window in cells, and its landmarks' order there."""
    keyframes, landmarks = len(window.odom_from_camera), len(window.anchor)
    _check(window)
    order = np.argsort(window.anchor, kind='stable')
    anchor = window.anchor[order]
    back = np.argsort(order, kind='stable')[window.landmark]
    xy = np.zeros((2, keyframes, landmarks))
    xy[:, window.keyframe, back] = np.asarray(window.xy).T
    stddev = np.full((keyframes, landmarks), np.inf)
    stddev[window.keyframe, back] = window.stddev
    known = np.isfinite(window.prior_stddev)
    grid = Grid(
        bounds=np.searchsorted(anchor, np.arange(keyframes + 1)),
        anchor=anchor,
        rays=np.vstack((np.asarray(window.rays, np.float64)[order].T, np.ones(landmarks))),
        ray_stddev=np.broadcast_to(np.asarray(window.ray_stddev, np.float64), landmarks)[order],
        depth=np.where(known, window.prior_inverse_depth, 0.0)[order],
        depth_stddev=np.asarray(window.prior_stddev, np.float64)[order],
        xy=xy,
        stddev=stddev,
        motion=window.motion,
        fixed=window.fixed,
    )
    return grid, order


def _check(window: Window) -> None:
    keyframes, landmarks = len(window.odom_from_camera), len(window.anchor)
    if not 1 <= window.fixed <= keyframes:
        raise ValueError(f'1 to {keyframes} keyframes must be fixed, got {window.fixed}')
    _check_arrays(window)
    for name, highest in (('anchor', keyframes), ('keyframe', keyframes), ('landmark', landmarks)):
        indices = getattr(window, name)
        if len(indices) and not (indices.min() >= 0 and indices.max() < highest):
            raise ValueError(
                f'{name} must be in 0..{highest - 1}, got {indices.min()}..{indices.max()}'
            )
    if (window.keyframe == window.anchor[window.landmark]).any():
        raise ValueError('a landmark was seen in its own anchor: its ray stands for that')
    cells = window.keyframe * landmarks + window.landmark
    if len(np.unique(cells)) < len(cells):
        raise ValueError('a landmark was seen twice in one keyframe')


def _check_arrays(window: Window) -> None:
    keyframes, landmarks = len(window.odom_from_camera), len(window.anchor)
    seen = len(window.keyframe)
    may_be_anything = {'prior_inverse_depth', 'prior_stddev'}
    for name, shape in (
        ('odom_from_camera', (keyframes, 4, 4)),
        ('rays', (landmarks, 2)),
        ('inverse_depth', (landmarks,)),
        ('prior_inverse_depth', (landmarks,)),
        ('prior_stddev', (landmarks,)),
        ('landmark', (seen,)),
        ('xy', (seen, 2)),
    ):
        array = np.asarray(getattr(window, name))
        if array.shape != shape:
            raise ValueError(f'{name} must be {shape}, got {array.shape}')
        if name not in may_be_anything and not np.isfinite(array).all():
            raise ValueError(
                f'{name} must be finite, {(~np.isfinite(array)).sum()} numbers are not'
            )
    for name in ('stddev', 'prior_stddev'):
        if not (np.asarray(getattr(window, name)) > 0).all():
            raise ValueError(f'{name} must be above zero')
    for name in ('turn_stddev', 'length', 'length_stddev') if window.motion is not None else ():
        shape = np.shape(getattr(window.motion, name))
        if shape != (keyframes - 1,):
            raise ValueError(
                f'{name} between {keyframes} keyframes is {keyframes - 1}, got {shape}'
            )
