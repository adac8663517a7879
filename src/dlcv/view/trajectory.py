"""Trajectories seen from above."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from dlcv.types import ByteImage, FloatArray


def trajectory_plot(
    world_from_camera: Mapping[str, FloatArray], width: int = 640, height: int = 480
) -> ByteImage:
    """Plot camera trajectories from above: x to the right, z (forward) up, metres.

    Args:
        world_from_camera: Legend entry -> ``(T, 4, 4)`` poses in optical axes.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.

    Returns:
        ``(height, width, 3)`` RGB, uint8.
    """

    def draw(axes: Any) -> None:
        for name, poses in world_from_camera.items():
            x, z, length = poses[:, 0, 3], poses[:, 2, 3], path_length(poses)
            (line,) = axes.plot(x, z, label=f'{name}: {length:.1f} m, {len(poses)} poses')
            axes.plot(x[:1], z[:1], 'o', color=line.get_color())
        axes.set(xlabel='x (m)', ylabel='z (m)', title='seen from above; the dot is the start')
        if world_from_camera:
            axes.legend(loc='best')

    return plane_plot(draw, width, height)


def plane_plot(draw: Callable[[Any], None], width: int, height: int) -> ByteImage:
    """Return what is drawn on axes of one scale with a grid, ``(height, width, 3)`` RGB, uint8.

    Args:
        draw: Draws on matplotlib's axes.
        width: Of the picture, in pixels.
        height: Of the picture, in pixels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second to import
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width / 100, height / 100), dpi=100, layout='constrained')
    canvas: Any = FigureCanvasAgg(figure)  # untyped
    axes = figure.add_subplot()
    axes.set_aspect('equal', adjustable='datalim')
    axes.grid(alpha=0.3)
    draw(axes)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), np.uint8)[..., :3]


def path_length(poses: FloatArray) -> float:
    """Return the length in metres of the path through ``(T, 4, 4)`` poses."""
    return float(np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1).sum())
