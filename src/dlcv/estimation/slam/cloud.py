"""The landmarks of a growing map, each kept beside the keyframe that saw it last.

So they move with their keyframes when a loop is closed, and none has to be located anew.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.place import PlaceMap
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import moved

Points = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]


class Cloud:
    """Where landmarks are, beside keyframes.

    Args:
        place: The map, whose landmarks so far are taken over.
    """

    def __init__(self, place: PlaceMap) -> None:
        self._names: list[Indices] = [np.empty(0, np.int64)] * len(place)
        self._points: list[Points] = [np.empty((0, 3), np.float32)] * len(place)
        self._take_over(place)

    def add(self, names: Indices, landmarks: npt.NDArray[np.float64], seen: Indices) -> None:
        """Take those of another keyframe.

        Args:
            names: ``(N,)`` rising or not.
            landmarks: ``(N, 3)`` in its axes and unit.
            seen: Names of all that it shows: the keyframe before need not keep them.
        """
        if self._names:
            alone = ~np.isin(self._names[-1], seen)
            self._names[-1] = self._names[-1][alone]
            self._points[-1] = self._points[-1][alone]
        self._names.append(names)
        self._points.append(landmarks.astype(np.float32))

    def leave_out(self, gone: Indices) -> None:
        """Forget those of some keyframes, by their numbers."""
        without = set(gone.tolist())
        stays = [k for k in range(len(self._names)) if k not in without]
        self._names = [self._names[k] for k in stays]
        self._points = [self._points[k] for k in stays]

    def points(self, place: PlaceMap) -> Points:
        """Return ``(L, 3)`` in the map's axes."""
        count = [len(points) for points in self._points]
        which = np.repeat(np.arange(len(count)), count)
        if not len(which):
            return np.empty((0, 3), np.float32)
        points = np.concatenate(self._points) * np.exp(place.log_scale[which])[:, None]
        turned = np.einsum('nij,nj->ni', place.poses[which, :3, :3], points)
        return np.asarray(turned + place.poses[which, :3, 3], np.float32)

    def _take_over(self, place: PlaceMap) -> None:
        marks = place.landmarks
        if not len(marks):
            return
        seen = np.concatenate([one.landmark for one in place.keyframes])
        by = np.repeat(np.arange(len(place)), [len(one) for one in place.keyframes])
        names, last = np.unique(seen[::-1], return_index=True)
        rows, there = marks.rows_of(names)
        names, rows, keyframe = names[there], rows[there], by[::-1][last][there]
        order = np.argsort(keyframe, kind='stable')
        first = np.searchsorted(keyframe[order], np.arange(len(place)))
        for k, own in enumerate(np.split(order, first[1:])):
            beside = moved(inverse(place.poses[k]), marks.points[rows[own]])
            self._names[k] = names[own]
            self._points[k] = (beside / np.exp(place.log_scale[k])).astype(np.float32)
