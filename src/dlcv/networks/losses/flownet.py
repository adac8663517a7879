"""Errors of optical flow: the end-point error, and its sum over the scales of FlowNet.

Dimension letters in this file: B pairs, H W image size in pixels, h w size at a scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import ShapeError, expect, expect_same

WEIGHTS = (0.005, 0.01, 0.02, 0.08, 0.32)  # of flow2 ... flow6 (Fischer et al., ICCV 2015)


def end_point_error(flow: Tensor, target: Tensor) -> Tensor:
    """Return the length of the difference of two flow fields at each pixel.

    Args:
        flow: ``(B, 2, H, W)``.
        target: ``(B, 2, H, W)`` in the same unit; NaN is unknown.

    Returns:
        ``(B, H, W)``; NaN where the target is unknown.

    Raises:
        ShapeError: If the fields have other or different shapes.
    """
    expect(flow, 'B 2 H W', 'flow')
    expect_same(flow, target, 'flow and target')
    length: Tensor = torch.linalg.vector_norm(flow - target, dim=1)  # (B, H, W)
    return length


def epe(flow: Tensor, target: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the mean end-point error over the valid pixels, a scalar in the unit of the flow.

    Args:
        flow: ``(B, 2, H, W)``.
        target: ``(B, 2, H, W)``; pixels with NaN never count.
        valid: ``(B, H, W)`` bool; pixels that count.

    Raises:
        ShapeError: If the shapes do not fit, or no pixel counts.
    """
    expect_same(flow, target, 'flow and target')
    known = ~target.isnan().any(dim=1)  # (B, H, W)
    if valid is not None:
        expect_same(known, valid, 'pixels of the target and valid mask')
        known &= valid
    if not known.any():
        raise ShapeError(f'no valid pixel in a target of shape {tuple(target.shape)}')
    error = end_point_error(flow, target.where(known[:, None], flow.detach()))
    return error[known].mean()


def multiscale_epe(
    pyramid: Sequence[Tensor],
    target: Tensor,
    *,
    weights: Sequence[float] = WEIGHTS,
    div_flow: float = 20.0,
    sparse: bool = False,
) -> Tensor:
    """Return FlowNet's training loss: weighted end-point errors, summed over pixels and scales.

    The sum at each scale is averaged over the batch only, so the finest scale counts most in
    spite of its small weight. Errors are in network units (pixels / ``div_flow``).

    Args:
        pyramid: Flow in network units, each ``(B, 2, h, w)``, finest first.
        target: ``(B, 2, H, W)`` true flow in pixels; NaN is unknown and does not count.
        weights: One for each scale.
        div_flow: Pixels of flow for one network unit.
        sparse: Whether the truth has holes: NaN, or exactly (0, 0) as in the public code. Then
            each scale takes the largest rightward/downward minus the largest leftward/upward
            motion of its area instead of the mean, and holes do not count.

    Returns:
        A scalar.

    Raises:
        ShapeError: If the shapes do not fit, or the weights are not as many as the scales.
    """
    expect(target, 'B 2 H W', 'target')
    if len(pyramid) != len(weights):
        raise ShapeError(f'{len(pyramid)} scales of flow, but {len(weights)} weights')
    target = target / div_flow
    total = target.new_zeros(())
    for flow, weight in zip(pyramid, weights, strict=True):
        expect(flow, f'{target.shape[0]} 2 h w', 'flow')
        total = total + weight * _summed_error(flow, target, sparse)
    return total


def matching_loss(
    matches: Tensor, target: Tensor, *, step: float, sharpness: float = 20.0
) -> Tensor:
    """Return how badly a correlation tells the true displacement from the others.

    The cross-entropy of choosing among all displacements by ``softmax(sharpness * matches)``; the
    truth, which lies between four of them, is shared among these. It teaches features to match
    long before the layers behind a correlation make any use of it. Not part of FlowNet.

    Args:
        matches: ``(B, K*K, h, w)`` as `dlcv.networks.layers.correlation.correlation` gives them.
        target: ``(B, 2, H, W)`` true flow in pixels; NaN is unknown.
        step: Pixels of the image between two displacements.
        sharpness: Factor of the matches.

    Returns:
        A scalar, the mean over places whose point is within the image and the window.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(matches, f'{target.shape[0]} d h w', 'matches')
    expect(target, 'B 2 H W', 'target')
    height, width = matches.shape[2:]
    side = round(matches.shape[1] ** 0.5)
    flow = mean_flow(target, (height, width))  # (B, 2, h, w) pixels
    known = _lands_inside(flow, target.shape[2:])  # (B, h, w)
    cell = (flow / step + side // 2).nan_to_num(nan=-1.0)  # where in the window
    known &= ((cell >= 0) & (cell <= side - 1)).all(dim=1)
    low = cell.floor().clamp(0, side - 2)
    share = (cell - low).clamp(0, 1)  # (B, 2, h, w) of the higher neighbour
    chances = (sharpness * matches.float()).log_softmax(dim=1)
    loss = torch.zeros_like(share[:, 0])
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        index = (low[:, 1] + dy) * side + low[:, 0] + dx  # (B, h, w)
        weight = (share if dx else 1 - share)[:, 0] * (share if dy else 1 - share)[:, 1]
        loss = loss - weight * chances.gather(1, index.long()[:, None])[:, 0]
    return loss[known].sum() / known.sum().clamp(min=1)


def mean_flow(target: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the mean of the known flow of each area.

    Args:
        target: ``(B, 2, H, W)``; NaN is unknown.
        size: Height and width of the result.

    Returns:
        ``(B, 2, h, w)``; NaN where nothing is known of an area.
    """
    known = ~target.isnan().any(dim=1, keepdim=True)  # (B, 1, H, W)
    share = F.adaptive_avg_pool2d(known.to(target.dtype), size)
    return F.adaptive_avg_pool2d(target.where(known, 0), size) / share


def _lands_inside(flow: Tensor, size: Sequence[int]) -> Tensor:
    """Return which points of a coarse flow (B, 2, h, w) in pixels lie inside the image."""
    height, width = flow.shape[2:]
    y = (torch.arange(height, device=flow.device) + 0.5) * (size[0] / height) - 0.5
    x = (torch.arange(width, device=flow.device) + 0.5) * (size[1] / width) - 0.5
    to_x, to_y = flow[:, 0] + x, flow[:, 1] + y[:, None]  # (B, h, w)
    return (to_x >= 0) & (to_x <= size[1] - 1) & (to_y >= 0) & (to_y <= size[0] - 1)


def _summed_error(flow: Tensor, target: Tensor, sparse: bool) -> Tensor:
    """Return the error of one scale, summed over its pixels and averaged over the batch."""
    height, width = flow.shape[2:]
    if not sparse:
        coarse = mean_flow(target, (height, width))  # (B, 2, h, w)
        known = ~coarse.isnan().any(dim=1)
        return end_point_error(flow, coarse.where(known[:, None], flow.detach())).sum() / len(flow)
    coarse = _pooled_extremes(target.nan_to_num(nan=0.0), (height, width))  # (B, 2, h, w)
    known = coarse.any(dim=1)  # (B, h, w)
    return end_point_error(flow, coarse)[known].sum() / len(flow)


def _pooled_extremes(target: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the largest positive minus the largest negative value of each area."""
    positive = F.adaptive_max_pool2d(target.clamp(min=0), size)
    negative = F.adaptive_max_pool2d((-target).clamp(min=0), size)
    return positive - negative
