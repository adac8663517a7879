"""Random changes of how a picture is lit and recorded; where things are does not change.

The effects are those of SuperPoint's training (DeTone et al., CVPRW 2018, sec. 6) in the ranges of
its best-known open retraining, and gamma, colour gains and vignetting, which real cameras add. They
are applied in the order in which light meets a camera: motion blur, shade and vignetting, the
sensor's gains and tone curve, noise, dead pixels.

Every effect is also a pure function of its own, for those who want only some of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage

FloatArray = npt.NDArray[np.float32]
Range = tuple[float, float]

_COARSE = 8  # shade is so smooth that it is drawn at this fraction of the size
_ELLIPSES = 20  # shadows of one picture


@dataclass(frozen=True, kw_only=True, slots=True)
class PhotometricConfig:
    """How strong each effect may be; the defaults are those of SuperPoint's training.

    Attributes:
        probability: Of each effect being applied at all, drawn for each of them.
        brightness: Largest amount added to or taken from all values, of 255; 0 for none.
        contrast: Lowest and highest factor of the distance from the mean; (1, 1) for none.
        gamma: Lowest and highest exponent of the tone curve, drawn evenly in its logarithm; (1, 1)
            for none.
        colour_gain: Largest relative change of each channel; 0 for none. Grey pictures have one.
        noise: Largest standard deviation of Gaussian noise, of 255; 0 for none.
        speckle: Largest share of pixels that turn black or white; 0 for none.
        motion_blur: Longest blur in pixels; 1 for none.
        shade: Lowest and highest strength of blurred ellipses, negative ones brighten; (0, 0) for
            none.
        vignetting: Largest darkening of the corners; 0 for none.
    """

    probability: float = 0.8
    brightness: float = 75.0
    contrast: Range = (0.3, 1.8)
    gamma: Range = (0.75, 1.33)
    colour_gain: float = 0.1
    noise: float = 15.0
    speckle: float = 0.0035
    motion_blur: int = 7
    shade: Range = (-0.5, 0.8)
    vignetting: float = 0.3

    def __post_init__(self) -> None:
        amounts = (self.brightness, self.colour_gain, self.noise, self.speckle, self.vignetting)
        ranges = (self.contrast, self.gamma, self.shade)
        if min(amounts) < 0 or self.motion_blur < 1 or not 0 <= self.probability <= 1:
            raise ValueError(
                'photometric changes need amounts >= 0, motion_blur >= 1 and a probability in '
                f'[0, 1], got {self}'
            )
        if any(low > high for low, high in ranges) or min(self.contrast[0], self.gamma[0]) <= 0:
            raise ValueError(f'photometric ranges need 0 < lowest <= highest, got {self}')


OFF = PhotometricConfig(probability=0.0)


def photometric(image: ByteImage, rng: np.random.Generator, config: PhotometricConfig) -> ByteImage:
    """Change a picture at random.

    Args:
        image: ``(H, W)`` grey or ``(H, W, 3)`` RGB; left as it is.
        rng: Decides all there is to decide.
        config: How strong each effect may be.

    Returns:
        A new picture of the same shape.
    """
    blurred = image
    if config.motion_blur > 1 and _wanted(rng, config):
        blurred = motion_blur(image, rng.uniform(1, config.motion_blur), rng.uniform(0, np.pi))
    values = np.asarray(cv2.LUT(blurred, _draw_tone(blurred, rng, config)), np.float32)
    light = _draw_light(image.shape[:2], rng, config)
    if light is not None:
        values *= light if image.ndim == 2 else light[..., None]
    if config.noise and _wanted(rng, config):
        noise = rng.standard_normal(image.shape, np.float32)
        noise *= np.float32(rng.uniform(0, config.noise))
        values += noise
    changed = to_bytes(values)
    if config.speckle and _wanted(rng, config):
        changed = speckle(changed, rng.uniform(0, config.speckle), rng)
    return changed


def motion_blur(image: ByteImage, length: float, angle: float) -> ByteImage:
    """Blur along a straight line centred on each pixel, as a moving camera does.

    Args:
        image: ``(H, W)`` or ``(H, W, 3)``.
        length: Length of the line in pixels; at most 1 changes nothing.
        angle: Its direction in radians from the x axis.
    """
    if length <= 1:
        return image.copy()
    half = int(np.ceil((length - 1) / 2))
    kernel = np.zeros((2 * half + 1, 2 * half + 1), np.float32)
    along = np.linspace(-(length - 1) / 2, (length - 1) / 2, 4 * half + 1)
    columns = np.rint(half + along * np.cos(angle)).astype(np.intp)
    rows = np.rint(half + along * np.sin(angle)).astype(np.intp)
    np.add.at(kernel, (rows, columns), np.float32(1 / len(along)))
    blurred = cv2.filter2D(image, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(blurred, np.uint8)


def tone_curve(
    *, brightness: float = 0.0, contrast: float = 1.0, gamma: float = 1.0, mean: float = 127.5
) -> FloatArray:
    """Return what each of the 256 values becomes, ``(256,)``; not yet clipped to [0, 255].

    Args:
        brightness: Added, of 255.
        contrast: Factor of the distance from ``mean``.
        gamma: Exponent, applied first.
        mean: The value that contrast leaves alone.
    """
    values = 255 * (np.arange(256, dtype=np.float64) / 255) ** gamma
    return ((values - mean) * contrast + mean + brightness).astype(np.float32)


def shade(size: tuple[int, int], strength: float, rng: np.random.Generator) -> FloatArray:
    """Return factors ``(h, w)`` of blurred elliptic shadows, or of lights if strength < 0.

    Twenty ellipses with half axes of up to a fifth of the shorter side, blurred by 100 to 150
    pixels, as in the open retraining of SuperPoint.

    Args:
        size: Height and width in pixels; drawn at an eighth of it, see :func:`light_map`.
        strength: Share of the light that the darkest place loses.
        rng: Decides where the ellipses are.
    """
    height, width = (max(1, round(side / _COARSE)) for side in size)
    mask = np.zeros((height, width), np.float32)
    longest = max(min(height, width) / 5, 1.0)
    draws = rng.random((_ELLIPSES, 5))
    for x, y, a, b, turn in draws.tolist():
        axes = (max(int(a * longest), 1), max(int(b * longest), 1))
        centre = (int(x * width), int(y * height))
        cv2.ellipse(mask, centre, axes, 90 * turn, 0, 360, 1.0, -1)
    # cv2's sigma of a kernel of 100 to 150 pixels
    sigma = (0.3 * ((rng.uniform(100, 150) - 1) * 0.5 - 1) + 0.8) / _COARSE
    blurred = np.asarray(cv2.GaussianBlur(mask, (0, 0), sigma), np.float32)
    return np.asarray(1 - strength * blurred, np.float32)


def vignette(size: tuple[int, int], strength: float) -> FloatArray:
    """Return factors ``(h, w)``: 1 in the centre, ``1 - strength`` in the corners, falling as r^2.

    Args:
        size: Height and width in pixels; drawn at an eighth of it, see :func:`light_map`.
        strength: Share of the light that the corners lose.
    """
    height, width = (max(1, round(side / _COARSE)) for side in size)
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)
    return np.asarray(1 - np.float32(strength / 2) * (x * x + y * y), np.float32)


def light_map(size: tuple[int, int], coarse: FloatArray) -> FloatArray:
    """Return coarse factors, as of :func:`shade`, at a full size of (height, width)."""
    full = cv2.resize(coarse, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full, np.float32)


def speckle(image: ByteImage, share: float, rng: np.random.Generator) -> ByteImage:
    """Turn a share of the pixels black and as many white."""
    height, width = image.shape[:2]
    count = round(share * height * width)
    changed = image.copy()
    for value in (0, 255):
        changed[rng.integers(height, size=count), rng.integers(width, size=count)] = value
    return changed


def to_bytes(values: npt.NDArray[np.floating[Any]]) -> ByteImage:
    """Round and clip values of [0, 255] to bytes."""
    return np.asarray(cv2.convertScaleAbs(np.maximum(values, 0)), np.uint8)


def _wanted(rng: np.random.Generator, config: PhotometricConfig) -> bool:
    return bool(rng.random() < config.probability)


def _draw_tone(image: ByteImage, rng: np.random.Generator, config: PhotometricConfig) -> FloatArray:
    """Return a table for cv2.LUT: ``(256,)``, or ``(256, 1, 3)`` for colour."""
    gamma = brightness = 0.0
    contrast = 1.0
    if _wanted(rng, config):
        gamma = rng.uniform(np.log(config.gamma[0]), np.log(config.gamma[1]))
    if _wanted(rng, config):
        brightness = rng.uniform(-config.brightness, config.brightness)
    if _wanted(rng, config):
        contrast = rng.uniform(*config.contrast)
    mean = cv2.mean(image)[0] if image.ndim == 2 else float(np.mean(cv2.mean(image)[:3]))
    table = tone_curve(
        brightness=brightness, contrast=contrast, gamma=float(np.exp(gamma)), mean=mean
    )
    channels = 1 if image.ndim == 2 else 3
    gains = np.ones(channels, np.float32)
    if config.colour_gain and _wanted(rng, config):
        gains += rng.uniform(-config.colour_gain, config.colour_gain, channels).astype(np.float32)
    return table if channels == 1 else table[:, None, None] * gains


def _draw_light(
    size: tuple[int, ...], rng: np.random.Generator, config: PhotometricConfig
) -> FloatArray | None:
    height, width = size[:2]
    coarse: FloatArray | None = None
    if config.shade != (0, 0) and _wanted(rng, config):
        coarse = shade((height, width), rng.uniform(*config.shade), rng)
    if config.vignetting and _wanted(rng, config):
        corners = vignette((height, width), rng.uniform(0, config.vignetting))
        coarse = corners if coarse is None else coarse * corners
    return None if coarse is None else light_map((height, width), coarse)
