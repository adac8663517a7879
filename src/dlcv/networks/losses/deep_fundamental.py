"""The loss of the deep fundamental matrix (Ranftl and Koltun, ECCV 2018, equations 10 and 11).

Noisy matches are a poor measure of a matrix. Where the true one is known, a regular grid of points
in both pictures is moved onto it, and these virtual matches without noise measure another one.

Letters in this file: B pairs of pictures, V virtual matches of a pair, N matches, D iterations.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dlcv.networks.layers.epipolar import epipolar_distance, homogeneous
from dlcv.networks.layers.shapes import expect

STEP = 0.01  # of the grid, in sizes of the picture: the paper's 10,000 virtual matches
GAMMA = 0.5
_ROUNDS = 3
_TINY = 1e-30


def virtual_matches(fundamental: Tensor, size: Tensor, step: float = STEP) -> tuple[Tensor, Tensor]:
    """Return matches without noise: a grid in both pictures, moved onto the true matrix.

    Each match is moved by nearly the least way (to a percent) after which it agrees exactly:
    optimal triangulation by the iteration of Lindstrom (CVPR 2010). OpenCV's ``correctMatches``,
    which the published code takes, finds roots of polynomials, one match after the other.

    Args:
        fundamental: ``(B, 3, 3)`` for pixels, ``x1^T F x2 = 0``.
        size: ``(B, 2)`` width and height of both pictures in pixels.
        step: Of the grid, as a share of the size.

    Returns:
        Matches ``(B, V, 4)`` in pixels, float64, and which of them there are, ``(B, V)`` bool: none
        where the matrix is zero, and none that had to move by more than the picture's size.
    """
    expect(fundamental, 'B 3 3', 'fundamental')
    expect(size, f'{len(fundamental)} 2', 'size')
    matrix, size = fundamental.double(), size.double()
    norm = matrix.flatten(1).norm(dim=1).clamp(min=_TINY)
    matrix = matrix / norm[:, None, None]
    ticks = torch.arange(0, 1, step, dtype=torch.float64, device=size.device)
    grid = torch.cartesian_prod(ticks, ticks)  # (V, 2)
    start = grid * size[:, None]  # (B, V, 2)
    first, second = start, start
    for _ in range(_ROUNDS):
        first, second = _nearer(first, second, matrix)
    moved = (first - start).square().sum(2) + (second - start).square().sum(2)
    there = moved.sqrt() < size.amax(1)[:, None]  # NaN is not
    there = there & (matrix.flatten(1).abs().amax(1) > 0)[:, None]
    matches = torch.cat((first, second), 2)
    return torch.where(there[..., None], matches, 0.0), there


def deep_fundamental_loss(
    fundamental: Tensor,
    virtual: Tensor,
    there: Tensor,
    rescale: tuple[Tensor, Tensor],
    gamma: float = GAMMA,
) -> Tensor:
    """Return clamped distances of virtual matches to the matrices found, summed over iterations.

    Args:
        fundamental: ``(D, B, 3, 3)`` between rescaled points.
        virtual: ``(B, V, 4)`` pixels.
        there: ``(B, V)`` bool, which of them count.
        rescale: Both ``(B, 3, 3)``: what rescales pixels of the first and of the second picture.
        gamma: Distances, in rescaled coordinates, are clamped at this.

    Returns:
        Scalar, the mean over the pairs that have virtual matches; zero where none has.
    """
    expect(fundamental, 'D B 3 3', 'fundamental')
    first, second = (
        (homogeneous(xy) @ matrix.double().mT)[..., :2]
        for xy, matrix in zip(virtual.chunk(2, 2), rescale, strict=True)
    )
    count = there.sum(1).clamp(min=1)
    pairs = there.any(1).sum().clamp(min=1)
    total = fundamental.new_zeros(())
    for one in fundamental:
        distance = epipolar_distance(first, second, one.double()).clamp(max=gamma)
        total = total + ((distance * there).sum(1) / count).sum() / pairs
    return total


def agreement_loss(weights: Tensor, agreeing: Tensor) -> Tensor:
    """Return the cross-entropy between weights and an even share for each match that agrees.

    It is not in the paper, and makes the first hours of it shorter: a matrix says nothing about
    which matches were the wrong ones.

    Args:
        weights: ``(D, B, N)``, those of a pair sum to one.
        agreeing: ``(B, N)`` bool: within a pixel of the true matrix.

    Returns:
        Scalar, the mean over iterations and over the pairs in which some match agrees.
    """
    expect(weights, f'D {len(agreeing)} {agreeing.shape[1]}', 'weights')
    share = agreeing / agreeing.sum(1, keepdim=True).clamp(min=1)
    lowest = torch.finfo(weights.dtype).tiny
    surprise = -(share * weights.clamp(min=lowest).log()).sum(2)  # (D, B)
    return surprise.sum(1).mean() / agreeing.any(1).sum().clamp(min=1)


def _nearer(first: Tensor, second: Tensor, matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Return matches ``(B, V, 2)`` moved onto the matrix by one round of Lindstrom's iteration."""
    inner = matrix[:, :2, :2]
    a, b = homogeneous(first), homogeneous(second)
    normal_first = (b @ matrix.mT)[..., :2]
    normal_second = (a @ matrix)[..., :2]
    off = ((a @ matrix) * b).sum(2)
    cross = (normal_first * (normal_second @ inner.mT)).sum(2)
    half = _squares(normal_first, normal_second) / 2
    root = (half.square() - cross * off).clamp(min=0).sqrt()
    share = (off / (half + root).clamp(min=_TINY))[..., None]
    step_first, step_second = share * normal_first, share * normal_second
    normal_first = normal_first - step_second @ inner.mT
    normal_second = normal_second - step_first @ inner
    ratio = 2 * root / _squares(normal_first, normal_second).clamp(min=_TINY)
    share = share * ratio[..., None]
    return first - share * normal_first, second - share * normal_second


def _squares(first: Tensor, second: Tensor) -> Tensor:
    return first.square().sum(2) + second.square().sum(2)
