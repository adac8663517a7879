"""What FCOS minimises (Tian et al., ICCV 2019, equation 2, and arXiv 2010.02013).

Focal loss of the kind at each point (Lin et al., ICCV 2017), and at points inside a thing the GIoU
loss of the box (Rezatofighi et al., CVPR 2019), weighted by centre-ness, and the cross entropy of
centre-ness.

Letters in this file: B pictures, M boxes at most, L points, C kinds, P points inside things.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import expect

NOTHING, UNASKED = -1, -2
REACH = {8: (0.0, 48.0), 16: (48.0, 112.0), 32: (112.0, float('inf'))}
"""Least and greatest distance in pixels to the farthest edge of boxes that a grid answers for."""

_RADIUS = 1.5  # strides around the middle of a box within which points answer for it
_ALPHA, _GAMMA = 0.25, 2.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Targets:
    """What points are to say.

    Attributes:
        kind: ``(B, L)`` int64, `NOTHING` outside of things, `UNASKED` where no answer counts.
        edges: ``(B, L, 4)`` pixels to the edges of the box; of points inside things.
    """

    kind: Tensor
    edges: Tensor


def targets(points: Tensor, box: Tensor, kind: Tensor, counts: Tensor) -> Targets:
    """Return what points are to say; of several boxes a point answers for the smallest.

    Things that nobody can be asked to find make points within their box that answer for no other
    unasked.

    Args:
        points: ``(L, 3)`` x, y, stride in pixels.
        box: ``(B, M, 4)`` left, top, right, bottom, pixels.
        kind: ``(B, M)`` integers; below 0 for no box.
        counts: ``(B, M)`` bool: whether it is to be found.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(points, 'L 3', 'points')
    expect(box, 'B M 4', 'box')
    place, stride = points[:, :2], points[:, 2]
    low, high = box[:, None, :, :2], box[:, None, :, 2:]  # (B, 1, M, 2)
    at = place[None, :, None]  # (1, L, 1, 2)
    edges = torch.cat((at - low, high - at), -1)  # (B, L, M, 4)
    within = edges.amin(-1) > 0
    middle = (low + high) / 2
    reach = _RADIUS * stride[None, :, None]
    central = within & ((at - middle).abs().amax(-1) < reach)
    bounds = points.new_tensor([REACH[int(one)] for one in stride.tolist()])  # (L, 2)
    farthest = edges.amax(-1)
    suits = (farthest > bounds[None, :, None, 0]) & (farthest <= bounds[None, :, None, 1])
    there = (kind >= 0)[:, None]
    answers = central & suits & there & counts[:, None]
    area = (box[..., 2:] - box[..., :2]).prod(-1)[:, None]
    least, which = torch.where(answers, area, torch.inf).min(-1)  # (B, L)
    chosen = torch.gather(kind, 1, which)
    unasked = (within & there & ~counts[:, None]).any(-1)
    outside = torch.where(unasked, UNASKED, NOTHING)
    own = which[..., None, None].expand(-1, -1, 1, 4)
    return Targets(
        kind=torch.where(least.isfinite(), chosen, outside),
        edges=torch.gather(edges, 2, own)[:, :, 0],
    )


def centreness(edges: Tensor) -> Tensor:
    """Return how near points are to the middle of their boxes, ``(P,)`` in [0, 1] (equation 3).

    Args:
        edges: ``(P, 4)`` pixels to the left, top, right, bottom.
    """
    x, y = edges[:, [0, 2]], edges[:, [1, 3]]
    ratio = x.amin(1) / x.amax(1) * y.amin(1) / y.amax(1)
    return ratio.clamp(min=0).sqrt()


def giou_loss(edges: Tensor, truth: Tensor) -> Tensor:
    """Return ``1 - GIoU`` of boxes around one point each, ``(P,)``.

    GIoU is intersection over union less the share of the smallest box around both that is in
    neither.

    Args:
        edges: ``(P, 4)`` pixels to the left, top, right, bottom, > 0.
        truth: Likewise.
    """
    inner, outer = torch.minimum(edges, truth), torch.maximum(edges, truth)
    common, around = _area(inner), _area(outer)
    union = _area(edges) + _area(truth) - common
    return 1 - common / union + (around - union) / around


def focal_loss(logits: Tensor, kind: Tensor) -> Tensor:
    """Return the sum of ``-alpha (1 - p)^gamma log p`` over points and kinds that count.

    p is the probability of what is true: that it is of the kind, or that it is not, when alpha is
    one less it.

    Args:
        logits: ``(B, L, C)``.
        kind: ``(B, L)`` below C, or `NOTHING`, or `UNASKED` for points that do not count.
    """
    truth = (kind[..., None] == torch.arange(logits.shape[-1], device=kind.device)).to(logits)
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction='none')
    alpha = _ALPHA * truth + (1 - _ALPHA) * (1 - truth)
    loss = alpha * (1 - torch.exp(-entropy)) ** _GAMMA * entropy
    return (loss * (kind != UNASKED)[..., None]).sum()


def fcos_loss(kinds: Tensor, edges: Tensor, middles: Tensor, wanted: Targets) -> dict[str, Tensor]:
    """Return ``loss`` and its parts, each over the number of points inside things.

    Args:
        kinds: ``(B, L, C)`` logits.
        edges: ``(B, L, 4)`` pixels.
        middles: ``(B, L)`` logits of centre-ness.
        wanted: What they are to be.
    """
    expect(kinds, 'B L C', 'kinds')
    expect(edges, 'B L 4', 'edges')
    expect(middles, 'B L', 'middles')
    inside = wanted.kind >= 0
    count = inside.sum().clamp(min=1)
    kind = focal_loss(kinds, wanted.kind) / count
    truth = wanted.edges[inside]
    central = centreness(truth)
    apart = (giou_loss(edges[inside], truth) * central).sum() / central.sum().clamp(min=1e-6)
    middle = F.binary_cross_entropy_with_logits(middles[inside], central, reduction='sum') / count
    return {'loss': kind + apart + middle, 'kind': kind, 'box': apart, 'middle': middle}


def _area(edges: Tensor) -> Tensor:
    return (edges[:, 0] + edges[:, 2]) * (edges[:, 1] + edges[:, 3])
