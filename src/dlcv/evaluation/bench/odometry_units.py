"""Ways whose unit of length is not the metre: one common factor for each continuous part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isfinite

import numpy as np
import numpy.typing as npt

from dlcv.evaluation.bench.odometry_followers import LOST
from dlcv.metrics.trajectory import Alignment, PosePairs, align, degenerate
from dlcv.types import FloatArray

_ALIGNED: tuple[Alignment, ...] = ('sim3', 'scale')  # the first that the poses decide


def pairs_of(estimate: FloatArray, truth: FloatArray) -> PosePairs:
    """Return pairs of poses ``(T, 4, 4)`` of the same views."""
    stamps: npt.NDArray[np.int64] = np.arange(len(truth), dtype=np.int64)
    return PosePairs(stamps_ns=stamps, estimate=estimate, truth=truth)


def units_of(pairs: PosePairs, parts: Sequence[int]) -> dict[int, float]:
    """Return the best metres per unit of each part; 1 where it or the truth has none.

    Args:
        pairs: Of a way.
        parts: Of every pose, which part it belongs to; `LOST` for none.
    """
    number = np.array(parts)
    return {
        int(part): _unit(pairs_of(pairs.estimate[number == part], pairs.truth[number == part]))
        for part in np.unique(number[number != LOST])
    }


def in_metres(pairs: PosePairs, parts: Sequence[int]) -> PosePairs:
    """Return the pairs with every motion of the estimate in the best unit of its part.

    Args:
        pairs: See `units_of`.
        parts: See `units_of`.
    """
    units = units_of(pairs, parts)
    scale = np.array([units.get(part, 1.0) for part in parts])
    scaled = pairs.estimate.copy()
    shifts = scale[1:, None] * np.diff(pairs.estimate[:, :3, 3], axis=0)
    scaled[1:, :3, 3] = scaled[0, :3, 3] + np.cumsum(shifts, axis=0)
    return replace(pairs, estimate=scaled)


def _unit(pairs: PosePairs) -> float:
    if not np.ptp(pairs.estimate[:, :3, 3], axis=0).any():
        return 1.0
    for alignment in _ALIGNED:
        if not degenerate(pairs, alignment):
            unit = align(pairs, alignment).scale
            return unit if unit > 0 and isfinite(unit) else 1.0
    return 1.0
