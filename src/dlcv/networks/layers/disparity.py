"""What deep stereo networks compare the two pictures with, and how they read the answer.

Dimension letters in this file: B pairs, C channels, H W size in pixels of a map, D disparities.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import ShapeError, expect, expect_same

SHARPNESS = 10.0
"""Of a soft-max of matches: what they are multiplied with."""


def paired_volume(left: Tensor, right: Tensor, disparities: int) -> Tensor:
    """Put each position beside those that it may be in the other picture.

    ``out[:C, d, y, x] = left[y, x]`` and ``out[C:, d, y, x] = right[y, x - d]``; both are zero
    where ``x < d`` (Kendall et al., ICCV 2017, section 3.2; Chang and Chen, CVPR 2018).

    Args:
        left: ``(B, C, H, W)`` features of the left pictures.
        right: The same of the right pictures.
        disparities: How many, from 0.

    Returns:
        ``(B, 2C, D, H, W)``.

    Raises:
        ShapeError: If the maps differ in shape, or there is no disparity.
    """
    batch, channels, height, width = _checked(left, right, disparities)
    volume = left.new_zeros(batch, 2 * channels, disparities, height, width)
    for d in range(min(disparities, width)):
        volume[:, :channels, d, :, d:] = left[..., d:]
        volume[:, channels:, d, :, d:] = right[..., : width - d]
    return volume


def correlation_along_rows(left: Tensor, right: Tensor, disparities: int) -> Tensor:
    """Compare each position with those that it may be in the other picture.

    ``out[d, y, x] = mean_c left[c, y, x] * right[c, y, x - d]``, zero where ``x < d`` (DispNetC,
    Mayer et al., CVPR 2016, section 5.1: a correlation along one axis). One product of matrices
    for a row and its other row, of which the wanted diagonals are read.

    Args:
        left: ``(B, C, H, W)`` features of the left pictures.
        right: The same of the right pictures.
        disparities: How many, from 0.

    Returns:
        ``(B, D, H, W)``.

    Raises:
        ShapeError: If the maps differ in shape, or there is no disparity.
    """
    _, channels, _, width = _checked(left, right, disparities)
    rows = left.permute(0, 2, 3, 1) / channels  # (B, H, W, C)
    columns = right.permute(0, 2, 1, 3)  # (B, H, C, W)
    products = F.pad(rows @ columns, (disparities - 1, 0))  # (B, H, W, D - 1 + W)
    x = torch.arange(width, device=left.device)[:, None]
    d = torch.arange(disparities, device=left.device)
    index = (x - d + disparities - 1).expand(*products.shape[:3], -1)  # (B, H, W, D)
    return products.gather(3, index).permute(0, 3, 1, 2)


def correlation_near(left: Tensor, right: Tensor, disparity: Tensor, reach: int) -> Tensor:
    """Compare each position with those near to where a disparity says that it is.

    ``out[j + reach, y, x] = mean_c left[c, y, x] * right[c, y, x - disparity[y, x] - j]`` for j
    from ``-reach`` to ``reach``, linear between columns, where those beyond the border are zero.

    Args:
        left: ``(B, C, H, W)`` features of the left pictures.
        right: The same of the right pictures.
        disparity: ``(B, 1, H, W)`` in columns of the features.
        reach: Columns on each side.

    Returns:
        ``(B, 2 reach + 1, H, W)``.

    Raises:
        ShapeError: If the maps differ in shape.
    """
    batch, channels, height, width = _checked(left, right, reach)
    expect(disparity, f'{batch} 1 {height} {width}', 'disparity')
    whole = disparity.floor()
    x = torch.arange(width, device=left.device) - whole.long()
    found = []
    for j in range(-reach, reach + 2):
        there = x - j
        inside = (there >= 0) & (there < width)
        index = there.clamp(0, width - 1).expand(-1, channels, -1, -1)
        found.append((left * right.gather(3, index)).mean(1, keepdim=True) * inside)
    columns = torch.cat(found, dim=1)  # at whole columns; products are linear in the right one
    return torch.lerp(columns[:, :-1], columns[:, 1:], (disparity - whole).to(columns.dtype))


def expected_disparity(scores: Tensor) -> Tensor:
    """Return the mean disparity ``(B, 1, H, W)`` under the soft-max of scores ``(B, D, H, W)``.

    The soft argmin of Kendall et al. (ICCV 2017, eq. 1), of scores rather than costs.
    """
    expect(scores, 'B D H W', 'scores')
    steps = torch.arange(scores.shape[1], dtype=scores.dtype, device=scores.device)
    return torch.einsum('bdhw,d->bhw', scores.softmax(1), steps)[:, None]


def _checked(left: Tensor, right: Tensor, disparities: int) -> tuple[int, int, int, int]:
    expect(left, 'B C H W', 'left features')
    expect_same(left, right, 'left and right features')
    if disparities < 1:
        raise ShapeError(f'a comparison needs one disparity or more, got {disparities}')
    batch, channels, height, width = left.shape
    return batch, channels, height, width
