"""SuperPoint's losses: one for the detector, two for descriptors (DeTone et al., CVPRW 2018).

Dimension letters in this file: B images, H W image size in pixels, h w = H/8 W/8 cells, P = h*w,
D descriptor length, N points.

Pixel (0, 0) is the centre of the first pixel, ``second_from_first`` maps pixels of the first image
to pixels of the second.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.networks.layers.keypoints import CELL
from dlcv.networks.layers.shapes import expect, expect_multiple, expect_same

DUSTBIN = CELL * CELL  # label of a cell without a point


# -- detector --------------------------------------------------------------------------------------


def cell_labels(present: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Turn a map of key points into the detector's labels.

    Args:
        present: ``(B, H, W)`` bool: whether a pixel is a key point; H and W multiples of 8.
        generator: Decides which of several points of a cell counts, all with one probability.

    Returns:
        ``(B, h, w)`` int64: ``8*r + c`` for a point in row r and column c of its cell, or 64.

    Raises:
        ShapeError: If the shape of the map is another one.
    """
    expect(present, 'B H W', 'key points')
    expect_multiple(present, CELL, 'key points')
    inside = F.pixel_unshuffle(present[:, None].float(), CELL)  # (B, 64, h, w)
    draw = torch.rand(inside.shape, generator=generator).to(inside.device)
    score = 2 * inside + 0.1 * draw
    label = score.argmax(dim=1)  # (B, h, w)
    return label.where(inside.any(dim=1), torch.full_like(label, DUSTBIN))


def valid_cells(valid: Tensor) -> Tensor:
    """Return the cells ``(B, h, w)`` without an invalid pixel, of a bool mask ``(B, H, W)``.

    Raises:
        ShapeError: If the shape of the mask is another one.
    """
    expect(valid, 'B H W', 'valid pixels')
    expect_multiple(valid, CELL, 'valid pixels')
    return F.pixel_unshuffle(valid[:, None].float(), CELL).bool().all(dim=1)  # (B, h, w)


