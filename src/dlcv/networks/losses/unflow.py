"""What UnFlow minimises: flow learned from pairs of images alone (Meister et al., AAAI 2018).

Each term is that of the published code, which differs from the paper's letters in one thing: a
mask multiplies, and the mean is taken over all elements, masked or not.

Letters in this file: B pairs, C channels, H W size of a map, r census radius, N = (2r+1)^2 pixels
of a patch, i = 0..4 the scales, 1/4 ... 1/64 of the image. Flow is in pixels of its own map;
"forward" lies on the pixels of the first image and points into the second. Masks are float, 1
where a pixel counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.sampling import pixel_grid
from dlcv.networks.layers.shapes import ShapeError, expect, expect_same

SCALE_WEIGHTS = (12.7, 4.35, 3.9, 3.4, 1.1)  # of flow2 ... flow6
CENSUS_RADII = (3, 2, 2, 1, 1)
GREY = (0.2989, 0.5870, 0.1140)  # of red, green, blue

_EPSILON = 0.001  # of the Charbonnier penalty
_EXPONENT = 0.45
_CENSUS_SOFTNESS = 0.81  # a difference of .9 grey levels is half way between "same" and "other"
_HAMMING_SOFTNESS = 0.1
_OCCLUSION_SHARE = 0.01
_OCCLUSION_FLOOR = 0.5  # pixels^2


@dataclass(frozen=True, kw_only=True, slots=True)
class UnflowLossConfig:
    """How the terms are weighed; a weight of 0 leaves a term out.

    Attributes:
        census: Weight of the census term.
        photometric: Weight of the colour differences, which the census term replaces.
        smoothness: Weight of the second derivatives of the flow.
        consistency: Weight of the disagreement of forward and backward flow.
        occlusion: Penalty for masked pixels, lest all call themselves occluded.
        mask_occlusions: Whether pixels that fail the forward-backward check are masked.
        scale_weights: One for each scale, finest first.
        census_radii: The same.
    """

    census: float = 1.0
    photometric: float = 0.0
    smoothness: float = 3.0
    consistency: float = 0.2
    occlusion: float = 12.4
    mask_occlusions: bool = True
    scale_weights: tuple[float, ...] = SCALE_WEIGHTS
    census_radii: tuple[int, ...] = CENSUS_RADII

    def __post_init__(self) -> None:
        if len(self.scale_weights) != len(self.census_radii):
            raise ValueError(
                'UnFlow needs as many scale_weights as census_radii, got '
                f'{len(self.scale_weights)} and {len(self.census_radii)}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class UnflowTerms:
    """Unweighted terms as scalars, each the sum of both directions; of one scale, or of all.

    Attributes:
        census: Distance of the census patches; 0 if its weight is.
        photometric: Colour differences; 0 if its weight is.
        smoothness: Second derivatives of the flow.
        consistency: Forward flow plus the backward flow found there.
        occlusion: Penalty for masked pixels.
    """

    census: Tensor
    photometric: Tensor
    smoothness: Tensor
    consistency: Tensor
    occlusion: Tensor

    def weighted(self, config: UnflowLossConfig) -> Tensor:
        """Return the sum of the terms, each times its weight."""
        return (
            config.census * self.census
            + config.photometric * self.photometric
            + config.smoothness * self.smoothness
            + config.consistency * self.consistency
            + config.occlusion * self.occlusion
        )


def unflow_loss(
    forward: Sequence[Tensor],
    backward: Sequence[Tensor],
    first: Tensor,
    second: Tensor,
    *,
    border: Tensor | None = None,
    config: UnflowLossConfig | None = None,
    div_flow: float = 20.0,
) -> tuple[Tensor, UnflowTerms]:
    """Return the training loss of both directions, summed over the scales.

    Args:
        forward: FlowNet's pyramid from the first to the second images, in network units: each
            ``(B, 2, h, w)``, finest (1/4) first.
        backward: The same from the second to the first.
        first: ``(B, 3, H, W)`` RGB in [0, 1], without changes of light between the two.
        second: The same of the second images.
        border: ``(B or 1, 1, H, W)`` mask of the pixels that count; without it, those whose flow
            stays inside the image.
        config: Weights; the published ones when left out.
        div_flow: Pixels of the full-size image for one network unit.

    Returns:
        The loss, and its unweighted terms summed with the scales' weights.

    Raises:
        ShapeError: If shapes do not fit, or the scales are not as many as their weights.
    """
    config = config or UnflowLossConfig()
    expect_same(first, second, 'first and second images')
    if not len(forward) == len(backward) == len(config.scale_weights):
        raise ShapeError(
            f'{len(forward)} forward and {len(backward)} backward scales of flow, '
            f'but {len(config.scale_weights)} weights'
        )
    scales = []
    for i, (ahead, back) in enumerate(zip(forward, backward, strict=True)):
        size = (ahead.shape[2], ahead.shape[3])
        unit = div_flow / (4 * 2**i)  # pixels of this map for one network unit
        terms = scale_terms(
            F.adaptive_avg_pool2d(first, size),
            F.adaptive_avg_pool2d(second, size),
            ahead * unit,
            back * unit,
            border=None if border is None else F.adaptive_avg_pool2d(border, size),
            radius=config.census_radii[i],
            config=config,
        )
        scales.append((config.scale_weights[i], terms))
    summed = _summed(scales)
    return summed.weighted(config), summed


def scale_terms(
    first: Tensor,
    second: Tensor,
    forward: Tensor,
    backward: Tensor,
    *,
    border: Tensor | None = None,
    radius: int = 3,
    config: UnflowLossConfig | None = None,
) -> UnflowTerms:
    """Return the terms of one scale, each summed over both directions.

    Args:
        first: ``(B, 3, H, W)`` RGB in [0, 1].
        second: The same of the second images.
        forward: ``(B, 2, H, W)`` flow in pixels of this scale.
        backward: The same from the second to the first.
        border: ``(B or 1, 1, H, W)`` mask of the pixels that count; without it, those whose flow
            stays inside the image.
        radius: Of the census patches.
        config: Says what is left out and whether occlusions are masked.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    config = config or UnflowLossConfig()
    expect_same(forward, backward, 'forward and backward flow')
    # Both directions as one batch: the mean over it is half the sum of the two means.
    images, others = torch.cat((first, second)), torch.cat((second, first))  # (2B, 3, H, W)
    flow, reverse = torch.cat((forward, backward)), torch.cat((backward, forward))  # (2B, 2, H, W)
    found = warp_clamped(torch.cat((others, reverse), dim=1), flow)  # (2B, 5, H, W)
    warped, met = found[:, :3], found[:, 3:]
    mask = (
        _inside(flow)
        if border is None
        else border.expand(len(first), -1, -1, -1).repeat(2, 1, 1, 1)
    )
    if config.mask_occlusions:
        mask = mask * (1 - _fails_check(flow, met))
    none = flow.new_zeros(())
    return UnflowTerms(
        census=2 * census_term(images, warped, mask, radius) if config.census else none,
        photometric=2 * photometric_term(images, warped, mask) if config.photometric else none,
        smoothness=2 * smoothness_term(flow),
        consistency=2 * charbonnier(flow + met, mask),
        occlusion=2 * occlusion_term(mask),
    )


