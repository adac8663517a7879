"""How well poses explain the correspondences: reprojection errors and their soft inlier count.

A learned score is any callable from errors ``(K, N)``, in pixels, to scores ``(K,)``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from dlcv.estimation.consensus.correspondences import NEAREST, Correspondences, correspondences
from dlcv.geometry.rotation import invert
from dlcv.types import Camera

Score = Callable[[Tensor], Tensor]

_CHUNK = 1 << 16  # errors computed at once without gradients: intermediates stay in cache


def soft_inlier_score(
    world_from_camera: Tensor,
    coordinates: Tensor,
    pixels: Tensor,
    camera: Camera,
    *,
    threshold: float = 10.0,
    alpha: float = 100.0,
    max_error: float = 100.0,
    behind: bool = True,
) -> Tensor:
    """Score poses by the soft inlier count of DSAC* (Brachmann and Rother, TPAMI 2021).

    Args:
        world_from_camera: ``(..., 4, 4)`` poses of the camera, metres.
        coordinates: ``(N, 3)`` scene coordinates in metres; those not finite count as wrong.
        pixels: ``(N, 2)`` the pixel of each.
        camera: The rectified camera.
        threshold: Inlier threshold tau in pixels.
        alpha: Score of a pose that explains every correspondence perfectly.
        max_error: Errors are clamped to this many pixels.
        behind: Whether a point behind the camera is projected like any other, as the public code
            does, and so may by chance meet its pixel. Our own search takes False: such a point is
            then as wrong as can be.

    Returns:
        ``(...)`` scores in [0, alpha], differentiable in the poses and the coordinates.

    Raises:
        ConsensusError: If the tensors are not correspondences.
    """
    matches = correspondences(coordinates, pixels, camera)
    poses = world_from_camera.to(coordinates).reshape(-1, 4, 4)
    errors = reprojection_errors(invert(poses), matches, max_error, behind=behind)
    scores = soft_inlier_count(errors, threshold=threshold, alpha=alpha)
    return scores.reshape(world_from_camera.shape[:-2])


def soft_inlier_count(errors: Tensor, *, threshold: float, alpha: float) -> Tensor:
    """Return ``alpha`` times the mean of ``1 - sigmoid(beta (r - tau))``, ``beta = 5 / tau``.

    Args:
        errors: ``(..., N)`` reprojection errors r in pixels.
        threshold: tau in pixels.
        alpha: Scale of the score.

    Returns:
        ``(...)`` in [0, alpha].
    """
    return alpha * torch.sigmoid(5 - errors * (5 / threshold)).mean(-1)


def reprojection_errors(
    camera_from_world: Tensor, matches: Correspondences, max_error: float, *, behind: bool = False
) -> Tensor:
    """Return how far from its pixel each pose projects each point.

    Args:
        camera_from_world: ``(K, 4, 4)``.
        matches: N correspondences of the same device and dtype.
        max_error: Largest error in pixels, also given to what is not usable or lies in the
            camera's plane.
        behind: Whether points behind the camera are projected too; else they get ``max_error``.

    Returns:
        ``(K, N)`` pixels in [0, max_error].
    """
    if torch.is_grad_enabled() and (
        camera_from_world.requires_grad or matches.points.requires_grad
    ):
        return _errors(camera_from_world, matches, max_error, behind)
    size = max(1, _CHUNK // max(1, len(matches.points)))
    parts = [
        _errors(part, matches, max_error, behind) for part in torch.split(camera_from_world, size)
    ]
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _errors(
    camera_from_world: Tensor, matches: Correspondences, max_error: float, behind: bool
) -> Tensor:
    # Row by row, so that no tensor has a trailing size of three: five times faster on a CPU.
    one = torch.ones_like(matches.focal[:1])
    rows = camera_from_world[:, :3] * torch.cat((matches.focal, one))[:, None]  # (K, 3, 4)
    x, y, z = (torch.addmm(row[:, 3:], row[:, :3], matches.points.T) for row in rows.unbind(1))
    hidden = ~(((z.abs() if behind else z) > NEAREST) & matches.usable)  # what is NaN, too
    depth = z.masked_fill(hidden, 1.0)  # three times as fast as a choice of two
    target = matches.pixels - matches.centre
    dx, dy = x / depth - target[:, 0], y / depth - target[:, 1]  # (K, N)
    squared = torch.addcmul(dx * dx, dy, dy).clamp_min(1e-12)  # the root has no slope at zero
    return squared.sqrt().clamp_max(max_error).masked_fill(hidden, max_error)
