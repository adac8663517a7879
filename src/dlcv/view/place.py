"""A map and what it is worth, seen from above."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray

_POINTS = 60_000  # drawn at most
_GOOD, _BAD, _NONE = '#1b9e3f', '#e08a00', '#d62728'
_BEYOND = 1.3  # times the range of most points is shown


def above(world_from_camera: FloatArray) -> tuple[int, int]:
    """Return which axes of the world go right and up for who looks down on the cameras' place.

    Args:
        world_from_camera: ``(T, 4, 4)`` poses in optical axes; most hold the camera upright.
    """
    down = world_from_camera[:, :3, 1].mean(axis=0)
    axis = int(np.abs(down).argmax())
    one, other = (axis + 1) % 3, (axis + 2) % 3
    return (one, other) if down[axis] < 0 else (other, one)


def place_picture(
    points: FloatArray,
    levels: ByteImage,
    cameras: FloatArray,
    held_out: FloatArray,
    found: list[FloatArray | None],
    good: npt.NDArray[np.bool_],
    *,
    title: str = '',
    size: tuple[int, int] = (900, 700),
) -> ByteImage:
    """Draw the points of a map, the cameras it was made with, and how others were found again.

    Args:
        points: ``(N, 3)`` metres.
        levels: ``(N,)`` grey value of each.
        cameras: ``(T, 4, 4)`` world_from_camera of the map's pictures.
        held_out: ``(M, 4, 4)`` true poses of other pictures.
        found: What the map says of them, ``(4, 4)``; None where it rejected one.
        good: ``(M,)`` whether that is near enough.
        title: Above the picture.
        size: Width and height in pixels.

    Returns:
        ``(height, width, 3)`` RGB.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second to import
    from matplotlib.figure import Figure

    right, up = above(cameras)
    figure = Figure(figsize=(size[0] / 100, size[1] / 100), dpi=100, layout='constrained')
    canvas: Any = FigureCanvasAgg(figure)  # untyped
    axes = figure.add_subplot()
    step = max(1, len(points) // _POINTS)
    shades = levels[::step] / 255 * 0.8
    axes.scatter(points[::step, right], points[::step, up], c=shades, cmap='gray', vmin=0, vmax=1,
                 s=1.5, linewidths=0, alpha=0.5)  # fmt: skip
    at = cameras[:, :3, 3]
    axes.plot(at[:, right], at[:, up], '.', color='#1f77b4', markersize=3,
              label=f'{len(at)} pictures that the map was made of')  # fmt: skip
    _draw_found(axes, (right, up), held_out, found, good)
    low, high = _window(points, at)
    axes.set(xlim=(low[right], high[right]), ylim=(low[up], high[up]))
    axes.set_aspect('equal', adjustable='box')
    axes.grid(alpha=0.3)
    names = 'xyz'
    axes.set(xlabel=f'{names[right]} (m)', ylabel=f'{names[up]} (m)', title=title)
    axes.legend(loc='upper right', fontsize='small')
    canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[..., :3]


def _draw_found(
    axes: Any,
    plane: tuple[int, int],
    held_out: FloatArray,
    found: list[FloatArray | None],
    good: npt.NDArray[np.bool_],
) -> None:
    """Draw where other pictures were taken, and a line to where the map says they were."""
    right, up = plane
    answered = np.array([pose is not None for pose in found], np.bool_)
    kinds = (
        (answered & good, _GOOD, 'found again'),
        (answered & ~good, _BAD, 'found elsewhere'),
        (~answered, _NONE, 'not found'),
    )
    for mask, colour, word in kinds:
        at = held_out[mask][:, :3, 3]
        if not len(at):
            continue
        axes.plot(at[:, right], at[:, up], 'o', color=colour, markersize=5, mec='white', mew=0.5,
                  label=f'{len(at)} others {word}')  # fmt: skip
    for true, pose in zip(held_out, found, strict=True):
        if pose is not None:
            ends = np.stack([true[:3, 3], pose[:3, 3]])
            axes.plot(ends[:, right], ends[:, up], '-', color=_BAD, linewidth=1)


def _window(points: FloatArray, cameras: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return corners around all cameras and most points: a few of those always lie far off."""
    low, high = np.percentile(points, (2, 98), axis=0) if len(points) else (cameras[0], cameras[0])
    middle, half = (low + high) / 2, (high - low) / 2
    low = np.minimum(middle - _BEYOND * half, cameras.min(axis=0))
    high = np.maximum(middle + _BEYOND * half, cameras.max(axis=0))
    rim = 0.03 * (high - low).max() + 0.01
    return low - rim, high + rim
