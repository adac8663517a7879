"""Affine maps of pictures, ``(2, 3)``: ``x_b = b_from_a[:, :2] @ x_a + b_from_a[:, 2]``."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]


def compose(c_from_b: Affine, b_from_a: Affine) -> Affine:
    """Return the map from a to c."""
    c_from_a: Affine = c_from_b[:, :2] @ b_from_a
    c_from_a[:, 2] += c_from_b[:, 2]
    return c_from_a


def inverse(b_from_a: Affine) -> Affine:
    """Return the map from b to a."""
    (a, b, x), (c, d, y) = b_from_a.tolist()  # Python's numbers: twice as fast as NumPy's here
    unit = 1 / (a * d - b * c)
    a, b, c, d = d * unit, -b * unit, -c * unit, a * unit
    return np.array([(a, b, -a * x - b * y), (c, d, -c * x - d * y)])


def touched(
    shape: tuple[int, ...], pose: Affine, picture: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """Return the part (left, top, right, bottom) of a picture that a layer can touch.

    Args:
        shape: Rows and columns of the layer.
        pose: From the layer's pixels to the picture's.
        picture: Rows and columns of the picture.
    """
    rows, columns = shape[0] - 1, shape[1] - 1
    (a, b, x), (c, d, y) = pose.tolist()
    xs = [x, x + a * columns, x + b * rows, x + a * columns + b * rows]
    ys = [y, y + c * columns, y + d * rows, y + c * columns + d * rows]
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = math.ceil(max(xs)) + 1, math.ceil(max(ys)) + 1
    return left, top, min(right, picture[1]), min(bottom, picture[0])
