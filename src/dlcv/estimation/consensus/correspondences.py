"""What the consensus is about: points of the scene and the pixels that see them.

Dimension letters in this room: N correspondences, K poses (hypotheses).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dlcv.types import Camera

NEAREST = 1e-3  # metres; a point nearer than this to the camera's plane is not in front of it


class ConsensusError(ValueError):
    """The input is not a set of correspondences; the message says what came instead."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Correspondences:
    """Scene points and their pixels in a pinhole camera, checked.

    Attributes:
        points: ``(N, 3)`` in the world, metres; zero where unusable.
        pixels: ``(N, 2)`` x, y; zero where unusable.
        usable: ``(N,)`` bool, whether point and pixel are finite.
        focal: ``(2,)`` focal lengths in pixels.
        centre: ``(2,)`` principal point in pixels.
    """

    points: Tensor
    pixels: Tensor
    usable: Tensor
    focal: Tensor
    centre: Tensor

    def to(self, dtype: torch.dtype) -> Correspondences:
        """Return the same in another precision."""
        return Correspondences(
            points=self.points.to(dtype),
            pixels=self.pixels.to(dtype),
            usable=self.usable,
            focal=self.focal.to(dtype),
            centre=self.centre.to(dtype),
        )

    def chosen(self, index: Tensor) -> Correspondences:
        """Return those at ``(M,)`` indices."""
        return Correspondences(
            points=self.points[index],
            pixels=self.pixels[index],
            usable=self.usable[index],
            focal=self.focal,
            centre=self.centre,
        )

    def moved(self, origin: Tensor) -> Correspondences:
        """Return the same in a world whose origin lies at ``origin`` ``(3,)`` of this one."""
        return Correspondences(
            points=torch.where(self.usable[:, None], self.points - origin, 0.0),
            pixels=self.pixels,
            usable=self.usable,
            focal=self.focal,
            centre=self.centre,
        )


def correspondences(coordinates: Tensor, pixels: Tensor, camera: Camera) -> Correspondences:
    """Check scene coordinates and pixels and bind them to a camera.

    Args:
        coordinates: ``(N, 3)`` floating scene coordinates, metres; NaN or inf marks unusable ones.
        pixels: ``(N, 2)`` x, y in the camera's image, of any real type, on any device.
        camera: The rectified camera.

    Raises:
        ConsensusError: On other shapes or types, or if the camera is distorted.
    """
    for name, tensor, width in (('coordinates', coordinates, 3), ('pixels', pixels, 2)):
        if tensor.ndim != 2 or tensor.shape[1] != width:
            raise ConsensusError(f'{name} must be (N, {width}), got {tuple(tensor.shape)}')
    if len(coordinates) != len(pixels):
        raise ConsensusError(
            f'{len(coordinates)} coordinates do not pair with {len(pixels)} pixels'
        )
    if not coordinates.is_floating_point():
        raise ConsensusError(f'coordinates must be floating point metres, got {coordinates.dtype}')
    if camera.distorted:
        raise ConsensusError(
            'the consensus needs rectified pixels; the camera has distortion '
            f'{list(camera.distortion)}: undistort the image and pass camera.undistorted()'
        )
    pixels = pixels.to(coordinates)
    usable = coordinates.isfinite().all(1) & pixels.isfinite().all(1)
    return Correspondences(
        points=torch.where(usable[:, None], coordinates, 0.0),
        pixels=torch.where(usable[:, None], pixels, 0.0),
        usable=usable,
        focal=coordinates.new_tensor((camera.fx, camera.fy)),
        centre=coordinates.new_tensor((camera.cx, camera.cy)),
    )
