"""How good poses in a map are: shares within bounds, medians, and answers from elsewhere.

A pose is off by so many metres, the distance of the two cameras' centres, and by so many degrees,
the angle between their axes; the shares within 5 cm and 5 degrees are those of the 7-Scenes
benchmark (Shotton et al., CVPR 2013). A frame without an answer is within no bounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf, nan

import numpy as np
import numpy.typing as npt

from dlcv.metrics.quantity import Quantity
from dlcv.metrics.trajectory import rotation_degrees
from dlcv.types import FloatArray

BOUNDS = ((0.05, 5.0), (0.10, 10.0), (0.02, 2.0))
"""Metres and degrees of the usual shares, the most usual first."""


_SHOTTON = 'Shotton et al., CVPR 2013'
MEDIAN = Quantity(
    name='median distance',
    unit='m',
    better='low',
    doc='how far positions are off; frames without an answer are off without end',
    source=_SHOTTON,
)
MEDIAN_TURN = Quantity(
    name='median turn', unit='deg', better='low', doc='the same of the axes', source=_SHOTTON
)
ANSWERED = Quantity(
    name='answered', unit='%', digits=1, doc='frames with a pose that could be believed'
)
FALSE_ACCEPTS = Quantity(
    name='false accepts',
    unit='%',
    better='low',
    digits=1,
    doc='frames of another place with a pose that could be believed',
)


def within(metres: float, degrees: float) -> Quantity:
    """Return the share of frames within a bound."""
    return Quantity(
        name=bound_name(metres, degrees),
        unit='%',
        better='high',
        digits=1,
        doc='frames whose pose is off by less, of all',
        source=_SHOTTON,
    )


class RelocalizationMetricError(ValueError):
    """Poses that cannot be compared; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Relocalizations:
    """How far the poses of a walk are off.

    Attributes:
        metres: ``(N,)`` of each frame; infinite without an answer.
        degrees: ``(N,)`` of each frame; infinite without an answer.
    """

    metres: FloatArray
    degrees: FloatArray

    @property
    def answered(self) -> float:
        """Share of frames with an answer; NaN of no frames."""
        return _share(np.isfinite(self.metres))

    def inside(self, metres: float, degrees: float) -> npt.NDArray[np.bool_]:
        """Return which frames are off by less, ``(N,)``."""
        return np.asarray((self.metres < metres) & (self.degrees < degrees))

    def within(self, metres: float, degrees: float) -> float:
        """Return the share of all frames that are off by less; NaN of no frames."""
        return _share(self.inside(metres, degrees))

    @property
    def medians(self) -> tuple[float, float]:
        """Median metres and degrees of all frames; infinite if most have no answer."""
        if not len(self.metres):
            return nan, nan
        return float(np.median(self.metres)), float(np.median(self.degrees))


def bound_name(metres: float, degrees: float) -> str:
    """Return how a bound is written, such as ``5 cm, 5 deg``."""
    return f'{100 * metres:g} cm, {degrees:g} deg'


def relocalizations(
    found: Sequence[FloatArray | None], truth: Sequence[FloatArray]
) -> Relocalizations:
    """Compare poses in a map with the true ones.

    Args:
        found: ``map_from_camera`` ``(4, 4)`` of each frame, None where it was rejected.
        truth: The true poses.

    Raises:
        RelocalizationMetricError: If there are not as many of each.
    """
    if len(found) != len(truth):
        raise RelocalizationMetricError(f'{len(found)} answers for {len(truth)} true poses')
    metres, degrees = np.full(len(truth), inf), np.full(len(truth), inf)
    for index, (pose, true) in enumerate(zip(found, truth, strict=True)):
        if pose is None:
            continue
        metres[index] = np.linalg.norm(pose[:3, 3] - true[:3, 3])
        degrees[index] = rotation_degrees((np.linalg.inv(true) @ pose)[None])[0]
    return Relocalizations(metres=metres, degrees=degrees)


def false_accepts(found: Sequence[FloatArray | None]) -> float:
    """Return the share of frames from another place that got a pose; NaN of no frames."""
    return _share(np.array([pose is not None for pose in found], np.bool_))


def _share(counts: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(counts)) if len(counts) else nan
