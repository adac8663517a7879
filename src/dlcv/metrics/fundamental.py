"""How good a fundamental matrix is, beside the true one, on the matches that it was found in.

Definitions are those of Ranftl and Koltun, "Deep Fundamental Matrix Estimation" (ECCV 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dlcv.geometry.epipolar import epipolar_errors
from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

WITHIN = 1.0
"""Pixels of symmetric epipolar distance within which a match agrees with a matrix."""

_SOURCE = 'Ranftl and Koltun, ECCV 2018'
INLIERS = Quantity(
    name='inliers', unit='%', better='high', digits=2, source=_SOURCE,
    doc=f'matches within {WITHIN:g} px (symmetric epipolar distance) of the matrix found',
)  # fmt: skip
F_SCORE = Quantity(
    name='F-score', unit='%', better='high', digits=2, source=_SOURCE,
    doc='harmonic mean of precision and recall of these, those of the true matrix being right',
)  # fmt: skip
MEAN_ERROR = Quantity(
    name='mean', unit='px', better='low', digits=2, source=_SOURCE,
    doc='mean over pairs of the mean distance of the true inliers to the matrix found',
)  # fmt: skip
MEDIAN_ERROR = Quantity(
    name='median', unit='px', better='low', digits=2, source=_SOURCE,
    doc='median over pairs of the same',
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FundamentalScore:
    """What a matrix did on one pair.

    Attributes:
        inliers: Share of the matches that agree with it.
        f_score: Of these, those that agree with the true matrix being right.
        error: Mean distance of the true inliers to it, in pixels; infinite without a matrix.
    """

    inliers: float
    f_score: float
    error: float


def score(
    first_xy: FloatArray, second_xy: FloatArray, found: FloatArray, true: FloatArray
) -> FundamentalScore | None:
    """Return how good a matrix is; None where no match agrees with the true one.

    Args:
        first_xy: ``(N, 2)`` pixels of the first picture.
        second_xy: ``(N, 2)`` of the second.
        found: ``(3, 3)``, zeros for none.
        true: ``(3, 3)``.
    """
    errors = epipolar_errors(first_xy, second_xy, found)
    agreeing = errors <= WITHIN
    right = epipolar_errors(first_xy, second_xy, true) <= WITHIN
    if not right.any():
        return None
    both = int((agreeing & right).sum())
    return FundamentalScore(
        inliers=float(agreeing.mean()),
        f_score=2 * both / int(agreeing.sum() + right.sum()),
        error=float(errors[right].mean()),
    )


def summary(
    scores: Sequence[FundamentalScore], limit: float
) -> tuple[float | None, float | None, float | None, float | None]:
    """Return inliers (%), F-score (%), mean and median error (px); None of nothing.

    Args:
        scores: Of the pairs.
        limit: An error counts as this at most, in pixels, such as the pictures' diagonal: a pair
            without a matrix would make every mean infinite.
    """
    if not scores:
        return None, None, None, None
    errors = np.minimum([s.error for s in scores], limit)
    return (
        100 * float(np.mean([s.inliers for s in scores])),
        100 * float(np.mean([s.f_score for s in scores])),
        float(errors.mean()),
        float(np.median(errors)),
    )
