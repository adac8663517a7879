"""Labels as colours."""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.classes import colours
from dlcv.types import ByteImage

_SHARE = 0.55  # of the colours over a picture


def label_colours(labels: ByteImage, image: ByteImage | None = None) -> ByteImage:
    """Return the colours of labels, over the picture where there is one, ``(H, W, 3)`` RGB.

    Args:
        labels: ``(H, W)`` numbers of `dlcv.classes`.
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB.
    """
    shown = colours()[labels]
    if image is None:
        return shown
    if image.ndim == 2:
        image = np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)
    return np.asarray(cv2.addWeighted(shown, _SHARE, image, 1 - _SHARE, 0), np.uint8)
