"""Colour of points on patches: filtered textures times baked light.

Textures are averaged over the footprint of a pixel, an ellipse whose axes follow from the
derivatives of (u, v): up to four bilinear taps along the longer axis (anisotropic mip-mapping;
Heckbert, Survey of Texture Mapping, 1986). Mip levels are half an octave apart, so that the nearest
one will do and no two need blending. All texels of all levels lie in one table, and the weighted
sum over the texels of a sample is one ``embedding_bag``: a fused gather on CPU and GPU.

B: views  N: patches  Q: samples  n: taps  X: texels in the table
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.data.world.light import bake
from dlcv.data.world.scene import Scene
from dlcv.data.world.visibility import indices

MAX_TAPS = 4
_LINEAR = (torch.arange(256) / 255) ** 2.2  # light of an sRGB byte
Pair = tuple[Tensor, Tensor]


class Shader:
    """Textures with mip maps and baked light on one device.

    Args:
        scene: The world.
        device: Torch device.
        finest: Octaves of detail to leave out of the textures.
    """

    def __init__(self, scene: Scene, device: torch.device, finest: int = 0) -> None:
        self._mips = _MipMaps(scene, device, finest)
        size = np.array([t.shape[0] for t in scene.textures])[scene.texture] >> finest
        look = np.concatenate((scene.uv_scale, scene.uv_offset), 1) * size[:, None]
        self._look = _columns(look).float().to(device)  # (4, N) in texels
        self._texture = torch.from_numpy(scene.texture).int().to(device)
        light = bake(scene)
        self._light = torch.from_numpy(light.texels).to(device)
        self._light_grid = _columns(light.grid).to(device)  # (3, N)

    def __call__(self, lines: Tensor, base: Tensor, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the linear colour ``(Q, 4)`` at pixels (x, y) of the patches ``index``.

        The fourth channel is unused: rows of four are faster than rows of three.

        Args:
            lines: ``(9, B N)`` float32; (U, V, W) of each patch as functions of the pixel.
            base: ``(Q,)`` first column of the sample's view in ``lines``.
            index: ``(Q,)`` patch, -1 for none, which is black.
            x: ``(Q,)`` pixel position.
            y: ``(Q,)`` pixel position.
        """
        known = index.clamp(min=0)
        line = lines.index_select(1, base + known)  # (9, Q)
        depth = 1 / (line[6] * x + line[7] * y + line[8])
        u = ((line[0] * x + line[1] * y + line[2]) * depth).clamp_(0, 1)
        v = ((line[3] * x + line[4] * y + line[5]) * depth).clamp_(0, 1)
        scale_u, scale_v, offset_u, offset_v = self._look.index_select(1, known)
        along_u, along_v = depth * scale_u, depth * scale_v
        du = ((line[0] - u * line[6]) * along_u, (line[1] - u * line[7]) * along_u)
        dv = ((line[3] - v * line[6]) * along_v, (line[4] - v * line[7]) * along_v)
        centre = (u * scale_u + offset_u, v * scale_v + offset_v)
        colour = self._filtered(self._texture.index_select(0, known), centre, du, dv)
        colour *= self._lit(known, u, v)
        return colour.index_fill_(0, indices(index < 0), 0)

    def _filtered(self, texture: Tensor, centre: Pair, du: Pair, dv: Pair) -> Tensor:
        """Average the texture over the footprint with axes (du, dv) in texels per pixel."""
        major, minor, along = _ellipse(du, dv)
        taps = (major / minor.clamp(min=1.0)).round_().clamp_(1, MAX_TAPS)
        footprint = torch.maximum(major / taps, minor).clamp_(min=1.0)
        level = (2 * footprint.log2_() - 0.5).clamp_(min=0).int()  # rounded; 0.5 octaves count as 0
        row = self._mips.row(texture, level)
        result = torch.empty(len(row), 4, device=row.device)
        for count, chosen in _groups(taps):
            s, t, along_s, along_t, length = (
                part.index_select(0, chosen) for part in (*centre, *along, major)
            )
            steps = (torch.arange(count, device=row.device) + 0.5) / count - 0.5
            reach = length * steps[:, None]  # (n, Q)
            s, t = s + along_s * reach, t + along_t * reach
            result.index_copy_(0, chosen, self._mips(row.index_select(0, chosen), s, t))
        return result

    def _lit(self, index: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return tint times light ``(Q, 4)``, bilinear between the samples of a patch."""
        start, columns, rows = self._light_grid.index_select(1, index)
        left, fx = _split(u * columns - 0.5)
        top, fy = _split(v * rows - 0.5)
        x0, x1 = left.clamp(min=0), torch.minimum(left + 1, columns - 1)
        y0 = start + top.clamp(min=0) * columns
        y1 = start + torch.minimum(top + 1, rows - 1) * columns
        texels = torch.stack((y0 + x0, y0 + x1, y1 + x0, y1 + x1), 1)
        gx, gy = 1 - fx, 1 - fy
        weights = torch.stack((gx * gy, fx * gy, gx * fy, fx * fy), 1)
        return F.embedding_bag(texels, self._light, mode='sum', per_sample_weights=weights)


class _MipMaps:
    """All textures with all their levels as rows of one table of linear colours.

    Level 0 is the texture; levels 2 j - 1 and 2 j have 2^-j of its side, the latter blurred by the
    half octave between.
    """

    def __init__(self, scene: Scene, device: torch.device, finest: int) -> None:
        most = 2 * max(t.shape[0] >> finest for t in scene.textures).bit_length() - 1
        tables: list[Tensor] = []
        starts = torch.zeros(len(scene.textures), most, dtype=torch.int32)
        sides = torch.ones(len(scene.textures), most, dtype=torch.int32)
        scales = torch.exp2(-((torch.arange(most) + 1) // 2).float())  # exact
        total = 0
        for i, picture in enumerate(scene.textures):
            levels = _pyramid(_LINEAR[torch.from_numpy(picture).int()], finest)
            for j in range(most):
                if j < len(levels):
                    tables.append(levels[j].reshape(-1, 3))
                    starts[i, j], sides[i, j] = total, len(levels[j])
                    total += len(tables[-1])
                else:  # a single texel
                    starts[i, j] = starts[i, len(levels) - 1]
        self._texels = F.pad(torch.cat(tables), (0, 1)).to(device)  # (X, 4)
        self._starts, self._sides = starts.to(device).view(-1), sides.to(device).view(-1)
        self._scales = scales.repeat(len(scene.textures)).to(device)
        self._most = most

    def row(self, texture: Tensor, level: Tensor) -> Tensor:
        """Return the number ``(Q,)`` of textures' levels; the last one stands for those beyond."""
        return texture * self._most + level.clamp(max=self._most - 1)

    def __call__(self, row: Tensor, s: Tensor, t: Tensor) -> Tensor:
        """Return the mean ``(Q, 4)`` of n bilinear taps at (s, t), ``(n, Q)`` in texels of level 0.

        Samples come last until the sum: operations along them are faster than along a few taps.
        """
        start, scale = self._starts.index_select(0, row), self._scales.index_select(0, row)
        side = self._sides.index_select(0, row)
        wrap = side - 1  # sides are powers of two
        left, fx = _split(s * scale - 0.5)
        top, fy = _split(t * scale - 0.5)
        x0, x1 = left & wrap, (left + 1) & wrap
        y0 = torch.addcmul(start, top & wrap, side)
        y1 = torch.addcmul(start, (top + 1) & wrap, side)
        texels = torch.empty(4, *s.shape, dtype=torch.int32, device=s.device)
        shares = torch.empty(texels.shape, device=s.device)
        for i, (y, x) in enumerate(((y0, x0), (y0, x1), (y1, x0), (y1, x1))):
            torch.add(y, x, out=texels[i])
        lower = fy / len(s)
        upper = 1 / len(s) - lower
        for i, part in ((0, upper), (2, lower)):
            right = torch.mul(fx, part, out=shares[i + 1])
            torch.sub(part, right, out=shares[i])
        return F.embedding_bag(
            texels.flatten(0, 1).t().contiguous(),
            self._texels,
            mode='sum',
            per_sample_weights=shares.flatten(0, 1).t().contiguous(),
        )


def _columns(table: npt.NDArray[np.generic]) -> Tensor:
    """Return a table ``(N, C)`` as ``(C, N)``, so that what is picked comes column by column."""
    return torch.from_numpy(np.ascontiguousarray(table.T))


def _split(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the integer part (int32, rounded down) and the fraction."""
    whole = values.floor()
    return whole.int(), values - whole


def _ellipse(du: Pair, dv: Pair) -> tuple[Tensor, Tensor, Pair]:
    """Return the axes' lengths and the direction of the longer one of a footprint.

    The footprint is the image of the unit pixel under J = [[du], [dv]]; its axes are the square
    roots of the eigenvalues of J J^T = [[a, c], [c, b]].
    """
    a, b = du[0] * du[0] + du[1] * du[1], dv[0] * dv[0] + dv[1] * dv[1]
    c = du[0] * dv[0] + du[1] * dv[1]
    mean, half = (a + b) / 2, (a - b) / 2
    root = (half * half + c * c).sqrt_()
    major, minor = (mean + root).sqrt_(), (mean - root).clamp_(min=0).sqrt_()
    first = half >= 0  # of the two equivalent eigenvectors, the one that does not cancel
    x, y = torch.where(first, half + root, c), torch.where(first, c, root - half)
    norm = (x * x + y * y).sqrt_().clamp_(min=1e-20)
    return major, minor, (x / norm, y / norm)


def _groups(taps: Tensor) -> Iterator[tuple[int, Tensor]]:
    """Yield (number of taps, samples that take so many)."""
    for count, chosen in ((1, taps == 1), (2, taps == 2), (MAX_TAPS, taps > 2)):
        where = indices(chosen)
        if len(where):
            yield count, where


def _pyramid(picture: Tensor, finest: int) -> list[Tensor]:
    """Return ``(S, S, 3)`` and its halvings down to one texel, each twice: sharp and blurred.

    Halved by [1 3 3 1] / 8, blurred by [1 3 1] / 5, wrapping around; the first is sharp only.
    """
    levels = [picture]
    while len(picture) > 1:
        for axis in (0, 1):
            outer = picture.roll(1, axis) + picture.roll(-2, axis)
            halved = (outer + 3 * (picture + picture.roll(-1, axis))) / 8
            picture = halved[::2] if axis == 0 else halved[:, ::2]
        picture = blurred = picture.contiguous()
        for axis in (0, 1):
            blurred = (blurred.roll(1, axis) + 3 * blurred + blurred.roll(-1, axis)) / 5
        levels += [picture, blurred]
    return levels if not finest else levels[2 * finest - 1 : 2 * finest] + levels[2 * finest + 1 :]
