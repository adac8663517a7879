"""Normal equations of poses and landmarks, solved through the poses.

Each landmark has three unknowns (two of its ray, one inverse depth) and no equation with another
landmark, so that all of them are eliminated at once (Schur complement; Triggs et al., "Bundle
adjustment: a modern synthesis", 2000, 6.1). Arrays hold components first, landmarks last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NormalEquations:
    """Information and half the gradient of a sum of squares, P unknowns of poses, L landmarks.

    Attributes:
        poses: ``(P, P)`` information on the poses.
        poses_gradient: ``(P,)``.
        landmarks: ``(3, 3, L)`` information on each landmark; only its lower triangle is read.
        landmarks_gradient: ``(3, L)``.
        cross: ``(3, P, L)`` between both.
        poses_floor: ``(P,)`` information that is added, so that nothing is wholly unknown.
        landmarks_floor: The same for the unknowns of landmarks.
    """

    poses: Matrix
    poses_gradient: Matrix
    landmarks: Matrix
    landmarks_gradient: Matrix
    cross: Matrix
    poses_floor: Matrix
    landmarks_floor: float

    def reduced(self, damping: float = 0.0) -> ReducedEquations:
        """Eliminate the landmarks.

        Args:
            damping: Share of each unknown's information that is added to it (Marquardt).
        """
        a, b, c = self.landmarks, self.landmarks_gradient, self.cross
        d0, d1, d2 = (a[i, i] * (1 + damping) + self.landmarks_floor for i in range(3))
        # Cholesky: landmark = lower lower', with lower's rows (l00), (l10, l11), (l20, l21, l22).
        l00 = np.sqrt(d0)
        l10, l20 = a[1, 0] / l00, a[2, 0] / l00
        l11 = np.sqrt(d1 - l10**2)
        l21 = (a[2, 1] - l20 * l10) / l11
        l22 = np.sqrt(d2 - l20**2 - l21**2)

        def forward(x: Matrix) -> Matrix:
            y0 = x[0] / l00
            y1 = (x[1] - l10 * y0) / l11
            return np.stack((y0, y1, (x[2] - l20 * y0 - l21 * y1) / l22), -2)

        whitened = forward(c)  # (P, 3, L)
        rows = whitened.reshape(len(self.poses), 3 * c.shape[2])
        target = forward(b)  # (3, L)
        diagonal = damping * np.diag(self.poses) + self.poses_floor
        return ReducedEquations(
            lower=(l00, l10, l11, l20, l21, l22),
            whitened=rows,
            target=target,
            information=self.poses + np.diag(diagonal) - rows @ rows.T,
            gradient=self.poses_gradient - rows @ target.ravel(),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReducedEquations:
    """What is left for the poses, and the way back to the landmarks.

    Attributes:
        lower: The Cholesky factors of the landmarks, row by row, each ``(L,)``.
        whitened: ``(P, 3 L)`` inverse factor times what couples landmarks and poses.
        target: ``(3, L)`` inverse factor times the landmarks' gradient.
        information: ``(P, P)``.
        gradient: ``(P,)``.
    """

    lower: tuple[Matrix, ...]
    whitened: Matrix
    target: Matrix
    information: Matrix
    gradient: Matrix

    def step(self) -> tuple[Matrix, Matrix]:
        """Return the step ``(P,)`` of the poses and ``(3, L)`` of the landmarks to the minimum."""
        poses = -np.linalg.solve(self.information, self.gradient)
        l00, l10, l11, l20, l21, l22 = self.lower
        y0, y1, y2 = -self.target - (poses @ self.whitened).reshape(self.target.shape)
        x2 = y2 / l22
        x1 = (y1 - l21 * x2) / l11
        return np.asarray(poses), np.stack(((y0 - l10 * x1 - l20 * x2) / l00, x1, x2))

    def covariance(self, floor: float) -> Matrix:
        """Return the covariance ``(P, P)`` of the poses, positive definite whatever the rounding.

        Args:
            floor: Least information in any direction.
        """
        values, axes = np.linalg.eigh(self.information)
        scaled = axes / np.sqrt(np.maximum(values, floor))
        return np.asarray(scaled @ scaled.T)

    def depth_variance(self, covariance: FloatArray) -> Matrix:
        """Return the variance ``(L,)`` of the last unknown, given the poses' ``(P, P)``.

        Zero covariance gives it for poses that are certain.
        """
        last = self.whitened.reshape(len(covariance), *self.target.shape)[:, 2]
        by_poses = ((covariance @ last) * last).sum(0)
        return np.asarray((1 + by_poses) / np.square(self.lower[-1]))
