"""A scene of points with descriptors, and what a camera on its way round sees of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.slam.mapping import Mapper, View
from dlcv.types import Camera

CAMERA = Camera(width=160, height=120, fx=90.0, fy=90.0, cx=79.5, cy=59.5)
UPRIGHT = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # optical axes that look along x


@dataclass
class Scene:
    """Points on the walls of a round room, each of its own look."""

    points: np.ndarray
    descriptors: np.ndarray

    @classmethod
    def room(cls, seed=0, count=1400, radius=5.0, width=32, alike=1):
        """Return a room; ``alike`` of its parts look the same."""
        rng = np.random.default_rng(seed)
        angle = rng.uniform(0, 2 * np.pi, count)
        far = radius * rng.uniform(0.9, 1.3, count)
        points = np.stack((far * np.cos(angle), far * np.sin(angle), rng.uniform(-2, 2, count)), 1)
        looks = rng.normal(size=(count, width))
        points, looks = np.tile(points, (alike, 1)), np.tile(looks, (alike, 1))
        part = Rotation.from_euler('z', 2 * np.pi * np.repeat(np.arange(alike), count) / alike)
        points = part.apply(points)
        return cls(points, (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype('f4'))

    def view(self, pose, stamp_ns=0, rng=None, noise=0.3, depth=True):
        """Return what a camera at a pose sees; a place is the sum of the looks in it."""
        rng = rng or np.random.default_rng(stamp_ns)
        seen = (self.points - pose[:3, 3]) @ pose[:3, :3]
        z = np.maximum(seen[:, 2], 1e-3)
        xy = seen[:, :2] / z[:, None] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
        inside = (seen[:, 2] > 0.2) & (xy > 0).all(1) & (xy < (160, 120)).all(1)
        rows = np.flatnonzero(inside)
        z = z[rows]
        looks = self.descriptors[rows] + rng.normal(0, 0.03, (len(rows), len(self.descriptors.T)))
        looks = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype('f4')
        place = looks.sum(0) if len(looks) else np.ones(looks.shape[1])
        inverse = 1 / (z * (1 + rng.normal(0, 0.01, len(z))))
        return View(
            stamp_ns=stamp_ns,
            camera=CAMERA,
            xy=(xy[rows] + rng.normal(0, noise, (len(rows), 2))).astype('f4'),
            descriptors=looks,
            inverse_depth=inverse if depth else np.full(len(z), np.nan),
            inverse_stddev=0.01 / z if depth else np.full(len(z), np.nan),
            place=(place / np.linalg.norm(place)).astype('f4'),
        )


def rounds(turns=1.3, count=110, radius=2.0):
    """Return poses ``(T, 4, 4)`` round the room, looking ahead and a little outward."""
    angle = np.linspace(0, 2 * np.pi * turns, count)
    poses = np.tile(np.eye(4), (count, 1, 1))
    yaw = Rotation.from_euler('z', angle + np.pi / 2 - 0.5)
    poses[:, :3, :3] = yaw.as_matrix() @ UPRIGHT
    poses[:, :2, 3] = radius * np.stack((np.cos(angle), np.sin(angle)), 1)
    poses[:, 2, 3] = 0.1 * np.sin(2 * angle)
    return poses


def drifting(truth, turn=0.004, scale=1.0, seed=0):
    """Return odometry of a way, each step turned a little at random, and what a step adds."""
    rng = np.random.default_rng(seed)
    poses = [np.eye(4)]
    for before, after in pairwise(truth):
        step = np.linalg.solve(before, after)
        step[:3, :3] = step[:3, :3] @ Rotation.from_rotvec(rng.normal(0, turn, 3)).as_matrix()
        step[:3, 3] *= scale ** len(poses)
        poses.append(poses[-1] @ step)
    return np.stack(poses), np.diag(np.repeat((1e-3**2, turn**2), 3))


def mapped(scene, truth, odometry, covariance, mapper=None, **viewing):
    """Return a mapper that was shown a way, and the edges of its loops."""
    mapper, closed = mapper or Mapper(), []
    for k, (true, odom) in enumerate(zip(truth, odometry, strict=True)):
        if mapper.step(k, odom, covariance):
            closed += mapper.keep(scene.view(true, k, **viewing))
    mapper.finish()
    return mapper, closed


def off(poses, truth):
    """Return the RMS distance of positions after the best rigid motion between both."""
    a, b = poses[:, :3, 3], truth[:, :3, 3]
    turn, _ = Rotation.align_vectors(b - b.mean(0), a - a.mean(0))
    return float(np.sqrt(np.square(turn.apply(a - a.mean(0)) - b + b.mean(0)).sum(1).mean()))


@pytest.fixture(scope='session')
def lab():
    """All of the above, and a room that was walked through once and a bit more."""
    scene, truth = Scene.room(), rounds()
    odometry, covariance = drifting(truth)
    mapper, closed = mapped(scene, truth, odometry, covariance)
    return SimpleNamespace(
        Scene=Scene,
        rounds=rounds,
        drifting=drifting,
        mapped=mapped,
        off=off,
        scene=scene,
        truth=truth,
        odometry=odometry,
        covariance=covariance,
        mapper=mapper,
        closed=closed,
    )
