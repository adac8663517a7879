"""Shares, medians and false accepts have known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.metrics.relocalization import (
    BOUNDS,
    RelocalizationMetricError,
    false_accepts,
    relocalizations,
)


def pose(metres=0.0, degrees=0.0, seed=0):
    """A pose that is off by so much, in some direction, from the identity."""
    rng = np.random.default_rng(seed)
    axis, way = rng.normal(size=(2, 3))
    matrix = np.eye(4)
    turn = np.radians(degrees) * axis / np.linalg.norm(axis)
    matrix[:3, :3] = Rotation.from_rotvec(turn).as_matrix()
    matrix[:3, 3] = metres * way / np.linalg.norm(way)
    return matrix


def test_known_errors_wherever_the_camera_is():
    places = [pose(10, 100, seed) for seed in range(4)]
    off = [(0.01, 1), (0.04, 6), (0.06, 4), (3, 170)]
    shifts = [pose(*error, seed) for seed, error in enumerate(off, start=10)]
    found = []
    for place, shift in zip(places, shifts, strict=True):
        moved = place.copy()
        moved[:3, :3] = place[:3, :3] @ shift[:3, :3]
        moved[:3, 3] = place[:3, 3] + shift[:3, 3]
        found.append(moved)
    errors = relocalizations(found, places)
    np.testing.assert_allclose(np.stack([errors.metres, errors.degrees], 1), off, rtol=1e-6)
    assert [errors.within(*bounds) for bounds in BOUNDS] == [0.25, 0.75, 0.25]
    assert errors.medians == pytest.approx((0.05, 5))
    assert errors.answered == 1


def test_a_frame_without_answer_counts_as_wrong():
    errors = relocalizations([np.eye(4), None, None], [np.eye(4)] * 3)
    assert errors.answered == pytest.approx(1 / 3)
    assert errors.within(1, 1) == pytest.approx(1 / 3)
    assert errors.medians == (math.inf, math.inf)
    with pytest.raises(RelocalizationMetricError, match='1 answers for 2 true poses'):
        relocalizations([None], [np.eye(4)] * 2)


def test_answers_from_elsewhere():
    assert false_accepts([None, np.eye(4), None, None]) == 0.25
    assert math.isnan(false_accepts([]))
    assert math.isnan(relocalizations([], []).within(1, 1))
