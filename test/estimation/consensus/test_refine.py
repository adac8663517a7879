"""Refinement: against OpenCV, against a plain loop, and its derivatives against differences."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.consensus.correspondences import correspondences
from dlcv.estimation.consensus.refine import (
    RefineSettings,
    attach,
    iterative_pnp,
    pose_covariance,
    refine,
)
from dlcv.estimation.consensus.score import reprojection_errors
from dlcv.geometry.rotation import invert, se3_exp, so3_exp


def bind(v):
    return correspondences(v.coordinates, v.pixels, v.camera)


def off(v, size, scale=0.005, seed=0):
    """Poses (camera_from_world) some centimetres and degrees from the truth."""
    g = torch.Generator().manual_seed(seed)
    twist = scale * torch.randn(size, 6, generator=g, dtype=torch.float64)
    return se3_exp(twist) @ invert(v.world_from_camera)


def run(poses, v, settings, threshold=10.0):
    generator = torch.Generator().manual_seed(0)
    return refine(poses, bind(v), settings, threshold=threshold, generator=generator)


def opencv_pnp(v, pose, mask):
    turn, shift = cv2.Rodrigues(pose[:3, :3].numpy())[0], pose[:3, 3:].numpy().copy()
    _, turn, shift = cv2.solvePnP(
        v.coordinates[mask].numpy(),
        v.pixels[mask].numpy(),
        v.camera.matrix,
        None,
        turn,
        shift,
        useExtrinsicGuess=True,
        flags=cv2.SOLVEPNP_ITERATIVE,
    )
    result = torch.eye(4).double()
    result[:3, :3] = so3_exp(torch.tensor(turn[:, 0]))
    result[:3, 3] = torch.tensor(shift[:, 0])
    return result


def test_iterative_pnp_is_opencv_s(view):
    v = view(0, size=60, noise=2.0)
    start = off(v, 3)
    masks = torch.rand(3, 60, generator=torch.Generator().manual_seed(1)) < 0.5
    ours = iterative_pnp(start, bind(v), masks)
    theirs = torch.stack([opencv_pnp(v, p, m) for p, m in zip(start, masks, strict=True)])
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_what_does_not_fix_a_pose_is_returned_as_it_came(view):
    v = view(1, size=30)
    v.coordinates[:] = v.coordinates[0]
    start = off(v, 2)
    assert iterative_pnp(start, bind(v), torch.ones(2, 30).bool()).isfinite().all()
    none = iterative_pnp(start, bind(v), torch.zeros(2, 30).bool())
    torch.testing.assert_close(none, start)


def test_refinement_is_that_of_dsac_star(view):
    v = view(2, size=300, outliers=0.5, noise=2.0)
    start = off(v, 4)
    settings = RefineSettings(polish=False)
    slow = []
    for pose in start:
        best = 4
        for _ in range(settings.steps):
            inliers = reprojection_errors(pose[None], bind(v), 100.0)[0] < 10
            if int(inliers.sum()) <= best:
                break
            best, pose = int(inliers.sum()), opencv_pnp(v, pose, inliers)
        slow.append(pose)
    poses, used = run(start, v, settings)
    torch.testing.assert_close(poses, torch.stack(slow), rtol=0, atol=1e-5)
    assert (used.sum(1) > 100).all()


def test_polish_beats_the_wide_threshold_where_some_coordinates_are_a_little_wrong(view):
    wide, tight = [], []
    for seed in range(6):
        v = view(seed, size=2000, outliers=0.5, noise=1.0)
        v.coordinates[::3] += 0.05 * torch.sin(7 * v.coordinates[::3].flip(1))
        start = off(v, 1, seed=seed)
        wide.append(v.errors(invert(run(start, v, RefineSettings(polish=False))[0][0]))[1])
        tight.append(v.errors(invert(run(start, v, RefineSettings())[0][0]))[1])
    assert np.mean(tight) < 0.7 * np.mean(wide)


def test_polish_of_exact_data_is_exact(view):
    v = view(3, size=100)
    poses, used = run(off(v, 2), v, RefineSettings())
    truth = invert(v.world_from_camera).expand_as(poses)
    torch.testing.assert_close(poses, truth, rtol=0, atol=1e-9)
    assert used.all()


def test_the_first_paper_uses_a_hundred_inliers_and_not_fewer_than_fifty(view):
    v = view(4, size=400, noise=1.0)
    _, used = run(off(v, 3), v, RefineSettings.dsac2017())
    assert used.sum(1).tolist() == [100, 100, 100]
    few = view(4, size=45, noise=1.0)
    start = off(few, 1)
    poses, used = run(start, few, RefineSettings.dsac2017())
    assert not used.any()
    torch.testing.assert_close(poses, start)


def test_poses_are_refined_one_by_one(view):
    v = view(5, size=300, outliers=0.6, noise=1.0)
    start = off(v, 5, scale=0.02)
    together, _ = run(start, v, RefineSettings())
    alone = torch.cat([run(p[None], v, RefineSettings())[0] for p in start])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize('size', [3, 12])
def test_derivative_of_a_fitted_pose(view, size):
    # Three points fix the pose exactly, and without noise so do twelve: the formula is exact.
    v = view(6, size=size)
    start = invert(v.world_from_camera)[None]
    weights = torch.ones(1, size).double()

    def fitted(points):
        m = correspondences(points, v.pixels, v.camera)
        pose = start
        for _ in range(3):
            pose = iterative_pnp(pose, m, weights.bool(), steps=50)
        return pose[0, :3]

    points = v.coordinates.clone().requires_grad_()
    focal = v.pixels.new_tensor((v.camera.fx, v.camera.fy))
    exact = torch.autograd.functional.jacobian(
        lambda p: attach(start, p, weights, focal)[0, :3], points
    )
    h = 1e-5
    with torch.no_grad():
        for n in range(size):
            for axis in range(3):
                step = torch.zeros_like(points)
                step[n, axis] = h
                difference = (fitted(points + step) - fitted(points - step)) / (2 * h)
                torch.testing.assert_close(exact[:, :, n, axis], difference, rtol=1e-3, atol=1e-4)


def test_derivative_with_noise_is_nearly_that_of_the_fit(view):
    v = view(7, size=40, noise=1.0)
    start = iterative_pnp(off(v, 1), bind(v), torch.ones(1, 40).bool())
    g = torch.Generator().manual_seed(0)
    step = 1e-4 * torch.randn(40, 3, generator=g, dtype=torch.float64)
    points = v.coordinates.clone().requires_grad_()
    weights = torch.ones(1, 40).double()
    focal = v.pixels.new_tensor((v.camera.fx, v.camera.fy))
    _, predicted = torch.autograd.functional.jvp(
        lambda p: attach(start, p, weights, focal), points, step
    )
    moved = iterative_pnp(
        start, correspondences(v.coordinates + step, v.pixels, v.camera), weights.bool()
    )
    assert (predicted - (moved - start)).norm() < 0.05 * (moved - start).norm()


def test_a_degenerate_fit_gets_no_derivative_and_no_nan(view):
    v = view(8, size=3)
    points = (v.coordinates[0] + 1e-5 * v.coordinates).requires_grad_()  # a speck far away
    start = invert(v.world_from_camera)[None]
    pose = attach(start, points, torch.ones(1, 3).double(), v.pixels.new_tensor((525.0, 520.0)))
    pose.sum().backward()
    torch.testing.assert_close(pose, start)
    assert torch.equal(points.grad, torch.zeros_like(points))


def test_covariance_of_inliers_that_fix_nothing_is_nan(view):
    v = view(9, size=10)
    covariance = pose_covariance(invert(v.world_from_camera), bind(v), torch.zeros(10).bool())
    assert covariance.isnan().all()


def test_impossible_settings_are_refused_by_name():
    with pytest.raises(ValueError, match='got steps=-1 min_inliers=5'):
        RefineSettings(steps=-1)


def test_one_pose_is_fitted_as_in_a_batch(view):
    v = view(3, size=200, noise=1.0)
    start = off(v, 2)
    masks = torch.ones(2, 200).bool()
    together = iterative_pnp(start, bind(v), masks)
    alone = torch.cat([iterative_pnp(start[i, None], bind(v), masks[:1]) for i in range(2)])
    torch.testing.assert_close(alone, together, rtol=0, atol=1e-6)