def charbonnier(x: Tensor, mask: Tensor | None = None, *, beta: float = 1.0) -> Tensor:
    """Return the mean of ``mask * ((beta x)^2 + 0.001^2)^0.45`` over all elements.

    Args:
        x: ``(B, C, H, W)``.
        mask: ``(B or 1, C or 1, H, W)``; multiplies, and does not change what is divided by.
        beta: Scale of ``x``; 255 makes grey levels of an image in [0, 1].
    """
    penalty = ((beta * x).square() + _EPSILON**2).pow(_EXPONENT)
    return (penalty if mask is None else mask * penalty).mean()


def warp_clamped(image: Tensor, flow: Tensor) -> Tensor:
    """Pull ``image`` back along ``flow`` bilinearly, repeating its edge outside.

    The weights are the fractions of the flow as it is; only the indices of the four pixels are
    clamped to the image.

    Args:
        image: ``(B, C, H, W)``, on the pixels the flow points to.
        flow: ``(B, 2, H, W)`` in pixels.

    Returns:
        ``(B, C, H, W)``, differentiable in both arguments.

    Raises:
        ShapeError: If ``flow`` does not fit ``image``.
    """
    batch, channels, height, width = image.shape
    expect(flow, f'{batch} 2 {height} {width}', 'flow')
    whole = flow.detach().floor()
    right, down = (flow - whole)[:, :, None].unbind(1)  # weights, each (B, 1, H, W)
    # A flow that is not a number points anywhere; its weights carry the NaN to the loss.
    x, y = (pixel_grid(height, width, flow) + whole.nan_to_num()).unbind(1)  # each (B, H, W)
    x0, x1 = (x.clamp(0, width - 1).long(), (x + 1).clamp(0, width - 1).long())
    y0, y1 = (y.clamp(0, height - 1).long(), (y + 1).clamp(0, height - 1).long())
    flat = image.flatten(2)  # (B, C, H*W)

    def corner(row: Tensor, column: Tensor) -> Tensor:
        index = (row * width + column).view(batch, 1, -1).expand(-1, channels, -1)
        return flat.gather(2, index).view(image.shape)

    above = (1 - right) * corner(y0, x0) + right * corner(y0, x1)
    below = (1 - right) * corner(y1, x0) + right * corner(y1, x1)
    return (1 - down) * above + down * below


