"""Pictures that say nothing of what is before the camera: dark, dazzled, covered, noise.

Letters in this file: T frames, H W size in pixels.
"""

from __future__ import annotations

import cv2
import numpy as np

from dlcv.types import ByteImage, FloatArray


def speechless(rng: np.random.Generator, like: ByteImage) -> ByteImage:
    """Return a picture that says nothing of what is before the camera.

    Args:
        rng: Decides which: one colour with faint noise, noise alone, or what shines through a
            cover.
        like: ``(H, W, 3)``, whose size is taken, and for the cover its light.
    """
    return np.asarray(speechless_clip(rng, like[None])[0])


def speechless_clip(rng: np.random.Generator, like: ByteImage) -> ByteImage:
    """Return frames that say nothing, all for the same reason; only their noise differs.

    Args:
        rng: Decides as for `speechless`.
        like: ``(T, H, W, 3)``, whose size is taken, and for the cover the light of each frame.
    """
    kind, shape = rng.integers(3), like.shape[1:]
    colour: FloatArray = np.zeros(3)
    grain = share = 0.0
    if kind == 0:
        level = float(rng.choice([0.0, 255.0, rng.uniform(0, 255)]))
        colour = level * np.ones(3) * rng.uniform(0.9, 1, 3)
        grain = rng.uniform(0, 4)
    elif kind == 2:
        share = rng.uniform(0.02, 0.6)
    frames = np.empty_like(like)
    for frame, shown in zip(frames, like, strict=True):
        if kind == 0:
            values = colour + grain * rng.standard_normal(shape)
        elif kind == 1:
            values = rng.uniform(0, 256, shape)
        else:
            veiled = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), shape[1] / 4)
            values = share * veiled + 2 * rng.standard_normal(shape)
        frame[:] = values.clip(0, 255).astype(np.uint8)
    return frames
