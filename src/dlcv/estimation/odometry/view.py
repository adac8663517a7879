"""What geometry gets to see of a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.scale import ScaleSource
from dlcv.geometry.camera import pixel_rays
from dlcv.types import ByteImage, Camera, FloatArray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Points:
    """The interest points of a picture, as geometry needs them.

    Attributes:
        number: Of the picture, rising by one.
        stamp_ns: Its time.
        grey: ``(H, W)`` its pixels.
        flat: ``(H, W)`` the same, for patches to be fitted to; see `dlcv.estimation.odometry.flat`.
        camera: What took it.
        pixels: ``(N, 2)`` float32 where the points were detected.
        descriptors: ``(N, D)`` float32.
        inverse_depth: ``(N,)`` what was measured beside the picture, 1/unit of the window; NaN
            where nothing was.
        inverse_stddev: ``(N,)`` its standard deviation.
        source: Who measured that.
        metric: Whether its metre is the unit of the window.
    """

    number: int
    stamp_ns: int
    grey: ByteImage
    flat: ByteImage
    camera: Camera
    pixels: FloatArray
    descriptors: FloatArray
    inverse_depth: npt.NDArray[np.float64]
    inverse_stddev: npt.NDArray[np.float64]
    source: ScaleSource = 'none'
    metric: bool = False

    @property
    def focal(self) -> float:
        """Pixels per unit of x/z."""
        return self.camera.focal

    def rays(self, pixels: FloatArray) -> npt.NDArray[np.float64]:
        """Return ``(N, 2)`` x/z and y/z of some pixels."""
        return np.asarray(pixel_rays(self.camera, pixels)[:, :2], np.float64)