def census(image: Tensor, radius: int) -> Tensor:
    """Return the soft ternary census transform: how each neighbour differs from the pixel.

    A difference t in grey levels becomes ``t / sqrt(0.81 + t^2)``: about -1 darker, 0 the same, 1
    brighter. Beyond the image is black. Additive and multiplicative changes of light leave it
    almost as it is (Stein 2004).

    Args:
        image: ``(B, 3, H, W)`` RGB in [0, 1].
        radius: r; the patch has ``N = (2r+1)^2`` pixels, the row is the slow index.

    Returns:
        ``(B, N, H, W)``.

    Raises:
        ShapeError: If the image has another shape.
    """
    expect(image, 'B 3 H W', 'image')
    weights = image.new_tensor(GREY).view(1, 3, 1, 1)
    grey = 255 * (image * weights).sum(1, keepdim=True)  # (B, 1, H, W)
    patches = F.unfold(grey, 2 * radius + 1, padding=radius)  # (B, N, H*W)
    difference = patches.view(len(image), -1, *image.shape[2:]) - grey  # (B, N, H, W)
    return difference * (_CENSUS_SOFTNESS + difference.square()).rsqrt()


def census_distance(first: Tensor, second: Tensor) -> Tensor:
    """Return the soft Hamming distance ``sum_N d^2 / (0.1 + d^2)`` of two census transforms.

    Args:
        first: ``(B, N, H, W)``.
        second: The same of the other image.

    Returns:
        ``(B, 1, H, W)`` in [0, N).

    Raises:
        ShapeError: If the shapes differ.
    """
    expect_same(first, second, 'census transforms')
    squared = (first - second).square()
    return (squared / (_HAMMING_SOFTNESS + squared)).sum(1, keepdim=True)


def census_term(image: Tensor, warped: Tensor, mask: Tensor, radius: int) -> Tensor:
    """Return the Charbonnier mean of the census distance.

    Args:
        image: ``(B, 3, H, W)`` RGB in [0, 1].
        warped: The other image, pulled back onto it.
        mask: ``(B or 1, 1, H, W)``; the outermost ``radius`` pixels, whose patches reach beyond
            the image, are masked in addition.
        radius: Of the patches.
    """
    distance = census_distance(census(image, radius), census(warped, radius))
    return charbonnier(distance, mask * inner_mask(mask, radius, radius))


def photometric_term(image: Tensor, warped: Tensor, mask: Tensor) -> Tensor:
    """Return the Charbonnier mean of the colour difference in grey levels.

    Args:
        image: ``(B, C, H, W)`` in [0, 1].
        warped: The other image, pulled back onto it.
        mask: ``(B or 1, 1, H, W)``.
    """
    return charbonnier(image - warped, mask, beta=255)


def occlusion_term(mask: Tensor) -> Tensor:
    """Return the Charbonnier mean of ``1 - mask``: what it costs not to be counted.

    Args:
        mask: ``(B, 1, H, W)``, border and occlusions together.
    """
    return charbonnier(1 - mask)


