"""Trajectory errors against other tools' numbers, and against a slow second implementation.

The numbers are of evo 1.38.1 (APE and RPE, all pairs, with its tolerance of a tenth) and kiss-icp
1.3.0 (the KITTI metric), computed once for the trajectories of `ways`.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.metrics.trajectory import PosePairs, absolute_errors, align, drift, relative_errors


def poses(turns, positions):
    found = np.tile(np.eye(4), (len(turns), 1, 1))
    found[:, :3, :3] = Rotation.from_euler('ZYX', turns).as_matrix()
    found[:, :3, 3] = positions
    return found


def ways(count, step):
    """A winding drive, and an estimate that shakes, is turned, and is too short, less and less."""
    t = np.arange(count) / 20
    heading = 0.8 * np.sin(t / 3) + 0.1 * t
    turns = np.stack((heading, 0.05 * np.sin(t), 0.03 * np.cos(2 * t)), axis=1)
    ahead = np.stack((np.cos(heading), np.sin(heading), 0.1 * np.sin(t)), axis=1)
    true = poses(turns, step * np.cumsum(ahead, axis=0))
    off = np.stack((0.02 * np.sin(5 * t), 0.003 * t, 0.02 * np.cos(3 * t)), axis=1)
    shaken = 0.3 * np.stack((np.sin(7 * t), np.cos(4 * t), np.sin(11 * t)), axis=1)
    positions = step * np.cumsum(ahead * (0.9 + 0.002 * t[:, None]), axis=0) + shaken * step
    world = Rotation.from_rotvec((0.3, -0.2, 1.1)).as_matrix()
    estimate = poses(turns + off, positions)
    estimate[:, :3, :3] = world @ estimate[:, :3, :3]
    estimate[:, :3, 3] = estimate[:, :3, 3] @ world.T + (3, -2, 1)
    return PosePairs(stamps_ns=np.arange(count), estimate=estimate, truth=true)


# Other tools' numbers

EVO_APE = [
    ('none', 31.3674599411, 66.2272058839),
    ('origin', 3.19452854822, 1.99520050445),
    ('se3', 1.59662905511, 1.30061003789),
    ('sim3', 0.203080104995, 1.30061003789),
]
EVO_RPE = [
    ('none', 1, 'frames', 'truth', 0.0864071895742, 0.237523590655),
    ('none', 7, 'frames', 'truth', 0.468495230419, 1.49687773532),
    ('none', 5, 'metres', 'truth', 0.572810842988, 1.91020401685),
    ('none', 5, 'metres', 'estimate', 0.610895676707, 2.00172331855),
    ('origin', 7, 'frames', 'truth', 0.468495230419, 1.49687773532),
    ('se3', 5, 'metres', 'estimate', 0.610895676707, 2.00172331855),
    ('sim3', 1, 'frames', 'truth', 0.0799236269283, 0.237523590655),
    ('sim3', 7, 'frames', 'truth', 0.356456380721, 1.49687773532),
    ('sim3', 5, 'metres', 'truth', 0.339069605712, 1.91020401685),
    ('sim3', 5, 'metres', 'estimate', 0.340465762013, 1.90297916542),
]
KISS_T_REL, KISS_R_REL = 8.307093620300293, 0.8599813096225262  # percent, degrees per 100 m


@pytest.mark.parametrize(('alignment', 'metres', 'degrees'), EVO_APE)
def test_absolute_errors_are_those_of_evo(alignment, metres, degrees):
    found = absolute_errors(ways(120, 0.5), alignment)
    assert found.rmse == pytest.approx(metres, abs=1e-9)
    assert found.rmse_degrees == pytest.approx(degrees, abs=1e-7)


@pytest.mark.parametrize(('alignment', 'delta', 'unit', 'along', 'metres', 'degrees'), EVO_RPE)
def test_relative_errors_are_those_of_evo(alignment, delta, unit, along, metres, degrees):
    found = relative_errors(
        ways(120, 0.5), delta=delta, unit=unit, alignment=alignment, along=along
    )
    assert found.rmse == pytest.approx(metres, abs=1e-9)
    assert found.rmse_degrees == pytest.approx(degrees, abs=1e-7)


def test_poses_of_few_digits_count_as_evo_counts_them():
    """Files print few digits: a rotation that is none to the last is inverted by transposing."""
    exact = ways(120, 5.0)
    coarse = PosePairs(
        stamps_ns=exact.stamps_ns, estimate=exact.estimate.round(5), truth=exact.truth.round(5)
    )
    found = relative_errors(coarse, delta=100, alignment='origin')
    assert found.rmse == pytest.approx(45.4505684334, abs=1e-9)


def test_drift_is_that_of_kiss_icp():
    found = drift(ways(400, 3.0))
    assert found.t_rel == pytest.approx(KISS_T_REL, rel=1e-6)  # it counts in single precision
    assert found.r_rel == pytest.approx(KISS_R_REL * 3.14 / math.pi, rel=1e-6)  # its pi is 3.14


# A second implementation, by other means: quaternions for matrices, loops for arrays


def horn(estimate, truth, scaled):
    """Return scale, rotation and translation (Horn 1987, by the greatest eigenvector)."""
    a, b = estimate - estimate.mean(axis=0), truth - truth.mean(axis=0)
    (xx, xy, xz), (yx, yy, yz), (zx, zy, zz) = a.T @ b
    table = [
        [xx + yy + zz, yz - zy, zx - xz, xy - yx],
        [yz - zy, xx - yy - zz, xy + yx, zx + xz],
        [zx - xz, xy + yx, yy - xx - zz, yz + zy],
        [xy - yx, zx + xz, yz + zy, zz - xx - yy],
    ]
    w, x, y, z = np.linalg.eigh(np.array(table))[1][:, -1]
    turn = Rotation.from_quat([x, y, z, w])
    scale = sum(p @ q for p, q in zip(turn.apply(a), b, strict=True)) / sum(p @ p for p in a)
    scale = scale if scaled else 1.0
    return scale, turn, truth.mean(axis=0) - scale * turn.apply(estimate.mean(axis=0))


def motion(first, second):
    """Return turn and way from one pose to another, in the axes of the first."""
    back = Rotation.from_matrix(first[:3, :3]).inv()
    return back * Rotation.from_matrix(second[:3, :3]), back.apply(second[:3, 3] - first[:3, 3])


def difference(found, true):
    """Return metres and degrees between two motions, seen from the end of the true one."""
    turn = true[0].inv() * found[0]
    return np.linalg.norm(found[1] - true[1]), math.degrees(turn.magnitude())


def walked(truth, start, end):
    return sum(
        math.dist(a[:3, 3], b[:3, 3])
        for a, b in zip(truth[start:end], truth[start + 1 : end + 1], strict=True)
    )


@pytest.fixture(params=range(3))
def noisy(request):
    """A random walk and an estimate of it with nothing in common but its shape."""
    rng = np.random.default_rng(request.param)
    true, found = [np.eye(4)], [poses(rng.normal(size=(1, 3)), rng.normal(size=(1, 3)))[0]]
    for _ in range(79):
        step = poses(rng.normal(0, 0.1, (1, 3)), [rng.normal((4, 0, 0), 0.5)])[0]
        error = poses(rng.normal(0, 0.02, (1, 3)), rng.normal(0, 0.1, (1, 3)))[0]
        true.append(true[-1] @ step)
        found.append(found[-1] @ step @ error)
    estimate = np.stack(found)
    estimate[:, :3, 3] *= 0.7
    return PosePairs(stamps_ns=np.arange(80), estimate=estimate, truth=np.stack(true))


@pytest.mark.parametrize('alignment', ['se3', 'sim3'])
def test_absolute_errors_by_horns_quaternion(noisy, alignment):
    here, there = noisy.estimate[:, :3, 3], noisy.truth[:, :3, 3]
    scale, turn, shift = horn(here, there, alignment == 'sim3')
    found = absolute_errors(noisy, alignment)
    assert align(noisy, alignment).scale == pytest.approx(scale)
    for i, (p, q) in enumerate(zip(noisy.estimate, noisy.truth, strict=True)):
        moved = scale * turn.apply(p[:3, 3]) + shift
        assert found.metres[i] == pytest.approx(math.dist(moved, q[:3, 3]), abs=1e-9)
        off = Rotation.from_matrix(q[:3, :3]).inv() * turn * Rotation.from_matrix(p[:3, :3])
        assert found.degrees[i] == pytest.approx(math.degrees(off.magnitude()), abs=1e-7)


def test_relative_errors_one_by_one(noisy):
    found = relative_errors(noisy, delta=20, unit='metres')
    slow = []
    for start in range(79):
        ends = range(start + 1, 80)
        end = min(ends, key=lambda e: abs(walked(noisy.truth, start, e) - 20))
        if abs(walked(noisy.truth, start, end) - 20) <= 2:
            both = (motion(way[start], way[end]) for way in (noisy.estimate, noisy.truth))
            slow.append(difference(*both))
    np.testing.assert_allclose(np.transpose(slow), (found.metres, found.degrees), atol=1e-7)


def test_drift_stretch_by_stretch(noisy):
    slow = []
    for start in range(0, 80, 10):
        for length in (100, 200, 300):
            ends = (e for e in range(start, 80) if walked(noisy.truth, start, e) > length)
            if (end := next(ends, None)) is not None:
                both = (motion(way[start], way[end]) for way in (noisy.estimate, noisy.truth))
                metres, degrees = difference(*both)
                slow.append((100 * metres / length, 100 * degrees / length))
    found = drift(noisy)
    assert len(found.segments) == len(slow) > 8
    t_rel, r_rel = np.mean(slow, axis=0)
    assert (found.t_rel, found.r_rel) == pytest.approx((t_rel, r_rel), rel=1e-9)
