"""NetVLAD's loss: a weakly supervised ranking of triplets (Arandjelovic et al., 2016, section 4).

Where a picture was taken is known; what it shows is not. So of all pictures from near by only the
nearest descriptor must be nearer than those of pictures from far away: it is the one that shows
the same things.

Letters in this file: B queries, P pictures from near by of each, M from far away, N values of a
descriptor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dlcv.networks.layers.shapes import expect

MARGIN = 0.1


def ranking_loss(
    query: Tensor,
    near: Tensor,
    far: Tensor,
    near_there: Tensor | None = None,
    far_there: Tensor | None = None,
    margin: float = MARGIN,
) -> Tensor:
    """Return the hinge of equation 7, on squared distances, summed over what is far away.

    Args:
        query: ``(B, N)`` descriptors of length 1.
        near: ``(B, P, N)`` of pictures that may show the same; the nearest counts.
        far: ``(B, M, N)`` of pictures that do not.
        near_there: ``(B, P)`` bool, False for padding; all are there without it.
        far_there: ``(B, M)`` bool, likewise.
        margin: By which the nearest must be nearer.

    Returns:
        Scalar, the mean over the queries that have a picture from near by.

    Raises:
        ShapeError: If the shapes are others.
    """
    expect(query, 'B N', 'query')
    batch, size = query.shape
    expect(near, f'{batch} P {size}', 'near')
    expect(far, f'{batch} M {size}', 'far')
    apart = _squared(query, near)
    known = torch.ones_like(apart[:, 0], dtype=torch.bool)
    if near_there is not None:
        expect(near_there, f'{batch} {near.shape[1]}', 'near_there')
        apart = apart.masked_fill(~near_there, float('inf'))
        known = near_there.any(1)
    nearest = apart.amin(1).masked_fill(~known, 0)
    lacking = (nearest[:, None] + margin - _squared(query, far)).clamp(min=0)  # (B, M)
    if far_there is not None:
        expect(far_there, f'{batch} {far.shape[1]}', 'far_there')
        lacking = lacking * far_there
    return (lacking.sum(1) * known).sum() / known.sum().clamp(min=1)


def hardest(distance: Tensor, allowed: Tensor, count: int) -> Tensor:
    """Return the nearest of what may be far away: which ``count`` of it a query learns from.

    Args:
        distance: ``(B, M)`` of cached descriptors from those of the queries.
        allowed: ``(B, M)`` bool: far away for certain.
        count: At most M.

    Returns:
        ``(B, count)`` int64 indices, hardest first; -1 where there are not so many.
    """
    expect(distance, 'B M', 'distance')
    expect(allowed, f'{len(distance)} {distance.shape[1]}', 'allowed')
    found = distance.masked_fill(~allowed, float('inf')).topk(count, dim=1, largest=False)
    return found.indices.masked_fill(found.values.isinf(), -1)


def _squared(query: Tensor, others: Tensor) -> Tensor:
    """Return squared distances ``(B, P)`` of vectors of length 1."""
    return 2 - 2 * torch.einsum('bn,bpn->bp', query, others)
