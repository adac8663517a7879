"""Pictures without what light and lens make of them.

A patch that is fitted as it is goes where the picture is as bright as it was: with an exposure that
changes, towards what is brighter or darker; and where a lens darkens its edges, with the shade, not
with the wall. On plaster that shows hardly anything else, this is worth tenths of a pixel, the same
ones for all patches around. What is left of a picture less its own blur is the wall's.
"""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.types import ByteImage

_BOX = 9  # side of the box that is averaged over, twice: a blur of 3.7 pixels
_GAIN = 1.5  # most differences are small: more of 256 levels are theirs
_MIDDLE = 128.0


def flat(grey: ByteImage) -> ByteImage:
    """Return a grey picture ``(H, W)`` less its own blur, about 128."""
    box = (_BOX, _BOX)
    blurred = cv2.blur(cv2.blur(grey, box), box)
    return np.asarray(cv2.addWeighted(grey, _GAIN, blurred, -_GAIN, _MIDDLE), np.uint8)
