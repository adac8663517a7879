"""Outlines of things that pass in front of others: blobs, bars, stars, rings, ladders, chairs.

An outline is a tuple of parts, each a tuple of polygons ``(n, 2)`` in [-1, 1], x right, y down. The
polygons of a part are filled by the even-odd rule, so the second can be a hole in the first; the
parts lie over each other.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage

Polygon = npt.NDArray[np.floating[Any]]
Part = tuple[Polygon, ...]
Outline = tuple[Part, ...]
Rng = np.random.Generator

_FRACTION_BITS = 4  # of the coordinates that are drawn: a sixteenth of a pixel


def silhouette(rng: Rng) -> Outline:
    """Return a random outline of a random kind."""
    return KINDS[int(rng.integers(len(KINDS)))](rng)


def polygon(rng: Rng) -> Outline:
    """A polygon of 3 to 9 corners around the centre."""
    corners = int(rng.integers(3, 10))
    angles = (np.arange(corners) + rng.uniform(-0.35, 0.35, corners)) * (2 * np.pi / corners)
    return ((_turned(_polar(angles, rng.uniform(0.5, 1, corners)), rng),),)


def ellipse(rng: Rng) -> Outline:
    """An ellipse, up to four times as long as wide."""
    angles = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    return ((_turned(_polar(angles, 1.0) * (1, rng.uniform(0.25, 1)), rng),),)


def blob(rng: Rng) -> Outline:
    """A smooth closed curve with bulges."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    radius = np.ones_like(angles)
    for wave in range(2, 6):
        radius += rng.normal(0, 0.5 / wave) * np.cos(wave * angles + rng.uniform(0, 2 * np.pi))
    radius = np.maximum(radius, 0.15)
    return ((_turned(_polar(angles, radius / radius.max()), rng),),)


def bar(rng: Rng) -> Outline:
    """A straight bar, 5 to 30 times as long as wide."""
    return ((_turned(_box(1, rng.uniform(0.033, 0.2)), rng),),)


def star(rng: Rng) -> Outline:
    """A star of 4 to 9 points."""
    points = int(rng.integers(4, 10))
    angles = np.arange(2 * points) * (np.pi / points)
    radius = np.where(np.arange(2 * points) % 2, rng.uniform(0.25, 0.7), 1.0)
    return ((_turned(_polar(angles, radius), rng),),)


def ring(rng: Rng) -> Outline:
    """A polygon, ellipse or blob with a hole of its own shape."""
    ((outer,),) = (polygon, ellipse, blob)[int(rng.integers(3))](rng)
    return ((outer, outer * rng.uniform(0.4, 0.85)),)


def ladder(rng: Rng) -> Outline:
    """Two posts and 3 to 8 rungs: one sees through it."""
    spread, thick = rng.uniform(0.25, 0.8), rng.uniform(0.02, 0.08)
    posts = [_box(thick, 1, side * spread) for side in (-1, 1)]
    heights = np.linspace(-0.85, 0.85, int(rng.integers(3, 9)))
    rungs = [_box(spread, thick, 0, height) for height in heights]
    turn = _rotation(rng.uniform(0, np.pi))
    return tuple((part @ turn.T * 0.85,) for part in (*posts, *rungs))


def chair(rng: Rng) -> Outline:
    """A chair of boxes, seen from a random direction by a distant camera."""
    wide, deep = rng.uniform(0.4, 0.6, 2)
    seat, thick, leg = rng.uniform(-0.15, 0.2), rng.uniform(0.02, 0.07), rng.uniform(0.02, 0.06)
    boxes = [((x * (wide - leg), 0.5 * (seat - 1), z * (deep - leg)), (leg, 0.5 * (seat + 1), leg))
             for x, z in product((-1, 1), (-1, 1))]  # fmt: skip
    boxes.append(((0, seat, 0), (wide, thick, deep)))
    top, middle = 1.0, 0.5 * (seat + 1.0)
    if rng.random() < 0.5:
        boxes.append(((0, middle + 0.1, -deep), (wide, 0.5 * (top - seat) - 0.1, thick)))
    else:
        slats = np.linspace(-wide, wide, int(rng.integers(3, 8)))
        boxes.extend(((x, middle, -deep), (leg, 0.5 * (top - seat), thick)) for x in slats)
        boxes.append(((0, top, -deep), (wide, 2 * leg, thick)))
    look = _view(rng.uniform(0, 2 * np.pi), rng.uniform(-0.1, 0.7), rng.normal(0, 0.1))
    return tuple((_hull(centre, half, look) * 0.7,) for centre, half in boxes)


