"""Descriptors of whole pictures that nobody trained, or that clusters alone were trained for."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import cv2
import numpy as np

from dlcv.estimation.pictures import grey
from dlcv.metrics.baselines.features import Classical
from dlcv.types import ByteImage, FloatArray

Describe = Callable[[ByteImage], FloatArray]
"""Takes a picture ``(H, W, 3)`` and returns its descriptor ``(N,)`` of length 1."""

CLUSTERS, POINTS = 64, 500
_SIDE = 16
_SEED = 20130623  # of the clusters


def thumbnail(image: ByteImage) -> FloatArray:
    """Return the picture in 16x16 grey pixels, with mean 0 and length 1."""
    small = cv2.resize(grey(image), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32).ravel()
    return _unit(values - values.mean())


class SiftVlad:
    """SIFT in VLAD (Jegou et al., CVPR 2010), with square roots and intra-normalisation.

    The latter two are of Arandjelovic and Zisserman (CVPR 2012 and 2013).

    Args:
        images: Other pictures, whose points are clustered.

    Raises:
        ValueError: If they have fewer points than there are clusters.
    """

    def __init__(self, images: Iterable[ByteImage]) -> None:
        self._sift = Classical('SIFT')
        found = np.concatenate([self._points(image) for image in images])
        if len(found) < CLUSTERS:
            raise ValueError(f'{CLUSTERS} clusters need as many points, there are {len(found)}')
        cv2.setRNGSeed(_SEED)
        stop = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 1e-4)
        none = np.zeros((len(found), 1), np.int32)
        _, _, centres = cv2.kmeans(found, CLUSTERS, none, stop, 1, cv2.KMEANS_PP_CENTERS)
        self._centres = np.asarray(centres, np.float32)

    def __call__(self, image: ByteImage) -> FloatArray:
        """Return the descriptor of a picture; of one without points, zeros."""
        points = self._points(image)
        sums = np.zeros_like(self._centres)
        if len(points):
            near = (points @ self._centres.T - (self._centres**2).sum(1) / 2).argmax(1)
            np.add.at(sums, near, points - self._centres[near])
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return _unit((sums / np.maximum(lengths, 1e-12)).ravel())

    def _points(self, image: ByteImage) -> FloatArray:
        """Return the square roots of the points' descriptors, ``(P, 128)`` of length 1."""
        descriptors = self._sift.detect(image, POINTS).descriptors.astype(np.float32)
        total = np.maximum(descriptors.sum(1, keepdims=True), 1e-12)
        return np.asarray(np.sqrt(descriptors / total), np.float32)


def _unit(values: FloatArray) -> FloatArray:
    return np.asarray(values / max(float(np.linalg.norm(values)), 1e-12), np.float32)