def detector_loss(logits: Tensor, labels: Tensor, valid: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy of the cells that count (eq. 2 and 3), a float32 scalar.

    Args:
        logits: ``(B, 65, h, w)``.
        labels: ``(B, h, w)`` int64 of :func:`cell_labels`.
        valid: ``(B, h, w)`` bool, of :func:`valid_cells`; all if not given.

    Returns:
        A scalar; 0 if no cell counts.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(logits, f'B {DUSTBIN + 1} h w', 'logits')
    expect_same(logits[:, 0], labels, 'cells of the logits and labels')
    each = F.cross_entropy(logits.float(), labels, reduction='none')  # (B, h, w)
    return _mean(each, valid)


# -- descriptors, all pairs of cells ---------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class HingeConfig:
    """The hinge loss over all pairs of cells; the defaults are the paper's.

    Attributes:
        positive_margin: Similarity from which a true pair costs nothing.
        negative_margin: Similarity up to which another pair costs nothing.
        positive_weight: Weight of a true pair, of which there are few.
        reach: Largest distance in pixels, in the second image, of the centres of a true pair.
        normalise: Cut negative similarities off and scale each cell's similarities to all cells of
            the other image to length 1, in the first and then in the second image.
        centre: Where the centre of a cell is, in pixels from its first pixel; the public code
            takes 4, half a pixel beside the middle.
    """

    positive_margin: float = 1.0
    negative_margin: float = 0.2
    positive_weight: float = 250.0
    reach: float = 7.5
    normalise: bool = False
    centre: float = (CELL - 1) / 2


PAPER = HingeConfig()  # times 1e-4 beside the detector's loss
RETRAINING = HingeConfig(positive_weight=0.05, normalise=True)  # of the open one, times 1e4


def hinge_loss(
    first: Tensor,
    second: Tensor,
    second_from_first: Tensor,
    valid: Tensor | None = None,
    config: HingeConfig = PAPER,
) -> Tensor:
    """Return the mean hinge loss of all pairs of cells (eq. 4 to 6), a float32 scalar.

    Args:
        first: ``(B, D, h, w)`` descriptors of length 1.
        second: ``(B, D, h, w)`` descriptors of length 1.
        second_from_first: ``(B, 3, 3)``.
        valid: ``(B, h, w)`` bool: cells of the second image that show something; all if not given.
        config: Margins and weights.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(first, 'B D h w', 'first descriptors')
    expect_same(first, second, 'first and second descriptors')
    similar = first.float().flatten(2).transpose(1, 2) @ second.float().flatten(2)  # (B, P, P)
    if config.normalise:
        similar = F.normalize(F.normalize(similar.relu(), dim=1), dim=2)
    true = corresponding_cells(second_from_first, first.shape[2:], config)  # (B, P, P)
    positive = config.positive_weight * (config.positive_margin - similar).relu()
    negative = (similar - config.negative_margin).relu()
    each = positive.where(true, negative)  # (B, P, P)
    return _mean(each, None if valid is None else valid.flatten(1)[:, None].expand_as(each))


def corresponding_cells(
    second_from_first: Tensor, size: tuple[int, ...], config: HingeConfig = PAPER
) -> Tensor:
    """Tell which cells of two images show the same place.

    Args:
        second_from_first: ``(B, 3, 3)``.
        size: (h, w), of both images.
        config: Its ``reach`` and ``centre``.

    Returns:
        ``(B, P, P)`` bool; row: cell of the first image, column: of the second.
    """
    expect(second_from_first, 'B 3 3', 'homographies')
    centres = CELL * grid(size, second_from_first.device) + config.centre  # (P, 2)
    mapped = transform(centres.expand(len(second_from_first), -1, -1), second_from_first)
    return torch.cdist(mapped, centres.expand_as(mapped)) <= config.reach


# -- descriptors, sampled points -------------------------------------------------------------------


def contrastive_loss(
    first: Tensor,
    second: Tensor,
    valid: Tensor,
    *,
    temperature: float = 0.07,
    alike: Tensor | None = None,
) -> Tensor:
    """Return how badly each point is told from the others, by softmax in both directions.

    InfoNCE (van den Oord et al., 2018), symmetric: the mean of -log of the probability that point i
    of the first image is matched with point i of the second among all of them, and of the reverse.
    Its gradient concentrates on the nearest wrong points, so that a few hundred points teach more
    than all pairs of cells do.

    Args:
        first: ``(B, N, D)`` descriptors of length 1.
        second: ``(B, N, D)`` of the same points in the other image.
        valid: ``(B, N)`` bool: points that both images show.
        temperature: Similarities are divided by it.
        alike: ``(B, N, N)`` bool: pairs too close to each other to be told apart, which do not
            count as wrong; see :func:`close_pairs`.

    Returns:
        A float32 scalar; 0 if no point is valid.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    similar, out = _compared(first, second, valid, alike)
    # A large finite number: a row of points that are all out must not give NaN.
    similar = (similar / temperature).masked_fill(out, -1e4)
    right = similar.diagonal(dim1=1, dim2=2)  # (B, N)
    each = (similar.logsumexp(dim=2) + similar.logsumexp(dim=1)) / 2 - right
    return _mean(each, valid)


def hardest_loss(
    first: Tensor,
    second: Tensor,
    valid: Tensor,
    *,
    margin: float = 1.0,
    alike: Tensor | None = None,
) -> Tensor:
    """Return by how much the nearest wrong point is not farther off than the right one.

    HardNet's triplet margin loss (Mishchuk et al., "Working hard to know your neighbor's margins",
    NIPS 2017): of each pair of descriptors, the distance plus a margin less that of the hardest
    wrong one in the batch, looked for in both directions; 0 where that is negative.

    Args:
        first: ``(B, N, D)`` descriptors of length 1.
        second: ``(B, N, D)`` of the same points in the other image.
        valid: ``(B, N)`` bool: points that both images show.
        margin: Distance by which the wrong one is to be farther; distances are 2 at most.
        alike: ``(B, N, N)`` bool: pairs that do not count as wrong; see :func:`close_pairs`.

    Returns:
        A float32 scalar; 0 if no point is valid.

    Raises:
        ShapeError: If the shapes do not fit.
    """
    similar, out = _compared(first, second, valid, alike)
    # A root has no gradient at 0.
    distance = (2 - 2 * similar).clamp(min=1e-6).sqrt()
    itself = torch.eye(first.shape[1], dtype=torch.bool, device=first.device)
    wrong = distance.masked_fill(out | itself, 4.0)  # farther than anything
    hardest = torch.minimum(wrong.amin(dim=2), wrong.amin(dim=1))  # (B, N)
    right = distance.diagonal(dim1=1, dim2=2)
    known = valid & (hardest < 4.0)
    return _mean((margin + right - hardest).relu(), known)


def _compared(
    first: Tensor, second: Tensor, valid: Tensor, alike: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return similarities ``(B, N, N)``, and which of different points do not count (bool).

    Raises:
        ShapeError: If the shapes do not fit.
    """
    expect(first, 'B N D', 'first descriptors')
    expect_same(first, second, 'first and second descriptors')
    expect_same(first[..., 0], valid, 'points and valid points')
    out = ~(valid[:, :, None] & valid[:, None])  # (B, N, N)
    if alike is not None:
        out = out | alike
    itself = torch.eye(first.shape[1], dtype=torch.bool, device=first.device)
    return first.float() @ second.float().transpose(1, 2), out & ~itself


def close_pairs(xy: Tensor, radius: float) -> Tensor:
    """Return which points ``(B, N, 2)`` lie within a radius of each other: ``(B, N, N)`` bool."""
    expect(xy, 'B N 2', 'points')
    return torch.cdist(xy, xy) <= radius


def transform(xy: Tensor, second_from_first: Tensor) -> Tensor:
    """Map pixels ``(B, N, 2)`` by homographies ``(B, 3, 3)``.

    A point that goes to infinity or behind the camera is mapped far outside of any image.
    """
    expect(second_from_first, f'{len(xy)} 3 3', 'homographies')
    scaled = F.pad(xy, (0, 1), value=1.0) @ second_from_first.to(xy.dtype).transpose(1, 2)
    depth = scaled[..., 2:]
    return torch.where(depth > 1e-6, scaled[..., :2] / depth.clamp(min=1e-6), -1e6)


def grid(size: tuple[int, ...], device: torch.device | None = None) -> Tensor:
    """Return (x, y) of all cells of a map of (h, w), in reading order: ``(h*w, 2)`` float32."""
    y, x = (torch.arange(n, dtype=torch.float32, device=device) for n in size)
    return torch.stack((x.repeat(len(y)), y.repeat_interleave(len(x))), dim=1)


def _mean(each: Tensor, valid: Tensor | None) -> Tensor:
    """Return the mean of what is valid; 0, with a gradient of 0, if nothing is."""
    if valid is None:
        return each.mean()
    expect_same(each, valid, 'losses and valid mask')
    return (each * valid).sum() / valid.sum().clamp(min=1)
