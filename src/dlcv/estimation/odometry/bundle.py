"""The squares that a window's adjustment makes small, and their normal equations.

Landmarks and keyframes form a grid ``(K, L)`` with a residual in every cell where a keyframe sees a
landmark; all is computed for the whole grid at once. Landmarks are sorted by their anchors, so that
those of one anchor are a slice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import ANYWHERE, hat, moved_by, turn_jacobian
from dlcv.estimation.odometry.reprojection import (
    BLIND,
    Reprojection,
    along,
    by_vector,
    reproject,
    squares,
    turned,
)
from dlcv.estimation.odometry.robust import Kernel, cost, spread, weights
from dlcv.estimation.odometry.schur import NormalEquations
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
_SCALE_STEPS = 8


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MotionPriors:
    """What was measured of the motion from each keyframe to the next one.

    Attributes:
        turn: ``(K - 1, 3, 3)`` rotations older_from_newer, by a gyroscope.
        turn_stddev: ``(K - 1,)`` of them in rad about each axis; inf where nothing was measured.
        length: ``(K - 1,)`` distances in metres, by the wheels.
        length_stddev: ``(K - 1,)`` of them; inf where nothing was measured.
    """

    turn: FloatArray
    turn_stddev: FloatArray
    length: FloatArray
    length_stddev: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Grid:
    """What was measured, in cells.

    Attributes:
        bounds: ``(K + 1,)`` landmarks ``bounds[a]:bounds[a + 1]`` have their ray in keyframe a.
        anchor: ``(L,)`` ascending.
        rays: ``(3, L)`` x/z, y/z, 1 in the anchor.
        ray_stddev: ``(L,)`` of the first two; zero for rays that are certain.
        depth: ``(L,)`` measured inverse depth.
        depth_stddev: ``(L,)`` of it, inf for none.
        xy: ``(2, K, L)`` where landmarks were seen.
        stddev: ``(K, L)`` of that, inf where a landmark was not seen.
        motion: What else is known.
        fixed: Poses at the beginning that stand still.
    """

    bounds: npt.NDArray[np.intp]
    anchor: npt.NDArray[np.intp]
    rays: Matrix
    ray_stddev: Matrix
    depth: Matrix
    depth_stddev: Matrix
    xy: Matrix
    stddev: Matrix
    motion: MotionPriors | None
    fixed: int

    @property
    def moving(self) -> npt.NDArray[np.intp]:
        """``(A,)`` keyframes whose cells depend on a free pose, theirs or an anchor's; rising."""
        seen = np.isfinite(self.stddev[:, self.bounds[self.fixed] :])
        return np.flatnonzero(seen.any(axis=1) | (np.arange(len(seen)) >= self.fixed))

    @property
    def bends(self) -> bool:
        """Whether any ray is uncertain; a landmark's only unknown is its inverse depth if not."""
        return bool((self.ray_stddev > 0).any())


