"""Stereo cameras: what a calibration says of each, rectified pairs, disparity to depth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.geometry.camera import Rectifier
from dlcv.types import Camera, FloatArray, Frame


class StereoError(ValueError):
    """Two cameras or pictures are no stereo pair; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class StereoCamera:
    """One camera of a calibrated pair.

    Attributes:
        camera: As its lens is.
        rotation: ``(3, 3)`` rectified_from_camera.
        rectified: The ideal camera that it becomes.
    """

    camera: Camera
    rotation: npt.NDArray[np.float64]
    rectified: Camera

    @property
    def ideal(self) -> bool:
        """Whether its pictures are rectified as they are."""
        same = np.allclose(self.camera.matrix, self.rectified.matrix, atol=1e-3)
        return not self.camera.distorted and same and np.allclose(self.rotation, np.eye(3))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class RectifiedPair:
    """Two rectified pictures, taken at one moment.

    Attributes:
        left: With its ideal camera.
        right: The same; its principal point may be elsewhere along x.
        baseline: Metres between the cameras.
        valid: ``(H, W)`` bool; what the left camera sees. None for all.

    Raises:
        StereoError: They are no pair.
    """

    left: Frame
    right: Frame
    baseline: float
    valid: npt.NDArray[np.bool_] | None = None

    def __post_init__(self) -> None:
        sizes = [f'{frame.width}x{frame.height}' for frame in (self.left, self.right)]
        if sizes[0] != sizes[1]:
            raise StereoError(f'the right image is of {sizes[1]} pixels, the left of {sizes[0]}')
        if not self.baseline > 0:
            raise StereoError(f'the baseline must be above 0 m, got {self.baseline}')
        if any(frame.camera is not None and frame.camera.distorted for frame in self._frames):
            raise StereoError('the images are not rectified')

    @property
    def _frames(self) -> tuple[Frame, Frame]:
        return self.left, self.right

    @property
    def apart(self) -> float:
        """Pixels by which disparity exceeds that of cameras with one principal point."""
        cameras = [frame.camera for frame in self._frames]
        if cameras[0] is None or cameras[1] is None:
            return 0.0
        return cameras[0].cx - cameras[1].cx


class StereoRectifier:
    """Rectifies the pictures of a calibrated pair; the maps are computed once.

    Args:
        left: The left camera.
        right: The right one.
    """

    def __init__(self, left: StereoCamera, right: StereoCamera) -> None:
        self.cameras = left, right
        self._maps = [Rectifier(c.camera, c.rectified, c.rotation) for c in self.cameras]

    def fits(self, left: StereoCamera, right: StereoCamera) -> bool:
        """Return whether these are its cameras."""
        return all(
            mine.camera == other.camera
            and mine.rectified == other.rectified
            and np.array_equal(mine.rotation, other.rotation)
            for mine, other in zip(self.cameras, (left, right), strict=True)
        )

    def __call__(self, left: Frame, right: Frame, baseline: float) -> RectifiedPair:
        """Return the pair as ideal cameras see it."""
        frames = [
            replace(frame, image=maps(frame.image), camera=maps.target)
            for frame, maps in zip((left, right), self._maps, strict=True)
        ]
        return RectifiedPair(
            left=frames[0], right=frames[1], baseline=baseline, valid=self._maps[0].valid
        )


def depth_of(disparity: FloatArray, camera: Camera, baseline: float) -> FloatArray:
    """Return depth ``(H, W)`` in metres along z: ``fx b / d``; +inf where d is not above 0.

    Args:
        disparity: ``(H, W)`` pixels, of cameras with one principal point; NaN stays.
        camera: The rectified left camera.
        baseline: Metres.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        depth = np.float32(camera.fx * baseline) / np.maximum(disparity, 0)
    return np.asarray(depth, np.float32)
