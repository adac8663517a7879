"""The loss of maps: exact points cost nothing, the threshold bends it, lost points come back."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.reprojection import MappingLossConfig, mapping_loss

FX, FY, CX, CY = 200.0, 210.0, 79.5, 59.5


@pytest.fixture
def views():
    """Points before three cameras: world points, pixels, poses, intrinsics."""
    rng = np.random.default_rng(0)
    poses = np.tile(np.eye(4), (60, 1, 1))
    for i in range(60):
        poses[i, :3, :3] = Rotation.from_euler('xyz', rng.normal(0, 0.3, 3)).as_matrix()
        poses[i, :3, 3] = rng.normal(0, 1, 3)
    local = np.stack([*rng.uniform(-1, 1, (2, 60)), rng.uniform(2, 6, 60)], axis=1)
    world = np.einsum('nij,nj->ni', poses[:, :3, :3], local) + poses[:, :3, 3]
    pixels = local[:, :2] / local[:, 2:] * (FX, FY) + (CX, CY)
    intrinsics = np.tile((FX, FY, CX, CY), (60, 1))
    arrays = (world, pixels, np.linalg.inv(poses), intrinsics)
    return [torch.from_numpy(a) for a in arrays], torch.from_numpy(poses)


def test_exact_points_cost_nothing(views):
    loss = mapping_loss(*views[0], threshold=10)
    assert float(loss.total) == pytest.approx(0, abs=1e-9)
    assert float(loss.sensible) == 1


def test_errors_are_pixels_and_bend_at_the_threshold(views):
    (world, pixels, poses, intrinsics), _ = views
    for shift, threshold in ((1.0, 50.0), (30.0, 10.0)):
        moved = pixels + torch.tensor((shift, 0.0))
        loss = mapping_loss(world, moved, poses, intrinsics, threshold=threshold)
        assert torch.allclose(loss.errors, torch.full((60,), shift, dtype=torch.float64))
        assert float(loss.total) == pytest.approx(threshold * math.tanh(shift / threshold))


def test_a_known_point_is_missed_along_the_ray_too(views):
    """Farther on the same ray nothing reprojects wrongly; the distance still costs its pixels."""
    (world, pixels, poses, intrinsics), world_from_camera = views
    centre = world_from_camera[:, :3, 3]
    farther = centre + 1.1 * (world - centre)
    plain = mapping_loss(farther, pixels, poses, intrinsics, threshold=1e4)
    assert float(plain.total) == pytest.approx(0, abs=1e-6)
    known = mapping_loss(farther, pixels, poses, intrinsics, threshold=1e4, known=world)
    depth = (poses[:, 2, :3] * world).sum(1) + poses[:, 2, 3]
    wanted = (0.1 * (world - centre).norm(dim=1) * FX / depth).mean() / 2
    assert float(known.total) == pytest.approx(float(wanted), rel=1e-4)
    exact = mapping_loss(world, pixels, poses, intrinsics, threshold=10, known=world)
    assert float(exact.total) == pytest.approx(0, abs=1e-6)


def test_unknown_points_are_judged_by_their_pixels_alone(views):
    (world, pixels, poses, intrinsics), _ = views
    points = (world + 0.1).requires_grad_()
    unknown = torch.full_like(world, math.nan)
    half = unknown.clone()
    half[::2] = world[::2]
    plain = mapping_loss(points, pixels, poses, intrinsics, threshold=10)
    same = mapping_loss(points, pixels, poses, intrinsics, threshold=10, known=unknown)
    assert float(same.total.detach()) == pytest.approx(float(plain.total.detach()))
    mapping_loss(points, pixels, poses, intrinsics, threshold=10, known=half).total.backward()
    assert points.grad.isfinite().all()
    assert (points.grad.norm(dim=1) > 0).all()


def test_what_lies_behind_the_camera_is_drawn_onto_its_ray(views):
    (world, pixels, poses, intrinsics), world_from_camera = views
    behind = 2 * world_from_camera[:, :3, 3] - world  # the point mirrored at the camera
    loss = mapping_loss(behind, pixels, poses, intrinsics, threshold=10)
    assert float(loss.sensible) == 0
    assert torch.isinf(loss.errors).all()
    ray = torch.cat(((pixels - intrinsics[:, 2:]) / intrinsics[:, :2], torch.ones(60, 1)), 1)
    goal = (world_from_camera[:, :3, :3] @ (10 * ray)[..., None])[..., 0]
    there = mapping_loss(
        goal + world_from_camera[:, :3, 3], pixels, poses, intrinsics, threshold=10
    )
    assert float(there.total) == pytest.approx(0, abs=1e-9)


def test_descent_finds_the_ray_from_anywhere(views):
    (_, pixels, poses, intrinsics), _ = views
    points = torch.zeros(60, 3, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([points], lr=0.1)
    for step in range(800):
        optimiser.param_groups[0]['lr'] = 0.1 * (1 - step / 800)
        optimiser.zero_grad()
        loss = mapping_loss(points, pixels, poses, intrinsics, threshold=50)
        loss.total.backward()
        optimiser.step()
    assert float(loss.sensible) == 1
    assert float(loss.errors.median()) < 1


def test_gradients_are_finite_where_a_point_meets_the_camera(views):
    (_, pixels, poses, intrinsics), world_from_camera = views
    points = world_from_camera[:, :3, 3].clone().requires_grad_()
    mapping_loss(points, pixels, poses, intrinsics, threshold=10).total.backward()
    assert points.grad.isfinite().all()


def test_shapes_and_settings_are_checked(views):
    (world, pixels, poses, intrinsics), _ = views
    with pytest.raises(ShapeError, match='pixels'):
        mapping_loss(world, pixels[:5], poses, intrinsics, threshold=10)
    with pytest.raises(ValueError, match='target_depth'):
        MappingLossConfig(target_depth=0.01)
