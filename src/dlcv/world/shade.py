"""Colour of points on patches: filtered textures times baked light.

Textures are averaged over the footprint of a pixel, an ellipse whose axes follow from the
derivatives of (u, v): up to four trilinear taps along the longer axis (anisotropic mip-mapping;
Heckbert, Survey of Texture Mapping, 1986). All texels of all mip levels lie in one table, and the
weighted sum over the texels of a sample is one ``embedding_bag``: a fused gather on CPU and GPU.

B: views  N: patches  Q: samples  n: taps  X: texels in the table
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from dlcv.world.light import bake
from dlcv.world.scene import Scene

MAX_TAPS = 4
Pair = tuple[Tensor, Tensor]


class Shader:
    """Textures with mip maps and baked light on one device.

    Args:
        scene: The world.
        device: Torch device.
    """

    def __init__(self, scene: Scene, device: torch.device) -> None:
        self._mips = _MipMaps(scene, device)
        size = np.array([t.shape[0] for t in scene.textures])[scene.texture]
        look = np.concatenate((scene.uv_scale, scene.uv_offset), 1) * size[:, None]
        self._look = torch.from_numpy(look).float().to(device)  # (N, 4) in texels
        self._texture = torch.from_numpy(scene.texture).int().to(device)
        light = bake(scene)
        self._light = torch.from_numpy(light.texels).to(device)
        self._light_grid = torch.from_numpy(light.grid).to(device)

    def __call__(self, lines: Tensor, base: Tensor, index: Tensor, x: Tensor, y: Tensor) -> Tensor:
        """Return the linear colour ``(Q, 3)`` at pixels (x, y) of the patches ``index``.

        Args:
            lines: ``(B N, 9)`` float32; (U, V, W) of each patch as functions of the pixel.
            base: ``(Q,)`` first row of the sample's view in ``lines``.
            index: ``(Q,)`` patch, -1 for none, which is black.
            x: ``(Q,)`` pixel position.
            y: ``(Q,)`` pixel position.
        """
        known = index.clamp(min=0)
        line = lines.index_select(0, base + known).t()  # (9, Q)
        depth = 1 / (line[6] * x + line[7] * y + line[8])
        u = ((line[0] * x + line[1] * y + line[2]) * depth).clamp_(0, 1)
        v = ((line[3] * x + line[4] * y + line[5]) * depth).clamp_(0, 1)
        scale_u, scale_v, offset_u, offset_v = self._look.index_select(0, known).t()
        along_u, along_v = depth * scale_u, depth * scale_v
        du = ((line[0] - u * line[6]) * along_u, (line[1] - u * line[7]) * along_u)
        dv = ((line[3] - v * line[6]) * along_v, (line[4] - v * line[7]) * along_v)
        centre = (u * scale_u + offset_u, v * scale_v + offset_v)
        albedo = self._filtered(self._texture[known], centre, du, dv)
        return (albedo * self._lit(known, u, v)).masked_fill_((index < 0)[:, None], 0)

    def _filtered(self, texture: Tensor, centre: Pair, du: Pair, dv: Pair) -> Tensor:
        """Average the texture over the footprint with axes (du, dv) in texels per pixel."""
        major, minor, along = _ellipse(du, dv)
        taps = (major / minor.clamp(min=1.0)).ceil_().clamp_(1, MAX_TAPS)
        level = torch.maximum(major / taps, minor).clamp_(min=1.0).log2_()
        result = torch.empty(len(texture), 3, device=texture.device)
        for count, chosen in _groups(taps):
            steps = (torch.arange(count, device=texture.device) + 0.5) / count - 0.5
            reach = major[chosen, None] * steps  # (Q, n)
            s = centre[0][chosen, None] + along[0][chosen, None] * reach
            t = centre[1][chosen, None] + along[1][chosen, None] * reach
            result[chosen] = self._mips(texture[chosen], s, t, level[chosen])
        return result

    def _lit(self, index: Tensor, u: Tensor, v: Tensor) -> Tensor:
        """Return tint times light ``(Q, 3)``, bilinear between the samples of a patch."""
        start, columns, rows = self._light_grid.index_select(0, index).t()
        left, fx = _split(u * columns - 0.5)
        top, fy = _split(v * rows - 0.5)
        x0, x1 = left.clamp(min=0), torch.minimum(left + 1, columns - 1)
        y0 = start + top.clamp(min=0) * columns
        y1 = start + torch.minimum(top + 1, rows - 1) * columns
        texels = torch.stack((y0 + x0, y0 + x1, y1 + x0, y1 + x1), 1)
        gx, gy = 1 - fx, 1 - fy
        weights = torch.stack((gx * gy, fx * gy, gx * fy, fx * fy), 1)
        return F.embedding_bag(texels, self._light, mode='sum', per_sample_weights=weights)[:, :3]


class _MipMaps:
    """All textures with all their levels as rows of one table of linear colours."""

    def __init__(self, scene: Scene, device: torch.device) -> None:
        tables: list[Tensor] = []
        most = max(t.shape[0] for t in scene.textures).bit_length()
        starts = torch.zeros(len(scene.textures), most, dtype=torch.int32)
        sizes = torch.ones(len(scene.textures), most, dtype=torch.int32)
        total = 0
        for i, picture in enumerate(scene.textures):
            levels = _pyramid(torch.from_numpy(picture).clamp(0, 1) ** 2.2)
            for j in range(most):
                level = levels[min(j, len(levels) - 1)]
                starts[i, j], sizes[i, j] = total, len(level)
                if j < len(levels):
                    tables.append(level.reshape(-1, 3))
                    total += len(tables[-1])
                else:
                    starts[i, j] = starts[i, len(levels) - 1]
        self._texels = F.pad(torch.cat(tables), (0, 1)).to(device)  # (X, 4)
        self._starts, self._sizes = starts.to(device).view(-1), sizes.to(device).view(-1)
        self._most = most

    def __call__(self, texture: Tensor, s: Tensor, t: Tensor, level: Tensor) -> Tensor:
        """Return the mean of n trilinear taps at (s, t), ``(Q, n)`` in texels of level 0."""
        low, fraction = _split(level.clamp(max=self._most - 1.001))
        texels = torch.empty(len(s), 2, 4, s.shape[1], dtype=torch.int32, device=s.device)
        shares = torch.empty(texels.shape, device=s.device)
        self._bilinear(texture, low, s, t, 1 - fraction, (texels[:, 0], shares[:, 0]))
        self._bilinear(texture, low + 1, s, t, fraction, (texels[:, 1], shares[:, 1]))
        flat_texels, flat_shares = texels.view(len(s), -1), shares.view(len(s), -1)
        return F.embedding_bag(
            flat_texels, self._texels, mode='sum', per_sample_weights=flat_shares
        )[:, :3]

    def _bilinear(
        self, texture: Tensor, level: Tensor, s: Tensor, t: Tensor, share: Tensor, out: Pair
    ) -> None:
        """Write the texels and weights ``(Q, 4, n)`` of taps that wrap around the texture."""
        row = texture * self._most + level
        start = self._starts.index_select(0, row)[:, None]
        size = self._sizes.index_select(0, row)[:, None]
        scale = torch.exp2(-level.float())[:, None]  # exact
        left, fx = _split(s * scale - 0.5)
        top, fy = _split(t * scale - 0.5)
        wrap = size - 1  # sizes are powers of two
        x0, x1 = left & wrap, (left + 1) & wrap
        y0, y1 = (top & wrap) * size + start, ((top + 1) & wrap) * size + start
        weight = (share / s.shape[1])[:, None]
        lower = fy * weight
        upper = weight - lower
        corners = ((y0, x0), (y0, x1), (y1, x0), (y1, x1))
        for i, (y, x) in enumerate(corners):
            torch.add(y, x, out=out[0][:, i])
        for i, rows in ((0, upper), (2, lower)):
            right = torch.mul(fx, rows, out=out[1][:, i + 1])
            torch.sub(rows, right, out=out[1][:, i])


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
        where = chosen.nonzero()[:, 0]
        if len(where):
            yield count, where


def _pyramid(picture: Tensor) -> list[Tensor]:
    """Return ``(S, S, 3)`` and its halvings down to one texel; [1 3 3 1] / 8, wrapping around."""
    levels = [picture]
    while len(levels[-1]) > 1:
        finer = levels[-1]
        for axis in (0, 1):
            outer = finer.roll(1, axis) + finer.roll(-2, axis)
            blurred = (outer + 3 * (finer + finer.roll(-1, axis))) / 8
            finer = blurred[::2] if axis == 0 else blurred[:, ::2]
        levels.append(finer.contiguous())
    return levels
