"""One picture of an evaluation: tracks, depth, flow, labels, path, for who looks at no page."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from dlcv.evaluation.scoring.model import Evaluation, Moment, Plot
from dlcv.types import ByteImage
from dlcv.view.panel import caption, side_by_side, stacked
from dlcv.view.trajectory import plane_plot

SHOWN = ('tracks', 'matches', 'depth', 'flow', 'labels')
"""What the panels are; matches, those of neighbouring pictures, where nothing is tracked."""
_LOOKS = {'truth': 'k-', 'line': '-', 'points': '.'}  # matplotlib's; colours follow on each other


def overview(evaluation: Evaluation) -> ByteImage | None:
    """Return what the nodes made of one moment, and the path from above, RGB in two columns.

    None where no moment has any of `SHOWN`, and there is no path.
    """
    moment = max(evaluation.samples, key=_answered, default=None)
    panels = [] if moment is None else _panels(moment)
    paths = [plot for section in evaluation.sections for plot in section.plots if plot.equal]
    if paths:
        alone = side_by_side(*panels[:2]) if panels and len(panels) % 2 == 0 else None
        height, width = panels[0].shape[:2] if panels else (360, 640)
        width = width if alone is None else alone.shape[1]  # in a row of its own, all of it
        panels.append(_drawn(paths[0], width, height))
    if not panels:
        return None
    rows = [side_by_side(*panels[i : i + 2]) for i in range(0, len(panels), 2)]
    return stacked(*rows)


def _answered(moment: Moment) -> int:
    return len({title for title, _ in moment.pictures} & set(SHOWN))


def _panels(moment: Moment) -> list[ByteImage]:
    """Return the pictures of `SHOWN` that there are, in the size of what went in."""
    pictures = dict(moment.pictures)
    if 'tracks' in pictures:
        pictures.pop('matches', None)
    size = moment.pictures[0][1].shape[1::-1]
    return [caption(_sized(pictures[name], size), name) for name in SHOWN if name in pictures]


def _sized(image: ByteImage, size: tuple[int, ...]) -> ByteImage:
    same = image.shape[1::-1] == size
    return image if same else np.asarray(cv2.resize(image, size), np.uint8)


def _drawn(plot: Plot, width: int, height: int) -> ByteImage:
    def draw(axes: Any) -> None:
        for series in plot.series:
            axes.plot(series.x, series.y, _LOOKS[series.style], label=series.name)
        axes.tick_params(labelsize=7)
        axes.set_xlabel(plot.x, fontsize=7)
        axes.set_ylabel(plot.y, fontsize=7)
        axes.legend(loc='best', fontsize=7)

    return plane_plot(draw, width, height)
