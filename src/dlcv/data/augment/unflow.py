"""UnFlow's changes of image pairs without truth (Meister et al., AAAI 2018, section 4.2).

The pair is zoomed and mirrored, the second picture zoomed again: flow that no scene showed, and
none has to be known. What the network sees has another light and noise than what the loss
compares.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.augment.photometric import Range, to_bytes
from dlcv.types import ByteImage

Mask = npt.NDArray[np.float32]
Affine = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class PairChanges:
    """How far a pair is changed; the defaults are those of the published code.

    Attributes:
        zoom: Lowest and highest factor of both pictures, about their centre.
        second_zoom: The same of the second picture alone, in addition.
        mirror: Probability that left and right are exchanged.
        contrast: Largest relative change of all values.
        brightness: Standard deviation of what is added to them, of 1.
        colour: Lowest and highest factor of each channel.
        gamma: Lowest and highest; values are raised to its inverse.
        noise: Largest standard deviation of the noise of each pixel, of 1.
        border: Share of the shorter side at each border that never counts.
    """

    zoom: Range = (0.9, 1.1)
    second_zoom: Range = (0.9, 1.1)
    mirror: float = 0.5
    contrast: float = 0.3
    brightness: float = 0.02
    colour: Range = (0.9, 1.1)
    gamma: Range = (0.7, 1.5)
    noise: float = 0.04
    border: float = 0.1

    def __post_init__(self) -> None:
        ranges = (self.zoom, self.second_zoom, self.colour, self.gamma)
        if any(not 0 < low <= high for low, high in ranges):
            raise ValueError(f'changes of pairs need ranges with 0 < lowest <= highest, got {self}')
        shares = (self.mirror, self.contrast, self.brightness, self.noise)
        if min(shares) < 0 or max(self.mirror, self.contrast) > 1 or not 0 <= self.border < 0.5:
            raise ValueError(
                'changes of pairs need mirror and contrast in [0, 1], brightness and noise >= 0 '
                f'and border in [0, 0.5), got {self}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ChangedPair:
    """A pair to compare, the same pair to look at, and where it may be compared.

    Attributes:
        first: ``(H, W, 3)`` uint8 RGB, for the loss.
        second: The same of the second picture.
        first_seen: ``first`` in another light, for the network.
        second_seen: ``second`` in the same other light.
        border: ``(H, W)`` float32 in [0, 1]; 0 near the borders and where the picture was
            continued.
    """

    first: ByteImage
    second: ByteImage
    first_seen: ByteImage
    second_seen: ByteImage
    border: Mask


def change_pair(
    first: ByteImage, second: ByteImage, rng: np.random.Generator, config: PairChanges
) -> ChangedPair:
    """Change a pair at random.

    Args:
        first: ``(H, W, 3)`` RGB; left as it is.
        second: The same of the second picture.
        rng: Decides everything.
        config: How far.
    """
    height, width = first.shape[:2]
    mirrored = rng.random() < config.mirror
    both = _about_centre(height, width, rng.uniform(*config.zoom), mirrored=mirrored)
    more = _about_centre(height, width, rng.uniform(*config.second_zoom), mirrored=False)
    clean = (_drawn(first, both), _drawn(second, both @ more))
    inner = _inner(height, width, config.border)
    table = _tones(rng, config)
    deviation = 255 * rng.uniform(0, config.noise)
    lit = [np.asarray(cv2.LUT(image, table), np.uint8) for image in clean]
    seen = [_noisy(image, deviation, rng) for image in lit]
    return ChangedPair(
        first=clean[0],
        second=clean[1],
        first_seen=seen[0],
        second_seen=seen[1],
        border=_drawn_mask(inner, both) * _drawn_mask(inner, more),
    )


def _about_centre(height: int, width: int, factor: float, *, mirrored: bool) -> Affine:
    """Return the ``(3, 3)`` map from pixels of a changed picture to those of the original."""
    x, y = (width - 1) / 2, (height - 1) / 2
    across = -factor if mirrored else factor
    return np.array([(across, 0, x - across * x), (0, factor, y - factor * y), (0, 0, 1)])


def _drawn(image: ByteImage, from_changed: Affine) -> ByteImage:
    size = (image.shape[1], image.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(
        image, from_changed[:2], size, flags=flags, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(drawn, np.uint8)


def _drawn_mask(mask: Mask, from_changed: Affine) -> Mask:
    size = (mask.shape[1], mask.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    drawn = cv2.warpAffine(mask, from_changed[:2], size, flags=flags)  # 0 outside
    return np.asarray(drawn, np.float32)


def _inner(height: int, width: int, share: float) -> Mask:
    margin = ceil(min(height, width) * share)
    mask = np.zeros((height, width), np.float32)
    mask[margin : height - margin, margin : width - margin] = 1
    return mask


def _tones(rng: np.random.Generator, config: PairChanges) -> ByteImage:
    """Return what each value of each channel becomes, ``(256, 1, 3)``."""
    factor = 1 + rng.uniform(-config.contrast, config.contrast)
    shift = rng.normal(0, config.brightness) if config.brightness else 0.0
    gains = rng.uniform(*config.colour, 3)
    values = (np.arange(256)[:, None, None] / 255 * factor + shift) * gains
    return to_bytes(255 * values.clip(0, 1) ** (1 / rng.uniform(*config.gamma)))


def _noisy(image: ByteImage, deviation: float, rng: np.random.Generator) -> ByteImage:
    if not deviation:
        return image
    noise = rng.standard_normal(image.shape, np.float32)
    return to_bytes(image + np.float32(deviation) * noise)
