"""Monodepth's changes of stereo pairs (Godard et al., CVPR 2017, section 4, and its code)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dlcv.data.augment.photometric import Range, to_bytes
from dlcv.types import ByteImage


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoChanges:
    """How far a pair is changed; the defaults are those of the published code.

    Attributes:
        mirror: Probability that left and right are exchanged, in each picture and between the two.
        light: Probability that the light changes, the same in both pictures.
        gamma: Lowest and highest; values in [0, 1] are raised to it.
        brightness: Lowest and highest factor of all values.
        colour: Lowest and highest factor of each channel.
    """

    mirror: float = 0.5
    light: float = 0.5
    gamma: Range = (0.8, 1.2)
    brightness: Range = (0.5, 2.0)
    colour: Range = (0.8, 1.2)

    def __post_init__(self) -> None:
        if any(not 0 <= share <= 1 for share in (self.mirror, self.light)):
            raise ValueError(
                f'changes of stereo pairs need mirror and light in [0, 1], got {self.mirror} and '
                f'{self.light}'
            )
        for low, high in (self.gamma, self.brightness, self.colour):
            if not 0 < low <= high:
                raise ValueError(
                    f'changes of stereo pairs need ranges with 0 < lowest <= highest, got {self}'
                )


def change_stereo(
    left: ByteImage, right: ByteImage, rng: np.random.Generator, config: StereoChanges
) -> tuple[ByteImage, ByteImage]:
    """Change a rectified stereo pair at random; it stays one, with the same disparities.

    Args:
        left: ``(H, W, 3)`` RGB; left as it is.
        right: The same of the right view.
        rng: Decides everything.
        config: How far.
    """
    if rng.random() < config.mirror:
        left, right = (np.ascontiguousarray(image[:, ::-1]) for image in (right, left))
    if rng.random() < config.light:
        table = _tones(rng, config)
        left, right = (np.asarray(cv2.LUT(image, table), np.uint8) for image in (left, right))
    return left, right


def _tones(rng: np.random.Generator, config: StereoChanges) -> ByteImage:
    """Return what each value of each channel becomes, ``(256, 1, 3)``."""
    values = (np.arange(256)[:, None, None] / 255) ** rng.uniform(*config.gamma)
    gains = rng.uniform(*config.brightness) * rng.uniform(*config.colour, 3)
    return to_bytes(255 * (values * gains).clip(0, 1))
