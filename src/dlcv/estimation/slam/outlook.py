"""When a picture is to become a keyframe: what the newest one shows is gone, or elsewhere."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.loops import around
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.points import in_camera, located, rays_of
from dlcv.types import Camera

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_GUESS = 5.0  # metres that points are away of which nothing is known


class Outlook:
    """Points before the newest keyframe.

    Args:
        overlap: Share of them that the next one still shows.
        shift: Share of the picture's width that they move from one to the next.

    Attributes:
        names: ``(N,)`` of the landmarks among them.
        landmarks: ``(N, 3)`` where these are, in the keyframe's axes and unit.
    """

    def __init__(self, overlap: float, shift: float) -> None:
        self.overlap, self.shift = overlap, shift
        self.clear()

    def clear(self) -> None:
        """Forget the keyframe."""
        self._points: Matrix = np.empty((0, 3))
        self.names: Indices = np.empty(0, np.int64)
        self.landmarks: Matrix = np.empty((0, 3))

    def show(self, place: PlaceMap, newest: int) -> None:
        """Remember what is before the newest keyframe."""
        frame = place.keyframes[newest]
        near = around(place, newest)
        marks = located(place, near, frame.landmark[frame.landmark >= 0])
        rows, there = marks.rows_of(frame.landmark)
        pose, unit = place.poses[newest], float(place.log_scale[newest])
        points, _ = in_camera(marks, rows[there], pose, unit)
        ahead = points[:, 2] > 0
        points = points[ahead]
        self.names, self.landmarks = frame.landmark[there][ahead], points
        guess = float(np.median(points[:, 2])) if len(points) else _GUESS
        rest = np.column_stack((rays_of(frame)[~there], np.ones(int((~there).sum()))))
        self._points = np.concatenate((points, guess * rest))

    def due(self, since: Matrix, camera: Camera) -> bool:
        """Whether much of it is gone or elsewhere in the picture.

        Args:
            since: ``(4, 4)`` keyframe_from_camera.
            camera: Of both.
        """
        if not len(self._points):
            return False
        seen = (self._points - since[:3, 3]) @ since[:3, :3]
        ahead = seen[:, 2] > 0
        xy = seen[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None]
        limits = np.array((camera.width / camera.fx, camera.height / camera.fy)) / 2
        inside = ahead & (np.abs(xy) < limits).all(axis=1)
        if inside.mean() < self.overlap:
            return True
        before = self._points[:, :2] / self._points[:, 2:]
        moved = np.median(np.linalg.norm(xy - before, axis=1)[inside])
        return bool(moved * camera.focal > self.shift * camera.width)