class State:
    """Poses and landmarks, and how well they agree with what was measured.

    Attributes:
        squared: ``(K, L)`` squared residuals of the observations, normalised; zero for none.
        depth_squared: ``(L,)`` the same of measured inverse depths.
        ahead: ``(K, L)`` bool, in front of the camera.
    """

    def __init__(self, grid: Grid, poses: Matrix, bend: Matrix, inverse_depth: Matrix) -> None:
        """See the landmarks.

        Args:
            grid: What was measured.
            poses: ``(K, 4, 4)``.
            bend: ``(2, L)`` of the rays, in standard deviations.
            inverse_depth: ``(L,)``.
        """
        self.grid, self.poses, self.bend, self.inverse_depth = grid, poses, bend, inverse_depth
        self.turn = np.ascontiguousarray(np.moveaxis(poses[:, :3, :3], 0, -1))[..., None]
        self.anchors = self.turn[..., grid.anchor, 0]  # (3, 3, L)
        self.bearing = along(np.moveaxis(self.anchors, 0, 1), self.rays())  # (3, L)
        place = poses[:, :3, 3].T  # (3, K)
        self.offset = place[:, None, grid.anchor] - place[..., None]  # (3, K, L)
        self.seen: Reprojection = reproject(
            self.turn, self.bearing[:, None], self.offset, inverse_depth
        )
        self.residual = (self.seen.xy - grid.xy) / grid.stddev
        self.ahead = self.seen.ahead
        self.squared = squares(self.residual, self.ahead | np.isinf(grid.stddev))
        self.depth_residual = (inverse_depth - grid.depth) / grid.depth_stddev
        self.depth_squared = np.square(self.depth_residual)

    def rays(self) -> Matrix:
        """Return the rays ``(3, L)`` as they are now."""
        rays = self.grid.rays.copy()
        rays[:2] += self.bend * self.grid.ray_stddev
        return rays

    def moved(self, poses_step: Matrix, landmarks_step: Matrix) -> State:
        """Return the state after a step ``(P,)`` of the free poses and ``(U, L)`` of landmarks."""
        fixed = self.grid.fixed
        steps = poses_step.reshape(-1, 6)
        free = [moved_by(p, s) for p, s in zip(self.poses[fixed:], steps, strict=True)]
        return State(
            self.grid,
            np.concatenate((self.poses[:fixed], np.reshape(free, (-1, 4, 4)))),
            self.bend + landmarks_step[:2] if len(landmarks_step) > 1 else self.bend,
            np.clip(self.inverse_depth + landmarks_step[-1], -BLIND, BLIND),
        )

    def rescaled(self, kernel: Kernel) -> State:
        """Return the state at the scale that measured depths and lengths agree with best.

        A common scale of positions and depths leaves all pictures as they are. Through that curved
        valley steps that are straight find their way slowly; here it is one unknown, ``log s``.
        """
        grid, motion = self.grid, self.grid.motion
        places = self.poses[:, :3, 3]
        way: Matrix = np.linalg.norm(np.diff(places, axis=0), axis=1)
        length: FloatArray = np.zeros(0)
        deviation: FloatArray = np.zeros(0)
        if motion is not None:
            length, deviation = motion.length, motion.length_stddev
        log_scale = 0.0
        for _ in range(_SCALE_STEPS):
            depth = self.inverse_depth * np.exp(-log_scale)
            lengths = way[: len(length)] * np.exp(log_scale)
            error = np.concatenate(
                ((depth - grid.depth) / grid.depth_stddev, (lengths - length) / deviation)
            )
            slope = np.concatenate((-depth / grid.depth_stddev, lengths / deviation))
            squared = np.square(error)
            weight = weights(squared / spread(squared[slope != 0]), kernel)
            information = float(weight @ np.square(slope))
            if information < 1:  # nothing tells the scale to a factor of e
                return self
            log_scale -= float(np.clip(weight @ (slope * error) / information, -1, 1))
        poses = self.poses.copy()
        poses[:, :3, 3] = places[0] + np.exp(log_scale) * (places - places[0])
        return State(grid, poses, self.bend, self.inverse_depth * np.exp(-log_scale))

    def spread(self) -> float:
        """Return how much wider than stated the residuals are."""
        return spread(self.squared[self.ahead & np.isfinite(self.grid.stddev)])

    def cost(self, kernel: Kernel, width: float) -> float:
        """Return the cost, with observations ``width`` times as variable as stated."""
        observed = cost(self.squared / width, kernel)
        moved, _ = self.motion_error()
        depths = cost(self.depth_squared, kernel)
        return observed + depths + float(np.square(self.bend).sum() + moved @ moved)

    def normal(self, kernel: Kernel, width: float, share: Matrix | None = None) -> NormalEquations:
        """Return the normal equations of the weighted squares, of the free poses and landmarks.

        A landmark has three unknowns, of its ray and its inverse depth; the last alone where no ray
        bends.

        Args:
            kernel: Weighs the residuals.
            width: See `cost`.
            share: ``(L,)`` factors on what landmarks tell of positions (see `confidence`).
        """
        grid, count = self.grid, len(self.poses)
        root = np.sqrt(weights(self.squared / width, kernel) * self.ahead / width)
        residual = self.residual * root
        gradient = by_vector(self.turn, self.seen) * (root / grid.stddev)  # (3, 2, K, L)
        axes = [self.offset]
        if grid.bends:
            across = self.anchors[:, :2, None] * grid.ray_stddev  # (3, 2, 1, L)
            axes = [across[:, 0], across[:, 1], self.offset]
        slopes = np.stack([along(gradient, a) for a in axes], axis=1)  # (2, U, K, L)
        told = self.inverse_depth if share is None else self.inverse_depth * share
        moving = grid.moving
        pulled = gradient[:, :, moving]
        by_pose = np.empty((len(moving), 6, 2, len(told)))
        components = np.moveaxis(by_pose, 0, 2)  # (6, 2, A, L)
        np.multiply(-told, pulled, out=components[:3])
        components[3:] = turned(pulled, self.seen.vector[:, moving])
        by_landmark = np.ascontiguousarray(slopes.transpose(2, 1, 0, 3))  # (K, U, 2, L)
        residual = np.ascontiguousarray(residual.transpose(1, 0, 2))  # (K, 2, L)
        landmarks, landmarks_gradient = self._landmarks(by_landmark, residual, kernel)
        information, poses_gradient, cross = self._poses(
            moving, by_pose, by_landmark[moving], residual[moving]
        )
        error, by_step = self.motion_error()
        by_step = by_step[:, 6 * grid.fixed :]
        return NormalEquations(
            poses=information + by_step.T @ by_step,
            poses_gradient=poses_gradient + by_step.T @ error,
            landmarks=landmarks,
            landmarks_gradient=landmarks_gradient,
            cross=cross,
            poses_floor=np.tile(ANYWHERE, count - grid.fixed),
            landmarks_floor=BLIND**-2,
        )

    def _poses(
        self,
        moving: npt.NDArray[np.intp],
        by_pose: Matrix,
        by_landmark: Matrix,
        residual: Matrix,
    ) -> tuple[Matrix, Matrix, Matrix]:
        """Return information ``(P, P)``, gradient ``(P,)`` and cross ``(U, P, L)`` of free poses.

        What moves both cameras as one moves no image point: with ``d`` from camera to anchor, the
        derivative by the anchor's pose is the one by the camera's times ``((-I, -hat(d)),
        (0, -I))``, the same for all landmarks of the anchor.

        Args:
            moving: ``(A,)`` keyframes, the free ones last; others have no part in this.
            by_pose: ``(A, 6, 2, L)`` derivatives of their residuals by their poses.
            by_landmark: ``(A, U, 2, L)`` the same by the landmarks.
            residual: ``(A, 2, L)``.
        """
        fixed, bounds, places = self.grid.fixed, self.grid.bounds, self.poses[:, :3, 3]
        count, active, unknowns = len(self.poses) - fixed, len(moving), by_landmark.shape[1]
        free, each = slice(active - count, active), np.arange(count)
        rows = by_pose[free].reshape(count, 6, 2 * by_pose.shape[3])
        blocks = np.zeros((count, 6, count, 6))
        blocks[each, :, each] = rows @ rows.transpose(0, 2, 1)
        gradient = (rows @ residual[free].reshape(count, rows.shape[2], 1))[..., 0]
        crossing = np.einsum('kicl,kjcl->ikjl', by_landmark, by_pose)  # (U, A, 6, L)
        cross = crossing[:, free]
        for a in range(count):
            own = slice(bounds[fixed + a], bounds[fixed + a + 1])
            size = own.stop - own.start
            rows = by_pose[..., own].reshape(active, 6, 2 * size)
            carry = np.tile(-np.eye(6), (active, 1, 1))
            carry[:, :3, 3:] = [-hat(places[fixed + a] - places[k]) for k in moving]
            crossed, back = rows @ rows.transpose(0, 2, 1) @ carry, carry.transpose(0, 2, 1)
            pull = rows @ residual[..., own].reshape(active, 2 * size, 1)
            blocks[:, :, a] += crossed[free]
            blocks[a] += crossed[free].transpose(2, 0, 1)
            blocks[a, :, a] += (back @ crossed).sum(0)
            gradient[a] += (back @ pull).sum((0, 2))
            stacked = crossing[..., own].reshape(unknowns, 6 * active, size)
            cross[:, a, :, own] += carry.reshape(6 * active, 6).T @ stacked
        flat = 6 * count
        return (
            blocks.reshape(flat, flat),
            gradient.ravel(),
            cross.reshape(unknowns, flat, cross.shape[3]),
        )

    def _landmarks(
        self, by_landmark: Matrix, residual: Matrix, kernel: Kernel
    ) -> tuple[Matrix, Matrix]:
        """Return information ``(U, U, L)`` and gradient ``(U, L)`` of landmarks, with priors."""
        information = np.einsum('kicl,kjcl->ijl', by_landmark, by_landmark)
        gradient = np.einsum('kicl,kcl->il', by_landmark, residual)
        weight = weights(self.depth_squared, kernel) / self.grid.depth_stddev
        information[-1, -1] += weight / self.grid.depth_stddev
        gradient[-1] += weight * self.depth_residual
        if len(gradient) > 1:
            information[0, 0] += 1
            information[1, 1] += 1
            gradient[:2] += self.bend
        return information, gradient

    def motion_error(self) -> tuple[Matrix, Matrix]:
        """Return errors of measured motions, normalised, ``(E,)``, and ``(E, 6 K)`` by the poses.

        With ``d = p_j - p_i`` the turn ``R_i' R_j`` changes by ``R_i' (dr_j - dr_i)``.
        """
        motion, count = self.grid.motion, len(self.poses)
        if motion is None:
            return np.zeros(0), np.zeros((0, 6 * count))
        error = np.zeros((count - 1, 4))
        by_step = np.zeros((count - 1, 4, count, 6))
        turns, places = self.poses[:, :3, :3], self.poses[:, :3, 3]
        for i in range(count - 1):
            found = turns[i].T @ turns[i + 1] @ motion.turn[i].T
            turn = Rotation.from_matrix(found).as_rotvec()
            way = places[i + 1] - places[i]
            length = float(np.linalg.norm(way))
            error[i] = *(turn / motion.turn_stddev[i]), (length - motion.length[i])
            error[i, 3] /= motion.length_stddev[i]
            change = turn_jacobian(turn) @ turns[i].T / motion.turn_stddev[i]
            by_step[i, :3, i + 1, 3:], by_step[i, :3, i, 3:] = change, -change
            pull = way / max(length, 1e-9) / motion.length_stddev[i]
            by_step[i, 3, i + 1, :3], by_step[i, 3, i, :3] = pull, -pull
        return error.ravel(), by_step.reshape(-1, 6 * count)
