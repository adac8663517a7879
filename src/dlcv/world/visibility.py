"""Which patch each pixel sees: candidates per tile, and the nearest of them at each point.

A patch is three linear functions of the pixel, U, V and W (see :mod:`dlcv.world.render`); a point
is inside when U, V, W - U and W - V are all >= 0, and of all patches that contain it the one with
the largest W is seen. Patches are tested per tile: a linear function that is negative at its
largest over a tile rules a patch out, and one that covers the tile entirely hides all that lie
behind it there.

B: views  N: patches  T: tiles  P: pairs of tile and patch  E: points
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

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

    def patches(self, planes: Tensor, facing: Tensor, height: int, width: int) -> Tensor:
        """Return the index of the nearest patch of every pixel ``(B, H, W)``, -1 for none.

        Args:
            planes: ``(B, N, 3, 3)`` float64 (U, V, W) as functions of the pixel.
            facing: ``(B, N)`` whether a patch turns its visible side to the camera.
            height: Rows of the pictures.
            width: Columns of the pictures.
        """
        rows, columns = (-(-side // (TILE * SQUARES[0])) * SQUARES[0] for side in (height, width))
        batch = len(planes)
        tiles = batch * rows * columns
        best = torch.zeros(tiles, TILE, TILE, device=self._device)
        patch = torch.full((tiles, TILE, TILE), -1, dtype=torch.int64, device=self._device)
        tile, index = self._overlaps(planes, facing, (rows, columns), (height, width))
        stencilled = self._cutout[index] >= 0
        for cut, part in ((False, ~stencilled), (True, stencilled)):
            pairs = tile[part], index[part]
            if len(pairs[0]):
                self._nearest(planes, pairs, (rows, columns), (best, patch), cut=cut)
        grid = patch.view(batch, rows, columns, TILE, TILE).transpose(2, 3)
        full = grid.reshape(batch, rows * TILE, columns * TILE)
        return full[:, :height, :width].contiguous()

    def nearest_of(
        self, lines: Tensor, base: Tensor, candidates: Tensor, x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which of some candidates is nearest at points, and its W there.

        Most points have two different candidates; only the others are tested with all of them.

        Args:
            lines: ``(B N, 9)`` float32 (U, V, W) of all patches in all views.
            base: ``(E,)`` first row of each point's view in ``lines``.
            candidates: ``(C, E)`` patches to choose from; -1 for none.
            x: ``(E, n)`` pixel positions.
            y: ``(E, n)`` pixel positions.

        Returns:
            ``(E, n)`` int64 patch and ``(E, n)`` W; the first candidate and 0 where none is met.
        """
        first = low = high = candidates[0]
        for index in candidates[1:]:  # faster than amin over the first axis
            low, high = torch.minimum(low, index), torch.maximum(high, index)
        who, best = self._nearest_at(
            lines, base, (first, torch.where(low != first, low, high)), x, y
        )
        rest = ((candidates != low) & (candidates != high)).any(0).nonzero()[:, 0]
        who[rest], best[rest] = self._nearest_at(
            lines, base[rest], candidates[:, rest].unbind(0), x[rest], y[rest]
        )
        return who, best

    def _nearest_at(
        self, lines: Tensor, base: Tensor, candidates: Sequence[Tensor], x: Tensor, y: Tensor
    ) -> tuple[Tensor, Tensor]:
        best = torch.zeros_like(x)
        who = candidates[0][:, None].expand_as(x).contiguous()
        for index in candidates:
            known = index.clamp(min=0)
            line = lines.index_select(0, base + known).t().contiguous()[..., None]  # (9, E, 1)
            u = torch.addcmul(line[2], line[0], x).addcmul_(line[1], y)
            v = torch.addcmul(line[5], line[3], x).addcmul_(line[4], y)
            w = torch.addcmul(line[8], line[6], x).addcmul_(line[7], y)
            inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
            inside &= (w > best) & (index >= 0)[:, None]
            if self._any_cutout:
                stencil = self._cutout.index_select(0, known)
                row = (stencil >= 0).nonzero()[:, 0]
                inside[row] &= self._open(stencil[row, None], u[row], v[row], w[row])
            best = torch.where(inside, w, best)
            who = torch.where(inside, index[:, None], who)
        return who, best

    def _overlaps(
        self, planes: Tensor, facing: Tensor, size: tuple[int, int], picture: tuple[int, int]
    ) -> tuple[Tensor, Tensor]:
        """Return pairs (tile, patch) that may see each other, ``(P,)`` each, sorted by tile.

        First the whole picture is tested, then ever smaller squares of it.

        Args:
            planes: ``(B, N, 3, 3)``.
            facing: ``(B, N)``.
            size: Rows and columns of tiles.
            picture: Rows and columns of pixels, which may be fewer.
        """
        rows, columns = size
        view, index = facing.nonzero(as_tuple=True)
        flat = planes.float().view(-1, 9)
        corner = torch.zeros(len(view), 2, dtype=torch.int64, device=self._device)  # x, y in tiles
        whole = max(rows, columns)
        end = -(-torch.tensor(picture, device=self._device).flip(0) // TILE)  # x, y in tiles
        for parent, child in pairwise((whole, whole, *SQUARES)):
            lines = flat.index_select(0, view * planes.shape[1] + index).view(-1, 3, 3)
            solid = self._cutout.index_select(0, index) < 0
            nx, ny = (-(-min(side, parent) // child) for side in (columns, rows))
            offset = torch.cartesian_prod(
                torch.arange(ny, device=self._device), torch.arange(nx, device=self._device)
            ).flip(1)
            corners = corner[:, None] + offset * child  # (P, C, 2)
            group = (view[:, None] * rows + corners[..., 1]) * columns + corners[..., 0]
            kept = _kept(lines, solid, group, (corners, child), len(planes) * rows * columns)
            kept &= (corners < end).all(-1)
            pair, which = kept.nonzero(as_tuple=True)
            view, index, corner = view[pair], index[pair], corners[pair, which]
            tile = group[pair, which]
        order = tile.argsort(stable=True)
        return tile[order], index[order]

    def _nearest(
        self,
        planes: Tensor,
        pairs: tuple[Tensor, Tensor],
        size: tuple[int, int],
        found: tuple[Tensor, Tensor],
        *,
        cut: bool,
    ) -> None:
        """Update W and patch ``(T, 8, 8)`` in ``found`` by the candidates ``pairs``.

        Tiles are sorted by how many candidates they have, so that the i-th candidates of all tiles
        form one dense batch; few tiles with many candidates take several at once.
        """
        tile, index = pairs
        best, patch = found
        counts = torch.bincount(tile, minlength=len(best))
        order = counts.argsort(descending=True, stable=True)
        start = (counts.cumsum(0) - counts)[order]
        lines = _tile_lines(planes, tile, index, size)  # (P, 3, 3)
        left = counts[order]
        ranks = left.cpu()
        near, who = best[order], patch[order]
        done = 0
        while done < int(ranks[0]):
            many = int((ranks > done).sum())
            block = min(max(self._batch // many, 1), int(ranks[0]) - done)
            rank = done + torch.arange(block, device=self._device)
            chosen = (start[:many, None] + rank).clamp_(max=len(tile) - 1)  # (n, block)
            exists = rank < left[:many, None]
            self._compete(lines, index, (chosen, exists), (near[:many], who[:many]), cut=cut)
            done += block
        best[order], patch[order] = near, who

    def _compete(
        self,
        lines: Tensor,
        index: Tensor,
        block: tuple[Tensor, Tensor],
        found: tuple[Tensor, Tensor],
        *,
        cut: bool,
    ) -> None:
        """Let a block of candidates ``(n, k)`` of n tiles update W and patch ``(n, 8, 8)``."""
        (chosen, exists), (near, who) = block, found
        line = lines[chosen]  # (n, k, 3, 3)
        steps = torch.arange(TILE, device=self._device, dtype=torch.float32)
        down = line[..., 1, None] * steps + line[..., 2, None]  # (n, k, 3, 8)
        uvw = line[..., 0, None, None] * steps + down[..., None]  # (n, k, 3, 8, 8)
        u, v, w = uvw.unbind(2)
        inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
        inside &= w > near[:, None]
        if chosen.shape[1] > 1:
            inside &= exists[..., None, None]
        if cut:
            asked = inside.view(-1).nonzero()[:, 0]
            stencil = self._cutout[index[chosen].view(-1)[asked // TILE**2]]
            at = (part.reshape(-1)[asked] for part in (u, v, w))
            inside.view(-1)[asked] = self._open(stencil, *at)
        depth, first = torch.where(inside, w, -1.0).max(1)
        better = depth > near
        torch.where(better, depth, near, out=near)
        torch.where(better, index[chosen].gather(1, first.flatten(1)).view_as(who), who, out=who)

    def _open(self, stencil: Tensor, u: Tensor, v: Tensor, w: Tensor) -> Tensor:
        """Return whether stencils are open at points, all of one shape."""
        last = self._side - 1
        column, row = ((part / w * self._side).long().clamp_(0, last) for part in (u, v))
        return self._stencils.view(-1)[(stencil * self._side + row) * self._side + column]


def _tile_lines(planes: Tensor, tile: Tensor, index: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (U, V, W) of each pair as functions of the position inside its tile."""
    rows, columns = size
    view, place = tile // (rows * columns), tile % (rows * columns)
    lines = planes.view(-1, 9).index_select(0, view * planes.shape[1] + index).view(-1, 3, 3)
    x, y = place % columns * TILE, place // columns * TILE
    corner = torch.stack((x, y, torch.ones_like(x)), -1).to(lines.dtype)
    lines[..., 2] = (lines * corner[:, None]).sum(-1)  # shifted in float64, used in float32
    return lines.float()


def _enlarged(stencils: Tensor) -> Tensor:
    """Return stencils with four times as many pixels a side, so that the nearest one will do."""
    grown = F.interpolate(stencils[:, None], scale_factor=4, mode='bilinear', align_corners=False)
    return grown[:, 0]


def _kept(
    lines: Tensor, solid: Tensor, group: Tensor, square: tuple[Tensor, int], groups: int
) -> Tensor:
    """Return which patches may be seen in which squares of tiles, ``(P, C)``.

    Args:
        lines: ``(P, 3, 3)`` (U, V, W) of the pairs' patches.
        solid: ``(P,)`` whether the patch has no stencil.
        group: ``(P, C)`` number of the square.
        square: Corner of the squares ``(P, C, 2)`` and their side, in tiles.
        groups: Upper bound of ``group``.
    """
    corners, side = square
    half = side * TILE / 2  # half a pixel more than needed, which covers rounding
    x, y = (corners * float(TILE) + (half - 0.5)).unbind(-1)

    def bounds(line: Tensor) -> tuple[Tensor, Tensor]:
        middle = line[:, 0, None] * x + (line[:, 1, None] * y + line[:, 2, None])
        spread = (line[:, :2].abs().sum(1) * half)[:, None]
        return middle - spread, middle + spread

    u, v, w = lines.unbind(1)
    low, high = bounds(w)
    may, must = high > 0, solid[:, None].expand_as(low)
    for test in (u, v, w - u, w - v):
        least, most = bounds(test)
        may, must = may & (most >= 0), must & (least >= 0)
    cover = torch.where(may & must, low, 0.0)
    nearest = torch.zeros(groups, device=lines.device)
    nearest.scatter_reduce_(0, group.flatten(), cover.flatten(), 'amax')
    return may & (high >= nearest[group])
