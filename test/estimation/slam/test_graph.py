"""The graph of a map: exact solutions, a slow reference, derivatives, and loops that are wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from dlcv.estimation.slam.equations import Edges, residuals
from dlcv.estimation.slam.graph import solve


def ring(count=24, radius=3.0, seed=0):
    """Return poses ``(N, 4, 4)`` once round a ring, each turned a little at random."""
    rng = np.random.default_rng(seed)
    angle = 2 * np.pi * np.arange(count) / count
    poses = np.tile(np.eye(4), (count, 1, 1))
    turns = np.stack((0 * angle, 0 * angle, angle), 1) + rng.normal(0, 0.1, (count, 3))
    poses[:, :3, :3] = Rotation.from_rotvec(turns).as_matrix()
    poses[:, :3, 3] = radius * np.stack((np.cos(angle), np.sin(angle), 0.1 * np.sin(3 * angle)), 1)
    return np.linalg.inv(poses[0]) @ poses


def measured(poses, pairs, logs=None, seed=None, doubted=()):
    """Return edges between pairs of poses, exact or with noise of a covariance of its own."""
    rng = np.random.default_rng(seed or 0)
    older, newer = np.array(pairs).T
    logs = np.zeros(len(poses)) if logs is None else logs
    motion = np.linalg.inv(poses[older]) @ poses[newer]
    motion[:, :3, 3] *= np.exp(-logs[older])[:, None]
    roots = rng.normal(0, 0.001, (len(pairs), 7, 7)) + 0.01 * np.eye(7)
    covariance = roots @ np.swapaxes(roots, 1, 2)
    log_scale = logs[newer] - logs[older]
    if seed is not None:
        error = np.einsum('eij,ej->ei', roots, rng.normal(size=(len(pairs), 7)))
        turns = Rotation.from_rotvec(error[:, 3:6]) * Rotation.from_matrix(motion[:, :3, :3])
        motion[:, :3, :3] = turns.as_matrix()
        motion[:, :3, 3] += error[:, :3]
        log_scale = log_scale + error[:, 6]
    return Edges(
        older=older,
        newer=newer,
        motion=motion,
        log_scale=log_scale,
        covariance=covariance,
        doubted=np.isin(np.arange(len(pairs)), doubted),
    )


def chained(edges, count):
    """Return poses that only the first edges, one from each to the next, say."""
    poses = [np.eye(4)]
    for k in range(count - 1):
        poses.append(poses[-1] @ edges.motion[k])
    return np.stack(poses)


def odometry(count):
    return [(k, k + 1) for k in range(count - 1)]


@pytest.mark.parametrize('scaled', [False, True])
def test_measurements_without_noise_are_met_exactly(scaled):
    truth = ring()
    logs = 0.02 * np.arange(24) if scaled else np.zeros(24)
    edges = measured(truth, [*odometry(24), (0, 23), (3, 15)], logs)
    rng = np.random.default_rng(1)
    start = truth.copy()
    start[1:, :3, 3] += rng.normal(0, 0.3, (23, 3))
    turns = Rotation.from_rotvec(rng.normal(0, 0.2, (23, 3)))
    start[1:, :3, :3] = turns.as_matrix() @ start[1:, :3, :3]

    found = solve(start, edges, scaled=scaled)

    assert np.allclose(found.poses, truth, atol=1e-7)
    assert np.allclose(found.log_scale, logs, atol=1e-7)
    assert found.cost < 1e-9


@pytest.mark.parametrize('scaled', [False, True])
def test_derivatives_are_those_of_finite_differences(scaled):
    size, step = 6 + scaled, 1e-6
    poses, logs = ring(4, seed=2), np.array([0.0, 0.1, -0.2, 0.3])
    edges = measured(ring(4, seed=5), [(0, 1), (2, 1), (3, 0)], -logs)
    _, by_older, by_newer = residuals(poses, logs, edges, size)
    for ends, found in ((edges.older, by_older), (edges.newer, by_newer)):
        for k in range(size):
            both = []
            for sign in (1, -1):
                moved, units = poses.copy(), logs.copy()
                delta = np.zeros(7)
                delta[k] = sign * step
                for e, end in enumerate(ends):
                    moved, units = poses.copy(), logs.copy()
                    moved[end, :3, 3] += delta[:3]
                    turn = Rotation.from_rotvec(delta[3:6]).as_matrix()
                    moved[end, :3, :3] = turn @ moved[end, :3, :3]
                    units[end] += delta[6]
                    both.append(residuals(moved, units, edges, size)[0][e])
            up, down = np.reshape(both, (2, len(ends), size))
            assert np.allclose((up - down) / (2 * step), found[:, :, k], atol=1e-7)


@pytest.mark.parametrize('scaled', [False, True])
def test_noise_is_shared_out_as_by_dense_least_squares(scaled):
    size, count = 6 + scaled, 8
    truth = ring(count)
    edges = measured(truth, [*odometry(count), (0, 7), (1, 5)], seed=3)
    start = chained(edges, count)
    roots = np.linalg.cholesky(np.linalg.inv(edges.covariance[:, :size, :size]))

    def state(x):
        x = x.reshape(-1, size)
        poses = start.copy()
        poses[1:, :3, 3] += x[:, :3]
        poses[1:, :3, :3] = Rotation.from_rotvec(x[:, 3:6]).as_matrix() @ poses[1:, :3, :3]
        logs = np.zeros(count)
        logs[1:] = x[:, 6] if scaled else 0
        return poses, logs

    def errors(x):
        return np.einsum('eji,ej->ei', roots, residuals(*state(x), edges, size)[0]).ravel()

    slow = least_squares(errors, np.zeros((count - 1) * size), xtol=1e-14, ftol=1e-14, gtol=1e-14)
    expected, logs = state(slow.x)

    found = solve(start, edges, scaled=scaled)

    assert np.isclose(found.cost, 2 * slow.cost)
    assert np.allclose(found.poses, expected, atol=1e-5)
    assert np.allclose(found.log_scale, logs, atol=1e-5)
    covariance = np.linalg.inv(slow.jac.T @ slow.jac)  # of turns about the start: nearly the same
    ours = found.covariance(np.array([0, 4]))
    assert not ours[:size].any()
    block = covariance[3 * size : 4 * size, 3 * size : 4 * size]
    assert np.allclose(ours[size:, size:], block, rtol=0.05, atol=0.05 * np.abs(block).max())


def test_the_covariance_between_keyframes_is_that_of_the_only_edge():
    truth = ring(5)
    edges = measured(truth, odometry(5))
    found = solve(truth, edges)
    assert np.allclose(found.relative_covariance(2, 3), edges.covariance[2, :6, :6], atol=1e-9)
    chain = found.relative_covariance(1, 3)
    assert np.trace(chain) > np.trace(edges.covariance[2, :6, :6])


def test_false_loops_do_not_bend_the_map():
    count = 60
    truth = ring(count)
    true = [(0, 58), (1, 59), (2, 57)]
    edges = measured(truth, [*odometry(count), *true, (5, 40), (10, 50), (11, 51)], seed=7,
                     doubted=range(count - 1, count + 5))  # fmt: skip
    edges.motion[-3:] = np.eye(4)  # other places that look the same
    good = np.arange(len(edges)) < len(edges) - 3
    only = solve(chained(edges, count), _some(edges, good))

    found = solve(chained(edges, count), edges)

    assert found.weights[-6:].tolist() == [1, 1, 1, 0, 0, 0]
    assert np.allclose(found.poses, only.poses, atol=1e-6)
    far = np.linalg.norm(chained(edges, count)[:, :3, 3] - truth[:, :3, 3], axis=1).max()
    assert np.linalg.norm(found.poses[:, :3, 3] - truth[:, :3, 3], axis=1).max() < far


def test_a_false_loop_alone_does_not_bend_the_map():
    count = 40
    truth = ring(count)
    edges = measured(truth, [*odometry(count), (0, 20)], seed=4, doubted=[count - 1])
    edges.motion[-1] = np.eye(4)
    start = chained(edges, count)
    found = solve(start, edges)
    assert found.weights[-1] == 0
    assert np.allclose(found.poses, start, atol=1e-6)


def test_parts_that_do_not_hang_together_each_stay_where_they_are():
    truth = ring(6)
    edges = measured(truth, [(0, 1), (1, 2), (3, 4), (4, 5)], seed=1)
    found = solve(truth, edges)
    assert np.array_equal(found.poses[[0, 3]], truth[[0, 3]])
    assert np.isclose(found.cost, 0, atol=1e-9)


def test_edges_that_cannot_be_are_refused():
    truth = ring(3)
    edges = measured(truth, [(0, 1), (1, 2)])
    with pytest.raises(ValueError, match='newer must be one of 2 keyframes, got 1 to 2'):
        solve(truth[:2], edges)
    with pytest.raises(ValueError, match='positive definite'):
        solve(truth, replace(edges, covariance=np.zeros((2, 7, 7))))


def _some(edges, which):
    return Edges(**{
        name: getattr(edges, name)[which]
        for name in ('older', 'newer', 'motion', 'log_scale', 'covariance', 'doubted')
    })  # fmt: skip
