"""Optical flow in colour: hue is the direction, saturation the length."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray

# Steps between the six colours of the wheel (red, yellow, green, cyan, blue, magenta, red) of
# Baker et al., "A Database and Evaluation Methodology for Optical Flow", IJCV 2011: more steps
# where the eye tells more hues apart.
_STEPS = (15, 6, 4, 11, 13, 6)
_CORNERS = ((255, 0, 0), (255, 255, 0), (0, 255, 0), (0, 255, 255), (0, 0, 255), (255, 0, 255))
_ANGLES = 1024
_INVALID = (0, 0, 0)


def flow_colours(flow: FloatArray, max_displacement: float = 0.0) -> ByteImage:
    """Return the flow on the colour wheel.

    White is no motion, full colour is ``max_displacement`` or more; rightwards is red, downwards
    yellow, leftwards cyan, upwards blue. NaN is black.

    Args:
        flow: ``(H, W, 2)`` pixels, u right, v down.
        max_displacement: Length of full colour in pixels; 0 takes the longest of the picture.

    Returns:
        ``(H, W, 3)`` RGB, uint8.
    """
    u, v = cv2.split(np.asarray(flow, np.float32))
    valid = np.isfinite(u) & np.isfinite(v)
    if not valid.all():
        u, v = np.where(valid, u, 0), np.where(valid, v, 0)
    length, angle = cv2.cartToPolar(u, v)  # angle in [0, 2 pi], clockwise as v runs down
    full = max_displacement or float(length.max(initial=0.0)) or 1.0
    saturation = np.minimum(length * np.float32(1 / full), 1)[..., None]
    index = (angle * np.float32(_ANGLES / (2 * np.pi))).astype(np.int32) % _ANGLES
    colours = 255 - saturation * _unsaturated()[index]
    result: ByteImage = (colours + np.float32(0.5)).astype(np.uint8)
    result[~valid] = _INVALID
    return result


def colour_wheel(size: int = 128) -> ByteImage:
    """Return the legend of `flow_colours`: ``(size, size, 3)``, each pixel its own displacement."""
    axis = np.linspace(-1, 1, size, dtype=np.float32)
    flow = np.stack(np.meshgrid(axis, axis), axis=-1)
    flow[np.hypot(flow[..., 0], flow[..., 1]) > 1] = np.nan
    return flow_colours(flow, 1.0)


@cache
def _unsaturated() -> npt.NDArray[np.float32]:
    """Return ``(angles, 3)``: what full saturation takes away from white."""
    corners = np.array((*_CORNERS, _CORNERS[0]), np.float32)
    at = np.concatenate(([0], np.cumsum(_STEPS))) / sum(_STEPS)
    turn = np.linspace(0, 1, _ANGLES, endpoint=False)
    wheel = np.stack([np.interp(turn, at, corners[:, c]) for c in range(3)], axis=-1)
    return np.asarray(255 - wheel, np.float32)
