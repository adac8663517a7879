"""Reprojection errors and the soft inlier count, against one loop per correspondence."""

from __future__ import annotations

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.consensus import ConsensusError, soft_inlier_score
from dlcv.geometry.rotation import se3_exp


def slow_score(
    pose, coordinates, pixels, camera, threshold=10.0, alpha=100.0, max_error=100.0, behind=True
):
    """The definition of DSAC*, one correspondence at a time."""
    total = 0.0
    for point, (u, v) in zip(coordinates.tolist(), pixels.tolist(), strict=True):
        homogeneous = torch.tensor([*point, 1.0], dtype=torch.float64)
        x, y, z, _ = (torch.linalg.inv(pose) @ homogeneous).tolist()
        error = max_error
        if z > 0 or behind:
            du, dv = camera.fx * x / z + camera.cx - u, camera.fy * y / z + camera.cy - v
            error = min(math.hypot(du, dv), max_error)
        total += 1 - 1 / (1 + math.exp(-5 / threshold * (error - threshold)))
    return alpha / len(coordinates) * total


def opencv_score(pose, view):
    """The same by OpenCV's projection, which the public code calls."""
    camera_from_world = torch.linalg.inv(pose).numpy()
    turn, _ = cv2.Rodrigues(camera_from_world[:3, :3])
    camera = view.camera
    matrix = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    points, shift = view.coordinates.numpy(), camera_from_world[:3, 3]
    seen, _ = cv2.projectPoints(points, turn, shift, matrix, None)
    errors = np.linalg.norm(seen[:, 0] - view.pixels.numpy(), axis=1).clip(max=100)
    return 100 * np.mean(1 / (1 + np.exp(0.5 * (errors - 10))))


def near(pose, seed, size):
    """Poses a few pixels away from one."""
    g = torch.Generator().manual_seed(seed)
    return pose @ se3_exp(0.01 * torch.randn(size, 6, generator=g, dtype=torch.float64))


@pytest.mark.parametrize(
    'numbers', [{}, {'threshold': 4.0, 'alpha': 10.0, 'max_error': 30.0}, {'behind': False}]
)
def test_the_score_is_the_definition(view, numbers):
    v = view(0, size=200, outliers=0.4, noise=2.0)
    poses = near(v.world_from_camera, 1, 3)
    fast = soft_inlier_score(poses, v.coordinates, v.pixels, v.camera, **numbers)
    slow = [slow_score(p, v.coordinates, v.pixels, v.camera, **numbers) for p in poses]
    expected = torch.tensor(slow, dtype=torch.float64)
    torch.testing.assert_close(fast, expected, rtol=0, atol=1e-9)


def test_single_precision_is_good_to_a_thousandth(view):
    v = view(2, outliers=0.5, noise=1.0)
    pose = near(v.world_from_camera, 3, 4)
    exact = soft_inlier_score(pose, v.coordinates, v.pixels, v.camera)
    single = soft_inlier_score(pose.float(), v.coordinates.float(), v.pixels.float(), v.camera)
    torch.testing.assert_close(single.double(), exact, rtol=0, atol=1e-3)


def test_a_perfect_pose_scores_nearly_alpha(view):
    v = view(4, size=50)
    score = soft_inlier_score(v.world_from_camera, v.coordinates, v.pixels, v.camera)
    assert score.shape == ()
    assert float(score) == pytest.approx(100 / (1 + math.exp(-5)), abs=1e-4)


def test_points_behind_the_camera_are_projected_as_the_public_code_does_or_wrong(view):
    v = view(5, size=50)
    pose = v.world_from_camera
    v.coordinates[:20] = 2 * pose[:3, 3] - v.coordinates[:20]  # through the centre: same pixels
    by_opencv = opencv_score(pose, v)
    projected = soft_inlier_score(pose, v.coordinates, v.pixels, v.camera)
    refused = soft_inlier_score(pose, v.coordinates, v.pixels, v.camera, behind=False)
    assert float(projected) == pytest.approx(by_opencv, abs=1e-4)
    assert float(projected) == pytest.approx(100 / (1 + math.exp(-5)), abs=1e-4)
    assert float(refused) == pytest.approx(60 / (1 + math.exp(-5)), abs=1e-4)


def test_a_missing_coordinate_counts_as_wrong_not_as_absent(view):
    v = view(6, size=50)
    v.coordinates[:10] = torch.nan
    v.pixels[10:20] = torch.inf
    score = soft_inlier_score(v.world_from_camera, v.coordinates, v.pixels, v.camera)
    assert float(score) == pytest.approx(100 * 30 / 50 / (1 + math.exp(-5)), abs=1e-4)


def test_poses_are_scored_one_by_one(view):
    v = view(7, outliers=0.5)
    poses = near(v.world_from_camera, 8, 60)  # more than are computed at once
    together = soft_inlier_score(poses.reshape(6, 10, 4, 4), v.coordinates, v.pixels, v.camera)
    alone = [soft_inlier_score(p, v.coordinates, v.pixels, v.camera) for p in poses]
    torch.testing.assert_close(together.flatten(), torch.stack(alone))


def test_gradient_of_the_score(view):
    v = view(9, size=6, noise=5.0)
    twist = torch.full((2, 6), 0.003, dtype=torch.float64, requires_grad=True)
    points = v.coordinates.requires_grad_()

    def score(twist, points):
        return soft_inlier_score(v.world_from_camera @ se3_exp(twist), points, v.pixels, v.camera)

    assert torch.autograd.gradcheck(score, (twist, points))


@pytest.mark.parametrize(
    ('coordinates', 'pixels', 'message'),
    [
        (torch.zeros(5, 2), torch.zeros(5, 2), r'coordinates must be \(N, 3\), got \(5, 2\)'),
        (torch.zeros(5, 3), torch.zeros(5), r'pixels must be \(N, 2\), got \(5,\)'),
        (torch.zeros(5, 3), torch.zeros(4, 2), '5 coordinates do not pair with 4 pixels'),
        (torch.zeros(5, 3).int(), torch.zeros(5, 2), 'floating point metres, got torch.int32'),
    ],
)
def test_other_shapes_are_refused_by_name(view, coordinates, pixels, message):
    with pytest.raises(ConsensusError, match=message):
        soft_inlier_score(torch.eye(4), coordinates, pixels, view(0, size=4).camera)


def test_a_distorted_camera_is_refused_by_name(view):
    v = view(10, size=4)
    camera = replace(v.camera, distortion=(0.1, 0.0, 0.0, 0.0))
    with pytest.raises(ConsensusError, match=r'rectified pixels; .*\[0\.1, 0\.0, 0\.0, 0\.0\]'):
        soft_inlier_score(v.world_from_camera, v.coordinates, v.pixels, camera)
