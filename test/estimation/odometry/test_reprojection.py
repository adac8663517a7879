"""Derivatives against differences, and landmarks where no picture has them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.reprojection import (
    NEAREST,
    along,
    by_vector,
    confidence,
    reproject,
    turned,
)


def exp(vector):
    return Rotation.from_rotvec(vector).as_matrix()


def world(seed, count=20):
    """Return camera and anchor (rotation, position), rays ``(3, N)``, inverse depths."""
    rng = np.random.default_rng(seed)
    frames = [(exp(rng.normal(scale=0.2, size=3)), rng.normal(scale=0.3, size=3)) for _ in 'ka']
    rays = np.vstack((rng.uniform(-0.5, 0.5, (2, count)), np.ones(count)))
    return *frames, rays, rng.uniform(0.05, 0.5, count)


def see(camera, anchor, rays, inverse_depth):
    offset = np.broadcast_to((anchor[1] - camera[1])[:, None], rays.shape)
    return reproject(camera[0][..., None], anchor[0] @ rays, offset, inverse_depth)


def differences(function, size, step=1e-6):
    """Central differences ``(size, 2, N)`` of image points."""
    axes = np.eye(size) * step
    return np.stack([(function(d).xy - function(-d).xy) / (2 * step) for d in axes])


def test_a_landmark_is_seen_where_its_point_is():
    (turn, place), anchor, rays, inverse_depth = world(0)
    points = anchor[0] @ (rays / inverse_depth) + anchor[1][:, None]
    in_camera = turn.T @ (points - place[:, None])
    seen = see((turn, place), anchor, rays, inverse_depth)
    np.testing.assert_allclose(seen.xy, in_camera[:2] / in_camera[2], atol=1e-12)
    np.testing.assert_allclose(seen.vector, (points - place[:, None]) * inverse_depth, atol=1e-12)


def test_derivatives_are_what_differences_say():
    camera, anchor, rays, depth = world(1)
    seen = see(camera, anchor, rays, depth)
    gradient = by_vector(camera[0][..., None], seen)
    bearing = anchor[0] @ rays
    offset = (anchor[1] - camera[1])[:, None] * np.ones_like(depth)

    def moved(frame, d):
        return exp(d[3:]) @ frame[0], frame[1] + d[:3]

    by_camera = differences(lambda d: see(moved(camera, d), anchor, rays, depth), 6)
    by_anchor = differences(lambda d: see(camera, moved(anchor, d), rays, depth), 6)
    by_depth = differences(lambda d: see(camera, anchor, rays, depth + d[0]), 1)
    by_ray = differences(lambda d: see(camera, anchor, rays + np.append(d, 0)[:, None], depth), 2)
    near = {'rtol': 1e-6, 'atol': 1e-8}
    np.testing.assert_allclose(-depth * gradient, by_camera[:3], **near)
    np.testing.assert_allclose(turned(gradient, seen.vector), by_camera[3:], **near)
    np.testing.assert_allclose(depth * gradient, by_anchor[:3], **near)
    np.testing.assert_allclose(-turned(gradient, bearing), by_anchor[3:], **near)
    np.testing.assert_allclose(along(gradient, offset), by_depth[0], **near)
    for axis in range(2):
        ray = anchor[0][:, axis : axis + 1] * np.ones_like(depth)
        np.testing.assert_allclose(along(gradient, ray), by_ray[axis], **near)


def test_infinity_and_what_lies_behind_stay_finite():
    camera, anchor, rays, depth = world(2)
    far = see(camera, anchor, rays, np.zeros_like(depth))
    toward = camera[0].T @ anchor[0] @ rays
    np.testing.assert_allclose(far.xy, toward[:2] / toward[2], atol=1e-12)
    ahead = (camera[0] @ np.array([0, 0, 1.0])) * 100  # a hundred metres on: all lie behind
    behind = see((camera[0], camera[1] + ahead), anchor, rays, depth)
    assert not behind.ahead.any()
    assert (behind.depth == NEAREST).all()
    assert np.isfinite(by_vector(camera[0][..., None], behind)).all()


def test_what_is_not_known_gives_no_confidence():
    counts = confidence(np.array([0.5, 0.0, 0.1, 0.0]), np.array([0.0, 0.0, 1e4, 0.1]))
    np.testing.assert_allclose(counts, [1, 0, 1e-3, 0], atol=1e-8)


def test_noise_of_the_depth_does_not_add_to_what_it_tells():
    rng = np.random.default_rng(0)
    truth, deviation = 0.1, 0.03
    drawn = truth + deviation * rng.normal(size=100_000)
    told = np.square(drawn * confidence(drawn, np.full_like(drawn, deviation**2)))
    assert np.square(drawn).mean() > 1.08 * truth**2
    assert told.mean() == pytest.approx(truth**2, rel=0.02)
