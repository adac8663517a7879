"""How certain it is where the newest keyframe of a map is, without solving the map for it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded
from dlcv.estimation.slam.place import Edge, PlaceMap
from dlcv.geometry.trajectory import scaled

Matrix = npt.NDArray[np.float64]


class Certainty:
    """Adds up what steps state since the last solution that said it of a keyframe.

    Attributes:
        covariance: ``(6, 6)`` of the newest keyframe in the map's axes, given the first.
    """

    def __init__(self) -> None:
        self.begin(np.zeros((6, 6)))

    def begin(self, covariance: Matrix) -> None:
        """Start with a keyframe that is so certain."""
        self.covariance = covariance
        self._steps: list[Edge] = []

    def step(self, place: PlaceMap, edge: Edge) -> None:
        """Go on to the next keyframe."""
        self._steps.append(edge)
        self._go(place, edge)

    def know(self, place: PlaceMap, keyframe: int, covariance: Matrix) -> None:
        """Take what a solution said of a keyframe; those that came since are less certain."""
        self.covariance = covariance
        self._steps = [edge for edge in self._steps if edge.older >= keyframe]
        for edge in self._steps:
            self._go(place, edge)

    def forget_numbers(self) -> None:
        """Take note that keyframes have other numbers now."""
        self._steps = []

    def _go(self, place: PlaceMap, edge: Edge) -> None:
        unit = np.exp(place.log_scale[edge.older])
        lengths = np.repeat((unit, 1.0), 3)
        spread = edge.covariance[:6, :6] * np.outer(lengths, lengths)
        motion = scaled(edge.motion, unit)
        pose = place.poses[edge.older]
        _, self.covariance = compounded(pose, self.covariance, motion, spread)
