"""Fundamental matrices without a network: by drawing samples of the matches, as OpenCV does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from dlcv.types import FloatArray

PIXELS = 1.0
CONFIDENCE = 0.999
ROUNDS = 1000
FAST_ROUNDS = 10_000  # of those whose rounds cost a tenth
_LEAST = 8

Consensus = Callable[[FloatArray, FloatArray], FloatArray]
"""Takes pixels ``(N, 2)`` of both pictures and returns ``(3, 3)``, zeros where it finds none."""


def _msac() -> Any:
    """Uniform samples scored by truncated squares (Torr and Zisserman 2000), no polishing."""
    settings = cv2.UsacParams()
    settings.score = cv2.SCORE_METHOD_MSAC
    settings.sampler = cv2.SAMPLING_UNIFORM
    settings.loMethod = cv2.LOCAL_OPTIM_NULL
    settings.threshold = PIXELS
    settings.confidence = CONFIDENCE
    settings.maxIterations = FAST_ROUNDS
    return settings


def _plain(method: int, rounds: int) -> Callable[[FloatArray, FloatArray], Any]:
    def find(first: FloatArray, second: FloatArray) -> Any:
        return cv2.findFundamentalMat(second, first, method, PIXELS, CONFIDENCE, rounds)

    return find


_METHODS: dict[str, Callable[[FloatArray, FloatArray], Any]] = {
    'RANSAC': _plain(cv2.FM_RANSAC, ROUNDS),
    'LMedS': _plain(cv2.FM_LMEDS, ROUNDS),
    'MSAC': lambda first, second: cv2.findFundamentalMat(second, first, _msac()),
    'USAC': _plain(cv2.USAC_DEFAULT, FAST_ROUNDS),
    'MAGSAC++': _plain(cv2.USAC_MAGSAC, FAST_ROUNDS),
}
NAMES = tuple(_METHODS)


def consensus(name: str) -> Consensus:
    """Return a method of `NAMES`; the same matches give it the same matrix."""
    find = _METHODS[name]

    def run(first_xy: FloatArray, second_xy: FloatArray) -> FloatArray:
        nothing = np.zeros((3, 3))
        if len(first_xy) < _LEAST:
            return nothing
        cv2.setRNGSeed(0)
        try:  # OpenCV's matrix has the other order of pictures
            found, _ = find(first_xy, second_xy)
        except cv2.error:  # what some methods say to matches that decide nothing
            return nothing
        usable = found is not None and found.shape == (3, 3) and np.isfinite(found).all()
        return np.asarray(found, np.float64) if usable else nothing

    return run
