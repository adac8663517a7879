"""Small errors of poses: what they do, and how logarithms follow."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import hat, moved_by, turn_jacobian


def exp(vector):
    return Rotation.from_rotvec(vector).as_matrix()


def test_a_step_shifts_and_turns_in_the_axes_of_the_fixed_frame():
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = exp([0.3, -0.2, 1.0]), (1, 2, 3)
    moved = moved_by(pose, np.array([0.1, 0.2, 0.3, 0, 0, np.pi / 2]))
    np.testing.assert_allclose(moved[:3, 3], (1.1, 2.2, 3.3))
    np.testing.assert_allclose(moved[0, :3], -pose[1, :3], atol=1e-12)
    np.testing.assert_array_equal(pose[:3, 3], (1, 2, 3))


def test_hat_is_the_cross_product():
    a, b = np.random.default_rng(0).normal(size=(2, 3))
    np.testing.assert_allclose(hat(a) @ b, np.cross(a, b))


@pytest.mark.parametrize('angle', [0.0, 1e-5, 0.1, 2.0])
def test_the_logarithm_turns_as_its_jacobian_says(angle):
    turn = angle * np.array([0.6, -0.64, 0.48])
    step = 1e-6 * np.eye(3)
    found = [
        Rotation.from_matrix(exp(d) @ exp(turn)).as_rotvec()
        - Rotation.from_matrix(exp(-d) @ exp(turn)).as_rotvec()
        for d in step
    ]
    np.testing.assert_allclose(turn_jacobian(turn), np.stack(found, 1) / 2e-6, atol=1e-8)
