"""What a network minimises that is to tell the class of each pixel.

Cross entropy summed over pixels (Long et al., CVPR 2015, section 4.3), here with a weight for each
class, since some fill a thousandth of the pictures (Eigen and Fergus, ICCV 2015, section 5).

Letters in this file: B pictures, H W their size in pixels, C classes.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from dlcv.classes import UNLABELLED
from dlcv.networks.layers.shapes import ShapeError, expect


def segmentation_loss(scores: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Return the mean over the labelled pixels of ``-w_c log softmax(scores)_c``, c the true class.

    The mean is weighted too: a weight of 2 makes a pixel count as two. Pixels that are
    `UNLABELLED` do not count; if all are, the loss is zero.

    Args:
        scores: ``(B, C, H, W)`` logits.
        labels: ``(B, H, W)`` integers: numbers below C, or `UNLABELLED`.
        weights: ``(C,)`` of the classes; None for 1 each.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(scores, 'B C H W', 'scores')
    expect(labels, 'B H W', 'labels')
    if scores.shape[2:] != labels.shape[1:] or len(scores) != len(labels):
        raise ShapeError(
            f'scores and labels: expected one size, got {tuple(scores.shape)} and '
            f'{tuple(labels.shape)}'
        )
    labels = labels.long()
    total = F.cross_entropy(scores, labels, weights, ignore_index=UNLABELLED, reduction='sum')
    known = labels != UNLABELLED
    if weights is None:
        return total / known.sum().clamp(min=1)
    counted = weights[labels.where(known, 0)] * known
    return total / counted.sum().clamp(min=1e-6)
