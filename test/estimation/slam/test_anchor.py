"""Fixes that are believed, and corrections that come slowly."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.slam.anchor import Anchor, AnchorSettings, Correction, Fix
from dlcv.geometry.trajectory import rigid

SMALL = np.diag(np.repeat((0.02**2, 0.005**2), 3))


def at(x, y=0.0, yaw=0.0):
    return rigid(Rotation.from_euler('z', yaw).as_matrix(), [x, y, 0.0])


def fix(k, pose):
    return Fix(stamp_ns=k, map_from_camera=pose, covariance=SMALL, keyframe=7)


@pytest.fixture
def found():
    """An anchor that was found at (3, 0) when odometry was at (0, 0)."""
    anchor = Anchor(AnchorSettings(confirmations=2, elsewhere=3))
    for k in range(2):
        anchor.move(at(0), np.zeros((6, 6)))
        anchor.take(fix(k, at(3)))
    assert anchor.sure
    return anchor


def test_fixes_that_contradict_each_other_are_never_believed():
    anchor = Anchor(AnchorSettings(confirmations=2))
    for k in range(10):
        anchor.move(at(0), np.zeros((6, 6)))
        assert anchor.take(fix(k, at(10 * k))) == '1 of 2 fixes that must agree'
    assert anchor.map_from_odom is None
    assert anchor.tie is None


def test_single_wrong_fixes_change_nothing_and_good_ones_correct(found):
    for k in range(2, 30):
        x = 0.1 * k  # odometry's metre is two per cent too long
        found.move(at(1.02 * x), 0.005**2 * np.eye(6))
        if k % 3 == 0:
            assert 'm and' in found.take(fix(k, at(20, 5, 1.0)))
        else:
            assert found.take(fix(k, at(3 + x))) == ''
    assert found.jumps == 0
    assert found.map_from_camera[0, 3] == pytest.approx(5.9, abs=0.02)
    assert 0.001 < np.sqrt(found.covariance[0, 0]) < 0.03
    assert found.tie.keyframe == 7


def test_an_anchor_grows_uncertain_without_fixes(found):
    before = found.covariance[0, 0]
    for k in range(50):
        found.move(at(k), 1e-4 * np.eye(6))
    assert found.covariance[0, 0] > before + 50 * 1e-4
    assert found.map_from_odom[0, 3] == pytest.approx(3)


def test_doubt_keeps_the_pose_but_wants_it_confirmed(found):
    found.doubt(at(0))
    assert found.tie is None
    assert found.map_from_odom[0, 3] == pytest.approx(3)
    assert found.take(fix(9, at(50))) == '1 of 2 fixes that must agree'
    assert found.take(fix(10, at(50))) == ''
    assert found.jumps == 0
    assert found.map_from_odom[0, 3] == pytest.approx(50)


def test_a_correction_moves_the_robot_evenly_however_far_odometry_began():
    correction, body = Correction(), at(100, 0)
    assert correction.at(0) is None
    correction.to(at(0), body, 50, 1000)
    assert np.allclose(correction.at(0), at(0))  # the first is there at once
    target = at(100, 1, 0.5) @ np.linalg.inv(body)
    correction.to(target, body, 100, 1000)
    correction.to(target + 1e-9, body, 300, 1000)  # the same again delays nothing
    half = correction.at(600) @ body
    assert np.allclose(half[:3, 3], (100, 0.5, 0))
    assert np.arctan2(half[1, 0], half[0, 0]) == pytest.approx(0.25)
    assert np.allclose(correction.at(1100), target)
    correction.to(at(5), body, 1200, 0)
    assert np.allclose(correction.at(1200), at(5))
