"""Bilinear look-ups: along image rows as monodepth does it, and anywhere in the plane.

Letters in this file: B images, C channels, H W size in pixels, h w size of the grid looked up.
Pixel ``(0, 0)`` is the centre of the first pixel.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import expect

Outside = Literal['border', 'edge']


def sample_row(image: Tensor, shift: Tensor, outside: Outside = 'border') -> Tensor:
    """Return ``image`` at ``x + shift * W``, linearly between columns (Godard et al. 2017).

    With disparities as fractions of the width, ``sample_row(right, -left_disparity)`` rebuilds
    the left image and ``sample_row(left, right_disparity)`` the right one.

    Args:
        image: ``(B, C, H, W)``.
        shift: ``(B, 1, H, W)`` displacement along x as a fraction of W (not of W - 1).
        outside: ``'border'`` puts one ring of zeros around the image, so that a look-up fades to
            zero within one pixel outside; ``'edge'`` repeats the outermost column. The original
            network is trained with ``'border'``.

    Returns:
        ``(B, C, H, W)``, differentiable in both arguments.

    Raises:
        ShapeError: If ``shift`` does not fit ``image``.
    """
    batch, channels, height, width = image.shape
    expect(shift, f'{batch} 1 {height} {width}', 'shift')
    ring = 1 if outside == 'border' else 0
    padded = F.pad(image, (ring, ring)) if ring else image  # (B, C, H, W + 2 ring)
    last = width - 1 + 2 * ring
    columns = torch.arange(width, dtype=shift.dtype, device=shift.device)
    x = (columns + ring + shift * width).clamp(0, last)  # (B, 1, H, W)
    x0 = x.detach().floor()
    left = x0.long().expand(-1, channels, -1, -1)
    right = (left + 1).clamp(max=last)
    a, b = padded.gather(3, left), padded.gather(3, right)
    return a + (x - x0) * (b - a)


def pixel_grid(height: int, width: int, like: Tensor) -> Tensor:
    """Return x and y of every pixel, ``(2, H, W)``, with dtype and device of ``like``."""
    y = torch.arange(height, dtype=like.dtype, device=like.device)
    x = torch.arange(width, dtype=like.dtype, device=like.device)
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)))


def sample_at(
    image: Tensor, xy: Tensor, outside: Literal['zeros', 'border', 'reflection'] = 'zeros'
) -> Tensor:
    """Return ``image`` at any positions, bilinearly.

    Args:
        image: ``(B, C, H, W)``.
        xy: ``(B, 2, h, w)`` positions in pixels of ``image``.
        outside: What lies beyond the image, as in ``torch.nn.functional.grid_sample``.

    Returns:
        ``(B, C, h, w)``.
    """
    height, width = image.shape[2:]
    size = torch.tensor((width, height), dtype=xy.dtype, device=xy.device)
    # align_corners=False measures from pixel edges: -1 is half a pixel left of pixel 0's centre.
    grid = (2 * xy.permute(0, 2, 3, 1) + 1) / size - 1  # (B, h, w, 2)
    return F.grid_sample(image, grid, padding_mode=outside, align_corners=False)


def warp(image: Tensor, flow: Tensor) -> Tensor:
    """Pull ``image`` back along ``flow``: the result at x is the image at ``x + flow(x)``.

    Args:
        image: ``(B, C, H, W)``, the second image of a pair.
        flow: ``(B, 2, H, W)`` pixels (u right, v down) from the first image to the second.

    Returns:
        ``(B, C, H, W)``, the second image as the first saw it; zero where the flow leaves it.

    Raises:
        ShapeError: If ``flow`` does not fit ``image``.
    """
    batch, _, height, width = image.shape
    expect(flow, f'{batch} 2 {height} {width}', 'flow')
    return sample_at(image, pixel_grid(height, width, flow) + flow)
