"""How well corners are found whose places are known exactly, as MagicPoint's paper measures it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.floating[Any]]
Detections = tuple[FloatArray, FloatArray]  # xy (N, 2) and scores (N,)

CORRECT_WITHIN = 3.0
"""Pixels from a corner within which a detection is right."""


def corner_average_precision(
    detections: Iterable[Detections],
    corners: Sequence[FloatArray],
    within: float = CORRECT_WITHIN,
) -> float:
    """Return the area under precision over recall as the accepted score falls, in [0, 1].

    All pictures share one ranking. A corner is found by one detection at most, the strongest one in
    reach; a second one is wrong, as are those in pictures without corners. The sum over detections
    of precision times the recall gained (DeTone et al., "Toward Geometric Deep SLAM", 2017,
    appendix B).

    Args:
        detections: Points and scores of each picture, in pixels; more score is more certain.
        corners: ``(M, 2)`` of each picture.
        within: Pixels.

    Returns:
        NaN if there is no corner at all.
    """
    total = sum(map(len, corners))
    if not total:
        return nan
    scores: list[FloatArray] = [np.empty(0)]
    right: list[npt.NDArray[np.bool_]] = [np.empty(0, bool)]
    for (xy, score), truth in zip(detections, corners, strict=True):
        order = np.argsort(-score, kind='stable')
        scores.append(score[order])
        right.append(_claims(xy[order], truth, within))
    ranked = np.concatenate(right)[np.argsort(-np.concatenate(scores), kind='stable')]
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].sum() / total)


def _claims(xy: FloatArray, corners: FloatArray, within: float) -> npt.NDArray[np.bool_]:
    """Tell which detections, strongest first, are the first at a corner."""
    right = np.zeros(len(xy), bool)
    if not len(corners):
        return right
    distance = np.linalg.norm(xy[:, None] - corners[None], axis=2)  # (N, M)
    for i, row in enumerate(distance):
        nearest = int(row.argmin())
        if row[nearest] <= within:
            right[i] = True
            distance[:, nearest] = np.inf
    return right
