"""Pieces of pictures, of random place and size, that samples are made of.

Letters in this file: H W size in pixels of a picture, h w that of a sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a picture, and the size that it is brought to.

    Attributes:
        place: Its rows and columns.
        size: Width and height ``(w, h)`` of the sample.
        zoom: By which it was meant to grow; pixels may round that.
    """

    place: tuple[slice, slice]
    size: tuple[int, int]
    zoom: float

    @property
    def growth(self) -> float:
        """By which it grows along its rows."""
        columns = self.place[1]
        wide: int = columns.stop - columns.start
        return self.size[0] / wide

    def image(self, image: ByteImage) -> ByteImage:
        """Return the piece of a picture ``(H, W, 3)``, smoothly."""
        way = cv2.INTER_AREA if self.zoom < 1 else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(image[self.place], self.size, interpolation=way), np.uint8)

    def values(self, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Return the piece of a map ``(H, W)`` whose values have none between them.

        Between those of two surfaces, disparities would be of neither, and classes of a third.
        """
        near = cv2.INTER_NEAREST_EXACT
        return np.asarray(cv2.resize(values[self.place], self.size, interpolation=near))


def random_piece(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    crop: tuple[int, int],
    zoom: tuple[float, float],
) -> Piece:
    """Draw a piece.

    Args:
        rng: Decides everything.
        shape: ``(H, W)`` of the picture.
        crop: ``(w, h)``.
        zoom: Least and greatest factor of its size, uniform in its logarithm; where the picture
            would not fill the crop, the least that does.
    """
    columns, rows = crop
    height, width = shape
    least = max(columns / width, rows / height)
    factor = max(float(np.exp(rng.uniform(*np.log(zoom)))), least)
    wide, high = min(width, round(columns / factor)), min(height, round(rows / factor))
    x, y = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
    return Piece((slice(y, y + high), slice(x, x + wide)), crop, factor)
