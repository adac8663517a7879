"""What scene coordinates are trained by when only poses are known: where they reproject.

Letters in this file: N pixels, of any number of pictures.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlcv.networks.layers.shapes import expect


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingLossConfig:
    """What counts as a sensible coordinate (Brachmann et al., CVPR 2023, supplement).

    Attributes:
        nearest: Least depth before the camera, metres.
        farthest: Greatest depth, metres.
        greatest_error: Reprojection errors beyond this many pixels are not sensible.
        target_depth: Where a pixel whose coordinate is not sensible is drawn to, metres along its
            ray.
    """

    nearest: float = 0.1
    farthest: float = 1000.0
    greatest_error: float = 1000.0
    target_depth: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.nearest < self.target_depth < self.farthest or self.greatest_error <= 0:
            raise ValueError(
                'mapping needs 0 < nearest < target_depth < farthest and greatest_error > 0, got '
                f'{self}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MappingLoss:
    """The loss and how far it is.

    Attributes:
        total: Scalar.
        errors: ``(N,)`` reprojection errors in pixels, without gradient; inf behind the camera.
        sensible: Scalar: share of the coordinates that are sensible.
    """

    total: Tensor
    errors: Tensor
    sensible: Tensor


def mapping_loss(
    points: Tensor,
    pixels: Tensor,
    camera_from_world: Tensor,
    intrinsics: Tensor,
    *,
    threshold: float,
    known: Tensor | None = None,
    config: MappingLossConfig | None = None,
) -> MappingLoss:
    """Return ACE's loss: a robust reprojection error, or the way back into the picture.

    A sensible coordinate costs ``threshold * tanh(error / threshold)``: errors far beyond the
    threshold, which falls as training goes on, no longer pull. Others cost the L1 distance from
    a point on the pixel's ray.

    Where the true coordinate is known, as from a depth camera, half of the cost is that of the
    distance from it in place of the reprojection error, as many pixels as it would be long if it
    lay across the view.

    Args:
        points: ``(N, 3)`` world, metres.
        pixels: ``(N, 2)``.
        camera_from_world: ``(N, 3, 4)`` or ``(N, 4, 4)``.
        intrinsics: ``(N, 4)`` fx, fy, cx, cy in pixels.
        threshold: Pixels.
        known: ``(N, 3)`` true coordinates in metres, NaN where unknown; None for none.
        config: What is sensible.

    Raises:
        ShapeError: If a shape is another.
    """
    config = config or MappingLossConfig()
    expect(points, 'N 3', 'points')
    count = points.shape[0]
    expect(pixels, f'{count} 2', 'pixels')
    expect(intrinsics, f'{count} 4', 'intrinsics')
    pose = camera_from_world[:, :3]
    seen = (pose[:, :, :3] @ points[:, :, None])[:, :, 0] + pose[:, :, 3]  # (N, 3) camera
    depth = seen[:, 2]
    focal, centre = intrinsics[:, :2], intrinsics[:, 2:]
    ahead = depth.clamp(min=config.nearest)[:, None]
    error = (seen[:, :2] / ahead * focal + centre - pixels).norm(dim=1)
    sensible = (
        (depth > config.nearest)
        & (depth < config.farthest)
        & (error.detach() < config.greatest_error)
    )
    ray = torch.cat(((pixels - centre) / focal, torch.ones_like(depth)[:, None]), dim=1)
    back = (seen - config.target_depth * ray).abs().sum(1)
    cost = torch.where(sensible, threshold * torch.tanh(error / threshold), back)
    if known is not None:
        expect(known, f'{count} 3', 'known')
        cost = _with_known(cost, points, known, pose, focal[:, 0], threshold)
    total = cost.mean()
    errors = torch.where(depth > config.nearest, error, torch.inf).detach()
    return MappingLoss(total=total, errors=errors, sensible=sensible.float().mean())


def _with_known(
    cost: Tensor, points: Tensor, known: Tensor, pose: Tensor, focal: Tensor, threshold: float
) -> Tensor:
    """Return the costs; where the true coordinate is known, half of them are for missing it."""
    usable = known.isfinite().all(1)
    truth = torch.where(usable[:, None], known, points.detach() + 1)  # no NaN into the gradient
    depth = (pose[:, 2, :3] * truth).sum(1) + pose[:, 2, 3]
    distance = (points - truth).norm(dim=1) * focal / depth.clamp(min=1e-3)  # pixels
    missed = threshold * torch.tanh(distance / threshold)
    return torch.where(usable, (cost + missed) / 2, cost)
