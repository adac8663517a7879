"""The one place that knows where a pixel of the input image lies in the network's input.

A picture is resized, then padded at its right and lower edges (repeating the last row and column),
so that the network's size rules are met without cutting anything off. Resizing by ``s`` takes the
pixel at x to ``(x + 0.5) s - 0.5``, horizontally and vertically each with its own ``s``.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dlcv.geometry.camera import Rectifier
from dlcv.types import ByteImage, Camera, FloatArray, Frame

Size = tuple[int, int]  # width, height


class MappingError(ValueError):
    """A picture cannot be brought into the network's form; the message names its shape."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """How an image of one size becomes the input of a network.

    Attributes:
        source: Width and height of the image.
        resized: Width and height after resizing.
        padded: Width and height after padding: the network's input.
    """

    source: Size
    resized: Size
    padded: Size

    @classmethod
    def native(cls, source: Size, multiple: int = 1) -> Fit:
        """Keep the size; pad to multiples of ``multiple``."""
        return cls._to(source, source, multiple)

    @classmethod
    def exact(cls, source: Size, width: int, height: int) -> Fit:
        """Resize to ``width`` x ``height``, whatever that does to the aspect."""
        return cls._to(source, (width, height), 1)

    @classmethod
    def long_side(cls, source: Size, limit: int, multiple: int = 1) -> Fit:
        """Shrink until the longer side is at most ``limit`` (0 for never), then pad."""
        longest = max(source)
        if limit == 0 or longest <= limit:
            return cls.native(source, multiple)
        width, height = (max(1, round(side * limit / longest)) for side in source)
        return cls._to(source, (width, height), multiple)

    @classmethod
    def to_height(cls, source: Size, height: int, multiple: int = 1) -> Fit:
        """Resize to ``height``, keeping the aspect to half a pixel of width, then pad."""
        return cls._to(source, (max(1, round(source[0] * height / source[1])), height), multiple)

    @classmethod
    def _to(cls, source: Size, resized: Size, multiple: int) -> Fit:
        width, height = (-(-side // multiple) * multiple for side in resized)
        return cls(source=source, resized=resized, padded=(width, height))

    @property
    def scale(self) -> tuple[float, float]:
        """Network pixels per image pixel, horizontally and vertically."""
        return self.resized[0] / self.source[0], self.resized[1] / self.source[1]

    def image(self, image: ByteImage) -> ByteImage:
        """Return the picture as the network gets it; the same object where nothing changes."""
        if self.resized != self.source:
            image = _resized(image, self.resized)
        if self.padded != self.resized:
            right, below = (p - r for p, r in zip(self.padded, self.resized, strict=True))
            padded = cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE)
            image = np.asarray(padded, np.uint8)
        return image

    def to_network(self, xy: FloatArray) -> FloatArray:
        """Return where in the network's input image pixels ``(..., 2)`` lie."""
        return np.asarray((xy + 0.5) * np.array(self.scale) - 0.5, xy.dtype)

    def to_source(self, xy: FloatArray) -> FloatArray:
        """Return where in the image network pixels ``(..., 2)`` lie."""
        return np.asarray((xy + 0.5) / np.array(self.scale) - 0.5, xy.dtype)

    def dense(self, values: FloatArray) -> FloatArray:
        """Bring a map on the network's input back onto the pixels of the image, bilinearly.

        Args:
            values: ``(h, w)`` or ``(h, w, C)`` float32, one value for each network pixel.

        Returns:
            ``(H, W)`` or ``(H, W, C)``.
        """
        values = values[: self.resized[1], : self.resized[0]]
        if self.resized == self.source:
            return values
        back = cv2.resize(np.ascontiguousarray(values), self.source, interpolation=cv2.INTER_LINEAR)
        return np.asarray(back, np.float32)

    def flow(self, flow: FloatArray) -> FloatArray:
        """Bring a flow ``(h, w, 2)`` in network pixels back as ``(H, W, 2)`` in image pixels."""
        back = self.dense(flow)
        if self.resized == self.source:
            return back
        return np.asarray(back / np.array(self.scale, np.float32), np.float32)

    def camera(self, camera: Camera) -> Camera:
        """Return the camera of the network's input, given that of the image."""
        if (camera.width, camera.height) != self.source:
            raise MappingError(
                f'the image is {self.source[0]}x{self.source[1]}, '
                f'its camera {camera.width}x{camera.height}'
            )
        return camera.scaled(*self.resized).cropped(0, 0, *self.padded)


class View:
    """Pictures as the camera would take them without its lens's distortion; remembers the maps."""

    def __init__(self) -> None:
        self._rectifier: Rectifier | None = None

    def rectifier(self, source: Camera, target: Camera | None = None) -> Rectifier:
        """Return what turns pictures of ``source`` into pictures of ``target``; made once."""
        known = self._rectifier
        wanted = target or source.undistorted()
        if known is None or known.source != source or known.target != wanted:
            known = self._rectifier = Rectifier(source, wanted)
        return known

    def rectified(self, frame: Frame) -> tuple[ByteImage, Camera | None, Rectifier | None]:
        """Return the undistorted picture, its camera, and what undistorted it (None: nothing).

        Raises:
            MappingError: If the camera is of another size than the picture.
        """
        camera = frame.camera
        if camera is None:
            return frame.image, None, None
        if (camera.width, camera.height) != size_of(frame):
            raise MappingError(
                f'the image is {frame.width}x{frame.height}, '
                f'its camera {camera.width}x{camera.height}'
            )
        if not camera.distorted:
            return frame.image, camera.undistorted(), None
        rectifier = self.rectifier(camera)
        return rectifier(frame.image), rectifier.target, rectifier


def _resized(image: ByteImage, size: Size) -> ByteImage:
    """Resize: what shrinks by area, which does not alias, what grows linearly.

    Where one side shrinks and the other grows, OpenCV's area mode is off by parts of a pixel, so
    that takes two steps.
    """
    smaller = min(size[0], image.shape[1]), min(size[1], image.shape[0])
    if smaller != image.shape[1::-1]:
        image = np.asarray(cv2.resize(image, smaller, interpolation=cv2.INTER_AREA), np.uint8)
    if smaller != size:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    return image


def size_of(frame: Frame) -> Size:
    """Return width and height of a frame."""
    return frame.width, frame.height


def grey(image: ByteImage) -> ByteImage:
    """Return ``(H, W)`` of a grey or RGB picture: .299 R + .587 G + .114 B."""
    check_image(image)
    if image.ndim == 2:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def colour(image: ByteImage) -> ByteImage:
    """Return ``(H, W, 3)`` of a grey or RGB picture."""
    check_image(image)
    if image.ndim == 3:
        return image
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), np.uint8)


def check_image(image: ByteImage) -> None:
    """Raise a MappingError unless the picture is grey or RGB, uint8 and not empty."""
    good = image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)
    if not good or image.dtype != np.uint8 or not image.size:
        raise MappingError(
            'a frame needs an image (H, W) or (H, W, 3) of uint8, '
            f'got {image.shape} of {image.dtype}'
        )