def consistency_term(forward: Tensor, backward: Tensor, mask: Tensor) -> Tensor:
    """Return the Charbonnier mean of the forward flow plus the backward flow that it points to.

    Args:
        forward: ``(B, 2, H, W)`` in pixels.
        backward: ``(B, 2, H, W)`` in pixels, on the other image.
        mask: ``(B or 1, 1, H, W)``.
    """
    return charbonnier(forward + warp_clamped(backward, forward), mask)


def smoothness_term(flow: Tensor) -> Tensor:
    """Return the Charbonnier means of the second derivatives of u and v, summed.

    The derivatives are ``(1, -2, 1)`` along rows, columns and both diagonals. Where one would
    reach beyond the map it counts as nothing, though the mean is over all ``4 B H W``.

    Args:
        flow: ``(B, 2, H, W)`` in pixels.
    """
    batch, _, height, width = flow.shape
    centre = 2 * flow[:, :, 1:-1, 1:-1]
    second_derivatives = (
        flow[..., :-2] - 2 * flow[..., 1:-1] + flow[..., 2:],
        flow[:, :, :-2] - 2 * flow[:, :, 1:-1] + flow[:, :, 2:],
        flow[:, :, :-2, :-2] - centre + flow[:, :, 2:, 2:],
        flow[:, :, :-2, 2:] - centre + flow[:, :, 2:, :-2],
    )
    joined = torch.cat([d.flatten() for d in second_derivatives])
    penalty = (joined.square() + _EPSILON**2).pow(_EXPONENT)
    return penalty.sum() / (4 * batch * height * width)


def occluded(forward: Tensor, backward: Tensor) -> Tensor:
    """Return where the forward flow and the backward flow that it points to do not cancel.

    Args:
        forward: ``(B, 2, H, W)`` in pixels.
        backward: ``(B, 2, H, W)`` in pixels, on the other image.

    Returns:
        ``(B, 1, H, W)``: 1 where ``|w_f + w_b'|^2 > 0.01 (|w_f|^2 + |w_b'|^2) + 0.5`` with
        ``w_b' = w_b(x + w_f)``, else 0. It has no derivative.
    """
    return _fails_check(forward, warp_clamped(backward, forward))


def _fails_check(forward: Tensor, met: Tensor) -> Tensor:
    """Return the mask of ``occluded`` for a backward flow already pulled back, ``met``."""
    apart = (forward + met).square().sum(1, keepdim=True)  # (B, 1, H, W)
    lengths = (forward.square() + met.square()).sum(1, keepdim=True)
    return (apart > _OCCLUSION_SHARE * lengths + _OCCLUSION_FLOOR).to(forward.dtype)


def border_mask(image: Tensor, share: float = 0.1) -> Tensor:
    """Return ``(1, 1, H, W)``: 0 within ``ceil(share * shorter side)`` pixels of the border."""
    margin = ceil(min(image.shape[2:]) * share)
    return inner_mask(image, margin, margin)


def inner_mask(image: Tensor, rows: int, columns: int) -> Tensor:
    """Return ``(1, 1, H, W)``: 0 in the outermost rows and columns of an image, 1 inside."""
    height, width = image.shape[2:]
    mask = image.new_zeros(1, 1, height, width)
    mask[:, :, rows : max(rows, height - rows), columns : max(columns, width - columns)] = 1
    return mask


def _inside(flow: Tensor) -> Tensor:
    """Return ``(B, 1, H, W)``: 1 where the flow points into the map."""
    height, width = flow.shape[2:]
    x, y = (pixel_grid(height, width, flow) + flow).unbind(1)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return inside[:, None].to(flow.dtype)


def _summed(scales: Sequence[tuple[float, UnflowTerms]]) -> UnflowTerms:
    def total(name: str) -> Tensor:
        return torch.stack([weight * getattr(terms, name) for weight, terms in scales]).sum()

    return UnflowTerms(
        census=total('census'),
        photometric=total('photometric'),
        smoothness=total('smoothness'),
        consistency=total('consistency'),
        occlusion=total('occlusion'),
    )
