"""What SfMLearner minimises: a picture drawn from its neighbours (Zhou et al., CVPR 2017, sec. 3).

The pixel p of the target, at depth D, is seen by a source camera at ``p_s ~ K T D(p) K^-1 p``
(equation 2), T being ``source_from_target``. The source is looked up there and has to look like
the target.

Letters in this file: B clips, S sources of a clip, C channels, H W size of a map in pixels; the
scales l = 0..3 have 1/2^l of the full size. Depth and translation share any unit of length.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.geometry.rotation import from_parts, so3_exp
from dlcv.networks.layers.sampling import pixel_grid, sample_at
from dlcv.networks.layers.shapes import ShapeError, expect
from dlcv.networks.losses.monodepth import smoothness

_NEAREST = 1e-3  # of what a source sees; what is behind it is drawn from this depth


@dataclass(frozen=True, kw_only=True, slots=True)
class ViewSynthesisConfig:
    """How the terms are weighed.

    Attributes:
        smooth: Weight of the smoothness term; the original code has 0.5, its PyTorch port 0.1.
        smooth_of: What is to be smooth: the ``'depth'`` as in the port, or the ``'disparity'`` as
            in the original code.
        smooth_by: ``'curvature'`` punishes second differences everywhere, as both codes do;
            ``'edges'`` first differences where the picture has no edge (Godard et al. 2017).
        smooth_decay: What the term is divided by from one scale to the next; the original code
            has 2, the port 2.3.
        normalised: Whether what is to be smooth is divided by its mean over the picture first,
            lest the term make everything shrink (Wang et al., CVPR 2018).
        explain: Weight of the term that keeps masks from calling all of the picture inexplicable.
    """

    smooth: float = 0.1
    smooth_of: Literal['depth', 'disparity'] = 'depth'
    smooth_by: Literal['curvature', 'edges'] = 'curvature'
    smooth_decay: float = 2.3
    normalised: bool = False
    explain: float = 0.2

    def __post_init__(self) -> None:
        if min(self.smooth, self.explain) < 0 or not self.smooth_decay > 0:
            raise ValueError(
                'view synthesis needs weights >= 0 and smooth_decay above 0, got '
                f'{self.smooth}, {self.explain} and {self.smooth_decay}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ViewSynthesisLoss:
    """The loss and what it is made of, each a scalar.

    Attributes:
        total: Sum of the terms, each times its weight.
        photometric: Absolute difference of the colours, summed over scales and sources.
        smooth: Smoothness, summed over scales.
        explain: Cross-entropy of the masks and ones, summed over scales; 0 without masks.
    """

    total: Tensor
    photometric: Tensor
    smooth: Tensor
    explain: Tensor


def view_synthesis_loss(
    depths: Sequence[Tensor],
    source_from_target: Tensor,
    target: Tensor,
    sources: Tensor,
    intrinsics: Tensor,
    masks: Sequence[Tensor] = (),
    config: ViewSynthesisConfig | None = None,
) -> ViewSynthesisLoss:
    """Return the training loss of clips.

    Args:
        depths: ``(B, 1, H/2^l, W/2^l)`` of the target, finest first.
        source_from_target: ``(B, S, 4, 4)`` motions of the camera.
        target: ``(B, C, H, W)`` in [0, 1].
        sources: ``(B, S, C, H, W)`` in [0, 1].
        intrinsics: ``(B, 3, 3)`` calibration matrices K of the full size.
        masks: How far each pixel counts, ``(B, S, H/2^l, W/2^l)`` in [0, 1], finest first; none
            counts them all.
        config: Weights of the terms; the port's when left out.

    Raises:
        ShapeError: If the shapes do not fit each other.
    """
    config = config or ViewSynthesisConfig()
    expect(target, 'B C H W', 'target')
    batch, channels, height, width = target.shape
    expect(sources, f'{batch} S {channels} {height} {width}', 'sources')
    expect(source_from_target, f'{batch} {sources.shape[1]} 4 4', 'source_from_target')
    expect(intrinsics, f'{batch} 3 3', 'intrinsics')
    if masks and len(masks) != len(depths):
        raise ShapeError(f'{len(depths)} scales of depth, but {len(masks)} of masks')
    weights: Sequence[Tensor | None] = masks or [None] * len(depths)
    photometric = torch.stack(
        [
            photometric_term(depth, source_from_target, target, sources, intrinsics, weight)
            for depth, weight in zip(depths, weights, strict=True)
        ]
    ).sum()
    smooth = torch.stack(
        [
            smoothness_term(depth, target, config) / config.smooth_decay**level
            for level, depth in enumerate(depths)
        ]
    ).sum()
    explain = explainability_term(masks) if masks else photometric.new_zeros(())
    return ViewSynthesisLoss(
        total=photometric + config.smooth * smooth + config.explain * explain,
        photometric=photometric,
        smooth=smooth,
        explain=explain,
    )


def photometric_term(
    depth: Tensor,
    source_from_target: Tensor,
    target: Tensor,
    sources: Tensor,
    intrinsics: Tensor,
    mask: Tensor | None = None,
) -> Tensor:
    """Return how the target differs from the sources drawn as it, at one scale.

    Pixels that a source does not see count as nothing, but the mean is taken over all.

    Args:
        depth: ``(B, 1, h, w)``: its size is that of the scale, to which the pictures are brought
            as means over areas.
        source_from_target: ``(B, S, 4, 4)``.
        target: ``(B, C, H, W)``.
        sources: ``(B, S, C, H, W)``.
        intrinsics: ``(B, 3, 3)`` of the full size.
        mask: ``(B, S, h, w)``.

    Returns:
        Scalar, the sum over the sources.

    Raises:
        ShapeError: If depth or mask do not fit.
    """
    batch, count = sources.shape[:2]
    expect(depth, f'{batch} 1 h w', 'depth')
    height, width = depth.shape[2:]
    shrink = (height / target.shape[2], width / target.shape[3])
    coarse = F.adaptive_avg_pool2d(target, (height, width))
    drawn, seen = synthesise(
        F.adaptive_avg_pool2d(sources.flatten(0, 1), (height, width)),  # (B*S, C, h, w)
        depth.repeat_interleave(count, 0),
        source_from_target.flatten(0, 1),
        resized_intrinsics(intrinsics, *shrink).repeat_interleave(count, 0),
    )
    if mask is not None:
        expect(mask, f'{batch} {count} {height} {width}', 'mask')
        seen = seen * mask.reshape(-1, 1, height, width)
    difference = (coarse.repeat_interleave(count, 0) - drawn).abs() * seen
    return count * difference.mean()


def synthesise(
    source: Tensor, depth: Tensor, source_from_target: Tensor, intrinsics: Tensor
) -> tuple[Tensor, Tensor]:
    """Draw what the target camera sees from the picture of a source camera.

    Args:
        source: ``(B, C, H, W)``.
        depth: ``(B, 1, H, W)`` of the target along z, finite.
        source_from_target: ``(B, 4, 4)``.
        intrinsics: ``(B, 3, 3)`` of both cameras.

    Returns:
        The picture ``(B, C, H, W)``, differentiable in all arguments, and ``(B, 1, H, W)``: 1
        where the source sees the point, as far as its own borders go, else 0.

    Raises:
        ShapeError: If the shapes do not fit each other.
    """
    batch, _, height, width = source.shape
    expect(depth, f'{batch} 1 {height} {width}', 'depth')
    expect(source_from_target, f'{batch} 4 4', 'source_from_target')
    expect(intrinsics, f'{batch} 3 3', 'intrinsics')
    xy = reproject(depth, source_from_target, intrinsics)
    last = xy.new_tensor((width - 1, height - 1)).view(2, 1, 1)
    seen = ((xy >= 0) & (xy <= last)).all(1, keepdim=True)
    return sample_at(source, xy), seen.to(source.dtype)


def reproject(depth: Tensor, source_from_target: Tensor, intrinsics: Tensor) -> Tensor:
    """Return where a source camera sees the pixels of the target: ``K T D(p) K^-1 p``.

    Args:
        depth: ``(B, 1, H, W)``.
        source_from_target: ``(B, 4, 4)``.
        intrinsics: ``(B, 3, 3)``.

    Returns:
        ``(B, 2, H, W)`` pixels x, y.
    """
    batch, _, height, width = depth.shape
    pixels = F.pad(pixel_grid(height, width, depth).flatten(1), (0, 0, 0, 1), value=1)  # (3, H*W)
    points = torch.linalg.inv(intrinsics) @ pixels * depth.flatten(2)  # (B, 3, H*W)
    moved = source_from_target[:, :3, :3] @ points + source_from_target[:, :3, 3:]
    projected = intrinsics @ moved
    xy: Tensor = projected[:, :2] / projected[:, 2:].clamp(min=_NEAREST)
    return xy.view(batch, 2, height, width)


def motion_matrices(vectors: Tensor) -> Tensor:
    """Return the rigid motions ``(..., 4, 4)`` of PoseExpNet's vectors.

    Args:
        vectors: ``(..., 6)`` as [tx ty tz, rx ry rz (rad)], with ``R = Rx(rx) Ry(ry) Rz(rz)``.
    """
    axes = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    turns = so3_exp(vectors[..., 3:, None] * axes)  # (..., 3, 3, 3)
    rotation = turns[..., 0, :, :] @ turns[..., 1, :, :] @ turns[..., 2, :, :]
    return from_parts(rotation, vectors[..., :3])


def resized_intrinsics(intrinsics: Tensor, vertically: float, horizontally: float) -> Tensor:
    """Return calibration matrices ``(..., 3, 3)`` of pictures resized by two factors.

    The published codes multiply the first two rows with the factors. That puts pixel (0, 0) at the
    corner of the first pixel; its centre is there in all of this package.
    """
    sx, sy = horizontally, vertically
    resize = intrinsics.new_tensor(((sx, 0, (sx - 1) / 2), (0, sy, (sy - 1) / 2), (0, 0, 1)))
    return resize @ intrinsics


def smoothness_term(depth: Tensor, picture: Tensor, config: ViewSynthesisConfig) -> Tensor:
    """Return the smoothness term of one scale, not yet divided.

    Args:
        depth: ``(B, 1, h, w)``.
        picture: ``(B, C, H, W)`` that it belongs to.
        config: What is to be smooth, and how it is measured.
    """
    values = depth if config.smooth_of == 'depth' else 1 / depth
    if config.normalised:
        values = values / values.mean((2, 3), keepdim=True)
    if config.smooth_by == 'curvature':
        return curvature(values)
    size = (depth.shape[2], depth.shape[3])
    return smoothness(values, F.adaptive_avg_pool2d(picture, size), 'paper')


def curvature(values: Tensor) -> Tensor:
    """Return the sum of the mean absolute second differences of ``(B, 1, H, W)``.

    They are those along x, along y, and twice the mixed one.

    Raises:
        ShapeError: If the map has fewer than three rows or columns.
    """
    height, width = values.shape[2:]
    if min(height, width) < 3:
        raise ShapeError(f'second differences need a map of 3 x 3 or more, got {height} x {width}')
    dx, dy = values.diff(dim=3), values.diff(dim=2)
    seconds = (dx.diff(dim=3), dx.diff(dim=2), dy.diff(dim=3), dy.diff(dim=2))
    return torch.stack([second.abs().mean() for second in seconds]).sum()


def explainability_term(masks: Sequence[Tensor]) -> Tensor:
    """Return the cross-entropy of masks ``(B, S, h, w)`` and ones, summed over scales."""
    return torch.stack([F.binary_cross_entropy(m, torch.ones_like(m)) for m in masks]).sum()
