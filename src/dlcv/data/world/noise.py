"""Seeded, tileable building blocks of procedural textures: noise, cells, lettering.

All pictures here are square, ``(S, S)`` or ``(S, S, 3)``, float32, row 0 on top, and tile without a
seam. Colours are sRGB in [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.float32]
Rng = np.random.Generator


def fractal(rng: Rng, size: int, slope: float = 1.0, coarsest: float = 1.0) -> Image:
    """Return tileable noise ``(size, size)`` of mean 0 and deviation 1.

    Args:
        rng: Source of randomness.
        size: Side in pixels.
        slope: Amplitude falls as ``frequency ** -slope``; about 1 looks like stone, 2 like clouds.
        coarsest: Lowest frequency kept, in periods per side.
    """
    fy = np.fft.fftfreq(size, 1 / size)[:, None]
    fx = np.fft.rfftfreq(size, 1 / size)[None, :]
    frequency = np.hypot(fx, fy)
    gain = np.where(frequency >= coarsest, np.maximum(frequency, 1) ** -slope, 0)
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * gain
    return _normalised(np.fft.irfft2(spectrum, (size, size)))


def streaks(rng: Rng, size: int, slope: float, stretch: float) -> Image:
    """Return tileable noise drawn out ``stretch`` times along x: wood grain, brushed metal."""
    fy = np.fft.fftfreq(size, 1 / size)[:, None]
    fx = np.fft.rfftfreq(size, 1 / size)[None, :] * stretch
    gain = np.maximum(np.hypot(fx, fy), 1) ** -slope
    gain[0, 0] = 0
    spectrum = np.fft.rfft2(rng.standard_normal((size, size))) * gain
    return _normalised(np.fft.irfft2(spectrum, (size, size)))


def _normalised(noise: npt.NDArray[np.float64]) -> Image:
    scaled: Image = (noise / noise.std()).astype(np.float32)
    return scaled


def grid(size: int) -> tuple[Image, Image]:
    """Return the coordinates ``(x, y)`` of the pixel centres, in [0, 1)."""
    centre = ((np.arange(size) + 0.5) / size).astype(np.float32)
    x, y = np.meshgrid(centre, centre)
    return x, y


@dataclass(frozen=True, kw_only=True, slots=True)
class Cells:
    """A picture divided into rows of cells: bricks, planks, tiles.

    Attributes:
        index: ``(S, S)`` number of the cell of each pixel.
        edge: ``(S, S)`` distance to the border of the cell, as a fraction of the side.
        count: Number of cells.
    """

    index: npt.NDArray[np.int64]
    edge: Image
    count: int

    def values(self, rng: Rng, low: float, high: float) -> Image:
        """Return one random value per cell, spread over its pixels."""
        picked: Image = rng.uniform(low, high, self.count).astype(np.float32)[self.index]
        return picked

    def joint(self, width: float) -> Image:
        """Return 1 within ``width`` of a border and 0 inside, with a soft flank."""
        return smooth(self.edge, width * 1.3, width * 0.7)


def cells(size: int, rows: int, columns: int, stagger: Sequence[float] = (0.0, 0.5)) -> Cells:
    """Divide the side into ``rows`` x ``columns``; row i is shifted by ``stagger[i % len]``."""
    x, y = grid(size)
    row = np.floor(y * rows).astype(np.int64)
    shift = np.asarray(stagger, np.float32)[row % len(stagger)]
    along = (x * columns + shift) % columns
    column = np.floor(along).astype(np.int64)
    in_x = np.minimum(along % 1, 1 - along % 1) / columns
    in_y = np.minimum((y * rows) % 1, 1 - (y * rows) % 1) / rows
    return Cells(
        index=row * columns + column,
        edge=np.minimum(in_x, in_y).astype(np.float32),
        count=rows * columns,
    )


def smooth(values: Image, zero: float, one: float) -> Image:
    """Return a smooth step from 0 at ``zero`` to 1 at ``one`` (either order)."""
    t = np.clip((values - zero) / (one - zero), 0, 1)
    step: Image = (t * t * (3 - 2 * t)).astype(np.float32)
    return step


def colour(code: str) -> Image:
    """Return the colour of ``'#rrggbb'`` as three numbers in [0, 1]."""
    return np.array([int(code[i : i + 2], 16) / 255 for i in (1, 3, 5)], np.float32)


def paint(picture: Image, tone: Image, mask: Image) -> Image:
    """Lay ``tone`` (a colour or a picture) over ``picture`` where ``mask`` is 1."""
    weight = mask[..., None]
    laid: Image = picture * (1 - weight) + tone * weight
    return laid


def flat(size: int, code: str) -> Image:
    """Return a picture of one colour."""
    return np.broadcast_to(colour(code), (size, size, 3)).copy()


def box_mask(size: int, left: float, top: float, right: float, bottom: float) -> Image:
    """Return 1 inside an axis-aligned rectangle given in [0, 1], with soft borders."""
    x, y = grid(size)
    soft = 1.0 / size
    inside = np.minimum(np.minimum(x - left, right - x), np.minimum(y - top, bottom - y))
    return smooth(inside, -soft, soft)


def shaded(picture: Image, relief: Image) -> Image:
    """Brighten or darken a picture by ``relief`` (0 leaves it as it is) and clip to [0, 1]."""
    lit: Image = np.clip(picture * (1 + relief[..., None]), 0, 1)
    return lit


def lettering(rng: Rng, rows: int, columns: int) -> Image:
    """Return a page ``(rows * 8, columns * 5)`` of made-up letters: 1 is ink.

    Letters are random strokes on a 3 x 5 raster, in words of random length.
    """
    page = np.zeros((rows * 8, columns * 5), np.float32)
    for row in range(rows):
        for column in _written(rng, columns):
            glyph = rng.random((5, 3)) < 0.45
            glyph[:, rng.integers(3)] = True  # a stem makes it look like a letter
            page[row * 8 + 1 : row * 8 + 6, column * 5 + 1 : column * 5 + 4] = glyph
    return page


def _written(rng: Rng, columns: int) -> list[int]:
    taken: list[int] = []
    start, last = 0, int(columns * rng.uniform(0.6, 1.0))
    while start < last:
        end = min(start + int(rng.integers(2, 8)), last)
        taken.extend(range(start, end))
        start = end + 1
    return taken


def stamp(picture: Image, ink: Image, tone: Image, area: tuple[int, int, int, int]) -> None:
    """Print ``ink`` (1 is covered) in ``tone`` into the pixels (left, top, right, bottom)."""
    left, top, right, bottom = area
    if right - left < 2 or bottom - top < 2:
        return
    rows = np.arange(bottom - top) * ink.shape[0] // (bottom - top)
    columns = np.arange(right - left) * ink.shape[1] // (right - left)
    mask = ink[rows][:, columns]
    window = picture[top:bottom, left:right]
    picture[top:bottom, left:right] = paint(window, tone, mask[: window.shape[0]])
