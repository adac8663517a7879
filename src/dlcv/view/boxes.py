"""Boxes in colour."""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.things import KINDS
from dlcv.types import ByteImage, FloatArray


def draw_boxes(
    image: ByteImage, kind: ByteImage, box: FloatArray, score: FloatArray | None = None
) -> ByteImage:
    """Return a picture with boxes, each in the colour of its kind, with its name above it.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)``.
        kind: ``(N,)`` numbers of `dlcv.things`.
        box: ``(N, 4)`` left, top, right, bottom edge in pixels.
        score: ``(N,)`` in [0, 1], written beside the name; None for none.
    """
    rgb = image if image.ndim == 3 else np.repeat(image[..., None], 3, 2)
    drawn = np.ascontiguousarray(rgb, np.uint8).copy()
    height, width = drawn.shape[:2]
    size, thick = max(height, width) / 1000, max(1, round(max(height, width) / 400))
    inwards = np.array((0.5, 0.5, -0.5, -0.5))
    corners = np.rint(box.clip(-0.5, max(height, width)) + inwards).astype(int)
    for i in range(len(kind))[::-1]:  # the surest on top
        colour, text = KINDS[kind[i]].colour, KINDS[kind[i]].name
        left, top, right, bottom = corners[i].tolist()
        cv2.rectangle(drawn, (left, top), (right, bottom), colour, thick)
        said = text if score is None else f'{text} {score[i]:.2f}'
        where = left + 2, max(top - 3, round(22 * size))
        cv2.putText(drawn, said, where, cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)
    return drawn
