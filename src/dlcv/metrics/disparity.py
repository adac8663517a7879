"""How good stereo disparity is: end-point error, bad pixels, outliers of KITTI, density.

Letters in this file: H W size in pixels. Disparity is ``(H, W)`` in pixels of the left picture;
NaN is unknown. An unknown answer has no end-point error, yet it counts as bad and as an outlier:
a method that stays silent where it is hard gains nothing by it.

Figures of several pictures are means of the pictures' figures (`mean_of_pictures`), not of pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

_MIDDLEBURY = 'Scharstein and Szeliski, IJCV 2002'
QUANTITIES = (
    Quantity(
        name='EPE', unit='px', better='low', doc='mean error of answered pixels', source=_MIDDLEBURY
    ),
    *(
        Quantity(
            name=f'bad-{limit}',
            unit='%',
            better='low',
            digits=2,
            doc=f'pixels off by more than {limit} px, or not answered',
            source=_MIDDLEBURY,
        )
        for limit in (1, 2, 3)
    ),
    Quantity(
        name='D1',
        unit='%',
        better='low',
        digits=2,
        doc='pixels off by more than 3 px and 5 % of the truth, or not answered',
        source='Menze and Geiger, CVPR 2015',
    ),
    Quantity(name='density', unit='%', better='high', digits=1, doc='pixels that are answered'),
)
"""In the order of the fields of `DisparityErrors`."""

Mask = npt.NDArray[np.bool_]


class DisparityMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DisparityErrors:
    """What is wrong with the disparity of a picture; NaN where nothing can be said.

    Attributes:
        epe: Mean absolute error of what is answered, px.
        bad_1: Share of pixels off by more than one pixel, or unanswered, percent.
        bad_2: The same of two pixels.
        bad_3: The same of three.
        d1: Share off by more than three pixels and a twentieth of the truth, or unanswered.
        density: Share that is answered.
    """

    epe: float
    bad_1: float
    bad_2: float
    bad_3: float
    d1: float
    density: float

    def figures(self) -> tuple[float, ...]:
        """Return the figures in the order of `QUANTITIES`."""
        return tuple(getattr(self, field.name) for field in fields(self))


def disparity_errors(
    disparity: FloatArray, truth: FloatArray, mask: Mask | None = None
) -> DisparityErrors:
    """Compare a disparity with the truth.

    Args:
        disparity: ``(H, W)`` the answer, pixels; NaN where there is none.
        truth: ``(H, W)`` pixels; what is not finite does not count.
        mask: ``(H, W)``: what counts, such as what both cameras see; all by default.

    Raises:
        DisparityMetricError: The shapes differ.
    """
    for name, array in (('truth', truth), ('mask', mask)):
        if array is not None and array.shape != disparity.shape:
            raise DisparityMetricError(
                f'disparity has the shape {disparity.shape} and {name} {array.shape}'
            )
    counted = np.isfinite(truth) if mask is None else np.isfinite(truth) & mask
    if not counted.any():
        return DisparityErrors(**dict.fromkeys((f.name for f in fields(DisparityErrors)), np.nan))
    true = truth[counted].astype(np.float64)
    error = np.abs(disparity[counted] - true)
    answered = np.isfinite(error)
    error = np.where(answered, error, np.inf)
    outlier = (error > 3) & (error > 0.05 * np.abs(true))
    return DisparityErrors(
        epe=float(error[answered].mean()) if answered.any() else np.nan,
        bad_1=_percent(error > 1),
        bad_2=_percent(error > 2),
        bad_3=_percent(error > 3),
        d1=_percent(outlier),
        density=_percent(answered),
    )


def mean_of_pictures(errors: Sequence[DisparityErrors]) -> DisparityErrors:
    """Return the mean of each figure over pictures, those without one left out."""
    table = np.array([one.figures() for one in errors], np.float64)
    if not len(table):
        table = np.full((1, len(fields(DisparityErrors))), np.nan)
    known = np.isfinite(table)
    sums, counts = np.where(known, table, 0).sum(0), known.sum(0)
    means = np.divide(sums, counts, out=np.full(table.shape[1], np.nan), where=counts > 0)
    names = [field.name for field in fields(DisparityErrors)]
    return DisparityErrors(**dict(zip(names, map(float, means), strict=True)))


def _percent(true: Mask) -> float:
    return 100 * float(true.mean())
