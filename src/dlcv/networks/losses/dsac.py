"""DSAC's training losses: the error of a pose, and its expectation over hypotheses.

Letters in this file: K hypotheses.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TINY = 1e-24  # keeps the slope of a root finite at zero


def rotation_error(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the angle between rotations in degrees.

    Args:
        estimate: ``(..., 3, 3)`` or ``(..., 4, 4)``.
        truth: The same, broadcast.

    Returns:
        ``(...)`` in [0, 180], differentiable also where the rotations agree (slope zero there).
    """
    r = estimate[..., :3, :3].transpose(-1, -2) @ truth[..., :3, :3]
    axis = torch.stack(
        (r[..., 2, 1] - r[..., 1, 2], r[..., 0, 2] - r[..., 2, 0], r[..., 1, 0] - r[..., 0, 1]), -1
    )
    # The arc cosine of the trace, which the papers use, has no finite slope at zero.
    sine = (axis.square().sum(-1) + _TINY).sqrt()
    cosine = r.diagonal(dim1=-2, dim2=-1).sum(-1) - 1
    return torch.rad2deg(torch.atan2(sine, cosine))


def translation_error(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return the distance of the cameras of ``(..., 4, 4)`` world_from_camera poses in metres."""
    squared = (estimate[..., :3, 3] - truth[..., :3, 3]).square().sum(-1)
    return (squared + _TINY).sqrt()


def max_pose_loss(estimate: Tensor, truth: Tensor) -> Tensor:
    """Return max(rotation error in degrees, translation error in centimetres), the loss of DSAC.

    Args:
        estimate: ``(..., 4, 4)`` world_from_camera, metres.
        truth: The same, broadcast.

    Returns:
        ``(...)``. Brachmann et al., CVPR 2017, section 4.
    """
    return torch.maximum(rotation_error(estimate, truth), 100 * translation_error(estimate, truth))


def weighted_pose_loss(
    estimate: Tensor,
    truth: Tensor,
    *,
    rotation_weight: float = 1.0,
    translation_weight: float = 100.0,
    limit: float = 100.0,
) -> Tensor:
    """Return the weighted sum of rotation and translation error, softly clamped: DSAC*.

    Args:
        estimate: ``(..., 4, 4)`` world_from_camera, metres.
        truth: The same, broadcast.
        rotation_weight: Per degree.
        translation_weight: Per metre.
        limit: Where the loss bends from linear to a root.

    Returns:
        ``(...)``. Brachmann and Rother, TPAMI 2021, section 3.4.
    """
    loss = rotation_weight * rotation_error(estimate, truth)
    loss = loss + translation_weight * translation_error(estimate, truth)
    return root_clamp(loss, limit)


def root_clamp(loss: Tensor, limit: float) -> Tensor:
    """Replace what exceeds ``limit`` by ``sqrt(limit * loss)``, so that no outlier dominates."""
    bent = (limit * loss.clamp_min(limit)).sqrt()
    return torch.where(loss > limit, bent, loss)


def expected_loss(losses: Tensor, scores: Tensor) -> Tensor:
    """Return the expected loss when a hypothesis is drawn with the softmax of its score.

    Its gradient with respect to the scores makes better hypotheses likelier, its gradient with
    respect to the losses makes likelier hypotheses better.

    Args:
        losses: ``(..., K)`` loss of each refined hypothesis.
        scores: ``(..., K)`` score of each hypothesis.

    Returns:
        ``(...)``.
    """
    return (scores.softmax(-1) * losses).sum(-1)
