"""Descriptions without a language: what was said of the known picture that looks most alike.

Nearest-neighbour captions are an old and strong baseline (Devlin et al., 2015, "Exploring nearest
neighbor approaches for image captioning").

Letters in this file: K pictures that are known, N values of a feature.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from dlcv.types import ByteImage, FloatArray

Describer = Callable[[ByteImage], str]
"""A picture ``(H, W, 3)`` RGB to a text."""

Feature = Callable[[ByteImage], FloatArray]
"""A picture ``(H, W, 3)`` RGB to ``(N,)`` values; like pictures have like values."""

_THUMBNAIL = (16, 12)


def any_of(texts: Sequence[str], seed: int = 0) -> Describer:
    """Return a method that says something that was said of a known picture, without a look.

    Args:
        texts: Of the known pictures.
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    return lambda _: texts[int(rng.integers(len(texts)))]


def nearest(feature: Feature, images: Sequence[ByteImage], texts: Sequence[str]) -> Describer:
    """Return a method that says what was said of the known picture of the most like feature.

    Args:
        feature: By which pictures are compared, by the cosine.
        images: The K known pictures.
        texts: What was said of each.
    """
    known = np.stack([_unit(feature(image)) for image in images])

    def describe(image: ByteImage) -> str:
        return texts[int((known @ _unit(feature(image))).argmax())]

    return describe


def thumbnail(image: ByteImage) -> FloatArray:
    """Return a picture of 16x12 pixels less its mean, as one row."""
    small = cv2.resize(image, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
    return np.asarray((small - small.mean((0, 1))).ravel(), np.float32)


def _unit(values: FloatArray) -> FloatArray:
    return values / max(float(np.linalg.norm(values)), 1e-9)
