"""Boxes without a network: histograms of gradients, in windows that slide over the picture.

Letters in this file: N boxes, K kinds, D numbers of a descriptor, W windows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import cv2
import numpy as np

from dlcv.geometry.boxes import strongest
from dlcv.metrics.detection import MOST, wanted
from dlcv.things import KIND_NUMBER, KINDS
from dlcv.types import BoxedPicture, ByteImage, FloatArray

Found = tuple[FloatArray, ByteImage, FloatArray]
"""Boxes ``(N, 4)``, kinds ``(N,)`` and scores ``(N,)``, whose order counts alone."""

Detector = Callable[[ByteImage], Found]
"""A picture ``(H, W, 3)`` RGB to what is found in it."""

_SIDE, _STEP = 48, 16  # pixels that a window is brought to, and from one window to the next there
_AREAS, _ASPECTS = 4, 3  # of windows
_REMEMBERED = 400  # windows of each picture of the lesson that are the background
_RIDGE = 0.01  # added to the variances, of [0, 1] by nature
_OVERLAP = 0.3  # of two boxes of a kind that are both kept
_PEOPLE_SIDE = 640  # longer side of a picture in which people are looked for
_PERSON = np.array([0.16, 0.06, 0.84, 0.94], np.float32)  # of a window, where somebody stands in it


def people() -> Detector:
    """Return the detector of people that OpenCV comes with (Dalal and Triggs, CVPR 2005)."""
    hog = cv2.HOGDescriptor()
    hog.setSVMDetector(np.asarray(cv2.HOGDescriptor.getDefaultPeopleDetector(), np.float32))

    def find(image: ByteImage) -> Found:
        scale = max(1.0, _PEOPLE_SIDE / max(image.shape[:2]))
        large = cv2.resize(image, None, fx=scale, fy=scale)
        windows, weights = hog.detectMultiScale(large, winStride=(8, 8), scale=1.05)
        place = np.asarray(windows, np.float32).reshape(-1, 4)
        box = (place[:, [0, 1, 0, 1]] + place[:, [2, 3, 2, 3]] * _PERSON) / scale - 0.5
        score = np.asarray(weights, np.float32).reshape(-1)
        return box.astype(np.float32), np.full(len(box), KIND_NUMBER['person'], np.uint8), score

    return find


def gradients_lda(pictures: Sequence[BoxedPicture]) -> Detector:
    """Return a detector of all kinds: linear discriminants of histograms of gradients.

    What the background looks like, its mean and covariance, is learned once from windows anywhere;
    a kind is then told by the mean of its boxes alone (Hariharan et al., ECCV 2012).

    Args:
        pictures: What is learned from.
    """
    hog = cv2.HOGDescriptor((_SIDE, _SIDE), (16, 16), (8, 8), (8, 8), 9)
    shapes = _shapes(pictures)
    rng = np.random.default_rng(0)
    background: list[FloatArray] = []
    boxes: list[list[FloatArray]] = [[] for _ in KINDS]
    for picture in pictures:
        looks = np.concatenate([_windows(hog, picture.image, shape)[1] for shape in shapes])
        background.append(looks[rng.permutation(len(looks))[:_REMEMBERED]])
        seen = picture.objects
        for i in np.flatnonzero(wanted(seen)):
            boxes[seen.kind[i]] += _looks(hog, picture.image, seen.box[i])
    every = np.concatenate(background)
    mean = every.mean(0)
    spread = np.cov(every, rowvar=False) + _RIDGE * np.eye(every.shape[1])
    kinds = np.array([kind for kind, looks in enumerate(boxes) if looks], np.uint8)
    means = np.stack([np.mean(boxes[kind], 0) for kind in kinds])
    weights = np.linalg.solve(spread, (means - mean).T).astype(np.float32)  # (D, K)
    offsets = (((means + mean) / 2) * weights.T).sum(1).astype(np.float32)
    return partial(_find, hog, shapes, kinds, weights, offsets)


def _find(
    hog: cv2.HOGDescriptor,
    shapes: FloatArray,
    kinds: ByteImage,
    weights: FloatArray,
    offsets: FloatArray,
    image: ByteImage,
) -> Found:
    boxes, scores = [], []
    for shape in shapes:
        place, looks = _windows(hog, image, shape)
        boxes.append(place)
        scores.append(looks @ weights - offsets)
    place, score = np.concatenate(boxes), np.concatenate(scores)
    best = np.argsort(-score, 0)[: 3 * MOST]  # (3 MOST, K)
    found = [(place[who], score[who, k]) for k, who in enumerate(best.T)]
    kept = [strongest(box, s, np.zeros(len(s), np.int64), _OVERLAP)[:MOST] for box, s in found]
    return (
        np.concatenate([box[left] for (box, _), left in zip(found, kept, strict=True)]),
        np.repeat(kinds, [len(left) for left in kept]),
        np.concatenate([s[left] for (_, s), left in zip(found, kept, strict=True)]),
    )


def _shapes(pictures: Sequence[BoxedPicture]) -> FloatArray:
    """Return widths and heights of windows that suit the things of pictures, pixels.

    They are the middle ones of things of like area and, among these, of like aspect.
    """
    sides = []
    for picture in pictures:
        seen = picture.objects
        box = seen.box[wanted(seen)]
        sides.append(box[:, 2:] - box[:, :2])
    known = np.concatenate(sides)
    alike = np.array_split(known[np.argsort(known.prod(1))], _AREAS)
    groups = [
        part
        for one in alike
        for part in np.array_split(one[np.argsort(one[:, 0] / one[:, 1])], _ASPECTS)
    ]
    return np.stack([np.median(part, 0) for part in groups if len(part)])


def _windows(
    hog: cv2.HOGDescriptor, image: ByteImage, shape: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the windows of a shape that lie in a picture, ``(W, 4)``, and their looks ``(W, D)``.

    The picture is stretched, so that each becomes a square.
    """
    height, width = image.shape[:2]
    size = np.maximum(np.rint(_SIDE * np.array([width, height]) / shape), _SIDE).astype(int)
    stretched = cv2.resize(image, size.tolist(), interpolation=cv2.INTER_AREA)
    looks = np.asarray(hog.compute(stretched, winStride=(_STEP, _STEP)), np.float32)
    columns, rows = ((side - _SIDE) // _STEP + 1 for side in size)
    row, column = np.divmod(np.arange(rows * columns), columns)
    corner = np.stack((column, row), 1) * _STEP
    scale = np.array([width, height]) / size
    place = np.concatenate((corner, corner + _SIDE), 1) * np.tile(scale, 2) - 0.5
    return place.astype(np.float32), looks.reshape(len(place), -1)


def _looks(hog: cv2.HOGDescriptor, image: ByteImage, box: FloatArray) -> list[FloatArray]:
    """Return what a box and its mirror image look like, ``(D,)`` each."""
    left, top, right, bottom = np.rint(box + 0.5).astype(int)
    square = cv2.resize(image[top:bottom, left:right], (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    mirrored = np.ascontiguousarray(square[:, ::-1])
    return [np.asarray(hog.compute(one)).reshape(-1) for one in (square, mirrored)]
