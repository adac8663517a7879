"""Elimination against the whole system, which is small here."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.schur import NormalEquations

POSES, LANDMARKS = 12, 7
FLOOR, LANDMARKS_FLOOR = 1e-3, 1e-4


@pytest.fixture
def system():
    """Return the whole information and gradient, and the same in parts."""
    rng = np.random.default_rng(0)
    rows = []
    for landmark in range(LANDMARKS):
        row = np.zeros((6, POSES + 3 * LANDMARKS))
        row[:, :POSES] = rng.normal(size=(6, POSES))
        own = POSES + 3 * landmark
        row[:, own : own + 3] = rng.normal(size=(6, 3))
        rows.append(row)
    jacobian = np.concatenate(rows)
    whole, gradient = jacobian.T @ jacobian, jacobian.T @ rng.normal(size=len(jacobian))
    own = whole[POSES:, POSES:].reshape(LANDMARKS, 3, LANDMARKS, 3)
    parts = NormalEquations(
        poses=whole[:POSES, :POSES],
        poses_gradient=gradient[:POSES],
        landmarks=np.stack([own[n, :, n] for n in range(LANDMARKS)], -1),
        landmarks_gradient=gradient[POSES:].reshape(LANDMARKS, 3).T,
        cross=whole[:POSES, POSES:].reshape(POSES, LANDMARKS, 3).transpose(2, 0, 1),
        poses_floor=np.full(POSES, FLOOR),
        landmarks_floor=LANDMARKS_FLOOR,
    )
    floors = np.repeat((FLOOR, LANDMARKS_FLOOR), (POSES, 3 * LANDMARKS))
    return whole, gradient, floors, parts


@pytest.mark.parametrize('damping', [0.0, 1e-3, 10.0])
def test_the_step_is_that_of_the_whole_system(system, damping):
    whole, gradient, floors, parts = system
    expected = -np.linalg.solve(whole + np.diag(damping * np.diag(whole) + floors), gradient)
    poses, landmarks = parts.reduced(damping).step()
    np.testing.assert_allclose(poses, expected[:POSES], rtol=1e-8)
    np.testing.assert_allclose(landmarks.T.ravel(), expected[POSES:], rtol=1e-8)


def test_covariances_are_those_of_the_whole_system(system):
    whole, _, floors, parts = system
    covariance = np.linalg.inv(whole + np.diag(floors))
    reduced = parts.reduced()
    poses = reduced.covariance(1e-12)
    np.testing.assert_allclose(poses, covariance[:POSES, :POSES], rtol=1e-7)
    depths = np.diag(covariance)[POSES + 2 :: 3]
    np.testing.assert_allclose(reduced.depth_variance(poses), depths, rtol=1e-7)
    alone = np.linalg.inv((whole + np.diag(floors))[POSES:, POSES:])
    certain = reduced.depth_variance(np.zeros((POSES, POSES)))
    np.testing.assert_allclose(certain, np.diag(alone)[2::3], rtol=1e-8)


def test_a_direction_that_nothing_tells_of_is_as_wide_as_the_floor(system):
    _, _, _, parts = system
    blind = NormalEquations(
        poses=np.zeros((POSES, POSES)),
        poses_gradient=np.zeros(POSES),
        landmarks=parts.landmarks,
        landmarks_gradient=parts.landmarks_gradient,
        cross=np.zeros_like(parts.cross),
        poses_floor=np.zeros(POSES),
        landmarks_floor=LANDMARKS_FLOOR,
    )
    np.testing.assert_allclose(blind.reduced().covariance(FLOOR), np.eye(POSES) / FLOOR)
