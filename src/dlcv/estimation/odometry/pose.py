"""The pose of one new camera on landmarks that are known, each as well as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import ANYWHERE, moved_by, turn_jacobian
from dlcv.estimation.odometry.reprojection import (
    BLIND,
    along,
    by_vector,
    confidence,
    reproject,
    squares,
    turned,
)
from dlcv.estimation.odometry.robust import GATE, Kernel, cost, spread, weights
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Goal: TypeAlias = 'Callable[[_View], float]'
_COARSE, _FINE = 1.0, 1e-3  # squared steps, over their covariance, that end a descent
_POLISH = 10  # steps on inliers only


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Landmarks:
    """Points in space, each on a ray of the camera that found it.

    Attributes:
        odom_from_anchor: ``(A, 4, 4)`` poses of those cameras, metres.
        anchor: ``(N,)`` which of them.
        rays: ``(N, 2)`` x/z and y/z there.
        inverse_depth: ``(N,)`` 1/m along z there; zero for points at infinity.
        variance: ``(N,)`` of it; of a point of unknown depth anything large, inf too.
    """

    odom_from_anchor: FloatArray
    anchor: npt.NDArray[np.intp]
    rays: FloatArray
    inverse_depth: FloatArray
    variance: FloatArray

    @classmethod
    def seen_by(
        cls, odom_from_anchor: FloatArray, points: FloatArray, variance: FloatArray
    ) -> Landmarks:
        """Return points ``(N, 3)`` that one camera ``(4, 4)`` is to have found, in its axes."""
        z = points[:, 2]
        return cls(
            odom_from_anchor=odom_from_anchor[None],
            anchor=np.zeros(len(points), np.intp),
            rays=points[:, :2] / z[:, None],
            inverse_depth=1 / z,
            variance=variance,
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PosePrior:
    """What is known of a pose before the picture is looked at.

    Attributes:
        odom_from_camera: ``(4, 4)``, metres.
        covariance: ``(6, 6)`` of it as (x, y, z, rx, ry, rz) in odom axes, m and rad; positive
            definite.
    """

    odom_from_camera: FloatArray
    covariance: FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RefinedPose:
    """A pose that agrees with most of the landmarks.

    Attributes:
        odom_from_camera: ``(4, 4)`` metres.
        covariance: ``(6, 6)`` of it as (x, y, z, rx, ry, rz) in odom axes, m and rad; large in
            directions that no landmark tells of.
        inliers: ``(N,)`` bool, landmarks seen where they should be, in front of the camera.
        chi2: Squared residuals of the inliers over their degrees of freedom; 1 if the standard
            deviations are right.
        iterations: Steps that were tried.
    """

    odom_from_camera: Matrix
    covariance: Matrix
    inliers: npt.NDArray[np.bool_]
    chi2: float
    iterations: int

    @property
    def stated(self) -> Matrix:
        """``(6, 6)`` the covariance, wider where points agree worse than they should."""
        return max(1.0, self.chi2) * self.covariance


def refine_pose(
    start: FloatArray,
    landmarks: Landmarks,
    xy: FloatArray,
    stddev: FloatArray | float,
    *,
    prior: PosePrior | None = None,
    near: bool = False,
    iterations: int = 6,
    kernel: Kernel = 'cauchy',
) -> RefinedPose:
    """Move a camera until it sees landmarks where the picture shows them.

    Robust Levenberg-Marquardt; the kernel is as wide as the residuals are at first, and the last
    steps are least squares on the inliers. An uncertain depth leaves the landmark's weight across
    the epipolar line and takes it along the line: residuals have the covariance
    ``stddev^2 I + J variance J'`` with ``J`` the derivative by the inverse depth.

    Args:
        start: ``(4, 4)`` predicted odom_from_camera, metres.
        landmarks: N of them.
        xy: ``(N, 2)`` normalised image coordinates in which they are seen.
        stddev: ``(N,)`` of ``xy`` against the landmark's ray (noise of both pictures), normalised.
        prior: Holds the pose as firmly as its covariance says.
        near: Whether the start is so good that only matches which agree with it can be right, as
            a pose from few points is that most matches agree with: depths are not held then.
        iterations: At most this many robust steps with depths held, as many with depths that move
            along, and a few on the inliers after them.
        kernel: Of the robust steps.

    Raises:
        ValueError: If the arrays do not belong together, or are not finite.
    """
    problem = _Problem(landmarks, np.asarray(xy, np.float64), stddev, prior)
    view = problem.view(np.array(start, np.float64), problem.known)
    held = 0
    if near:
        view = problem.view(view.pose, view.best_inverse_depth())
    else:
        view, held = problem.descend(view, kernel, moving=False, iterations=iterations)
    view, moved = problem.descend(view, kernel, moving=True, iterations=iterations)
    view, polished = problem.descend(view, None, moving=True, iterations=_POLISH)
    return problem.result(view, held + moved + polished)


class _Problem:
    """Landmarks in odom axes, what was seen of them, and steps of the pose.

    After the first steps each inverse depth moves along: for every pose it is the best between what
    was known and what is seen. Held still, its errors would shorten the camera's way, as errors of
    a regressor do in every regression; and where depths are guesses, image points would be thought
    to move with the camera as the guesses do, which turns the way aside. In the first steps it is
    held, or depths would make room for wrong matches.
    """

    def __init__(
        self, landmarks: Landmarks, xy: Matrix, stddev: FloatArray | float, prior: PosePrior | None
    ) -> None:
        count = len(landmarks.anchor)
        for name, array, shape in (
            ('rays', landmarks.rays, (count, 2)),
            ('inverse_depth', landmarks.inverse_depth, (count,)),
            ('variance', landmarks.variance, (count,)),
            ('xy', xy, (count, 2)),
        ):
            if np.shape(array) != shape:
                raise ValueError(
                    f'{name} of {count} landmarks must be {shape}, got {np.shape(array)}'
                )
            if name != 'variance' and not np.isfinite(array).all():
                raise ValueError(f'{name} of {count} landmarks must be finite')
        anchors = np.asarray(landmarks.odom_from_anchor, np.float64)[landmarks.anchor]
        ray = np.vstack((np.asarray(landmarks.rays, np.float64).T, np.ones(count)))
        self.bearing = np.einsum('nij,jn->in', anchors[:, :3, :3], ray)
        self.origin = np.ascontiguousarray(anchors[:, :3, 3].T)
        self.known = np.asarray(landmarks.inverse_depth, np.float64)
        self.variance = np.minimum(np.asarray(landmarks.variance, np.float64), BLIND**2)
        self.xy = np.ascontiguousarray(xy.T)
        self.noise = np.broadcast_to(np.asarray(stddev, np.float64), (count,))
        self.prior = prior
        self.belief = np.zeros((6, 6)) if prior is None else np.linalg.inv(prior.covariance)

    def descend(
        self, view: _View, kernel: Kernel | None, *, moving: bool, iterations: int
    ) -> tuple[_View, int]:
        """Return a view of lower cost and how many steps were tried.

        Args:
            view: Where to start.
            kernel: Weighs the residuals; without one the squares of the inliers count.
            moving: Let the depths move along.
            iterations: At most so many steps.
        """
        damping, tried = 1e-6, 0
        while tried < iterations:
            weight, goal = self.weighed(view, kernel, moving)
            jacobian = view.jacobian()
            information, gradient = self.normal(view, jacobian, weight)
            before = goal(view)
            while tried < iterations:
                tried += 1
                damped = information + np.diag(damping * np.diag(information) + ANYWHERE)
                step = -np.linalg.solve(damped, gradient)
                depths = view.best_inverse_depth(jacobian, step) if moving else self.known
                candidate = self.view(moved_by(view.pose, step), depths)
                after = goal(candidate)
                if moving and after > before:  # the depths that go with it are not linear
                    candidate = self.view(candidate.pose, candidate.best_inverse_depth())
                    after = goal(candidate)
                if after <= before:
                    view, damping = candidate, max(damping / 10, 1e-9)
                    break
                damping = max(damping * 100, 1e-4)
            if step @ information @ step < (_FINE if kernel is None else _COARSE):
                break
        return view, tried

    def weighed(self, view: _View, kernel: Kernel | None, moving: bool) -> tuple[Matrix, Goal]:
        """Return weights ``(N,)`` and what they make small, by any view.

        Where depths are held, so is the residuals' covariance: it grows with the way from the
        anchor, and a way without end would cost the least.
        """
        width = 1.0 if kernel is None else spread(view.squared[view.seen.ahead])
        if kernel is None:
            weight = (view.squared <= GATE).astype(np.float64)
        else:
            weight = weights(view.squared / width, kernel) * view.seen.ahead / width

        def goal(other: _View) -> float:
            if moving:
                squared = other.joint_squares()
            else:
                squared = squares(view.whitened(other.error), other.seen.ahead)
            total = weight @ squared if kernel is None else cost(squared / width, kernel)
            return float(total) + self.prior_cost(other.pose)

        return weight, goal

    def view(self, pose: Matrix, inverse_depth: Matrix) -> _View:
        """Look at the landmarks from a pose."""
        return _View(self, pose, inverse_depth)

    def normal(self, view: _View, jacobian: Matrix, weight: Matrix) -> tuple[Matrix, Matrix]:
        """Return information ``(6, 6)`` and half the gradient ``(6,)`` of the weighted squares."""
        rows = jacobian.reshape(6, -1 if weight.size else 0)
        weighted = (jacobian * weight).reshape(rows.shape)
        information, gradient = weighted @ rows.T, weighted @ view.residual.ravel()
        if self.prior is not None:
            error, by_step = _prior_error(view.pose, self.prior.odom_from_camera)
            information = information + by_step.T @ self.belief @ by_step
            gradient = gradient + by_step.T @ self.belief @ error
        return information, gradient

    def prior_cost(self, pose: Matrix) -> float:
        if self.prior is None:
            return 0.0
        error, _ = _prior_error(pose, self.prior.odom_from_camera)
        return float(error @ self.belief @ error)

    def result(self, view: _View, iterations: int) -> RefinedPose:
        inliers = view.squared <= GATE
        jacobian = view.jacobian()
        jacobian[:3] *= confidence(view.inverse_depth, view.variance)
        information, _ = self.normal(view, jacobian, inliers.astype(np.float64))
        covariance = np.linalg.inv(information + np.diag(ANYWHERE))
        freedom = max(2 * int(inliers.sum()) - (6 if self.prior is None else 0), 1)
        return RefinedPose(
            odom_from_camera=view.pose,
            covariance=(covariance + covariance.T) / 2,
            inliers=inliers,
            chi2=float(view.squared[inliers].sum()) / freedom,
            iterations=iterations,
        )


class _View:
    """The landmarks from one pose, each at one inverse depth.

    Attributes:
        residual: ``(2, N)`` what is left with the best inverse depths, whitened: multiplied by the
            symmetric root of the inverse of ``noise^2 I + slope variance slope'``.
        squared: ``(N,)`` squared lengths; what is behind the camera is as wrong as can be.
    """

    def __init__(self, problem: _Problem, pose: Matrix, inverse_depth: Matrix) -> None:
        self.problem, self.pose, self.inverse_depth = problem, pose, inverse_depth
        turn, offset = pose[:3, :3, None], problem.origin - pose[:3, 3:]
        self.seen = reproject(turn, problem.bearing, offset, inverse_depth)
        self.gradient = by_vector(turn, self.seen)
        self.slope = along(self.gradient, offset)
        noise, variance = problem.noise, problem.variance
        self.long = np.sqrt(noise**2 + variance * _dot(self.slope, self.slope))
        # Along the slope whitening divides by `long`, across by `noise`; so written, it divides by
        # no slope, however small.
        self.share = self.slope * (variance / (self.long * (self.long + noise)))
        self.error = self.seen.xy - problem.xy
        self.residual = self.whitened(self.error + self.slope * (problem.known - inverse_depth))
        self.squared = squares(self.residual, self.seen.ahead)

    def joint_squares(self) -> Matrix:
        """Return squared residuals ``(N,)`` of image points and inverse depths together."""
        squared = squares(self.error / self.problem.noise, self.seen.ahead)
        moved = np.square(self.inverse_depth - self.problem.known)
        return np.asarray(squared + moved / np.maximum(self.problem.variance, 1e-30))

    @property
    def variance(self) -> Matrix:
        """Of the inverse depths ``(N,)``, by what was known and what is seen."""
        return np.asarray(self.problem.variance * np.square(self.problem.noise / self.long))

    def jacobian(self) -> Matrix:
        """Return the derivative ``(6, 2, N)`` of the whitened residuals by the pose."""
        by_shift = -self.inverse_depth * self.gradient
        by_turn = turned(self.gradient, self.seen.vector)
        return self.whitened(np.concatenate((by_shift, by_turn)))

    def best_inverse_depth(
        self, jacobian: Matrix | None = None, step: Matrix | None = None
    ) -> Matrix:
        """Return the inverse depths ``(N,)`` that go with the pose, or a small step ``(6,)`` on.

        The whitened residuals tell them: ``slope' S^-1 residual`` is what Kalman's gain makes of.
        """
        variance, left = self.problem.variance, self.residual
        if jacobian is not None and step is not None:
            left = left + np.tensordot(step, jacobian, 1)
        return np.asarray(self.problem.known - variance * _dot(self.slope, left) / self.long)

    def whitened(self, values: Matrix) -> Matrix:
        length = values[..., 0, :] * self.slope[0] + values[..., 1, :] * self.slope[1]
        share = self.share * length[..., None, :]
        return np.asarray((values - share) / self.problem.noise)


def _dot(a: Matrix, b: Matrix) -> Matrix:
    return np.asarray(a[0] * b[0] + a[1] * b[1])


def _prior_error(pose: Matrix, prior: FloatArray) -> tuple[Matrix, Matrix]:
    """Return the error ``(6,)`` of a pose and its derivative ``(6, 6)`` by a step."""
    turn = Rotation.from_matrix(pose[:3, :3] @ prior[:3, :3].T).as_rotvec()
    by_step = np.eye(6)
    by_step[3:, 3:] = turn_jacobian(turn)
    return np.concatenate((pose[:3, 3] - prior[:3, 3], turn)), by_step
