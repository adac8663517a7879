"""Depths from known poses: exact without noise, as uncertain as they say with it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.reprojection import BLIND
from dlcv.estimation.odometry.triangulation import triangulate

PIXEL = 1 / 500


def sightings(scene, first, rng=None):
    """Return who sees what: every landmark from its anchor's successors, ``first`` on."""
    pairs = [
        (k, point)
        for point, a in enumerate(scene.anchor)
        for k in range(max(first, a + 1), len(scene.poses))
    ]
    keyframe, landmark = np.array(pairs).T
    xy = np.concatenate([scene.seen(scene.poses[k : k + 1][0], slice(n, n + 1)) for k, n in pairs])
    noise = 0 if rng is None else PIXEL * rng.normal(size=xy.shape)
    return {'keyframe': keyframe, 'landmark': landmark, 'xy': xy + noise, 'stddev': PIXEL}


@pytest.mark.parametrize('first', [0, 5])  # all that see it, or one
def test_noise_free_points_are_found_exactly(scene, first):
    found = triangulate(
        scene.poses, anchor=scene.anchor, rays=scene.rays, **sightings(scene, first)
    )
    np.testing.assert_allclose(found.inverse_depth, scene.inverse_depth, atol=1e-8)
    assert found.error.max() < 1e-8
    enough = found.parallax >= 0.01
    assert 0.5 < enough.mean() < 1
    np.testing.assert_array_equal(found.accepted, enough)


def test_errors_are_as_large_as_stated(scenes):
    rng = np.random.default_rng(1)
    ratios = []
    for seed in range(5):
        scene = scenes(seed)
        seen = sightings(scene, 0, rng)
        rays = scene.rays + PIXEL * rng.normal(size=scene.rays.shape)
        found = triangulate(scene.poses, anchor=scene.anchor, rays=rays, ray_stddev=PIXEL, **seen)
        ratios.append((found.inverse_depth - scene.inverse_depth) / found.stddev)
    ratio = np.concatenate(ratios)
    assert ratio.std() == pytest.approx(1, abs=0.1)
    assert (np.abs(ratio) < 1.96).mean() == pytest.approx(0.95, abs=0.02)


def test_the_parallax_is_the_angle_between_the_rays(scene):
    seen = sightings(scene, 5)
    found = triangulate(scene.poses, anchor=scene.anchor, rays=scene.rays, **seen)
    toward = scene.points - scene.poses[scene.anchor, :3, 3]
    other = scene.points - scene.poses[5, :3, 3]
    cosine = (toward * other).sum(1) / np.linalg.norm(toward, axis=1)
    angle = np.arccos(cosine / np.linalg.norm(other, axis=1))
    np.testing.assert_allclose(found.parallax, angle, atol=1e-6)


def test_turning_on_the_spot_gives_no_depth(scene):
    poses = scene.poses.copy()
    poses[:, :3, 3] = poses[0, :3, 3]
    still = type(scene)(poses, scene.anchor, scene.rays, scene.inverse_depth)
    found = triangulate(
        poses,
        anchor=still.anchor,
        rays=still.rays,
        **sightings(still, 0, np.random.default_rng(0)),
    )
    assert (found.stddev == BLIND).all()
    assert np.isfinite(found.inverse_depth).all()
    assert found.parallax.max() < 0.02
    strict = triangulate(
        poses, anchor=still.anchor, rays=still.rays, least_parallax=0.02,
        **sightings(still, 0, np.random.default_rng(0)),
    )  # fmt: skip
    assert not strict.accepted.any()


def test_rays_that_part_behind_the_cameras_are_refused(scene):
    seen = sightings(scene, 5)
    behind = type(scene)(scene.poses, scene.anchor, scene.rays, -scene.inverse_depth)
    mirrored = sightings(behind, 5)['xy']
    assert np.abs(mirrored - seen['xy']).max() > 0.1
    found = triangulate(
        scene.poses, anchor=scene.anchor, rays=scene.rays, **(seen | {'xy': mirrored})
    )
    sure = np.abs(found.inverse_depth) > 2 * found.stddev
    assert sure.mean() > 0.5
    assert not found.accepted[sure].any()


def test_a_wrong_match_has_a_large_error(scene):
    seen = sightings(scene, 0)
    wrong = seen['landmark'] == 7
    seen['xy'][wrong, 0] += np.where(np.arange(wrong.sum()) % 2, 0.1, -0.1)
    found = triangulate(scene.poses, anchor=scene.anchor, rays=scene.rays, **seen)
    assert found.error[7] > 100
    assert not found.accepted[7]
    assert np.delete(found.error, 7).max() < 1e-8


def test_a_landmark_that_nobody_else_sees_is_unknown(scene):
    seen = {name: value[:0] for name, value in sightings(scene, 0).items() if name != 'stddev'}
    found = triangulate(scene.poses, anchor=scene.anchor, rays=scene.rays, stddev=PIXEL, **seen)
    assert (found.stddev == BLIND).all()
    assert not found.accepted.any()
