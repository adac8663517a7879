"""Gradients and information of a window, against differences of its cost."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.bundle import Grid, MotionPriors, State
from dlcv.estimation.odometry.reprojection import BEHIND
from dlcv.estimation.odometry.robust import cost

PIXEL = 1 / 500


def state_of(scene, rng, noise):
    """Return a state of everything there is: noise of all kinds, priors of all kinds."""
    cameras, count = len(scene.poses), len(scene.anchor)
    order = np.argsort(scene.anchor, kind='stable')
    anchor = scene.anchor[order]
    xy = np.stack([scene.seen(pose, order).T for pose in scene.poses], 1)
    unseen = (np.arange(cameras)[:, None] == anchor) | (rng.random((cameras, count)) < 0.3)
    turns = np.stack(
        [a[:3, :3].T @ b[:3, :3] for a, b in zip(scene.poses, scene.poses[1:], strict=False)]
    )
    way = np.linalg.norm(np.diff(scene.poses[:, :3, 3], axis=0), axis=1)
    grid = Grid(
        bounds=np.searchsorted(anchor, np.arange(cameras + 1)),
        anchor=anchor,
        rays=np.vstack((scene.rays[order].T, np.ones(count))),
        ray_stddev=np.full(count, PIXEL),
        depth=scene.inverse_depth[order] * (1 + noise * rng.normal(size=count)),
        depth_stddev=np.where(rng.random(count) < 0.3, np.inf, 0.05),
        xy=xy + noise * PIXEL * rng.normal(size=xy.shape),
        stddev=np.where(unseen, np.inf, PIXEL),
        motion=MotionPriors(
            turn=turns,
            turn_stddev=np.full(cameras - 1, 0.01),
            length=way,
            length_stddev=np.full(cameras - 1, 0.05),
        ),
        fixed=1,
    )
    state = State(grid, scene.poses, np.zeros((2, count)), scene.inverse_depth[order])
    size = 6 * (cameras - 1)
    return state.moved(
        0.02 * noise * rng.normal(size=size),
        noise * np.array([[0.3], [0.3], [0.02]]) * rng.normal(size=(3, count)),
    )


def moved(state, x):
    size = 6 * (len(state.poses) - 1)
    return state.moved(x[:size], x[size:].reshape(3, -1))


def gradient_of(equations):
    return np.concatenate((equations.poses_gradient, equations.landmarks_gradient.ravel()))


@pytest.mark.parametrize('kernel', ['huber', 'cauchy'])
@pytest.mark.parametrize('width', [1.0, 4.0])
def test_the_gradient_is_what_differences_of_the_cost_say(scenes, kernel, width):
    scene = scenes(0, cameras=4, landmarks=12)
    state = state_of(scene, np.random.default_rng(0), 1.0)
    size = 18 + 36
    step = 1e-6
    found = [
        (moved(state, d).cost(kernel, width) - moved(state, -d).cost(kernel, width)) / (4 * step)
        for d in step * np.eye(size)
    ]
    expected = gradient_of(state.normal(kernel, width))
    assert np.abs(expected).max() > 100
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_the_information_is_what_differences_of_the_gradient_say(scenes):
    scene = scenes(1, cameras=4, landmarks=12)
    state = state_of(scene, np.random.default_rng(1), 0.0)  # without residuals the two agree
    step = 1e-6
    found = np.stack(
        [
            (gradient_of(moved(state, d).normal('truncated', 1.0))
             - gradient_of(moved(state, -d).normal('truncated', 1.0))) / (2 * step)
            for d in step * np.eye(18 + 36)
        ]
    )  # fmt: skip
    equations = state.normal('truncated', 1.0)
    expected = np.zeros((54, 54))
    expected[:18, :18] = equations.poses
    expected[:18, 18:] = equations.cross.transpose(1, 0, 2).reshape(18, 36)
    expected[18:, :18] = expected[:18, 18:].T
    for n in range(12):
        own = 18 + n + 12 * np.arange(3)
        expected[np.ix_(own, own)] = equations.landmarks[..., n]
    root = np.sqrt(np.diag(expected))
    np.testing.assert_allclose(found / np.outer(root, root), expected / np.outer(root, root),
                               atol=1e-5)  # fmt: skip


def test_what_is_not_seen_costs_nothing_and_what_is_behind_costs_much(scenes):
    scene = scenes(0, cameras=4, landmarks=12)
    state = state_of(scene, np.random.default_rng(0), 0.0)
    unseen = np.isinf(state.grid.stddev)
    assert (state.squared[unseen] == 0).all()
    assert state.cost('cauchy', 1.0) == pytest.approx(0, abs=1e-12)
    near = State(state.grid, state.poses, state.bend, np.full(12, 50.0))
    behind = ~near.ahead & ~unseen
    assert behind.any()
    assert (near.squared[behind] >= BEHIND).all()
    assert near.cost('cauchy', 1.0) >= cost(np.full(behind.sum(), BEHIND), 'cauchy')
    assert np.isfinite(gradient_of(near.normal('cauchy', 1.0))).all()
