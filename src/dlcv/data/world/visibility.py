"""Which patch each pixel sees: candidates per tile, and the nearest of them at each point.

A patch is three linear functions of the pixel, U, V and W (see :mod:`dlcv.data.world.render`); a
point is inside when U, V, W - U and W - V are all >= 0, and of all patches that contain it the one
with the largest W is seen. Patches are tested per tile: a linear function that is negative at its
largest over a tile rules a patch out, and one that covers the tile entirely hides all that lie
behind it there.

Whatever is many (patches, tiles, points) comes last in all arrays: operations along many numbers
are faster than along three or eight. For the same reason elements are picked by ``index_select``,
which on the CPU takes a third of the time of indexing by brackets.

B: views  N: patches  T: tiles  P: pairs of tile and patch  E: points
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TILE = 8
SQUARES = (8, 2, 1)  # sides, in tiles, of the squares that are tested one after the other
BATCH = {'cpu': 1024}  # candidates of tiles that are tested at once: what fits into the cache
BATCH_ELSEWHERE = 131072


class Visibility:
    """Finds the visible patches of one scene.

    Args:
        cutout: ``(N,)`` int64 index into the stencils, -1 for none.
        stencils: ``(M, S, S)`` float32, open above 0.5.
    """

    def __init__(self, cutout: Tensor, stencils: Tensor) -> None:
        self._cutout = cutout
        self._stencils = _enlarged(stencils) > 0.5
        self._side = self._stencils.shape[1]
        self._any_cutout = bool((cutout >= 0).any())
        self._device = cutout.device
        self._batch = BATCH.get(self._device.type, BATCH_ELSEWHERE)

    def patches(self, lines: Tensor, facing: Tensor, height: int, width: int) -> Tensor:
        """Return the index of the nearest patch of every pixel ``(B, H, W)``, -1 for none.

        Args:
            lines: ``(9, B N)`` float64 (U, V, W) of all patches in all views.
            facing: ``(B, N)`` whether a patch turns its visible side to the camera.
            height: Rows of the pictures.
            width: Columns of the pictures.
        """
        rows, columns = (-(-side // (TILE * SQUARES[0])) * SQUARES[0] for side in (height, width))
        batch, count = facing.shape
        tiles = batch * rows * columns
        best = torch.zeros(TILE, TILE, tiles, device=self._device)
        patch = torch.full((TILE, TILE, tiles), -1, dtype=torch.int64, device=self._device)
        tile, place = self._overlaps(lines.float(), facing, (rows, columns), (height, width))
        index = place % count
        inner = _tile_lines(lines, tile, place, (rows, columns))
        stencilled = self._cutout.index_select(0, index) >= 0
        for cut, part in ((False, indices(~stencilled)), (True, indices(stencilled))):
            if len(part):
                pairs = tile.index_select(0, part), index.index_select(0, part)
                self._nearest(inner.index_select(1, part), pairs, (best, patch), cut=cut)
        grid = patch.view(TILE, TILE, batch, rows, columns).permute(2, 3, 0, 4, 1)
        full = grid.reshape(batch, rows * TILE, columns * TILE)
        return full[:, :height, :width].contiguous()

    def nearest_of(
        self, lines: Tensor, base: Tensor, candidates: Tensor, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which of some candidates is nearest at points, and its W there.

        Most points have two different candidates; only the others are tested with all of them.

        Args:
            lines: ``(9, B N)`` float32 (U, V, W) of all patches in all views.
            base: ``(E,)`` first column of each point's view in ``lines``.
            candidates: ``(C, E)`` patches to choose from; -1 for none.
            x: ``(n, E)`` pixel positions.
            y: ``(n, E)`` pixel positions.

        Returns:
            ``(n, E)`` int64 patch and ``(n, E)`` W; the first candidate and 0 where none is met.
        """
        first = low = high = candidates[0]
        for index in candidates[1:]:  # faster than amin over the first axis
            low, high = torch.minimum(low, index), torch.maximum(high, index)
        who, best = self._nearest_at(
            lines, base, (first, torch.where(low != first, low, high)), x, y
        )
        more = torch.zeros_like(first, dtype=torch.bool)
        for index in candidates:
            more |= (index != low) & (index != high)
        rest = indices(more)
        every, base = candidates.index_select(1, rest).unbind(0), base.index_select(0, rest)
        x, y = x.index_select(1, rest), y.index_select(1, rest)
        rest_who, rest_best = self._nearest_at(lines, base, every, x, y)
        return who.index_copy_(1, rest, rest_who), best.index_copy_(1, rest, rest_best)

    def _nearest_at(
        self, lines: Tensor, base: Tensor, candidates: Sequence[Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        best = torch.zeros_like(x)
        who = candidates[0].expand_as(x).contiguous()
        for index in candidates:
            known = index.clamp(min=0)
            line = lines.index_select(1, base + known)  # (9, E)
            u = torch.addcmul(line[2], line[0], x).addcmul_(line[1], y)
            v = torch.addcmul(line[5], line[3], x).addcmul_(line[4], y)
            w = torch.addcmul(line[8], line[6], x).addcmul_(line[7], y)
            inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
            inside &= (w > best) & (index >= 0)
            if self._any_cutout:
                stencil = self._cutout.index_select(0, known)
                asked = indices((inside & (stencil >= 0)).view(-1))
                self._cut(inside, asked, stencil.index_select(0, asked % len(index)), (u, v, w))
            best = torch.where(inside, w, best)
            who = torch.where(inside, index, who)
        return who, best

    def _overlaps(
        self, lines: Tensor, facing: Tensor, size: tuple[int, int], picture: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return pairs (tile, column of ``lines``) that may see each other, ``(P,)`` each.

        They are sorted by tile. First the whole picture is tested, then ever smaller squares of it.

        Args:
            lines: ``(9, B N)``.
            facing: ``(B, N)``.
            size: Rows and columns of tiles.
            picture: Rows and columns of pixels, which may be fewer.
        """
        rows, columns = size
        batch, count = facing.shape
        place = indices(facing.view(-1))
        top = place // count * rows  # first row of tiles of the pair's view
        left = upper = torch.zeros_like(place)  # corner of the pair's square, in tiles
        whole = max(rows, columns)
        last_row, last_column = ((side - 1) // TILE for side in picture)
        for parent, child in pairwise((whole, whole, *SQUARES)):
            across, down = (
                torch.arange(0, min(side, parent), child, device=self._device)
                for side in (columns, rows)
            )
            x = left + across.repeat(len(down))[:, None]  # (C, P)
            y = upper + down.repeat_interleave(len(across))[:, None]
            group = (top + y) * columns + x
            solid = self._cutout.index_select(0, place % count) < 0
            square = x, y, child
            kept = _kept(lines.index_select(1, place), solid, group, square, batch * rows * columns)
            kept &= (x <= last_column) & (y <= last_row)
            chosen = indices(kept.view(-1))
            pair = chosen % len(place)
            place, top = place.index_select(0, pair), top.index_select(0, pair)
            left, upper, tile = (part.view(-1).index_select(0, chosen) for part in (x, y, group))
        order = tile.argsort(stable=True)
        return tile.index_select(0, order), place.index_select(0, order)

    def _nearest(
        self,
        lines: Tensor,
        pairs: tuple[Tensor, Tensor],
        found: tuple[Tensor, Tensor],
        *,
        cut: bool,
    ) -> None:
        """Update W and patch ``(8, 8, T)`` in ``found`` by the candidates ``pairs``.

        Tiles are sorted by how many candidates they have, so that the i-th candidates of all tiles
        form one dense batch; few tiles with many candidates take several at once.

        Args:
            lines: ``(9, P)`` (U, V, W) of each pair as functions of the position inside its tile.
            pairs: Tile and patch, ``(P,)`` each, sorted by tile.
            found: What is updated.
            cut: Whether the patches have stencils.
        """
        tile, index = pairs
        best, patch = found
        counts = torch.bincount(tile, minlength=best.shape[-1])
        order = counts.argsort(descending=True, stable=True)
        start = (counts.cumsum(0) - counts)[order]
        left = counts[order]
        ranks = left.cpu()
        near, who = best.index_select(2, order), patch.index_select(2, order)
        done = 0
        while done < int(ranks[0]):
            many = int((ranks > done).sum())
            block = min(max(self._batch // many, 1), int(ranks[0]) - done)
            rank = done + torch.arange(block, device=self._device)[:, None]
            chosen = (start[:many] + rank).clamp_(max=len(tile) - 1)  # (block, n)
            exists = rank < left[:many]
            nearest = near[..., :many], who[..., :many]
            self._compete(lines, index, (chosen, exists), nearest, cut=cut)
            done += block
        best.index_copy_(2, order, near)
        patch.index_copy_(2, order, who)

    def _compete(
        self,
        lines: Tensor,
        index: Tensor,
        block: tuple[Tensor, Tensor],
        found: tuple[Tensor, Tensor],
        *,
        cut: bool,
    ) -> None:
        """Let a block of candidates ``(k, n)`` of n tiles update W and patch ``(8, 8, n)``."""
        (chosen, exists), (near, who) = block, found
        line = lines.index_select(1, chosen.view(-1)).view(3, 3, 1, *chosen.shape)
        steps = torch.arange(TILE, device=self._device, dtype=torch.float32)[:, None, None]
        down = line[:, 1] * steps + line[:, 2]  # (3, 8, k, n)
        u, v, w = (line[:, 0] * steps)[:, None] + down[:, :, None]  # (8, 8, k, n) each
        inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
        inside &= w > near[:, :, None]
        if len(chosen) > 1:
            inside &= exists
        name = index.index_select(0, chosen.view(-1))
        if cut:
            asked = indices(inside.view(-1))
            stencil = self._cutout.index_select(0, name.index_select(0, asked % len(name)))
            self._cut(inside, asked, stencil, (u, v, w))
        depth, first = torch.where(inside, w, -1.0).max(2)
        better = depth > near
        torch.where(better, depth, near, out=near)
        nearest = name.view_as(chosen).gather(0, first.flatten(0, 1)).view_as(who)
        torch.where(better, nearest, who, out=who)

    def _cut(
        self, inside: Tensor, asked: Tensor, stencil: Tensor, uvw: tuple[Tensor, Tensor, Tensor]
    ) -> None:
        """Leave only those of the points ``asked`` inside at which their stencils are open."""
        u, v, w = (part.view(-1).index_select(0, asked) for part in uvw)
        last = self._side - 1
        column, row = ((part / w * self._side).long().clamp_(0, last) for part in (u, v))
        texel = (stencil * self._side + row) * self._side + column
        inside.view(-1).scatter_(0, asked, self._stencils.view(-1).index_select(0, texel))


def indices(mask: Tensor) -> Tensor:
    """Return where a mask ``(Q,)`` is true; on the CPU, NumPy finds it several times faster."""
    if mask.device.type != 'cpu':
        return mask.nonzero()[:, 0]
    return torch.from_numpy(np.flatnonzero(mask.numpy()))


def _tile_lines(lines: Tensor, tile: Tensor, place: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (U, V, W) ``(9, P)`` of each pair as functions of the position inside its tile."""
    rows, columns = size
    spot = tile % (rows * columns)
    x, y = spot % columns * TILE, spot // columns * TILE
    inner = lines.index_select(1, place).view(3, 3, -1)
    inner[:, 2] += inner[:, 0] * x + inner[:, 1] * y  # shifted in float64, used in float32
    return inner.view(9, -1).float()


def _enlarged(stencils: Tensor) -> Tensor:
    """Return stencils with four times as many pixels a side, so that the nearest one will do."""
    grown = F.interpolate(stencils[:, None], scale_factor=4, mode='bilinear', align_corners=False)
    return grown[:, 0]


def _kept(
    lines: Tensor, solid: Tensor, group: Tensor, square: tuple[Tensor, Tensor, int], groups: int
) -> Tensor:
    """Return which patches may be seen in which squares of tiles, ``(C, P)``.

    Args:
        lines: ``(9, P)`` (U, V, W) of the pairs' patches.
        solid: ``(P,)`` whether the patch has no stencil.
        group: ``(C, P)`` number of the square.
        square: Corner (x, y) of the squares, ``(C, P)`` each, and their side, in tiles.
        groups: Upper bound of ``group``.
    """
    half = square[2] * TILE / 2  # half a pixel more than needed, which covers rounding
    x, y = (corner * float(TILE) + (half - 0.5) for corner in square[:2])
    u, v, w = lines.view(3, 3, -1).unbind(0)

    def middle_and_spread(line: Tensor) -> tuple[Tensor, Tensor]:
        return line[0] * x + (line[1] * y + line[2]), (line[0].abs() + line[1].abs()) * half

    middle, spread = middle_and_spread(w)
    low, high = middle - spread, middle + spread
    may, must = high > 0, solid.expand_as(low)
    for line in (u, v, w - u, w - v):
        middle, spread = middle_and_spread(line)
        may, must = may & (middle >= -spread), must & (middle >= spread)
    cover = torch.where(may & must, low, 0.0)
    nearest = torch.zeros(groups, device=lines.device)
    nearest.scatter_reduce_(0, group.view(-1), cover.view(-1), 'amax')
    return may & (high >= nearest.index_select(0, group.view(-1)).view_as(high))