def pile(rng: Rng) -> Outline:
    """Two to four outlines of other kinds that move as one."""
    kinds = (polygon, ellipse, blob, bar, star, ring)
    parts: list[Part] = []
    for _ in range(int(rng.integers(2, 5))):
        size, shift = rng.uniform(0.3, 0.6), rng.uniform(-0.4, 0.4, 2)
        other = kinds[int(rng.integers(len(kinds)))](rng)
        parts.extend(tuple(line * size + shift for line in part) for part in other)
    return tuple(parts)


KINDS: tuple[Callable[[Rng], Outline], ...] = (
    polygon, ellipse, blob, bar, star, ring, ladder, chair, chair, pile,
)  # fmt: skip


def raster(outline: Outline, height: int, width: int) -> ByteImage:
    """Fill an outline with smooth edges: 255 inside, 0 outside.

    Args:
        outline: [-1, 1] is stretched to the picture but for a margin of one pixel.
        height: Rows.
        width: Columns.

    Returns:
        ``(height, width)`` uint8; a pixel on an edge has about its covered share.
    """
    mask = np.zeros((height, width), np.uint8)
    for part in outline:
        cv2.fillPoly(mask, _drawn(part, height, width), 255, cv2.LINE_AA, _FRACTION_BITS)
    return mask


def shading(outline: Outline, height: int, width: int, rng: Rng) -> ByteImage:
    """Give each part of an outline its own brightness: ``(height, width)`` uint8, 255 is full."""
    shade = np.full((height, width), 255, np.uint8)
    for part, light in zip(outline, rng.integers(110, 256, len(outline)), strict=True):
        cv2.fillPoly(shade, _drawn(part, height, width), int(light), cv2.LINE_AA, _FRACTION_BITS)
    return shade


def _drawn(part: Part, height: int, width: int) -> list[npt.NDArray[np.int32]]:
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    unit = 1 << _FRACTION_BITS
    return [np.rint((line * (centre - 1) + centre) * unit).astype(np.int32) for line in part]


def _polar(angles: Polygon, radius: Polygon | float) -> Polygon:
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius], axis=-1)


def _box(half_width: float, half_height: float, x: float = 0, y: float = 0) -> Polygon:
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (half_width, half_height)
    return np.asarray(corners + np.array([x, y]))


def _rotation(angle: float) -> Polygon:
    c, s = np.cos(angle), np.sin(angle)
    return np.array([(c, -s), (s, c)])


def _turned(line: Polygon, rng: Rng) -> Polygon:
    return line @ _rotation(rng.uniform(0, 2 * np.pi)).T


def _view(yaw: float, pitch: float, roll: float) -> Polygon:
    """Return the ``(2, 3)`` projection of a camera that looks at the origin; y was up."""
    c, s = np.cos(yaw), np.sin(yaw)
    turned = np.array([(c, 0, s), (0, 1, 0), (-s, 0, c)])
    flat = np.array([(1, 0, 0), (0, -np.cos(pitch), np.sin(pitch))])
    return np.asarray(_rotation(roll) @ flat @ turned)


def _hull(centre: tuple[float, ...], half: tuple[float, ...], look: Polygon) -> Polygon:
    """Return the outline of a box as it is seen."""
    signs = np.array(list(product((-1, 1), repeat=3)), np.float64)
    seen = ((signs * half + centre) @ look.T).astype(np.float32)
    return np.asarray(cv2.convexHull(seen)[:, 0], np.float64)
