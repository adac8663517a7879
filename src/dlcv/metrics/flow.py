"""How good optical flow is: end-point and angular error, outliers, warp error.

Letters in this file: H W size in pixels. Flow is ``(H, W, 2)``, (u right, v down) in pixels; NaN is
unknown, in the truth as in the estimate. A pixel counts where truth and estimate are known and the
mask is true; the counts that come with every mean tell how many did.

Averages over several pairs come in two kinds. Adding `Mean` or `FlowErrors` weighs by pixels, as
the published end-point errors of FlyingChairs and Sintel do, whose pairs are of one size.
`mean_of_pairs` weighs each pair alike.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.types import ByteImage, FloatArray

EPE = Quantity(
    name='EPE', unit='px', better='low', doc='end-point error', source='Otte and Nagel, ECCV 1994'
)
AE = Quantity(
    name='AE',
    unit='deg',
    better='low',
    doc='angular error, that of (u, v, 1)',
    source='Barron et al., IJCV 1994',
)
FL_ALL = Quantity(
    name='Fl-all',
    unit='%',
    better='low',
    digits=2,
    doc='pixels whose error exceeds 3 px and 5 % of the true displacement',
    source='Menze and Geiger, CVPR 2015',
)

Mask = npt.NDArray[np.bool_]

DISPLACEMENTS: tuple[tuple[float, float], ...] = ((0.0, 10.0), (10.0, 40.0), (40.0, inf))
"""Ranges [low, high) of the true displacement in pixels, as in the Sintel benchmark."""

_GREY = np.array((0.299, 0.587, 0.114))  # ITU-R BT.601


class FlowMetricError(ValueError):
    """Arrays that do not fit each other; the message names their shapes."""


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean that can be added to others: ``count`` values whose sum is ``total``.

    Attributes:
        total: Sum of the values.
        count: How many they are.
    """

    total: float = 0.0
    count: int = 0

    @property
    def value(self) -> float:
        """The mean; NaN of nothing."""
        return self.total / self.count if self.count else nan

    def __add__(self, other: Mean) -> Mean:
        return Mean(self.total + other.total, self.count + other.count)


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowErrors:
    """What is wrong with the flow of one pair, or of several: their sum weighs by pixels.

    Attributes:
        epe: End-point error, px.
        angle: Angular error, degrees.
        fl_all: Outliers, percent.
        by_displacement: End-point error within each range of `DISPLACEMENTS`, px.
    """

    epe: Mean = Mean()
    angle: Mean = Mean()
    fl_all: Mean = Mean()
    by_displacement: tuple[Mean, ...] = (Mean(),) * len(DISPLACEMENTS)

    def __add__(self, other: FlowErrors) -> FlowErrors:
        ranges = zip(self.by_displacement, other.by_displacement, strict=True)
        return FlowErrors(
            epe=self.epe + other.epe,
            angle=self.angle + other.angle,
            fl_all=self.fl_all + other.fl_all,
            by_displacement=tuple(a + b for a, b in ranges),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class WarpError:
    """How unlike two pictures are, mean absolute difference in grey levels of 0 to 255.

    Attributes:
        warped: After the second was warped back by the flow.
        unwarped: As they are, over the same pixels.
    """

    warped: Mean = Mean()
    unwarped: Mean = Mean()

    def __add__(self, other: WarpError) -> WarpError:
        return WarpError(warped=self.warped + other.warped, unwarped=self.unwarped + other.unwarped)


def end_point_errors(flow: FloatArray, truth: FloatArray, mask: Mask | None = None) -> FloatArray:
    """Return the distance between estimated and true end of every pixel, px.

    Args:
        flow: ``(H, W, 2)`` the estimate.
        truth: The same of the truth.
        mask: ``(H, W)``; the error is NaN where it is false.

    Returns:
        ``(H, W)`` float64; NaN where either flow is unknown.

    Raises:
        FlowMetricError: The shapes do not fit.
    """
    _expect_fit(flow, truth, mask)
    errors = np.linalg.norm(flow.astype(np.float64) - truth, axis=-1)
    return errors if mask is None else np.where(mask, errors, nan)


def angular_errors(flow: FloatArray, truth: FloatArray, mask: Mask | None = None) -> FloatArray:
    """Return the angle between (u, v, 1) of estimate and truth, degrees.

    That of Barron, Fleet and Beauchemin (IJCV 1994, section 4.1): pixels and one frame span a
    space, in which small and large flows are compared alike. The angle is found from its tangent,
    because an arc cosine near 1 loses half of the digits.

    Args, returns and errors are those of `end_point_errors`.
    """
    _expect_fit(flow, truth, mask)
    u, v = np.moveaxis(flow.astype(np.float64), -1, 0)
    a, b = np.moveaxis(truth.astype(np.float64), -1, 0)
    cross = np.sqrt((v - b) ** 2 + (a - u) ** 2 + (u * b - v * a) ** 2)
    angles = np.degrees(np.arctan2(cross, u * a + v * b + 1))
    return angles if mask is None else np.where(mask, angles, nan)


def outliers(flow: FloatArray, truth: FloatArray, mask: Mask | None = None) -> FloatArray:
    """Return 100 where the end-point error exceeds 3 px and 5 % of the true displacement, else 0.

    The mean is Fl-all in percent (Menze and Geiger, CVPR 2015, section 5.1).

    Args, returns and errors are those of `end_point_errors`.
    """
    errors = end_point_errors(flow, truth, mask)
    far = (errors > 3) & (errors > 0.05 * np.linalg.norm(truth.astype(np.float64), axis=-1))
    return np.where(np.isnan(errors), nan, 100.0 * far)


def fl_all(flow: FloatArray, truth: FloatArray, mask: Mask | None = None) -> float:
    """Return the share of `outliers` in percent; NaN of no pixel."""
    return mean(outliers(flow, truth, mask)).value


def by_displacement(
    flow: FloatArray, truth: FloatArray, mask: Mask | None = None
) -> tuple[Mean, ...]:
    """Return the mean end-point error for true displacements of each range of `DISPLACEMENTS`."""
    errors = end_point_errors(flow, truth, mask)
    lengths = np.linalg.norm(truth.astype(np.float64), axis=-1)
    return tuple(mean(errors[(lengths >= low) & (lengths < high)]) for low, high in DISPLACEMENTS)


def flow_errors(flow: FloatArray, truth: FloatArray, mask: Mask | None = None) -> FlowErrors:
    """Return all means of one pair; see `end_point_errors` for the arguments."""
    return FlowErrors(
        epe=mean(end_point_errors(flow, truth, mask)),
        angle=mean(angular_errors(flow, truth, mask)),
        fl_all=mean(outliers(flow, truth, mask)),
        by_displacement=by_displacement(flow, truth, mask),
    )


def mean(values: FloatArray) -> Mean:
    """Return the mean of those values that are not NaN."""
    known = values[~np.isnan(values)]
    return Mean(float(known.sum()), known.size)


def mean_of_pairs(means: Iterable[Mean]) -> float:
    """Return the average of the pairs' means, each pair alike; those without a pixel are left out.

    NaN of no pair.
    """
    values = [m.value for m in means if m.count]
    return sum(values) / len(values) if values else nan


def warp_error(
    first: ByteImage, second: ByteImage, flow: FloatArray, mask: Mask | None = None
) -> WarpError:
    """Return how well a flow explains two pictures; for pairs without trusted truth.

    The second picture is looked up, bilinearly, where the flow says that the first one's pixels
    went. That what the second picture does not show is compared too, and that one grey level may
    be mistaken for another, makes it a weaker measure than `end_point_errors`.

    Args:
        first: ``(H, W)`` grey or ``(H, W, 3)`` RGB.
        second: The same of the second picture.
        flow: ``(H, W, 2)``; pixels whose flow is unknown or leads out of the second picture do not
            count.
        mask: ``(H, W)``; pixels where it is false do not count.

    Raises:
        FlowMetricError: The shapes do not fit.
    """
    if first.shape != second.shape or flow.shape != (*first.shape[:2], 2):
        raise FlowMetricError(
            f'pictures of {first.shape} and {second.shape} do not fit flow of {flow.shape}'
        )
    _expect_fit(flow, flow, mask)
    a, b = _grey(first), _grey(second)
    height, width = a.shape
    x = np.arange(width, dtype=np.float64) + flow[..., 0]
    y = np.arange(height, dtype=np.float64)[:, None] + flow[..., 1]
    counts = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)  # False for NaN
    if mask is not None:
        counts &= mask
    there = _bilinear(b, x[counts], y[counts])
    return WarpError(
        warped=mean(np.abs(there - a[counts])), unwarped=mean(np.abs(b[counts] - a[counts]))
    )


