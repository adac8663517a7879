"""What a depth network minimises that is shown the truth, as the logarithm of disparity.

Eigen et al. (NIPS 2014) learn the logarithm of depth; its gradients at several scales keep edges
sharp and surfaces flat (Li and Snavely, "MegaDepth", CVPR 2018, section 4). How far an answer may
be off is learned as the scale of a Laplacian (Kendall and Gal, NIPS 2017, section 3), of an error
that is taken as given, so that a pixel cannot buy a small loss by being unsure.

Letters in this file: B images, C views, H W size in pixels; scale i has 1/2^i of the full size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from dlcv.networks.layers.shapes import expect, expect_same

_LEAST = 1e-6  # of the width; a sigmoid gets there
_SPREADS = (-5.0, 2.0)  # logarithms: errors of a hundredth and of a factor of a thousand


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SupervisedLoss:
    """The loss and what it is made of.

    Attributes:
        value: Scalar: mean absolute error of the logarithm, mean over the scales.
        gradient: Scalar: the same of its differences between neighbours of the finest scale, at
            steps of 1, 2, 4 and 8 pixels.
    """

    value: Tensor
    gradient: Tensor


def supervised_loss(disparities: Sequence[Tensor], truth: Tensor, known: Tensor) -> SupervisedLoss:
    """Compare disparities with the truth.

    Args:
        disparities: ``(B, C, h, w)``, finest first, each half the size of the one before, as
            fractions of the width.
        truth: ``(B, C, H, W)`` in the same unit, positive where known.
        known: ``(B, C, H, W)`` bool: what counts.

    Raises:
        ShapeError: If shapes do not fit.
    """
    expect(truth, 'B C H W', 'truth')
    expect_same(truth, known, 'truth and known')
    expect_same(disparities[0], truth, 'the finest disparity and truth')
    target = truth.clamp(min=_LEAST).log()
    value = truth.new_zeros(())
    for scale, disparity in enumerate(disparities):
        step = 2**scale
        at = (..., slice(step // 2, None, step), slice(step // 2, None, step))
        error = (disparity.clamp(min=_LEAST).log() - target[at]).abs()
        value = value + mean_of(error, known[at])
    error = disparities[0].clamp(min=_LEAST).log() - target
    gradient = truth.new_zeros(())
    for step in (1, 2, 4, 8):
        across = (error[..., step:] - error[..., :-step]).abs()
        down = (error[..., step:, :] - error[..., :-step, :]).abs()
        gradient = gradient + mean_of(across, known[..., step:] & known[..., :-step])
        gradient = gradient + mean_of(down, known[..., step:, :] & known[..., :-step, :])
    return SupervisedLoss(value=value / len(disparities), gradient=gradient / 8)


def spread_loss(spread: Tensor, disparity: Tensor, truth: Tensor, known: Tensor) -> Tensor:
    """Return the negative log-likelihood of the errors, the disparity taken as it is.

    Args:
        spread: ``(B, H, W)`` logarithm of the expected absolute error of the logarithm.
        disparity: ``(B, H, W)``; no gradient goes into it.
        truth: ``(B, H, W)`` in the same unit.
        known: ``(B, H, W)`` bool: what counts.

    Raises:
        ShapeError: If shapes differ.
    """
    expect_same(spread, disparity, 'spread and disparity')
    expect_same(spread, truth, 'spread and truth')
    with torch.no_grad():
        error = (disparity.clamp(min=_LEAST).log() - truth.clamp(min=_LEAST).log()).abs()
    return laplace_loss(spread, error, known, _SPREADS)


def laplace_loss(
    spread: Tensor, error: Tensor, counted: Tensor, bounds: tuple[float, float]
) -> Tensor:
    """Return the mean negative log-likelihood of errors, but for a constant.

    Args:
        spread: ``(B, H, W)`` logarithm of the scale of the Laplacian.
        error: The same of the absolute errors; no gradient should go into them.
        counted: The same, bool: what counts.
        bounds: Of the logarithm.
    """
    bounded = spread.clamp(*bounds)
    # Beyond the bounds the gradient would be lost for ever; a weak pull leads back.
    outside = 0.01 * (spread - bounded).abs()
    return mean_of(error * (-bounded).exp() + bounded + outside, counted)


def mean_of(values: Tensor, counted: Tensor) -> Tensor:
    """Return the mean over what counts; 0 where nothing does."""
    weight = counted.to(values.dtype)
    return (values * weight).sum() / weight.sum().clamp(min=1)
