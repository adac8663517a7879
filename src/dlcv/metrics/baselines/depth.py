"""Depth without a network."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dlcv.types import FloatArray


def mean_depth(truths: Iterable[FloatArray], nearest: float, farthest: float) -> float:
    """Return the mean of all true depths between two caps, in metres; NaN where there is none.

    What the predictor answers that has never seen a picture: the first row of the tables of
    monodepth's paper, which takes it from the training set.

    Args:
        truths: Each ``(H, W)`` metres; NaN is unknown.
        nearest: Metres.
        farthest: Metres.
    """
    total, count = 0.0, 0
    for truth in truths:
        with np.errstate(invalid='ignore'):
            known = truth[(truth > nearest) & (truth < farthest)]
        total, count = total + float(known.sum(dtype=np.float64)), count + known.size
    return total / count if count else float('nan')
