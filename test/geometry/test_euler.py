"""Euler angles: the three elementary turns written out, round trips, wrapping."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.geometry.euler import euler_to_matrix, matrix_to_euler, wrap


def written_out(a0, a1, a2):
    """Ry(a0) Rx(a1) Rz(a2) by its three matrices."""
    c0, s0, c1, s1, c2, s2 = (f(a) for a in (a0, a1, a2) for f in (np.cos, np.sin))
    ry = np.array([[c0, 0, s0], [0, 1, 0], [-s0, 0, c0]])
    rx = np.array([[1, 0, 0], [0, c1, -s1], [0, s1, c1]])
    rz = np.array([[c2, -s2, 0], [s2, c2, 0], [0, 0, 1]])
    return ry @ rx @ rz


def angles(count: int) -> np.ndarray:
    return np.random.default_rng(2).uniform((-3.1, -1.5, -3.1), (3.1, 1.5, 3.1), (count, 3))


def test_is_the_product_of_its_three_turns():
    a = angles(20)
    np.testing.assert_allclose(euler_to_matrix(a), [written_out(*x) for x in a], atol=1e-12)


def test_positive_heading_turns_to_the_right():
    ahead = euler_to_matrix([np.pi / 2, 0, 0]) @ [0, 0, 1]
    np.testing.assert_allclose(ahead, [1, 0, 0], atol=1e-12)  # x is right, z is forward


def test_round_trip_keeps_leading_shapes():
    a = angles(12).reshape(3, 4, 3)
    matrices = euler_to_matrix(a)
    assert matrices.shape == (3, 4, 3, 3)
    np.testing.assert_allclose(matrix_to_euler(matrices), a, atol=1e-12)
    assert euler_to_matrix(a[0, 0]).shape == (3, 3)


@pytest.mark.parametrize(
    ('angle', 'expected'),
    [
        (0.0, 0.0),
        (np.pi, np.pi),
        (-np.pi, np.pi),
        (1.5 * np.pi, -0.5 * np.pi),
        (-7.0, 2 * np.pi - 7),
    ],
)
def test_wrap(angle, expected):
    assert wrap(angle) == pytest.approx(expected)
