"""How good a label map is: intersection over union, accuracy (Long et al., CVPR 2015, section 5).

Letters in this file: H W size in pixels, C classes. Pixels whose truth is `UNLABELLED` count for
nothing. Figures of several pictures are those of the sum of their `confusion`, as is usual: a class
that fills three pixels of one picture would else weigh as much as a road.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.classes import CLASSES, UNLABELLED
from dlcv.metrics.quantity import Quantity
from dlcv.types import ByteImage, FloatArray

_SOURCE = 'Long et al., CVPR 2015, section 5'
QUANTITIES = (
    Quantity(
        name='mean IoU',
        unit='%',
        better='high',
        digits=1,
        doc='intersection over union, mean of the classes that the truth has',
        source=_SOURCE,
    ),
    Quantity(
        name='accuracy',
        unit='%',
        better='high',
        digits=1,
        doc='pixels that have the right class',
        source=_SOURCE,
    ),
    Quantity(
        name='mean accuracy',
        unit='%',
        better='high',
        digits=1,
        doc='the same of each class, mean of the classes that the truth has',
        source=_SOURCE,
    ),
)
"""In the order of the fields of `SegmentationScores`, the shares as per cent."""

Counts = npt.NDArray[np.int64]


class SegmentationMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SegmentationScores:
    """Shares in [0, 1]; NaN where nothing can be said.

    Attributes:
        mean_iou: Mean of ``iou`` over the classes that the truth has.
        accuracy: Share of all pixels that have the right class.
        mean_accuracy: Mean share of a class's pixels that have it.
        iou: ``(C,)`` intersection over union of each class; NaN where the truth has none of it.
    """

    mean_iou: float
    accuracy: float
    mean_accuracy: float
    iou: FloatArray


def no_counts(classes: int = len(CLASSES)) -> Counts:
    """Return what the `confusion` of pictures is added to, ``(C, C + 1)``."""
    return np.zeros((classes, classes + 1), np.int64)


def confusion(labels: ByteImage, truth: ByteImage, classes: int = len(CLASSES)) -> Counts:
    """Return how many pixels of each true class got each answer, ``(C, C + 1)``, rows the truth.

    Args:
        labels: Answers below C, of any shape, or `UNLABELLED` for none: the last column.
        truth: Of the same shape; numbers from C on count for nothing.
        classes: Their number C.

    Raises:
        SegmentationMetricError: If the shapes differ, or an answer that counts is no class.
    """
    if labels.shape != truth.shape:
        raise SegmentationMetricError(
            f'labels and truth must have one shape, got {labels.shape} and {truth.shape}'
        )
    counts = truth < classes
    answers = labels[counts].astype(np.int64)
    answers[answers == UNLABELLED] = classes
    if answers.max(initial=0) > classes:
        raise SegmentationMetricError(
            f'answers must be below {classes}, the number of classes, got {answers.max()}'
        )
    pairs = truth[counts].astype(np.int64) * (classes + 1) + answers
    return np.bincount(pairs, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def scores(counts: Counts) -> SegmentationScores:
    """Return the figures of a sum of `confusion`, ``(C, C + 1)``."""
    right, true, told = counts.diagonal(), counts.sum(1), counts[:, :-1].sum(0)
    with np.errstate(invalid='ignore', divide='ignore'):
        iou = np.where(true > 0, right / (true + told - right), np.nan)
        recall = np.where(true > 0, right / true, np.nan)
        accuracy = float(right.sum() / np.float64(counts.sum()))
    seen = bool((true > 0).any())
    return SegmentationScores(
        mean_iou=float(np.nanmean(iou)) if seen else np.nan,
        accuracy=accuracy,
        mean_accuracy=float(np.nanmean(recall)) if seen else np.nan,
        iou=iou,
    )
