"""Two views of one scene: distances to epipolar lines, and the weighted eight-point algorithm.

A fundamental matrix F stands for ``x1^T F x2 = 0``, x1 being a point of the first picture: the
transpose of OpenCV's. Its sign and scale mean nothing.

Letters in this file: B pairs of pictures, N matches of a pair.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

_SPREAD = 1.4142  # the published constant, not the root of two
_NEAR = 1e-12  # squared lengths below this have no direction
_GAP = 1e-9  # eigenvalues this near to each other, as a share of the largest, are not told apart


class SmallestEigenvector(torch.autograd.Function):
    """Eigenvector of the smallest eigenvalue of symmetric matrices ``(..., K, K)``.

    With the eigenpairs (s_i, v_i), s_0 the smallest, a change dM of the matrix changes v_0 by
    ``-(M - s_0 I)^+ dM v_0``, which divides by s_i - s_0 alone: other eigenvalues may be equal,
    which makes the gradients of general decompositions infinite. Where s_1 is s_0, too, the vector
    is not decided, and its gradient large and finite.
    """

    @staticmethod
    def forward(ctx: Any, matrix: Tensor) -> Tensor:
        """Return unit vectors ``(..., K)``."""
        values, vectors = torch.linalg.eigh(matrix)  # ascending
        ctx.save_for_backward(values, vectors)
        smallest: Tensor = vectors[..., 0]
        return smallest

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        """Return the gradient of the matrix, which is symmetric."""
        values, vectors = ctx.saved_tensors
        gap = values[..., 1:] - values[..., :1]  # (..., K-1)
        least = _GAP * values.abs().amax(-1, keepdim=True) + torch.finfo(values.dtype).tiny ** 0.5
        inverse = gap / (gap.square() + least.square())
        others = vectors[..., 1:]
        along = inverse * (others.mT @ grad[..., None])[..., 0]
        change = (others @ along[..., None])[..., 0]  # (..., K)
        outer = change[..., :, None] * vectors[..., None, :, 0]
        symmetric: Tensor = -(outer + outer.mT) / 2
        return symmetric


def smallest_eigenvector(matrix: Tensor) -> Tensor:
    """Return `SmallestEigenvector` of symmetric matrices ``(..., K, K)``, ``(..., K)``."""
    found: Tensor = SmallestEigenvector.apply(matrix)  # type: ignore[no-untyped-call]
    return found


def homogeneous(xy: Tensor) -> Tensor:
    """Return points ``(..., 2)`` as ``(..., 3)``, with a one behind."""
    return torch.cat((xy, torch.ones_like(xy[..., :1])), dim=-1)


def normalisation(xy: Tensor, weights: Tensor, spread: float) -> Tensor:
    """Return what moves points to their weighted mean and scales them.

    Args:
        xy: ``(B, N, 2)``.
        weights: ``(B, N)``, not negative.
        spread: Weighted mean distance from the mean afterwards.

    Returns:
        ``(B, 3, 3)`` with ``normalised = matrix @ homogeneous``; finite, also where all points are
        one or all weights are zero.
    """
    total = weights.sum(1).clamp(min=_NEAR)  # (B,)
    centre = (weights[..., None] * xy).sum(1) / total[:, None]  # (B, 2)
    squared = (xy - centre[:, None]).square().sum(2)  # (B, N)
    distance = squared.clamp(min=_NEAR).sqrt()  # the root's gradient is infinite at zero
    scale = spread / ((weights * distance).sum(1) / total).clamp(min=_NEAR**0.5)
    matrix = torch.zeros(*xy.shape[:1], 3, 3, dtype=xy.dtype, device=xy.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, :2, 2] = -scale[:, None] * centre
    matrix[:, 2, 2] = 1
    return matrix


def weighted_eight_point(first: Tensor, second: Tensor, weights: Tensor) -> Tensor:
    """Return the fundamental matrices that weighted matches agree with best.

    The normalised eight-point algorithm (Hartley 1997) with rows that are multiplied by weights,
    so that squared residuals count with squared weights, as in Ranftl and Koltun (ECCV 2018).

    Args:
        first: ``(B, N, 2)`` points of the first picture.
        second: ``(B, N, 2)`` the same points in the second.
        weights: ``(B, N)``, not negative.

    Returns:
        ``(B, 3, 3)`` of rank two, float64, finite whatever the points are.
    """
    first, second, weights = first.double(), second.double(), weights.double()
    to_first, to_second = (normalisation(xy, weights, _SPREAD) for xy in (first, second))
    a, b = (
        homogeneous(xy) @ matrix.mT for xy, matrix in ((first, to_first), (second, to_second))
    )  # (B, N, 3)
    rows = (a[..., :, None] * b[..., None, :]).flatten(2) * weights[..., None]  # (B, N, 9)
    scale = weights.detach().amax(1).clamp(min=_NEAR)[:, None, None]
    rows = rows / scale  # which changes no eigenvector
    free = smallest_eigenvector(rows.mT @ rows).view(-1, 3, 3)
    null = smallest_eigenvector(free.mT @ free)  # (B, 3), the third right singular vector
    flat = free - (free @ null[..., None]) * null[..., None, :]
    found: Tensor = to_first.mT @ flat @ to_second
    return found


def epipolar_distance(first: Tensor, second: Tensor, fundamental: Tensor) -> Tensor:
    """Return symmetric epipolar distances: of each point to its line, in both pictures, summed.

    Args:
        first: ``(B, N, 2)`` points of the first picture.
        second: ``(B, N, 2)`` the same points in the second.
        fundamental: ``(B, 3, 3)``.

    Returns:
        ``(B, N)`` in the unit of the points.
    """
    a, b = homogeneous(first), homogeneous(second)
    in_second = a @ fundamental  # (B, N, 3) lines
    in_first = b @ fundamental.mT
    algebraic = (b * in_second).sum(2).abs()
    lengths = (line[..., :2].norm(dim=2).clamp(min=_NEAR) for line in (in_second, in_first))
    inverse: Tensor = sum(1 / length for length in lengths)
    return algebraic * inverse
