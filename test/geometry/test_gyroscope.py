"""Turns by angular velocities: exact where the rate is, near where it changes, none over gaps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.geometry.gyroscope import GAP_NS, HOLD_NS, turn_between

MS = 10**6


def _apart(one, other):
    return Rotation.from_matrix(one.T @ other).magnitude()


@pytest.mark.parametrize('step', [2, 5, 50])
@pytest.mark.parametrize(('begin', 'end'), [(0, 100), (3, 97), (10, 11)])
def test_a_steady_rate_is_exact(step, begin, end):
    stamps = np.arange(0, 101, step) * MS
    rate = np.array([0.3, -1.0, 2.0])
    turn = turn_between(stamps, np.tile(rate, (len(stamps), 1)), begin * MS, end * MS)
    expected = Rotation.from_rotvec(rate * (end - begin) / 1e3).as_matrix()
    assert _apart(turn, expected) < 1e-9


def test_two_halves_make_the_whole():
    stamps = np.arange(0, 201, 5) * MS
    rates = np.random.default_rng(0).normal(0, 1, (len(stamps), 3))
    first, last = (turn_between(stamps, rates, a * MS, b * MS) for a, b in ((10, 85), (85, 190)))
    assert _apart(first @ last, turn_between(stamps, rates, 10 * MS, 190 * MS)) < 1e-9


def test_a_changing_rate_is_followed():
    """Against the same sum in a thousand times finer steps."""

    def rate(seconds):
        return np.stack([np.sin(9 * seconds), np.cos(7 * seconds), 2 * seconds], axis=-1)

    stamps = np.arange(0, 301, 5) * MS
    turn = turn_between(stamps, rate(stamps / 1e9), 0, 300 * MS)
    fine = np.linspace(0, 0.3, 60001)
    middle = 0.5 * (fine[1:] + fine[:-1])
    steps = Rotation.from_rotvec(rate(middle) * np.diff(fine)[:, None])
    expected = np.eye(3)
    for step in steps.as_matrix():
        expected = expected @ step
    assert _apart(turn, expected) < 1e-4


@pytest.mark.parametrize(
    ('stamps', 'begin', 'end'),
    [
        ([], 0, 10 * MS),
        ([0, 10 * MS], 0, 10 * MS + HOLD_NS + 1),
        ([HOLD_NS + 1, HOLD_NS + 10 * MS], 0, 20 * MS),
        ([0, GAP_NS + 1], 10 * MS, 20 * MS),
        ([-500 * MS], 0, 20 * MS),
        ([500 * MS], 0, 20 * MS),
    ],
)
def test_over_a_gap_nobody_knows(stamps, begin, end):
    stamps = np.array(stamps, np.int64)
    assert turn_between(stamps, np.ones((len(stamps), 3)), begin, end) is None


def test_a_rate_holds_for_a_moment_outside():
    stamps = np.array([10, 20], np.int64) * MS
    turn = turn_between(stamps, np.array([[0, 0, 1.0], [0, 0, 1.0]]), 0, 30 * MS)
    assert _apart(turn, Rotation.from_rotvec([0, 0, 0.03]).as_matrix()) < 1e-9
