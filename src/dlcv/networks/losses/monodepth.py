"""What monodepth minimises: appearance, smoothness, left-right agreement (Godard et al. 2017, 3.3).

Letters in this file: B images, C channels, H W size in pixels; the scales i = 0..3 have 1/2^i of
the full size. Disparities are fractions of the image width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.sampling import Outside, sample_row
from dlcv.networks.layers.shapes import expect, expect_same

Smoothness = Literal['original', 'paper']

_C1 = 0.01**2
_C2 = 0.03**2


@dataclass(frozen=True, kw_only=True, slots=True)
class MonodepthLossConfig:
    """How the terms are weighed.

    Attributes:
        ssim: Share of the SSIM in the appearance term; the rest is L1.
        smooth: Weight of the smoothness term.
        left_right: Weight of the left-right term.
        smoothness: ``'original'`` punishes horizontal gradients only, as the published code does;
            ``'paper'`` horizontal and vertical ones, as the paper says.
        outside: What the sampler sees beyond the image.
    """

    ssim: float = 0.85
    smooth: float = 0.1
    left_right: float = 1.0
    smoothness: Smoothness = 'original'
    outside: Outside = 'border'


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MonodepthLoss:
    """The loss and what it is made of.

    Attributes:
        total: Scalar: ``image + 0.1 smooth + left_right`` with the configured weights.
        image: Scalar: appearance term over all scales and both views.
        smooth: Scalar: smoothness term, each scale divided by 2^i.
        left_right: Scalar: consistency term.
        scales: The same terms of every scale, finest first.
    """

    total: Tensor
    image: Tensor
    smooth: Tensor
    left_right: Tensor
    scales: tuple[ScaleTerms, ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ScaleTerms:
    """Unweighted terms of one scale as ``(2,)`` tensors: left view, right view.

    Attributes:
        ssim: Mean of ``clip((1 - SSIM) / 2, 0, 1)``.
        l1: Mean absolute difference of the colours.
        smooth: Mean absolute edge-aware gradient; NOT yet divided by 2^i.
        left_right: Mean absolute difference of the two disparities.
    """

    ssim: Tensor
    l1: Tensor
    smooth: Tensor
    left_right: Tensor


def monodepth_loss(
    disparities: Sequence[Tensor],
    left: Tensor,
    right: Tensor,
    config: MonodepthLossConfig | None = None,
) -> MonodepthLoss:
    """Return the training loss of a stereo pair.

    Args:
        disparities: The network's maps ``(B, 2, H/2^i, W/2^i)``, finest first; left, right.
        left: ``(B, 3, H, W)`` in [0, 1], the image the network saw.
        right: ``(B, 3, H, W)`` in [0, 1].
        config: Weights of the terms; the original's when left out.

    Raises:
        ShapeError: If the images differ in shape or a disparity does not fit its scale.
    """
    config = config or MonodepthLossConfig()
    expect_same(left, right, 'left and right')
    lefts, rights = pyramid(left, len(disparities)), pyramid(right, len(disparities))
    scales = tuple(
        scale_terms(d, a, b, config) for d, a, b in zip(disparities, lefts, rights, strict=True)
    )
    ssim = _total([terms.ssim for terms in scales])
    image = config.ssim * ssim + (1 - config.ssim) * _total([terms.l1 for terms in scales])
    smooth = _total([terms.smooth / 2**i for i, terms in enumerate(scales)])
    left_right = _total([terms.left_right for terms in scales])
    return MonodepthLoss(
        total=image + config.smooth * smooth + config.left_right * left_right,
        image=image,
        smooth=smooth,
        left_right=left_right,
        scales=scales,
    )


def scale_terms(
    disparity: Tensor, left: Tensor, right: Tensor, config: MonodepthLossConfig
) -> ScaleTerms:
    """Return the terms of one scale.

    Args:
        disparity: ``(B, 2, h, w)``: left, right.
        left: ``(B, 3, h, w)`` in [0, 1].
        right: ``(B, 3, h, w)`` in [0, 1].
        config: How gradients and look-ups outside are taken.

    Raises:
        ShapeError: If the disparity's size is not the images'.
    """
    batch, _, height, width = left.shape
    expect(disparity, f'{batch} 2 {height} {width}', 'disparity')
    of_left, of_right = disparity[:, :1], disparity[:, 1:]  # each (B, 1, h, w)
    left_again = sample_row(right, -of_left, config.outside)
    right_again = sample_row(left, of_right, config.outside)
    return ScaleTerms(
        ssim=torch.stack((dissimilarity(left_again, left), dissimilarity(right_again, right))),
        l1=torch.stack(((left_again - left).abs().mean(), (right_again - right).abs().mean())),
        smooth=torch.stack(
            (
                smoothness(of_left, left, config.smoothness),
                smoothness(of_right, right, config.smoothness),
            )
        ),
        left_right=torch.stack(
            (
                (sample_row(of_right, -of_left, config.outside) - of_left).abs().mean(),
                (sample_row(of_left, of_right, config.outside) - of_right).abs().mean(),
            )
        ),
    )


def pyramid(image: Tensor, scales: int = 4) -> list[Tensor]:
    """Return the image ``(B, C, H, W)`` at 1, 1/2, ... of its size, as means over areas."""
    height, width = image.shape[2:]
    sizes = [(height // 2**i, width // 2**i) for i in range(1, scales)]
    return [image, *(F.interpolate(image, size, mode='area') for size in sizes)]


def dissimilarity(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean of ``clip((1 - SSIM) / 2, 0, 1)`` over 3x3 windows, without padding."""
    return ((1 - ssim(a, b)) / 2).clamp(0, 1).mean()


def ssim(a: Tensor, b: Tensor) -> Tensor:
    """Return the structural similarity of 3x3 windows, ``(B, C, H - 2, W - 2)``."""
    mean_a, mean_b = _mean3(a), _mean3(b)
    var_a = _mean3(a * a) - mean_a**2
    var_b = _mean3(b * b) - mean_b**2
    cov = _mean3(a * b) - mean_a * mean_b
    above = (2 * mean_a * mean_b + _C1) * (2 * cov + _C2)
    below = (mean_a**2 + mean_b**2 + _C1) * (var_a + var_b + _C2)
    return above / below


def smoothness(disparity: Tensor, image: Tensor, kind: Smoothness = 'original') -> Tensor:
    """Return the mean disparity gradient, forgiven where the image has an edge.

    Args:
        disparity: ``(B, 1, H, W)``.
        image: ``(B, C, H, W)``.
        kind: ``'original'`` takes horizontal gradients only: the published code joins the lists of
            its x and y terms and then reads no further than the x terms. ``'paper'`` adds y.
    """
    loss = _edge_aware(disparity, image, dim=3)
    return loss + _edge_aware(disparity, image, dim=2) if kind == 'paper' else loss


def _edge_aware(disparity: Tensor, image: Tensor, dim: int) -> Tensor:
    weight = (-image.diff(dim=dim).abs().mean(1, keepdim=True)).exp()
    return (disparity.diff(dim=dim) * weight).abs().mean()


def _mean3(x: Tensor) -> Tensor:
    """Return means over 3x3 windows; sums of slices are four times faster on a CPU than a pool."""
    rows = x[..., :-2, :] + x[..., 1:-1, :] + x[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def _total(terms: list[Tensor]) -> Tensor:
    return torch.stack(terms).sum()
