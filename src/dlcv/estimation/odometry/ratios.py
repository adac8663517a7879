"""Metres per unit, from what measures metres: depth, wheels, the height over the ground.

One camera sees shapes; its odometry has a unit of its own. Each of these functions compares lengths
in that unit with the same ones in metres, and says how sure the ratio is. The errors that it states
are those that differ from keyframe to keyframe; what a source is always off by belongs to
`dlcv.estimation.odometry.scale`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.ground import Ground
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

_POINTS = 10  # that have a depth, at least
_GATE = 3.0  # standard deviations
_AGREE = 0.4  # share of the lengths that must agree on the ratio
_STEPS = 6
_REST = 0.002  # metres by which wheels move while they stand
_SLIP = 0.02  # of a step, that wheels are off by, each time otherwise
_PATH = 0.2  # metres that wheels must have gone


@dataclass(frozen=True, kw_only=True, slots=True)
class Ratio:
    """Metres per unit.

    Attributes:
        log: Natural logarithm of it.
        stddev: Standard deviation of the logarithm: a share of the ratio.
        support: Lengths that agree on it.
    """

    log: float
    stddev: float
    support: int


def depth_ratio(
    units: FloatArray,
    units_stddev: FloatArray,
    metres: FloatArray,
    metres_stddev: FloatArray,
    least: int = _POINTS,
) -> Ratio | str:
    """Return the ratio of lengths: the line through the origin that most of them lie on.

    Its logarithm is the mean of theirs, weighted by both deviations and by Tukey's function, from
    the weighted median on.

    Args:
        units: ``(N,)`` of landmarks, as depth along z.
        units_stddev: ``(N,)`` of it.
        metres: ``(N,)`` of the same landmarks; what is not finite and positive does not count.
        metres_stddev: ``(N,)`` of it.
        least: Lengths that are needed.

    Returns:
        The ratio, or why there is none, in words for a person.
    """
    with np.errstate(divide='ignore', invalid='ignore'):
        logs = np.log(metres) - np.log(units)
        noise = np.hypot(units_stddev / units, metres_stddev / metres)
    known = np.isfinite(logs) & np.isfinite(noise) & (noise > 0)
    count = int(np.count_nonzero(known))
    if count < least:
        return f'{count} lengths are known in units and in metres; {least} are needed'
    logs, noise = logs[known], noise[known]
    ratio = _weighted_median(logs, 1 / noise)
    wide = max(1.0, 1.4826 * float(np.median(np.abs(logs - ratio) / noise)))  # than is stated
    for _ in range(_STEPS):
        off = (logs - ratio) / (wide * noise)
        weight = np.square(np.clip(1 - np.square(off / _GATE), 0, None)) / noise**2
        ratio = float(weight @ logs / weight.sum())
    support = int(np.count_nonzero(np.abs(logs - ratio) < _GATE * noise))
    if support < max(_AGREE * count, least):
        return f'{support} of {count} lengths agree on a ratio'
    # variance of a weighted mean: sum of (w noise)^2 over the square of the sum of w
    stddev = wide * float(np.sqrt(np.square(weight * noise).sum()) / weight.sum())
    return Ratio(log=ratio, stddev=stddev, support=support)


def wheels_ratio(units: FloatArray, metres: FloatArray) -> Ratio | str:
    """Return the ratio of steps by the odometry and by the wheels.

    Args:
        units: ``(K,)`` lengths of the camera's steps by the odometry.
        metres: ``(K,)`` of the same steps, of the camera, by the wheels. What stands does not
            count.

    Returns:
        The ratio, or why there is none, in words for a person.
    """
    moving = (metres > 2 * _REST) & (units > 0)
    path = float(metres[moving].sum())
    if path < _PATH:
        return f'the wheels went {path:.2f} m; {_PATH:g} are needed'
    ours, theirs = np.asarray(units[moving], np.float64), np.asarray(metres[moving], np.float64)
    return depth_ratio(ours, np.zeros_like(ours), theirs, np.hypot(_REST, _SLIP * theirs), least=1)


def height_ratio(ground: Ground, height: float) -> Ratio:
    """Return the ratio of a camera that is ``height`` metres over the ground."""
    share = ground.stddev / ground.height
    return Ratio(log=float(np.log(height / ground.height)), stddev=share, support=ground.support)


def _weighted_median(values: Matrix, weights: Matrix) -> float:
    order = np.argsort(values)
    share = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(share, share[-1] / 2)])
