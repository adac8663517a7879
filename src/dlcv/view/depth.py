"""Depth and disparity in colour: near is warm, far is cold."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray


def depth_colours(depth: FloatArray, near: float = 0.0, far: float = 0.0) -> ByteImage:
    """Return depth in colour, even in 1 / depth, so that near things get most of the colours.

    Args:
        depth: ``(H, W)`` metres. -inf is nearest, +inf farthest, NaN is black (REP 117).
        near: Depth of the warmest colour; 0 takes the 1st percentile of the picture.
        far: Depth of the coldest colour; 0 takes the 99th percentile.

    Returns:
        ``(H, W, 3)`` RGB, uint8.
    """
    depth = np.asarray(depth, np.float32)
    low, high = depth_range(depth)
    near, far = near or low, far or high
    with np.errstate(divide='ignore'):
        inverse = 1 / np.where(depth == -np.inf, np.float32(1e-6), depth)
    span = max(1 / near - 1 / far, 1e-9)
    return _colours((inverse - 1 / far) / span, np.isnan(depth))


def depth_range(depth: FloatArray) -> tuple[float, float]:
    """Return the 1st and 99th percentile of depth in metres; 1 and 2 m where nothing is known."""
    usable = depth[np.isfinite(depth) & (depth > 0)]
    low, high = np.percentile(usable, (1, 99)) if usable.size else (1.0, 2.0)
    return float(low), float(high)


def disparity_colours(disparity: FloatArray) -> ByteImage:
    """Return disparity in colour between its own 1st and 99th percentile; NaN is black.

    Args:
        disparity: ``(H, W)`` in any unit.
    """
    disparity = np.asarray(disparity, np.float32)
    usable = disparity[np.isfinite(disparity)]
    low, high = np.percentile(usable, (1, 99)) if usable.size else (0.0, 1.0)
    return _colours((disparity - low) / max(float(high - low), 1e-9), np.isnan(disparity))


def confidence_greys(confidence: FloatArray) -> ByteImage:
    """Return ``(H, W)`` grey: 0 is black, 1 is white, NaN is black."""
    return np.asarray(np.nan_to_num(np.clip(confidence, 0, 1)) * 255, np.uint8)


def _colours(warmth: FloatArray, unknown: npt.NDArray[np.bool_]) -> ByteImage:
    level = (np.nan_to_num(np.clip(warmth, 0, 1)) * 255).astype(np.uint8)
    rgb = cv2.cvtColor(cv2.applyColorMap(level, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    rgb[unknown] = 0
    return np.asarray(rgb, np.uint8)
