"""A map of landmarks from above: the way, where it met itself, and where it is thin."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray
from dlcv.view.place import above
from dlcv.view.trajectory import plane_plot

Mask = npt.NDArray[np.bool_]

_POINTS = 40_000  # drawn at most
_ONCE, _TWICE, _LOOP, _THIN = '#1f77b4', '#1b9e3f', '#e08a00', '#d62728'


def survey_picture(
    points: FloatArray,
    keyframes: FloatArray,
    loops: list[tuple[int, int]],
    twice: Mask,
    thin: Mask,
    *,
    title: str = '',
    size: tuple[int, int] = (900, 700),
) -> ByteImage:
    """Draw a map.

    Args:
        points: ``(N, 3)`` landmarks, metres.
        keyframes: ``(K, 4, 4)`` map_from_camera.
        loops: Pairs of keyframes that are one place.
        twice: ``(K,)`` keyframes that were seen on another visit too.
        thin: ``(K,)`` keyframes that share little with the one before.
        title: Above the picture.
        size: Width and height in pixels.

    Returns:
        ``(height, width, 3)`` RGB.
    """
    right, up = above(keyframes)
    at = keyframes[:, :3, 3]

    def draw(axes: Any) -> None:
        step = max(1, len(points) // _POINTS)
        axes.scatter(points[::step, right], points[::step, up], s=1, c='#888888', linewidths=0,
                     alpha=0.4)  # fmt: skip
        axes.plot(at[:, right], at[:, up], '-', color='#bbbbbb', linewidth=1)
        for which, colour, word in (
            (~twice & ~thin, _ONCE, 'seen once'),
            (twice & ~thin, _TWICE, 'seen twice'),
            (thin, _THIN, 'thin'),
        ):
            if which.any():
                axes.plot(at[which, right], at[which, up], '.', color=colour, markersize=5,
                          label=f'{np.count_nonzero(which)} keyframes {word}')  # fmt: skip
        for number, pair in enumerate(loops):
            ends = at[list(pair)]
            axes.plot(ends[:, right], ends[:, up], '-', color=_LOOP, linewidth=1.5,
                      label=f'{len(loops)} loops' if not number else None)  # fmt: skip
        rim = 0.5 + 0.4 * np.ptp(at, axis=0).max()
        low, high = at.min(axis=0) - rim, at.max(axis=0) + rim
        axes.set(xlim=(low[right], high[right]), ylim=(low[up], high[up]))
        names = 'xyz'
        axes.set(xlabel=f'{names[right]} (m)', ylabel=f'{names[up]} (m)', title=title)
        axes.legend(loc='upper right', fontsize='small')

    return plane_plot(draw, *size)
