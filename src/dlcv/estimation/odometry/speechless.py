"""Does a picture say anything of what is before the camera?

A picture of the world has detail at every size: after halving it, as much is left. Noise has none
left but what averaging spares, a quarter of its energy; what is dark, dazzled, covered or of one
colour never had any; and heavy blur leaves only the coarse. So one looks at the energy of the
Laplacian in a picture of about 160 columns and in its halves ("fine to coarse", `_energies`).
"""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.estimation.pictures import check_image, grey
from dlcv.types import ByteImage

_COLUMNS = 160  # of the picture that is judged: what is finer is the sensor's
_LEAST_SIDE = 32  # of a picture that can be halved three times
_FAINT = 0.5  # grey levels squared: less detail than that is none
_LOUD = 16.0  # grey levels squared: noise of less is not worth the name
_NOISE = 0.5  # share of the energy that halving leaves: 0.25 of noise, 0.9 and more of the world
_BLUR = 0.02  # energy of detail over that of a quarter of its size: 0.15 and more of the world
_DARK, _BRIGHT = 24, 232  # mean grey level of what is called black, or white


def silence(image: ByteImage) -> str:
    """Say why a picture says nothing of what is before the camera; empty if it does.

    A picture that is covered in part speaks. One of less than 32 rows or columns is not judged.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB, uint8.

    Raises:
        MappingError: If the picture is of another form.
    """
    check_image(image)
    height, width = image.shape[:2]
    shrink = min(1.0, _COLUMNS / width, 1.0 if height < width else _COLUMNS / height)
    size = round(width * shrink), round(height * shrink)
    if min(size) < _LEAST_SIDE:
        size = width, height
    if min(size) < _LEAST_SIDE:
        return ''
    small = image if shrink == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return _reason(grey(np.asarray(small, np.uint8)))


def _reason(picture: ByteImage) -> str:
    fine, middle, coarse, coarsest = _energies(picture)
    noisy = middle < _NOISE * fine and coarse < _NOISE * middle
    if noisy or middle - fine / 4 < _FAINT:  # a quarter is what noise of that size would leave
        return 'the picture is noise alone' if fine > _LOUD else _plain(float(picture.mean()))
    if middle < _BLUR * coarsest:
        return 'the picture is too blurred to show anything'
    return ''


def _plain(level: float) -> str:
    """Name a picture without detail by its mean grey level."""
    if level < _DARK:
        return f'the picture is black: its mean is {level:.0f} of 255'
    if level > _BRIGHT:
        return f'the picture is white: its mean is {level:.0f} of 255'
    return f'the picture is of one shade, {level:.0f} of 255: the lens may be covered'


def _energies(picture: ByteImage) -> tuple[float, ...]:
    """Return the mean energy of detail in a picture, its half, its quarter and its eighth.

    It is that of the Laplacian of four neighbours over 20, the variance of white noise.
    """
    level, energies = picture.astype(np.float32), []
    for halving in range(4):
        if halving:
            half = level.shape[1] // 2, level.shape[0] // 2
            level = np.asarray(cv2.resize(level, half, interpolation=cv2.INTER_AREA))
        detail = cv2.Laplacian(level, cv2.CV_32F, ksize=1, borderType=cv2.BORDER_REFLECT_101)
        energies.append(cv2.norm(detail, cv2.NORM_L2SQR) / detail.size / 20)
    return tuple(energies)
