"""Keypoints and matches drawn over pictures."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray
from dlcv.view.panel import as_rgb, side_by_side

_SHIFT = 4  # OpenCV draws at 1/16 pixel
_GREEN, _ORANGE = (64, 255, 64), (255, 160, 0)


def draw_keypoints(image: ByteImage, xy: FloatArray, scores: FloatArray | None = None) -> ByteImage:
    """Return an RGB copy of ``image`` with a circle around each keypoint.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8.
        xy: ``(N, 2)`` pixels.
        scores: ``(N,)``; when given, weak keypoints are red, strong ones green, by rank.
    """
    canvas = as_rgb(image)
    radius = _radius(canvas)
    for centre, colour in zip(_fixed(xy), _rank_colours(len(xy), scores), strict=True):
        cv2.circle(canvas, centre, radius << _SHIFT, colour, 1, cv2.LINE_AA, _SHIFT)
    return canvas


def draw_tracks(image: ByteImage, previous_xy: FloatArray, xy: FloatArray) -> ByteImage:
    """Return an RGB copy of ``image`` with a line from where each match was to where it is.

    Args:
        image: The current picture.
        previous_xy: ``(M, 2)`` pixels in the previous picture.
        xy: ``(M, 2)`` pixels in the current picture.
    """
    canvas = as_rgb(image)
    for start, end in zip(_fixed(previous_xy), _fixed(xy), strict=True):
        cv2.line(canvas, start, end, _ORANGE, 1, cv2.LINE_AA, _SHIFT)
        cv2.circle(canvas, end, 2 << _SHIFT, _GREEN, -1, cv2.LINE_AA, _SHIFT)
    return canvas


def draw_matches(
    previous: ByteImage, image: ByteImage, previous_xy: FloatArray, xy: FloatArray
) -> ByteImage:
    """Return both pictures side by side, RGB, with a line for each match.

    Args:
        previous: The previous picture, drawn on the left.
        image: The current picture, drawn on the right.
        previous_xy: ``(M, 2)`` pixels in the previous picture.
        xy: ``(M, 2)`` pixels in the current picture.
    """
    canvas = side_by_side(previous, image)
    right = np.asarray(xy, np.float64).reshape(-1, 2) + np.array((previous.shape[1], 0))
    hues = np.linspace(0, 255, len(right), endpoint=False).astype(np.uint8)
    order = np.argsort(np.argsort(right[:, 1]))  # neighbours get like colours: wrong ones stand out
    colours = _map_colours(hues, cv2.COLORMAP_HSV)
    for start, end, rank in zip(_fixed(previous_xy), _fixed(right), order, strict=True):
        cv2.line(canvas, start, end, colours[rank], 1, cv2.LINE_AA, _SHIFT)
    return canvas


def _radius(canvas: ByteImage) -> int:
    return max(2, round(max(canvas.shape[:2]) / 240))


def _fixed(xy: FloatArray) -> list[tuple[int, int]]:
    """Return pixels as OpenCV's fixed-point pairs."""
    scaled = np.rint(np.asarray(xy, np.float64).reshape(-1, 2) * (1 << _SHIFT))
    return [(int(x), int(y)) for x, y in scaled]


def _rank_colours(count: int, scores: FloatArray | None) -> list[tuple[int, int, int]]:
    if scores is None or count == 0:
        return [_GREEN] * count
    ranks = np.argsort(np.argsort(scores, kind='stable'), kind='stable')
    # The lower half of OpenCV's HSV wheel runs from red over yellow to green.
    return _map_colours((ranks * 85 / max(count - 1, 1)).astype(np.uint8), cv2.COLORMAP_HSV)


def _map_colours(values: npt.NDArray[np.uint8], colour_map: int) -> list[tuple[int, int, int]]:
    if not len(values):
        return []
    bgr = cv2.applyColorMap(values[:, None], colour_map)[:, 0]
    return [(int(r), int(g), int(b)) for b, g, r in bgr]
