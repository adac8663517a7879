"""Least squares of one pose, without a batch: most of the batched one's time goes between steps."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.consensus.correspondences import NEAREST

Array = npt.NDArray[np.float64]

_LEAST, _MOST = 1e-6, 1e6  # damping


def fit_one(
    camera_from_world: Array,
    points: Array,
    pixels: Array,
    focal: Array,
    centre: Array,
    *,
    steps: int,
    settled: float,
) -> Array:
    """Minimise the squared reprojection error by Levenberg and Marquardt's method.

    Args:
        camera_from_world: ``(4, 4)`` where to start.
        points: ``(N, 3)`` metres.
        pixels: ``(N, 2)`` that see them.
        focal: ``(2,)`` pixels.
        centre: ``(2,)`` pixels.
        steps: At most.
        settled: Share of the cost; what a step changes less is negligible.

    Returns:
        ``(4, 4)``; a pose whose error cannot be lowered is returned as it came.
    """
    rows = np.ascontiguousarray(points.T)  # (3, N)
    target = (pixels - centre).T / focal[:, None]  # (2, N)
    pose, damping = camera_from_world, _LEAST
    hessian, gradient, cost = _equations(pose, rows, target, focal)
    for _ in range(steps):
        damped = hessian + np.diag(damping * hessian.diagonal())
        try:
            step: Array = np.asarray(-np.linalg.solve(damped, gradient), np.float64)
        except np.linalg.LinAlgError:
            step = np.zeros(6)
        trial = _exp(step) @ pose
        found = _equations(trial, rows, target, focal)
        change = cost - found[2]
        if change >= 0:  # False for NaN
            pose, (hessian, gradient, cost) = trial, found
        damping = damping / 10 if change >= 0 else damping * 10
        if abs(change) <= settled * cost or damping > _MOST:
            break
    return pose


def _equations(pose: Array, rows: Array, target: Array, focal: Array) -> tuple[Array, Array, float]:
    """Return J'J ``(6, 6)``, J'r ``(6,)`` and r'r of the reprojection error r; see `refine`."""
    x, y, z = pose[:3, :3] @ rows + pose[:3, 3:]
    inverse = 1 / np.maximum(z, NEAREST)
    a, b = x * inverse, y * inverse
    fx, fy = focal
    residual = np.empty((2, len(a)))
    np.subtract(a, target[0], out=residual[0])
    np.subtract(b, target[1], out=residual[1])
    residual *= focal[:, None]
    product = a * b
    jacobian = np.zeros((6, 2, len(a)))
    np.multiply(inverse, fx, out=jacobian[0, 0])
    np.multiply(inverse, fy, out=jacobian[1, 1])
    np.multiply(jacobian[0, 0], -a, out=jacobian[2, 0])
    np.multiply(jacobian[1, 1], -b, out=jacobian[2, 1])
    np.multiply(product, -fx, out=jacobian[3, 0])
    np.multiply(b * b + 1, -fy, out=jacobian[3, 1])
    np.multiply(a * a + 1, fx, out=jacobian[4, 0])
    np.multiply(product, fy, out=jacobian[4, 1])
    np.multiply(b, -fx, out=jacobian[5, 0])
    np.multiply(a, fy, out=jacobian[5, 1])
    flat, error = jacobian.reshape(6, -1), residual.ravel()
    # no product of matrices: the library behind these would wake a thread on every core
    hessian = np.einsum('in,jn->ij', flat, flat)
    return hessian, np.einsum('in,n->i', flat, error), float(np.einsum('n,n->', error, error))


def _exp(twist: Array) -> Array:
    """Return the motion ``(4, 4)`` of a twist (translation, rotation), as `se3_exp` does."""
    x, y, z = twist[3:]
    cross = np.array(((0.0, -z, y), (z, 0.0, -x), (-y, x, 0.0)))
    square = cross @ cross
    angle = float(np.sqrt(x * x + y * y + z * z))
    if angle < 1e-2:  # the series is exact to the last digit
        t2 = angle * angle
        a = 1 - t2 / 6 * (1 - t2 / 20 * (1 - t2 / 42))
        b = 0.5 - t2 / 24 * (1 - t2 / 30 * (1 - t2 / 56))
        c = 1 / 6 - t2 / 120 * (1 - t2 / 42 * (1 - t2 / 72))
    else:
        a = np.sin(angle) / angle
        b = (1 - np.cos(angle)) / angle**2
        c = (angle - np.sin(angle)) / angle**3
    motion = np.eye(4)
    motion[:3, :3] += a * cross + b * square
    motion[:3, 3] = twist[:3] + b * (cross @ twist[:3]) + c * (square @ twist[:3])
    return motion
