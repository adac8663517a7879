"""Labels without a network: what is usual at a place, and what had a like colour near by.

Letters in this file: P pixels that were learned from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from scipy.spatial import cKDTree

from dlcv.classes import CLASSES
from dlcv.types import ByteImage, FloatArray, LabelledPicture

Labeller = Callable[[ByteImage], ByteImage]
"""A picture ``(H, W, 3)`` RGB to its labels ``(H, W)``."""

_GRID = (64, 48)  # cells of the picture for which the usual class is known
_QUERIES = (128, 96)  # pixels that neighbours are looked for; labels between them are repeated
_PER_PICTURE = 1500  # pixels of each picture that are remembered
_PLACE = 1.0  # weight of the place, as a share of the picture, beside colours in [0, 1]


def usual(pictures: Sequence[LabelledPicture]) -> Labeller:
    """Return a method that answers with the most frequent class of each place, without a look.

    Args:
        pictures: What is learned from.
    """
    counts = np.zeros((len(CLASSES), _GRID[1], _GRID[0]), np.int64)
    for picture in pictures:
        cells = cv2.resize(picture.labels, _GRID, interpolation=cv2.INTER_NEAREST_EXACT)
        for number in range(len(CLASSES)):
            counts[number] += cells == number
    best = counts.argmax(0).astype(np.uint8)
    return lambda image: _enlarged(best, image)


def nearest_neighbours(pictures: Sequence[LabelledPicture], count: int = 5) -> Labeller:
    """Return a method that lets the pixels of most like colour and place vote.

    Args:
        pictures: What is learned from: some pixels of each, the same at each call.
        count: Of neighbours.
    """
    rng = np.random.default_rng(0)
    features, labels = [], []
    for picture in pictures:
        small = cv2.resize(picture.image, _QUERIES, interpolation=cv2.INTER_AREA)
        truth = cv2.resize(picture.labels, _QUERIES, interpolation=cv2.INTER_NEAREST_EXACT).ravel()
        known = np.flatnonzero(truth < len(CLASSES))
        chosen = rng.permutation(known)[:_PER_PICTURE]
        features.append(_features(np.asarray(small, np.uint8))[chosen])
        labels.append(truth[chosen])
    tree, known_labels = cKDTree(np.concatenate(features)), np.concatenate(labels)

    def label(image: ByteImage) -> ByteImage:
        small = cv2.resize(image, _QUERIES, interpolation=cv2.INTER_AREA)
        _, who = tree.query(_features(np.asarray(small, np.uint8)), k=count)
        votes = known_labels[who.reshape(-1, count)]
        tally = (votes[..., None] == np.arange(len(CLASSES))).sum(1)
        found = tally.argmax(1).astype(np.uint8)
        return _enlarged(found.reshape(_QUERIES[::-1]), image)

    return label


def _features(image: ByteImage) -> FloatArray:
    """Return colour and place of each pixel, ``(P, 5)``."""
    height, width = image.shape[:2]
    rows, columns = np.indices((height, width), np.float64)
    place = np.stack((columns / width, rows / height), -1) * _PLACE
    return np.concatenate((image / 255, place), -1).reshape(-1, 5)


def _enlarged(labels: ByteImage, image: ByteImage) -> ByteImage:
    size = image.shape[1], image.shape[0]
    return np.asarray(cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
