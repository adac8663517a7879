"""Normal equations of poses and landmarks, solved through the poses.

Each landmark has few unknowns (two of its ray, one inverse depth; or that alone) and no equation
with another landmark, so that all of them are eliminated at once (Schur complement; Triggs et al.,
"Bundle adjustment: a modern synthesis", 2000, 6.1). Arrays hold components first, landmarks last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class NormalEquations:
    """Information and half the gradient of a sum of squares.

    P unknowns of poses, U of each of L landmarks.

    Attributes:
        poses: ``(P, P)`` information on the poses.
        poses_gradient: ``(P,)``.
        landmarks: ``(U, U, L)`` information on each landmark; only its lower triangle is read.
        landmarks_gradient: ``(U, L)``.
        cross: ``(U, P, L)`` between both.
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
        size = len(b)
        lower: list[list[Matrix]] = []  # rows of Cholesky's factor: landmark = lower lower'
        for i in range(size):
            row: list[Matrix] = []
            for j in range(i):
                done = sum((row[k] * lower[j][k] for k in range(j)), np.zeros(1))
                row.append((a[i, j] - done) / lower[j][j])
            left = a[i, i] * (1 + damping) + self.landmarks_floor
            row.append(np.sqrt(left - sum((one**2 for one in row), np.zeros(1))))
            lower.append(row)

        def forward(x: Matrix) -> Matrix:
            solved: list[Matrix] = []
            for row, value in zip(lower, x, strict=True):
                for factor, before in zip(row, solved, strict=False):
                    value = value - factor * before
                solved.append(value / row[-1])
            return np.stack(solved, -2)

        whitened = forward(c)  # (P, U, L)
        rows = whitened.reshape(len(self.poses), size * c.shape[2])
        target = forward(b)  # (U, L)
        diagonal = damping * np.diag(self.poses) + self.poses_floor
        return ReducedEquations(
            lower=lower,
            whitened=rows,
            target=target,
            information=self.poses + np.diag(diagonal) - rows @ rows.T,
            gradient=self.poses_gradient - rows @ target.ravel(),
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ReducedEquations:
    """What is left for the poses, and the way back to the landmarks.

    Attributes:
        lower: Cholesky's factors of the landmarks, U rows of 1 to U arrays ``(L,)``.
        whitened: ``(P, U L)`` inverse factor times what couples landmarks and poses.
        target: ``(U, L)`` inverse factor times the landmarks' gradient.
        information: ``(P, P)``.
        gradient: ``(P,)``.
    """

    lower: list[list[Matrix]]
    whitened: Matrix
    target: Matrix
    information: Matrix
    gradient: Matrix

    def step(self) -> tuple[Matrix, Matrix]:
        """Return the step ``(P,)`` of the poses and ``(U, L)`` of the landmarks to the minimum."""
        poses = -np.linalg.solve(self.information, self.gradient)
        landmarks = -self.target - (poses @ self.whitened).reshape(self.target.shape)
        for i in reversed(range(len(landmarks))):
            for k in range(i + 1, len(landmarks)):
                landmarks[i] -= self.lower[k][i] * landmarks[k]
            landmarks[i] /= self.lower[i][i]
        return np.asarray(poses), landmarks

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
        last = self.whitened.reshape(len(covariance), *self.target.shape)[:, -1]
        by_poses = ((covariance @ last) * last).sum(0)
        return np.asarray((1 + by_poses) / np.square(self.lower[-1][-1]))
