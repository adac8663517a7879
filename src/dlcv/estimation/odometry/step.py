"""What a picture says of the way, in units of the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """What a picture says of the way.

    Attributes:
        state: Whether the camera moved, stood, or is lost.
        reason: Why it is lost.
        window_from_camera: ``(4, 4)`` where it is now, or was last.
        covariance: ``(6, 6)`` of that as (x, y, z, rx, ry, rz) in the window's axes.
        turn_only: Whether it shows a turn and tells nothing of a shift.
        matches: Landmarks found again.
        inliers: Those that agree.
        earlier: ``(N, 2)`` pixels of some of these in the last picture.
        pixels: ``(N, 2)`` pixels of them in this one.
    """

    state: Literal['tracking', 'standing', 'lost']
    reason: str = ''
    window_from_camera: Matrix
    covariance: Matrix
    turn_only: bool = False
    matches: int = 0
    inliers: int = 0
    earlier: FloatArray = field(default_factory=lambda: np.empty((0, 2), np.float32))
    pixels: FloatArray = field(default_factory=lambda: np.empty((0, 2), np.float32))
