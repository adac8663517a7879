"""P3P: known poses are found, all that is found is a solution, degenerate triples have none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.consensus import p3p
from dlcv.geometry.rotation import from_parts, so3_exp, transform


def solve_p3p(rays, points):
    """Return poses (S, 4, 4) and owners (S,) of rays and points (B, 3, 3)."""
    poses, owner = p3p.solve_p3p(*(one.permute(1, 2, 0).numpy() for one in (rays, points)))
    return torch.from_numpy(poses), torch.from_numpy(owner)


def triples(seed, size):
    """Three random pixels each, at depths of a room, seen from a random pose."""
    g = torch.Generator().manual_seed(seed)
    draw = {'generator': g, 'dtype': torch.float64}
    pixels = torch.rand(size, 3, 2, **draw) * torch.tensor([640.0, 480.0])
    plane = (pixels - pixels.new_tensor((320.0, 240.0))) / 525
    ahead = torch.cat((plane, torch.ones_like(plane[..., :1])), -1)
    rays = torch.nn.functional.normalize(ahead, dim=-1)
    seen = ahead * (0.5 + 5.5 * torch.rand(size, 3, 1, **draw))
    turn = so3_exp(torch.randn(size, 3, **draw))
    pose = from_parts(turn, 3 * torch.randn(size, 3, **draw))
    return rays, (seen - pose[:, None, :3, 3]) @ turn, pose


def nearest_error(poses, owner, truth):
    """For each triple, the largest difference of an entry between the truth and the best pose."""
    error = (poses - truth[owner]).abs().amax((-1, -2))
    best = torch.full((len(truth),), torch.inf, dtype=error.dtype)
    return best.scatter_reduce(0, owner, error, 'amin')


def test_the_true_pose_is_among_the_solutions():
    # Of a million such triples, none missed the truth by more than 1e-6; the median is 4e-15.
    rays, points, pose = triples(0, 20_000)
    error = nearest_error(*solve_p3p(rays, points), pose)
    assert error.max() < 1e-5
    assert error.median() < 1e-13


def test_every_solution_sees_the_points_along_the_rays_and_in_front():
    rays, points, _ = triples(1, 5000)
    poses, owner = solve_p3p(rays, points)
    seen = transform(poses, points[owner])
    sideways = torch.linalg.cross(seen, rays[owner]).norm(dim=-1) / seen.norm(dim=-1)
    assert sideways.max() < 1e-7
    assert (seen * rays[owner]).sum(-1).min() > 0
    turn = poses[:, :3, :3]
    torch.testing.assert_close(turn @ turn.mT, torch.eye(3).double().expand_as(turn))
    torch.testing.assert_close(torch.linalg.det(turn), torch.ones(len(turn)).double())


def test_the_solutions_are_those_of_opencv():
    rays, points, _ = triples(2, 200)
    poses, owner = solve_p3p(rays, points)
    pixels = (rays / rays[..., 2:])[..., :2].contiguous().numpy()
    for k in range(len(points)):
        count, _, shifts = cv2.solveP3P(
            points[k].numpy(), pixels[k], np.eye(3), None, cv2.SOLVEPNP_P3P
        )
        ours = poses[owner == k, :3, 3]
        theirs = torch.tensor(np.array(shifts).reshape(count, 3))
        assert len(ours) == count
        assert count == 0 or torch.cdist(theirs, ours).amin(1).max() < 1e-4


@pytest.mark.parametrize('share', [0.25, 0.5])
def test_collinear_points_have_no_pose(share):
    rays, points, _ = triples(3, 100)
    points[:, 2] = points[:, 0] + share * (points[:, 1] - points[:, 0])
    assert len(solve_p3p(rays, points)[0]) == 0


def test_a_repeated_or_missing_point_has_no_pose_and_harms_no_other():
    rays, points, pose = triples(4, 3)
    points[0, 1] = points[0, 0]
    points[1, 2] = torch.nan
    poses, owner = solve_p3p(rays, points)
    assert set(owner.tolist()) == {2}
    assert nearest_error(poses, owner, pose)[2] < 1e-6


def test_no_triples_have_no_poses():
    poses, owner = solve_p3p(torch.empty(0, 3, 3).double(), torch.empty(0, 3, 3).double())
    assert poses.shape == (0, 4, 4)
    assert owner.shape == (0,)
