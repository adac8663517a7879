"""The renderer: which patch each pixel sees, exactly, and what colour it has.

For a patch with corner o and edges p, q in camera axes, the viewing ray d of a pixel meets its
plane at depth z where ``z d = o + u p + v q``. So ``(u, v, 1) / z = [p q o]^-1 d``: the numbers
U = u / z, V = v / z and W = 1 / z are affine functions of the pixel (perspective-correct
interpolation), and the pixel is inside when U, V, W - U and W - V are all >= 0, which implies that
the patch is in front of the camera. Of all patches that contain a pixel the one with the largest W
is seen. Nothing is clipped, and inverse depth is exact.

Patches are tested per 16 x 16 tile: a linear function that is negative at its largest over a tile
rules a patch out, and one that covers the tile entirely hides all that lie behind it there.

Colours are filtered: textures by anisotropic trilinear mip-mapping, outlines by four more samples
in the pixels at which the patch changes.

B: views  N: patches  K: patches in view  T: tiles  P: pairs of tile and patch
E: pixels on outlines
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.types import Camera
from dlcv.world.scene import Array, Scene, WorldError
from dlcv.world.shade import Shader

TILE = 16
COARSE = 4  # tiles along the side of the squares that are tested first
BATCH = 1024  # candidates of tiles that are tested at once
SUBSAMPLES = ((-0.125, -0.375), (0.375, -0.125), (0.125, 0.375), (-0.375, 0.125))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """What a batch of cameras sees.

    Attributes:
        image: ``(B, H, W, 3)`` uint8 sRGB.
        inverse_depth: ``(B, H, W)`` float64 in 1/m, exact; 0 in the sky.
        patch: ``(B, H, W)`` int64 index of the patch seen, -1 for none.
        planes: ``(B, N, 3, 3)`` float64; row 2 maps (x, y, 1) of a pixel to the inverse depth of
            each patch's plane, rows 0 and 1 to U and V.
    """

    image: Tensor
    inverse_depth: Tensor
    patch: Tensor
    planes: Tensor


class Renderer:
    """Renders one scene; keeps its textures and light on a device.

    Args:
        scene: The world.
        device: Torch device.
    """

    def __init__(self, scene: Scene, device: str | torch.device = 'cpu') -> None:
        self.scene = scene
        self.device = torch.device(device)
        self._origin = self._put(scene.origin)
        self._edge_u = self._put(scene.edge_u)
        self._edge_v = self._put(scene.edge_v)
        self._one_sided = ~self._put(scene.two_sided)
        self._infinite = self._put(scene.infinite)
        self._cutout = self._put(scene.cutout)
        self._stencils = _enlarged(self._put(scene.cutouts)) > 0.5
        self._shader = Shader(scene, self.device)

    def _put(self, array: npt.NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self.device)

    @torch.no_grad()
    def render(self, camera: Camera, world_from_camera: Array) -> View:
        """Render the views of one camera at several poses.

        Args:
            camera: Intrinsics without distortion.
            world_from_camera: ``(B, 4, 4)`` metres.

        Raises:
            WorldError: The camera has lens distortion, or the poses have another shape.
        """
        if camera.distorted:
            raise WorldError(
                f'the world renders ideal cameras, got {camera.distortion_model} distortion '
                f'{list(camera.distortion)}; use camera.undistorted()'
            )
        if world_from_camera.ndim != 3 or world_from_camera.shape[1:] != (4, 4):
            raise WorldError(f'poses must be (B, 4, 4), got {world_from_camera.shape}')
        planes, facing = self._planes(camera, self._put(world_from_camera))
        patch = self._visible(camera, planes, facing)
        inverse_depth = self._inverse_depth(planes, patch)
        image = self._shaded(planes, patch)
        return View(image=image, inverse_depth=inverse_depth, patch=patch, planes=planes)

    @torch.no_grad()
    def flow(
        self, camera: Camera, previous: View, view: View, view_from_previous: Array
    ) -> tuple[Tensor, Tensor]:
        """Return the motion of what ``previous`` shows, and where ``view`` no longer shows it.

        Args:
            camera: Intrinsics of both views.
            previous: The earlier picture, a batch of one or more; the first counts.
            view: The later picture, likewise.
            view_from_previous: ``(4, 4)`` metres.

        Returns:
            ``(H, W, 2)`` float64 flow in pixels, NaN for points behind the later camera, and
            ``(H, W)`` bool: hidden by something nearer, or out of the picture.
        """
        matrix = torch.from_numpy(_pixels_from_pixels(camera, view_from_previous)).to(self.device)
        height, width = previous.patch.shape[1:]
        x = torch.arange(width, device=self.device, dtype=torch.float64).expand(height, width)
        y = torch.arange(height, device=self.device, dtype=torch.float64)[:, None].expand_as(x)
        ray = torch.stack((x, y, torch.ones_like(x), previous.inverse_depth[0]), -1)
        moved = ray @ matrix.T  # (H, W, 3): the later pixel, times its depth over the former
        there = moved[..., :2] / moved[..., 2:].where(moved[..., 2:] > 0, torch.nan)
        flow = there - torch.stack((x, y), -1)
        inverse_depth = previous.inverse_depth[0] / moved[..., 2]
        return flow, self._hidden(view, previous.patch[0], there, inverse_depth)

    def _hidden(self, view: View, patch: Tensor, there: Tensor, inverse_depth: Tensor) -> Tensor:
        height, width = patch.shape
        limit = there.new_tensor([width - 1, height - 1])
        hidden = ~((there >= 0) & (there <= limit)).all(-1)  # True for NaN
        within = (~hidden).view(-1).nonzero()[:, 0]
        x, y = there.view(-1, 2).index_select(0, within).float().unbind(-1)
        x0, y0 = x.long(), y.long()
        flat = view.patch[0].view(-1)
        around = torch.stack(
            [
                flat[(y0 + dy).clamp_(max=height - 1) * width + (x0 + dx).clamp_(max=width - 1)]
                for dy in (0, 1)
                for dx in (0, 1)
            ]
        )  # (4, Q)
        other = (around != patch.view(-1)[within]).any(0).nonzero()[:, 0]  # the rest is in sight
        lines = view.planes[0].float().view(-1, 9)
        near_by = list(around[:, other])
        base = torch.zeros_like(other)
        who, near = self._who(lines, base, near_by, x[other, None], y[other, None])
        expected = inverse_depth.view(-1)[within[other]].float()
        nearer = (near[:, 0] > expected * (1 + 1e-4)) & ~self._infinite[who[:, 0].clamp(min=0)]
        return hidden.view(-1).index_put_((within[other],), nearer).view(height, width)

    # -- geometry ------------------------------------------------------------------------------

    def _planes(self, camera: Camera, world_from_camera: Tensor) -> tuple[Tensor, Tensor]:
        """Return (U, V, W) as functions of the pixel ``(B, N, 3, 3)``, and who faces the camera."""
        camera_from_world = world_from_camera[:, :3, :3].transpose(1, 2)  # rotation only
        centre = world_from_camera[:, None, :3, 3] * ~self._infinite[None, :, None]
        turn = camera_from_world[:, None]
        o = (turn @ (self._origin - centre)[..., None]).squeeze(-1)  # (B, N, 3)
        p = (turn @ self._edge_u[None, :, :, None]).squeeze(-1)
        q = (turn @ self._edge_v[None, :, :, None]).squeeze(-1)
        volume = (o * torch.cross(p, q, dim=-1)).sum(-1)  # > 0 when seen from the front
        edge_on = volume.abs() < 1e-12
        facing = ~edge_on & ((volume > 0) | ~self._one_sided)
        rows = (torch.cross(q, o, dim=-1), torch.cross(o, p, dim=-1), torch.cross(p, q, dim=-1))
        inverse = torch.stack(rows, -2) / torch.where(edge_on, 1.0, volume)[..., None, None]
        ray_from_pixel = torch.from_numpy(np.linalg.inv(camera.matrix)).to(self.device)
        return inverse @ ray_from_pixel, facing

    def _inverse_depth(self, planes: Tensor, patch: Tensor) -> Tensor:
        batch, height, width = patch.shape
        view = torch.arange(batch, device=self.device)[:, None, None] * len(self.scene)
        row = planes[:, :, 2].reshape(-1, 3)[(view + patch.clamp(min=0)).reshape(-1)]
        row = row.reshape(batch, height, width, 3)
        x = torch.arange(width, device=self.device, dtype=torch.float64)
        y = torch.arange(height, device=self.device, dtype=torch.float64)[:, None]
        inverse = row[..., 0] * x + row[..., 1] * y + row[..., 2]
        nothing = self._infinite[patch.clamp(min=0)] | (patch < 0)
        return inverse.masked_fill_(nothing, 0)

    # -- visibility ----------------------------------------------------------------------------

    def _visible(self, camera: Camera, planes: Tensor, facing: Tensor) -> Tensor:
        """Return the index of the nearest patch of every pixel ``(B, H, W)``."""
        rows, columns = (
            -(-side // (TILE * COARSE)) * COARSE for side in (camera.height, camera.width)
        )
        batch = len(planes)
        tiles = batch * rows * columns
        best = torch.zeros(tiles, TILE, TILE, device=self.device)
        patch = torch.full((tiles, TILE, TILE), -1, dtype=torch.int64, device=self.device)
        tile, index = self._overlaps(planes, facing, rows, columns)
        stencilled = self._cutout[index] >= 0
        for cut, part in ((False, ~stencilled), (True, stencilled)):
            pairs = tile[part], index[part]
            if len(pairs[0]):
                self._nearest(planes, pairs, (rows, columns), best, patch, cut=cut)
        grid = patch.view(batch, rows, columns, TILE, TILE).transpose(2, 3)
        full = grid.reshape(batch, rows * TILE, columns * TILE)
        return full[:, : camera.height, : camera.width].contiguous()

    def _overlaps(
        self, planes: Tensor, facing: Tensor, rows: int, columns: int
    ) -> tuple[Tensor, Tensor]:
        """Return pairs (tile, patch) that may see each other, ``(P,)`` each, sorted by tile.

        First the whole picture is tested, then squares of 4 x 4 tiles, then tiles.
        """
        view, index = facing.nonzero(as_tuple=True)
        corner = torch.zeros(len(view), 2, dtype=torch.int64, device=self.device)  # x, y in tiles
        whole = max(rows, columns)
        for parent, child in ((whole, whole), (whole, COARSE), (COARSE, 1)):
            lines, solid = planes[view, index].float(), self._cutout[index] < 0
            nx, ny = (-(-min(side, parent) // child) for side in (columns, rows))
            offset = torch.cartesian_prod(
                torch.arange(ny, device=self.device), torch.arange(nx, device=self.device)
            ).flip(1)
            corners = corner[:, None] + offset * child  # (P, C, 2)
            group = (view[:, None] * rows + corners[..., 1]) * columns + corners[..., 0]
            kept = _kept(lines, solid, group, (corners, child), len(planes) * rows * columns)
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
        best: Tensor,
        patch: Tensor,
        *,
        cut: bool,
    ) -> None:
        """Update ``best`` and ``patch`` ``(T, 16, 16)`` by the candidates ``pairs``.

        Tiles are sorted by how many candidates they have, so that the i-th candidates of all tiles
        form one dense batch; few tiles with many candidates take several at once.
        """
        tile, index = pairs
        counts = torch.bincount(tile, minlength=len(best))
        order = counts.argsort(descending=True, stable=True)
        start = (counts.cumsum(0) - counts)[order]
        lines = self._tile_lines(planes, tile, index, size)  # (P, 3, 3)
        left = counts[order]
        ranks = left.cpu()
        near, who = best[order], patch[order]
        done = 0
        while done < int(ranks[0]):
            many = int((ranks > done).sum())
            block = min(max(BATCH // many, 1), int(ranks[0]) - done)
            rank = done + torch.arange(block, device=self.device)
            chosen = (start[:many, None] + rank).clamp_(max=len(tile) - 1)  # (n, block)
            exists = rank < left[:many, None]
            self._compete(lines, index, (chosen, exists), near[:many], who[:many], cut=cut)
            done += block
        best[order], patch[order] = near, who

    def _tile_lines(
        self, planes: Tensor, tile: Tensor, index: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Return (U, V, W) of each pair as functions of the position inside its tile."""
        rows, columns = size
        view, place = tile // (rows * columns), tile % (rows * columns)
        lines = planes[view, index]  # (P, 3, 3)
        x, y = place % columns * TILE, place // columns * TILE
        corner = torch.stack((x, y, torch.ones_like(x)), -1).to(lines.dtype)
        lines[..., 2] = (lines * corner[:, None]).sum(-1)  # shifted in float64, used in float32
        return lines.float()

    def _compete(
        self,
        lines: Tensor,
        index: Tensor,
        block: tuple[Tensor, Tensor],
        near: Tensor,
        who: Tensor,
        *,
        cut: bool,
    ) -> None:
        """Let a block of candidates ``(n, k)`` of n tiles lower ``near`` and ``who``."""
        chosen, exists = block
        line = lines[chosen]  # (n, k, 3, 3)
        steps = torch.arange(TILE, device=self.device, dtype=torch.float32)
        down = line[..., 1, None] * steps + line[..., 2, None]  # (n, k, 3, 16)
        uvw = line[..., 0, None, None] * steps + down[..., None]  # (n, k, 3, 16, 16)
        u, v, w = uvw.unbind(2)
        inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
        inside &= w > near[:, None]
        if chosen.shape[1] > 1:
            inside &= exists[..., None, None]
        if cut:
            spread = index[chosen][..., None, None].expand_as(w)
            inside &= self._stencilled(spread, u, v, w, inside)
        depth, first = torch.where(inside, w, -1.0).max(1)
        better = depth > near
        torch.where(better, depth, near, out=near)
        torch.where(better, index[chosen].gather(1, first.flatten(1)).view_as(who), who, out=who)

    def _stencilled(self, index: Tensor, u: Tensor, v: Tensor, w: Tensor, asked: Tensor) -> Tensor:
        """Return where the stencils are open, for the samples asked for; False for the others."""
        result = torch.zeros_like(asked)
        which, depth = self._cutout[index[asked]], w[asked]
        last = self._stencils.shape[1] - 1
        column = (u[asked] / depth * (last + 1)).long().clamp_(0, last)
        row = (v[asked] / depth * (last + 1)).long().clamp_(0, last)
        result[asked] = self._stencils[which, row, column]
        return result

    # -- colour --------------------------------------------------------------------------------

    def _shaded(self, planes: Tensor, patch: Tensor) -> Tensor:
        lines = planes.float().reshape(-1, 9)  # (B N, 9)
        linear = torch.empty(patch.numel(), 3, device=self.device)
        outline = _outline(patch).view(-1)
        pixel = (~outline).nonzero()[:, 0]
        view, y, x = _unravel(pixel, patch.shape)
        who = patch.view(-1).index_select(0, pixel)
        plain = self._shader(lines, view * len(self.scene), who, x.float(), y.float())
        linear.index_copy_(0, pixel, plain)
        pixel = outline.nonzero()[:, 0]
        linear.index_copy_(0, pixel, self._supersampled(lines, patch, pixel))
        return _encode(linear).view(*patch.shape, 3)

    def _supersampled(self, lines: Tensor, patch: Tensor, pixel: Tensor) -> Tensor:
        """Return the mean colour ``(E, 3)`` of four samples in each of the given pixels.

        Each patch is shaded once per pixel, in the middle of the samples that see it.
        """
        view, y, x = _unravel(pixel, patch.shape)
        base = view * len(self.scene)
        offset = torch.tensor(SUBSAMPLES, device=self.device)  # (4, 2)
        sx, sy = x[:, None] + offset[:, 0], y[:, None] + offset[:, 1]  # (E, 4)
        who, _ = self._who(lines, base, _neighbours(patch, view, y, x), sx, sy)
        same = who[:, :, None] == who[:, None, :]  # (E, 4, 4)
        share = same.float().mean(2)
        first = ~torch.tril(same, -1).any(2)
        row, sample = first.nonzero(as_tuple=True)
        mine, part = same[row, sample].float(), share[row, sample]
        middle_x = (mine * sx[row]).mean(1) / part
        middle_y = (mine * sy[row]).mean(1) / part
        colour = self._shader(lines, base[row], who[row, sample], middle_x, middle_y)
        return torch.zeros(len(pixel), 3, device=self.device).index_add_(
            0, row, colour * part[:, None]
        )

    def _who(
        self, lines: Tensor, base: Tensor, candidates: list[Tensor], sx: Tensor, sy: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return which of the candidates ``(E,)`` is nearest at the points ``(E, n)``, with W."""
        best = torch.zeros_like(sx)
        who = candidates[0][:, None].expand_as(sx).contiguous()
        for index in candidates:
            line = lines.index_select(0, base + index.clamp(min=0))  # (E, 9)
            u, v, w = (
                line[:, i, None] * sx + line[:, i + 1, None] * sy + line[:, i + 2, None]
                for i in (0, 3, 6)
            )
            inside = torch.minimum(torch.minimum(u, v), w - torch.maximum(u, v)) >= 0
            inside &= (w > best) & (index >= 0)[:, None]
            cut = inside & (self._cutout[index.clamp(min=0)] >= 0)[:, None]
            inside &= ~cut | self._stencilled(index[:, None].expand_as(w), u, v, w, cut)
            best = torch.where(inside, w, best)
            who = torch.where(inside, index[:, None], who)
        return who, best


def _pixels_from_pixels(camera: Camera, b_from_a: Array) -> Array:
    """Return ``(3, 4)`` that maps (x, y, 1, 1 / z) of a to (x, y, 1) of b times z_b / z_a."""
    turn = camera.matrix @ b_from_a[:3, :3] @ np.linalg.inv(camera.matrix)
    return np.concatenate((turn, (camera.matrix @ b_from_a[:3, 3])[:, None]), 1)


def _unravel(pixel: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
    """Return (view, y, x) of flat indices into ``(B, H, W)``."""
    _, height, width = shape
    row = pixel // width
    view = row // height
    return view, row - view * height, pixel - row * width


def _neighbours(patch: Tensor, view: Tensor, y: Tensor, x: Tensor) -> list[Tensor]:
    """Return the patches of a pixel and of its four neighbours, ``(E,)`` each."""
    _, height, width = patch.shape
    flat, top = patch.view(-1), view * height
    return [
        flat[(top + (y + dy).clamp(0, height - 1)) * width + (x + dx).clamp(0, width - 1)]
        for dy, dx in ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))
    ]


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


def _outline(patch: Tensor) -> Tensor:
    """Return the pixels that differ from one of their four neighbours."""
    edge = torch.zeros_like(patch, dtype=torch.bool)
    across = patch[:, :, 1:] != patch[:, :, :-1]
    down = patch[:, 1:] != patch[:, :-1]
    edge[:, :, 1:] |= across
    edge[:, :, :-1] |= across
    edge[:, 1:] |= down
    edge[:, :-1] |= down
    return edge


def _encode(linear: Tensor) -> Tensor:
    """Return sRGB bytes of linear light; a soft shoulder keeps bright surfaces from clipping."""
    shoulder = linear * (1 + linear / 4) / (1 + linear)  # Reinhard, white at 2
    return (shoulder.clamp_(0, 1).pow_(1 / 2.2) * 255 + 0.5).to(torch.uint8)