def _bilinear(image: FloatArray, x: FloatArray, y: FloatArray) -> FloatArray:
    """Return ``image`` at positions inside it; ``cv2.remap`` would round them to 1/32 px."""
    x0 = np.minimum(np.floor(x).astype(np.intp), max(image.shape[1] - 2, 0))
    y0 = np.minimum(np.floor(y).astype(np.intp), max(image.shape[0] - 2, 0))
    x1, y1 = np.minimum(x0 + 1, image.shape[1] - 1), np.minimum(y0 + 1, image.shape[0] - 1)
    p, q = x - x0, y - y0
    upper = image[y0, x0] * (1 - p) + image[y0, x1] * p
    lower = image[y1, x0] * (1 - p) + image[y1, x1] * p
    return np.asarray(upper * (1 - q) + lower * q)


def _grey(image: ByteImage) -> FloatArray:
    return np.asarray(image.astype(np.float64) if image.ndim == 2 else image @ _GREY)


def _expect_fit(flow: FloatArray, truth: FloatArray, mask: Mask | None) -> None:
    if flow.ndim != 3 or flow.shape[2] != 2 or flow.shape != truth.shape:
        raise FlowMetricError(
            f'flow of {flow.shape} and truth of {truth.shape} are not both (H, W, 2)'
        )
    if mask is not None and mask.shape != flow.shape[:2]:
        raise FlowMetricError(f'a mask of {mask.shape} does not fit flow of {flow.shape}')
