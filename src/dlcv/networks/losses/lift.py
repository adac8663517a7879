"""LIFT's losses, one for each network, in the order in which they are trained (Yi et al., 2016).

First the descriptor, then the orientation through the descriptor, then the detector through both.

Letters in this file: P pairs of patches, B patches, D descriptor length, h w size of a score map.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dlcv.networks.layers.shapes import expect, expect_same

MARGIN = 4.0
"""C: distance from which descriptors of different points cost nothing."""
SHARPNESS = 10.0
"""Factor of the scores in the smooth maximum of the class loss."""

_FLOOR = 1e-12  # a root has no gradient at 0


def distances(first: Tensor, second: Tensor) -> Tensor:
    """Return the Euclidean distances ``(P,)`` of descriptors ``(P, D)``; also the pair loss.

    Of patches that are oriented or found by a network, this is the loss of that network (eq. 3 for
    the detector, eq. 5 for the orientation).

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(first, 'P D', 'first descriptors')
    expect_same(first, second, 'first and second descriptors')
    return (first - second).float().square().sum(dim=1).clamp(min=_FLOOR).sqrt()


def descriptor_losses(distance: Tensor, same: Tensor, margin: float = MARGIN) -> Tensor:
    """Return the hinge loss of each pair: d^2 of a true pair, max(0, C - d)^2 of another one.

    Args:
        distance: ``(P,)`` of `distances`.
        same: ``(P,)`` bool: whether both patches show the same point.
        margin: C.

    Returns:
        ``(P,)`` float32.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect_same(distance, same, 'distances and kinds of pairs')
    return torch.where(same, distance, (margin - distance).relu()).square()


def overlap_losses(first: Tensor, second: Tensor, side: float) -> Tensor:
    """Return how little the patches about two positions overlap (eq. 6), before descriptors tell.

    ``1 - (p1 and p2) / (p1 or p2) + max(0, |x1 - x2|_1 - 2 s) / sqrt(p1 or p2)`` of squares p about
    x with the side s; the last summand draws those together that do not meet.

    Args:
        first: ``(P, 2)`` positions of one point as found in both patches, from where it truly is.
        second: ``(P, 2)``.
        side: s, in the same unit.

    Returns:
        ``(P,)`` float32.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(first, 'P 2', 'first positions')
    expect_same(first, second, 'first and second positions')
    off = (first - second).float().abs()  # (P, 2)
    shared = (side - off).relu().prod(dim=1)
    union = 2 * side**2 - shared
    return 1 - shared / union + (off.sum(dim=1) - 2 * side).relu() / union.sqrt()


def class_losses(scores: Tensor, shows: Tensor, sharpness: float = SHARPNESS) -> Tensor:
    """Return how badly patches with a feature are told from those without (eq. 2).

    ``max(0, 1 - y softmax(S))^2`` with y = 1 for a patch with a feature and -1 for one without; the
    softmax of a score map is its smooth maximum, the logarithm of the mean of exponentials.

    Args:
        scores: ``(B, h, w)``.
        shows: ``(B,)`` bool: which patches have a feature.
        sharpness: Factor of the scores in the exponentials, by which the logarithm is divided.

    Returns:
        ``(B,)`` float32, unweighted; the paper's weights are 1/6 for each of three patches with and
        3/6 for the one without.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(scores, 'B h w', 'scores')
    expect_same(scores[:, 0, 0], shows, 'score maps and kinds of patches')
    flat = sharpness * scores.float().flatten(1)
    highest = (flat.logsumexp(dim=1) - math.log(flat.shape[1])) / sharpness
    return (1 - torch.where(shows, highest, -highest)).relu().square()


def hardest(losses: Tensor, count: int) -> Tensor:
    """Return the places of the highest of losses ``(P,)``, at most so many: hard mining (sec. 3.5).

    K_f pairs go forward, and only the K_b with the highest loss back.
    """
    return losses.topk(min(count, len(losses))).indices
