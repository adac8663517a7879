"""From SuperPoint's two coarse maps to key points, descriptors and matches.

Two pipelines are in use and give different points, so both are here: ``detect_greedy`` (the
original demo) and ``detect_dense`` (the matching front ends and the open retraining).

Dimension letters in this file: B images, H W heat map size in pixels, h w coarse map size in
cells, D descriptor length, N M numbers of points.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import cv2
import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.shapes import ShapeError, expect

CELL = 8  # pixels along the side of a cell
Sampling = Literal['half_pixel', 'matching', 'demo', 'demo_unaligned']
FloatArray = npt.NDArray[np.floating[Any]]
Points = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]  # xy (N, 2) and scores (N,)


class KeypointError(ValueError):
    """A setting of detection, sampling or matching is out of its range."""


def heatmap(logits: Tensor) -> Tensor:
    """Turn detector logits into the probability of a key point at every pixel.

    Args:
        logits: ``(B, 65, h, w)``; channel ``8*r + c`` is row r, column c of the cell, and the
            last one says that the cell holds no point.

    Returns:
        ``(B, 8*h, 8*w)`` in [0, 1].

    Raises:
        ShapeError: If there are not 65 channels.
    """
    expect(logits, f'B {CELL * CELL + 1} h w', 'logits')
    inside = logits.softmax(dim=1)[:, :-1]  # (B, 64, h, w)
    return F.pixel_shuffle(inside, CELL)[:, 0]  # (B, H, W)


def detect_greedy(
    heat: FloatArray,
    *,
    threshold: float = 0.015,
    radius: int = 4,
    border: int = 4,
    limit: int | None = None,
) -> Points:
    """Pick points as the original demo does: the strongest first, each silencing its square.

    Args:
        heat: ``(H, W)`` probability of a key point.
        threshold: Lowest probability that counts.
        radius: Half the side of the silenced square in pixels, its centre not counted.
        border: Points nearer than this many pixels to an edge are dropped, after they silenced
            their neighbours.
        limit: Keep only this many of the strongest.

    Returns:
        ``xy`` ``(N, 2)`` float32 pixels and ``scores`` ``(N,)`` float32, strongest first.

    Raises:
        ShapeError: If the heat map is not two-dimensional.
        KeypointError: If a setting is negative.
    """
    _check(heat, radius, border, limit)
    ys, xs = np.nonzero(heat >= threshold)
    order = np.argsort(-heat[ys, xs], kind='stable')
    free = np.ones(heat.shape, bool)
    kept = []
    for i, y, x in zip(order.tolist(), ys[order].tolist(), xs[order].tolist(), strict=True):
        if free[y, x]:
            free[max(0, y - radius) : y + radius + 1, max(0, x - radius) : x + radius + 1] = False
            kept.append(i)
    return _strongest(heat, ys[kept], xs[kept], border, limit)


def detect_dense(
    heat: FloatArray,
    *,
    threshold: float = 0.005,
    radius: int = 4,
    border: int = 4,
    limit: int | None = None,
) -> Points:
    """Pick points as the matching front ends do: maxima of a window, with two more rounds.

    A pixel that equals the maximum of its window is kept. Twice, maxima among the pixels out of
    reach of all kept ones are added. Equal neighbours are all kept. Dilation by a square is the
    same as max-pooling and some fifty times faster.

    Args:
        heat: ``(H, W)`` probability of a key point.
        threshold: A point's probability must be above it.
        radius: Half the side of the window in pixels, its centre not counted.
        border: Points nearer than this many pixels to an edge are dropped.
        limit: Keep only this many of the strongest.

    Returns:
        ``xy`` ``(N, 2)`` float32 pixels and ``scores`` ``(N,)`` float32, strongest first.

    Raises:
        ShapeError: If the heat map is not two-dimensional.
        KeypointError: If a setting is negative.
    """
    _check(heat, radius, border, limit)
    heat = np.ascontiguousarray(heat, np.float32)
    window = np.ones((2 * radius + 1, 2 * radius + 1), np.uint8)
    kept = heat == cv2.dilate(heat, window)
    for _ in range(2):
        reached = cv2.dilate(kept.view(np.uint8), window).view(bool)
        rest = np.where(reached, np.float32(0), heat)
        kept |= (rest == cv2.dilate(rest, window)) & ~reached
    ys, xs = np.nonzero(kept & (heat > threshold))
    return _strongest(heat, ys, xs, border, limit)


def refine_peaks(heat: FloatArray, xy: npt.NDArray[np.float32], radius: int = 2) -> FloatArray:
    """Move points from their pixel to the centre of mass of the squared heat around it.

    A network that is not sure in which pixel a corner lies spreads its heat over several. This is
    where in between it lies, as a soft argmax has it; squared, far neighbours pull less.

    Args:
        heat: ``(H, W)`` probability of a key point.
        xy: ``(N, 2)`` whole pixels.
        radius: Half the side of the window, its centre not counted; 0 moves nothing.

    Returns:
        ``(N, 2)`` float32 pixels, none moved by more than the radius.
    """
    along = np.arange(-radius, radius + 1)
    padded = np.pad(np.asarray(heat, np.float32), radius)
    column, row = np.asarray(xy, np.int64).T + radius
    near = np.square(padded[row[:, None, None] + along[:, None], column[:, None, None] + along])
    mass = np.maximum(near.sum(axis=(1, 2)), np.float32(1e-30))
    moved = np.stack([(near.sum(axis=axis) @ along) / mass for axis in (1, 2)], axis=1)
    return np.asarray(xy + moved, np.float32)


def sample_descriptors(
    descriptors: Tensor, xy: Tensor, sampling: Sampling = 'half_pixel'
) -> Tensor:
    """Read descriptors off the coarse map at pixel positions, bilinearly, and normalise them.

    A pixel at x lies at the coarse position

    * ``half_pixel``: ``(x - 3.5) / 8``, which is geometrically right;
    * ``matching``: ``(x - 3.5) (w - 1) / (8 w - 4.5)``, of the public matching front ends;
    * ``demo``: ``x (w - 1) / (8 w)``, of the original demo as it was evaluated (aligned corners);
    * ``demo_unaligned``: ``x / 8 - 0.5``, of the same code run on a newer framework.

    A network is best used with the convention it was published with.

    Args:
        descriptors: ``(B, D, h, w)``; cells outside the map count as zero.
        xy: ``(B, N, 2)`` pixel positions.
        sampling: One of the conventions above.

    Returns:
        ``(B, N, D)`` of length 1; differentiable in both arguments.

    Raises:
        ShapeError: If the shapes do not fit.
        KeypointError: If the convention is unknown.
    """
    expect(descriptors, 'B D h w', 'descriptors')
    expect(xy, f'{descriptors.shape[0]} N 2', 'xy')
    size = xy.new_tensor([descriptors.shape[3], descriptors.shape[2]])  # w, h
    coarse = _coarse_position(xy, size, sampling)  # (B, N, 2)
    grid = 2 * (coarse + 0.5) / size - 1
    sampled = F.grid_sample(descriptors, grid[:, None], align_corners=False)  # (B, D, 1, N)
    return F.normalize(sampled[:, :, 0].transpose(1, 2), dim=2)  # (B, N, D)


def match_mutual(
    first: Tensor,
    second: Tensor,
    *,
    max_distance: float | None = None,
    ratio: float | None = None,
) -> tuple[Tensor, Tensor]:
    """Match descriptors that are each other's nearest neighbours.

    Args:
        first: ``(N, D)`` descriptors of length 1.
        second: ``(M, D)`` descriptors of length 1.
        max_distance: Largest Euclidean distance ``sqrt(2 - 2 a.b)`` of a match; the original
            demo takes 0.7.
        ratio: Largest ratio of the distances to the nearest and the second nearest neighbour
            (Lowe's test), asked in both directions.

    Returns:
        ``(K, 2)`` int64 indices into first and second, in the order of first, and ``(K,)``
        cosine similarities.

    Raises:
        ShapeError: If the descriptors are not two matrices of one width.
        KeypointError: If a limit is negative.
    """
    expect(first, 'N D', 'first descriptors')
    expect(second, f'M {first.shape[1]}', 'second descriptors')
    for name, value in (('max_distance', max_distance), ('ratio', ratio)):
        if value is not None and not value >= 0:
            raise KeypointError(f'{name} must not be negative, got {value}')
    if not len(first) or not len(second):
        return first.new_zeros((0, 2), dtype=torch.int64), first.new_zeros(0)
    similarity = first @ second.T  # (N, M)
    forth, accepted_forth = _nearest(similarity, ratio)  # (N,)
    back, accepted_back = _nearest(similarity.T, ratio)  # (M,)
    index = torch.arange(len(first), device=first.device)
    good = (back[forth] == index) & accepted_forth & accepted_back[forth]
    score = similarity[index, forth]
    if max_distance is not None:
        good &= _distance(score) <= max_distance
    return torch.stack((index[good], forth[good]), dim=1), score[good]


def _nearest(similarity: Tensor, ratio: float | None) -> tuple[Tensor, Tensor]:
    """Return each row's best column, and whether it passes the ratio test: both (rows,)."""
    if ratio is None or similarity.shape[1] < 2:
        best = similarity.argmax(dim=1)
        return best, torch.ones_like(best, dtype=torch.bool)
    top = similarity.topk(2, dim=1)
    distance = _distance(top.values)  # (rows, 2)
    return top.indices[:, 0], distance[:, 0] <= ratio * distance[:, 1]


def _distance(similarity: Tensor) -> Tensor:
    return (2 - 2 * similarity).clamp(min=0).sqrt()


def _coarse_position(xy: Tensor, size: Tensor, sampling: Sampling) -> Tensor:
    """Return positions on the coarse map of ``size`` (w, h) cells."""
    match sampling:
        case 'half_pixel':
            return (xy - (CELL - 1) / 2) / CELL
        case 'matching':
            return (xy - (CELL - 1) / 2) * (size - 1) / (CELL * size - CELL / 2 - 0.5)
        case 'demo':
            return xy * (size - 1) / (CELL * size)
        case 'demo_unaligned':
            return xy / CELL - 0.5
    raise KeypointError(f'sampling {sampling!r} is none of {list(get_args(Sampling))}')


def _check(heat: FloatArray, radius: int, border: int, limit: int | None) -> None:
    if heat.ndim != 2:
        raise ShapeError(f'heat: expected an array (H, W), got {heat.shape}')
    if radius < 0 or border < 0 or (limit is not None and limit < 0):
        raise KeypointError(
            f'radius, border and limit must not be negative, got {radius}, {border} and {limit}'
        )


def _strongest(
    heat: FloatArray,
    ys: npt.NDArray[np.intp],
    xs: npt.NDArray[np.intp],
    border: int,
    limit: int | None,
) -> Points:
    """Drop points at the border, sort by score (equal ones in reading order), cut to the limit."""
    height, width = heat.shape
    inside = (xs >= border) & (xs < width - border) & (ys >= border) & (ys < height - border)
    ys, xs = ys[inside], xs[inside]
    scores = heat[ys, xs].astype(np.float32)
    order = np.argsort(-scores, kind='stable')[:limit]
    return np.stack((xs, ys), axis=1)[order].astype(np.float32), scores[order]
