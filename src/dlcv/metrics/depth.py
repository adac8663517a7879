"""How good depth is: the seven figures of Eigen et al. (NIPS 2014), with the usual crops and caps.

Letters in this file: H W size in pixels. Depth is ``(H, W)`` metres; NaN is unknown. A pixel counts
where the truth lies between the caps and within the crop, and the estimate is known. The estimate
is clamped to the caps, as the published evaluations do, and infinite ones with it.

Figures of several pictures are means of the pictures' figures (`mean_of_pictures`), not of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import inf, nan
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

_EIGEN = 'Eigen et al., NIPS 2014'
QUANTITIES = (
    Quantity(name='Abs Rel', better='low', doc='mean of |d - d*| / d*', source=_EIGEN),
    Quantity(name='Sq Rel', unit='m', better='low', doc='mean of (d - d*)^2 / d*', source=_EIGEN),
    Quantity(
        name='RMSE', unit='m', better='low', doc='root of the mean square error', source=_EIGEN
    ),
    Quantity(name='RMSE log', better='low', doc='the same of natural logarithms', source=_EIGEN),
    Quantity(
        name='<1.25',
        better='high',
        doc='share of pixels with max(d / d*, d* / d) below 1.25',
        source=_EIGEN,
    ),
    Quantity(name='<1.25^2', better='high', doc='the same below 1.25^2', source=_EIGEN),
    Quantity(name='<1.25^3', better='high', doc='the same below 1.25^3', source=_EIGEN),
)
"""The seven, see `DepthErrors.figures`."""

Mask = npt.NDArray[np.bool_]
Crop = Literal['none', 'garg', 'eigen']

CROPS: dict[Crop, tuple[float, float, float, float]] = {
    'none': (0.0, 1.0, 0.0, 1.0),
    'garg': (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    'eigen': (0.3324324, 0.91351351, 0.0359477, 0.96405229),
}
"""Share of the rows and columns that count: top, bottom, left, right. KITTI's, whose upper part has
no LiDAR (Garg et al., ECCV 2016; Eigen et al.)."""


class DepthMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthCaps:
    """What counts.

    Attributes:
        nearest: Least true depth in metres.
        farthest: Greatest true depth in metres; 80 and 50 are usual for driving.
        crop: Part of the picture; see `CROPS`.
    """

    nearest: float = 1e-3
    farthest: float = 80.0
    crop: Crop = 'none'

    def __post_init__(self) -> None:
        if not 0 < self.nearest < self.farthest:
            raise DepthMetricError(
                f'caps need 0 < nearest < farthest, got {self.nearest} and {self.farthest}'
            )
        if self.crop not in CROPS:
            raise DepthMetricError(f'no crop {self.crop!r}; there are {", ".join(CROPS)}')


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthErrors:
    """What is wrong with the depth of one picture, or on average of several.

    Attributes:
        abs_rel: Mean of ``|d - d*| / d*``.
        sq_rel: Mean of ``(d - d*)^2 / d*``, m.
        rmse: Root of the mean of ``(d - d*)^2``, m.
        rmse_log: The same of natural logarithms.
        a1: Share of pixels with ``max(d / d*, d* / d) < 1.25``.
        a2: The same below 1.25^2.
        a3: The same below 1.25^3.
        scale: What the estimate was multiplied with; 1 without median scaling.
        pixels: How many pixels counted; 0 makes all figures NaN.
    """

    abs_rel: float = nan
    sq_rel: float = nan
    rmse: float = nan
    rmse_log: float = nan
    a1: float = nan
    a2: float = nan
    a3: float = nan
    scale: float = nan
    pixels: int = 0

    @property
    def figures(self) -> tuple[float, ...]:
        """The seven, in the order of `QUANTITIES`."""
        return (
            self.abs_rel, self.sq_rel, self.rmse, self.rmse_log, self.a1, self.a2, self.a3,
        )  # fmt: skip


def depth_errors(
    depth: FloatArray,
    truth: FloatArray,
    caps: DepthCaps | None = None,
    *,
    median_scaling: bool = False,
) -> DepthErrors:
    """Compare one picture's depth with the truth.

    Args:
        depth: ``(H, W)`` metres, or in any unit with median scaling.
        truth: ``(H, W)`` metres.
        caps: What counts; by default everything up to 80 m.
        median_scaling: Whether the estimate is multiplied with the ratio of the medians first, as
            is usual for networks that cannot know the unit (Zhou et al., CVPR 2017). Nothing counts
            where the median of the estimate is not positive and finite, or of a single pixel.

    Raises:
        DepthMetricError: If the sizes differ.
    """
    caps = caps or DepthCaps()
    if depth.ndim != 2 or depth.shape != truth.shape:
        raise DepthMetricError(
            f'expected depth and truth (H, W) of one size, got {depth.shape} and {truth.shape}'
        )
    counts = _counting(truth, caps) & ~np.isnan(depth)
    if not counts.any():
        return DepthErrors()
    true, found = truth[counts].astype(np.float64), depth[counts].astype(np.float64)
    scale = 1.0
    if median_scaling:
        if len(true) < 2:  # one pixel scaled to itself is right, whatever it was
            return DepthErrors()
        middle = float(np.median(found))
        if not 0 < middle < inf:  # half of the picture, or more, is endlessly far or nowhere
            return DepthErrors()
        scale = float(np.median(true)) / middle
    found = np.clip(found * scale, caps.nearest, caps.farthest)
    difference, ratio = found - true, np.maximum(found / true, true / found)
    return DepthErrors(
        abs_rel=float(np.mean(np.abs(difference) / true)),
        sq_rel=float(np.mean(difference**2 / true)),
        rmse=float(np.sqrt(np.mean(difference**2))),
        rmse_log=float(np.sqrt(np.mean((np.log(found) - np.log(true)) ** 2))),
        a1=float(np.mean(ratio < 1.25)),
        a2=float(np.mean(ratio < 1.25**2)),
        a3=float(np.mean(ratio < 1.25**3)),
        scale=scale,
        pixels=len(true),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Sparsification:
    """How well a confidence tells good pixels from bad ones (Ilg et al., ECCV 2018, section 4).

    Pixels are left out, the least sure first, and the mean of ``|d - d*| / d*`` of those that are
    left is followed, in units of the mean of all. An oracle leaves out the worst first.

    Attributes:
        above_oracle: Area between the curve and the oracle's (AUSE): 0 is perfect.
        below_random: Area between 1 and the curve (AURG): 0 is as good as chance, below is worse.
    """

    above_oracle: float = nan
    below_random: float = nan


def sparsification(
    depth: FloatArray, truth: FloatArray, confidence: FloatArray, caps: DepthCaps | None = None
) -> Sparsification:
    """Compare the order of a picture's confidences with that of its errors.

    Args:
        depth: ``(H, W)`` metres.
        truth: ``(H, W)`` metres.
        confidence: ``(H, W)``, the higher the surer, in any unit.
        caps: What counts; by default everything up to 80 m.

    Returns:
        Both areas; NaN where nothing counts or nothing is wrong.

    Raises:
        DepthMetricError: If the sizes differ.
    """
    caps = caps or DepthCaps()
    if not depth.shape == truth.shape == confidence.shape or depth.ndim != 2:
        raise DepthMetricError(
            f'expected depth, truth and confidence (H, W) of one size, got {depth.shape}, '
            f'{truth.shape} and {confidence.shape}'
        )
    counts = _counting(truth, caps) & ~np.isnan(depth) & ~np.isnan(confidence)
    true = truth[counts].astype(np.float64)
    found = depth[counts].astype(np.float64).clip(caps.nearest, caps.farthest)
    error = np.abs(found - true) / true
    if not error.size or not error.any():
        return Sparsification()
    by_confidence = error[np.argsort(-confidence[counts], kind='stable')]
    curve, oracle = (_means_of_rest(row) for row in (by_confidence, np.sort(error)))
    return Sparsification(
        above_oracle=float(np.mean(curve - oracle) / error.mean()),
        below_random=float(1 - np.mean(curve) / error.mean()),
    )


def _means_of_rest(errors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the means of the first 100 %, 99 %, ... 1 % of a row."""
    left = np.ceil(len(errors) * np.arange(1, 101) / 100).astype(int)
    means: npt.NDArray[np.float64] = np.cumsum(errors)[left - 1] / left
    return means


def mean_of_pictures(errors: Sequence[DepthErrors]) -> DepthErrors:
    """Return the means of the pictures' figures, of those in which anything counted."""
    known = [error for error in errors if error.pixels]
    if not known:
        return DepthErrors()
    means = {
        field.name: float(np.mean([getattr(error, field.name) for error in known]))
        for field in fields(DepthErrors)
        if field.name != 'pixels'
    }
    return DepthErrors(**means, pixels=sum(error.pixels for error in known))


def _counting(truth: FloatArray, caps: DepthCaps) -> Mask:
    height, width = truth.shape
    top, bottom, left, right = CROPS[caps.crop]
    inside = np.zeros(truth.shape, np.bool_)
    inside[int(top * height) : int(bottom * height), int(left * width) : int(right * width)] = True
    with np.errstate(invalid='ignore'):  # unknown truth
        return np.asarray(inside & (truth > caps.nearest) & (truth < caps.farthest), np.bool_)
