"""What a stereo network minimises that is shown the truth.

Smooth L1 of the disparity in pixels (Chang and Chen, CVPR 2018, eq. 2) at every size that the
decoder answers in (Mayer et al., CVPR 2016, section 5). How far an answer may be off is learned as
the scale of a Laplacian (Kendall and Gal, NIPS 2017, section 3), of an error taken as given.

Letters in this file: B pairs, H W size in pixels, h w that of an answer.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.disparity import SHARPNESS
from dlcv.networks.layers.shapes import ShapeError, expect, expect_same
from dlcv.networks.losses.depth_supervised import laplace_loss, mean_of

_SPREADS = (-4.0, 5.0)  # logarithms of pixels: errors of a fiftieth and of a hundred and fifty


def disparity_loss(
    answers: Sequence[Tensor], truth: Tensor, known: Tensor, weights: Sequence[float]
) -> Tensor:
    """Return the weighted sum of the mean smooth L1 of each answer, pixels.

    Args:
        answers: ``(B, 1 or more, h, w)``: channel 0 in pixels of the full size, each of a size
            that goes into it a whole number of times.
        truth: ``(B, H, W)`` disparity in pixels.
        known: ``(B, H, W)`` bool: what counts.
        weights: Of each answer.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(truth, 'B H W', 'truth')
    expect_same(truth, known, 'truth and known')
    total = truth.new_zeros(())
    for answer, weight in zip(answers, weights, strict=True):
        target, counted = thinned(truth, answer), thinned(known, answer)
        error = F.smooth_l1_loss(
            answer[:, 0], target.where(counted, answer[:, 0]), reduction='none'
        )
        total = total + weight * mean_of(error, counted)
    return total


def spread_loss(answer: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the negative log-likelihood of the errors, the disparity taken as it is.

    Args:
        answer: ``(B, 2, h, w)``: disparity, and the logarithm of its expected error in pixels.
        truth: ``(B, H, W)``.
        known: ``(B, H, W)`` bool.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(answer, 'B 2 h w', 'answer')
    target, counted = thinned(truth, answer), thinned(known, answer)
    with torch.no_grad():
        error = (answer[:, 0] - target.where(counted, answer[:, 0])).abs()
    return laplace_loss(answer[:, 1], error, counted, _SPREADS)


def matching_loss(
    matches: Tensor, truth: Tensor, known: Tensor, *, sharpness: float = SHARPNESS
) -> Tensor:
    """Return how badly a correlation along the rows tells the true disparity from the others.

    As `dlcv.networks.losses.flownet.matching_loss`: the cross-entropy of choosing among all
    disparities by ``softmax(sharpness * matches)``; the truth, which lies between two of them, is
    shared among these. Features match by it long before the decoder makes any use of that.

    Args:
        matches: ``(B, D, h, w)``, for each column of the map one more.
        truth: ``(B, H, W)`` disparity in pixels, H and W a multiple of h and w.
        known: ``(B, H, W)`` bool.
        sharpness: Factor of the matches.

    Returns:
        A scalar, the mean over places whose point is within the other picture and among the
        disparities.

    Raises:
        ShapeError: If shapes do not fit.
    """
    disparities, width = matches.shape[1], matches.shape[3]
    cell = thinned(truth, matches) / (truth.shape[2] // width)  # (B, h, w) columns of the map
    counted = thinned(known, matches) & (cell <= disparities - 1)
    counted &= cell <= torch.arange(width, device=cell.device)
    low = cell.where(counted, cell.new_zeros(())).floor().clamp(0, disparities - 2)
    share = (cell - low).where(counted, cell.new_zeros(()))
    chances = (sharpness * matches.float()).log_softmax(dim=1)
    index = low.long()[:, None]
    found = chances.gather(1, index), chances.gather(1, index + 1)
    return mean_of(-torch.lerp(found[0][:, 0], found[1][:, 0], share), counted)


def thinned(full: Tensor, answer: Tensor) -> Tensor:
    """Return every n-th pixel of a map ``(B, H, W)``, the size of an answer ``(B, C, h, w)``.

    Means over a cell would make disparities that are nowhere in the picture.

    Raises:
        ShapeError: If the sizes are no whole multiples.
    """
    step = full.shape[-1] // answer.shape[-1]
    if tuple(step * side for side in answer.shape[2:]) != tuple(full.shape[1:]):
        raise ShapeError(
            f'an answer of {tuple(answer.shape[2:])} does not go into a truth of '
            f'{tuple(full.shape[1:])} a whole number of times'
        )
    return full[..., step // 2 :: step, step // 2 :: step]
