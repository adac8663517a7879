"""Optical flow by OpenCV."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from dlcv.estimation.pictures import grey
from dlcv.types import ByteImage, FloatArray

Flow = Callable[[ByteImage, ByteImage], FloatArray]
"""Two ``(H, W, 3)`` RGB pictures to ``(H, W, 2)`` pixels."""

FARNEBACK: dict[str, Any] = {
    'pyr_scale': 0.5, 'levels': 3, 'winsize': 15, 'iterations': 3, 'poly_n': 5, 'poly_sigma': 1.2,
    'flags': 0,
}  # fmt: skip
"""Arguments of ``cv2.calcOpticalFlowFarneback``, those of OpenCV's own examples."""

_NOTHING: Any = None  # no flow to start from, which the types of OpenCV do not foresee


def no_motion(first: ByteImage, _second: ByteImage) -> FloatArray:
    """Return zeros."""
    return np.zeros((*first.shape[:2], 2), np.float32)


def farneback(first: ByteImage, second: ByteImage) -> FloatArray:
    """Return the flow by polynomial expansion (Farneback, SCIA 2003)."""
    found = cv2.calcOpticalFlowFarneback(grey(first), grey(second), _NOTHING, **FARNEBACK)
    return np.asarray(found, np.float32)


def inverse_search() -> Flow:
    """Return flow by dense inverse search (DIS, Kroeger et al., ECCV 2016), OpenCV's "medium"."""
    # Fed with a start once, it would keep that for all pictures of the size: it never is.
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flow(first: ByteImage, second: ByteImage) -> FloatArray:
        return np.asarray(dis.calc(grey(first), grey(second), _NOTHING), np.float32)

    return flow
