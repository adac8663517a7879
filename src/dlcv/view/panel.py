"""Putting pictures together, and writing them to files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dlcv.files import write_whole
from dlcv.types import ByteImage

_SMALL = (cv2.IMWRITE_PNG_COMPRESSION, 6)  # a quarter smaller than OpenCV's usual 1


class ViewError(ValueError):
    """A picture cannot be drawn or written; the message says why."""


def as_rgb(image: ByteImage) -> ByteImage:
    """Return a writable ``(H, W, 3)`` RGB copy of a grey or RGB picture."""
    if image.ndim == 2:
        return np.repeat(image[..., None], 3, axis=2)
    if image.ndim == 3 and image.shape[2] == 3:
        return np.array(image, np.uint8)
    raise ViewError(f'a picture is (H, W) or (H, W, 3), got {image.shape}')


def side_by_side(*images: ByteImage) -> ByteImage:
    """Return the pictures in a row, RGB, black below the shorter ones."""
    height = max(image.shape[0] for image in images)
    return np.concatenate([_pad(as_rgb(image), height, image.shape[1]) for image in images], axis=1)


def stacked(*images: ByteImage) -> ByteImage:
    """Return the pictures in a column, RGB, black beside the narrower ones."""
    width = max(image.shape[1] for image in images)
    return np.concatenate([_pad(as_rgb(image), image.shape[0], width) for image in images], axis=0)


def caption(image: ByteImage, text: str) -> ByteImage:
    """Return an RGB copy of ``image`` with ``text`` in its upper left corner."""
    canvas = as_rgb(image)
    scale = max(0.4, canvas.shape[1] / 1600)
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), below = cv2.getTextSize(text, font, scale, 1)
    canvas[: height + below + 6, : width + 8] //= 3
    cv2.putText(canvas, text, (4, height + 4), font, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas


def write_picture(path: Path | str, image: ByteImage) -> None:
    """Write a grey or RGB picture; the suffix decides the format.

    Raises:
        ViewError: If the suffix is no picture's or the file cannot be written.
    """
    path = Path(path)
    bgr = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    try:
        done, data = cv2.imencode(path.suffix or '.', bgr, _SMALL)
    except cv2.error:
        done = False
    if not done:
        raise ViewError(f'{path}: {path.suffix!r} is no picture format; try .png or .jpg')
    write_whole(path, data.tobytes())


def _pad(image: ByteImage, height: int, width: int) -> ByteImage:
    below, right = height - image.shape[0], width - image.shape[1]
    return np.pad(image, ((0, below), (0, right), (0, 0)))
