"""The correlation layer of FlowNetC: dot products of features over a window of displacements.

Dimension letters in this file: B images, C channels, H W size, s displacement step, r reach in
steps, K = 2r+1 displacements along an axis, N = B*s*s lattices, h w size of a lattice.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import ShapeError, expect, expect_same

_CHUNK = 1024  # lattice points in one matrix product: bounds the memory at any image size


def correlation(
    first: Tensor, second: Tensor, *, max_displacement: int = 20, stride: int = 2
) -> Tensor:
    """Compare each position of one feature map with displaced positions of another.

    ``out[k, y, x] = mean_c first[c, y, x] * second[c, y + dy, x + dx]`` for ``dy`` and ``dx`` in
    ``{-r*stride, ..., r*stride}``, ``r = max_displacement // stride``; the channel is
    ``k = (dy/stride + r) * K + (dx/stride + r)``, so ``dy`` is the slow index. Positions outside
    the image count as zero (FlowNet, Fischer et al., ICCV 2015, eq. 1 with patches of one pixel,
    divided by the number of channels as the public networks do).

    Points that meet under a displacement lie on one lattice of step ``stride``. Each of the
    ``stride**2`` lattices is one dense matrix product, from which the window is gathered: this
    does some products in vain, yet it is several times faster than a loop over displacements.

    Args:
        first: ``(B, C, H, W)`` features of the first image.
        second: ``(B, C, H, W)`` features of the second image.
        max_displacement: Largest displacement in pixels of the feature map.
        stride: Step between displacements in pixels.

    Returns:
        ``(B, K*K, H, W)``.

    Raises:
        ShapeError: If the maps differ in shape, or the window is negative or the stride not
            positive.
    """
    expect(first, 'B C H W', 'first features')
    expect_same(first, second, 'features to correlate')
    if max_displacement < 0 or stride < 1:
        raise ShapeError(
            'correlation needs max_displacement >= 0 and stride >= 1, '
            f'got {max_displacement} and {stride}'
        )
    batch, channels, height, width = first.shape
    reach = max_displacement // stride
    asked = _lattices(first / channels, stride)  # (N, h, w, C)
    known = _lattices(second, stride)  # (N, h, w, C)
    rows = max(1, _CHUNK // asked.shape[2])
    window = torch.cat(
        [_rows(asked, known, top, rows, reach) for top in range(0, asked.shape[1], rows)], dim=2
    )  # (N, K*K, h, w)
    return _woven(window, batch, stride)[:, :, :height, :width]


def _lattices(x: Tensor, stride: int) -> Tensor:
    """Split a map (B, C, H, W) into its lattices of step ``stride``: (B*s*s, h, w, C)."""
    batch, channels, height, width = x.shape
    x = F.pad(x, (0, -width % stride, 0, -height % stride))
    x = x.reshape(batch, channels, -(-height // stride), stride, -(-width // stride), stride)
    return x.permute(0, 3, 5, 2, 4, 1).flatten(0, 2)  # (N, h, w, C)


def _woven(x: Tensor, batch: int, stride: int) -> Tensor:
    """Undo ``_lattices`` for a map (B*s*s, D, h, w): (B, D, h*s, w*s)."""
    x = x.reshape(batch, stride, stride, *x.shape[1:]).permute(0, 3, 4, 1, 5, 2)
    return x.flatten(4, 5).flatten(2, 3)  # (B, D, h, s, w, s) -> (B, D, h*s, w*s)


def _rows(asked: Tensor, known: Tensor, top: int, rows: int, reach: int) -> Tensor:
    """Return the windows (N, K*K, rows, w) of a few rows, starting at row ``top``."""
    some = asked[:, top : top + rows]  # (N, rows, w, C)
    low = max(0, top - reach)
    band = known[:, low : top + rows + reach]  # (N, bands, w, C): all that these rows can reach
    columns = band.flatten(1, 2).transpose(1, 2)  # (N, C, bands*w)
    products = torch.matmul(some.flatten(1, 2), F.pad(columns, (0, 1)))  # (N, rows*w, bands*w + 1)
    index = _window_index(some.shape[1], band.shape[1], some.shape[2], top - low, reach)
    index = index.to(products.device).expand(products.shape[0], -1, -1)  # (N, rows*w, K*K)
    window = products.gather(2, index).transpose(1, 2)  # (N, K*K, rows*w)
    return window.reshape(*window.shape[:2], *some.shape[1:3])


def _window_index(rows: int, bands: int, width: int, offset: int, reach: int) -> Tensor:
    """Return where each point finds its window: (rows*width, K*K), the last column if outside.

    Args:
        rows: Rows of points that ask.
        bands: Rows of points that are known.
        width: Points in a row.
        offset: Row among the known ones of the first row that asks.
        reach: Largest displacement in lattice steps.
    """
    steps = torch.arange(-reach, reach + 1)
    y = torch.arange(rows)[:, None] + offset + steps  # (rows, K)
    x = torch.arange(width)[:, None] + steps  # (width, K)
    flat = y[:, None, :, None] * width + x[None, :, None, :]  # (rows, width, K, K)
    y_inside = ((y >= 0) & (y < bands))[:, None, :, None]
    x_inside = ((x >= 0) & (x < width))[None, :, None, :]
    flat = torch.where(y_inside & x_inside, flat, bands * width)
    return flat.flatten(2).flatten(0, 1)
