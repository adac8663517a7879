"""Two ways to understand the first pictures, followed until one explains the later ones better.

Before a plane two motions move all points alike (Longuet-Higgins, "The reconstruction of a plane
surface from two perspective projections", 1986). What is seen later is not.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.step import Step
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.estimation.odometry.view import Points
from dlcv.types import FloatArray

_TRIAL = 10  # pictures for which two are followed; the later ones decide


class Rivals:
    """A tracker, and for a while its rival.

    Attributes:
        tracker: The one that is believed.
        before: ``(4, 4)`` where it was in its window before the last picture.
        changed: Whether the last picture made the rival the one that is believed.
    """

    def __init__(self, tracker: Tracker) -> None:
        self.tracker = tracker
        self.before: npt.NDArray[np.float64] = tracker.pose
        self.changed = False
        self._misfits: list[tuple[float, float]] = []

    def track(self, points: Points, motion: FloatArray | None = None) -> Step:
        """Find the camera of the next picture; see `Tracker.track`."""
        self.changed, self.before = False, self.tracker.pose
        rival = self.tracker.rival
        step = self.tracker.track(points, motion)
        if rival is None:
            return step
        before = rival.pose
        other = rival.track(points, motion)
        if other.state == 'tracking' and step.state == 'tracking':
            self._misfits.append((self.tracker.misfit, rival.misfit))
        if other.state == 'lost':
            self.tracker.rival = None
        elif step.state == 'lost' or len(self._misfits) == _TRIAL:
            self.tracker.rival = None
            last = np.reshape(self._misfits[_TRIAL // 2 :], (-1, 2)).sum(axis=0)  # ours, theirs
            if step.state == 'lost' or last[1] < last[0]:
                rival.succeed(self.tracker)
                self.tracker, self.before, self.changed, step = rival, before, True, other
        return step
