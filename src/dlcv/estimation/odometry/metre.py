"""What makes metres of the window's unit: measured depths in it, or ratios of lengths beside it.

A stereo pair and a depth camera measure the depth of many points: their metre becomes the unit of
the window. What says less - wheels, the height over the ground, a network's depth - is compared
with it from keyframe to keyframe.
"""

from __future__ import annotations

from collections import deque
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.ground import Ground, combined, ground_of_points, up_of_motion
from dlcv.estimation.odometry.ratios import Ratio, depth_ratio, height_ratio, wheels_ratio
from dlcv.estimation.odometry.resection import FEWEST
from dlcv.estimation.odometry.road import ground_of_views
from dlcv.estimation.odometry.scale import TRUST, ScaleFilter, ScaleSource
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.estimation.odometry.view import Points
from dlcv.types import Camera, DepthMap, FloatArray

Matrix = npt.NDArray[np.float64]

METRIC: tuple[ScaleSource, ...] = ('stereo', 'depth')
"""Sources whose metre becomes the unit of the window."""

_DEPTH = 0.01, 0.002  # standard deviation of a depth camera: share of the depth, and of its square
_NETWORK = 0.25  # the same of a network
_EVEN = 0.3  # of the depth, that its neighbours may differ by
_FAR = 40.0  # metres beyond which a network's depth is not compared
_STEPS = 20  # pictures over which wheels are compared
_EXACT = 1e-3  # standard deviation of the ratio of a unit that is the source's metre already
_MOVES = 0.007  # of the depth around it, that a camera must have moved to show the ground


class Metre:
    """The metres per unit of a window, from whatever measures them.

    Args:
        choice: What they come from; ``auto`` for the best that arrives.
        height: Of the camera over the ground, metres; 0 where it is not known.

    Attributes:
        filter: What is known of them.
        metric: The source whose metre is the unit of the window; ``none`` for none.
    """

    def __init__(self, choice: Literal['auto'] | ScaleSource, height: float) -> None:
        self.filter = ScaleFilter(choice)
        self.metric: ScaleSource = 'none'
        self._choice, self._height = choice, height
        self._steps: deque[tuple[float, float]] = deque(maxlen=_STEPS)

    def begin(self, points: Points) -> bool:
        """Take note that a window begins; return whether its unit is the metre."""
        self._steps.clear()
        self.metric = 'none'
        counted = np.count_nonzero(np.isfinite(points.inverse_depth))
        if points.source in METRIC and self.allowed(points.source) and counted >= FEWEST:
            self.metric = points.source
            self.filter.rescale(1 / self.filter.scale)
            self.filter.measure(self.metric, 0.0, _EXACT, points.stamp_ns)
        return self.metric != 'none'

    def allowed(self, source: ScaleSource) -> bool:
        """Whether the metres may come from a source."""
        return self._choice in ('auto', source)

    def step(self, units: float, metres: float) -> None:
        """Take the length of a step of the camera by the odometry and by the wheels."""
        self._steps.append((units, metres))

    def measure(self, tracker: Tracker, points: Points, depth: FloatArray) -> str:
        """Compare lengths at a keyframe.

        Args:
            tracker: Whose keyframe it is.
            points: The picture.
            depth: ``(N,)`` metres of its points by a network; NaN where unknown, or for all.

        Returns:
            What changed, in words for a person; empty for nothing.
        """
        now, said = points.stamp_ns, []
        if self.metric != 'none' and np.isfinite(points.inverse_depth).any():
            said.append(self.filter.measure(self.metric, 0.0, _EXACT, now))
        for source, ratio in self._ratios(tracker, points, depth):
            if self.allowed(source) and not isinstance(ratio, str):
                said.append(self.filter.measure(source, ratio.log, ratio.stddev, now))
        said.append(self.filter.advance(now))
        source = self.filter.source
        if self.metric == 'none' and source in METRIC:
            factor = self.filter.scale
            tracker.rescale(factor)
            self.filter.rescale(1 / factor)
            self.metric = source
        return '; '.join(filter(None, said))

    def _ratios(
        self, tracker: Tracker, points: Points, depth: FloatArray
    ) -> list[tuple[ScaleSource, Ratio | str]]:
        found: list[tuple[ScaleSource, Ratio | str]] = []
        better = TRUST.index(self.filter.source)
        if self.metric == 'none' and points.source in METRIC:
            metres = 1 / points.inverse_depth
            ratio = self._depths(tracker, points, metres, points.inverse_stddev * metres**2)
            found.append((points.source, ratio))
        if self._steps and better >= TRUST.index('wheels'):
            units, metres = np.array(self._steps).T
            found.append(('wheels', wheels_ratio(units, metres)))
        if self._height > 0 and better >= TRUST.index('camera_height'):
            found.append(('camera_height', self._ground(tracker, points)))
        if np.isfinite(depth).any() and better >= TRUST.index('network'):
            near = np.where(depth < _FAR, depth, np.nan)
            found.append(('network', self._depths(tracker, points, near, _NETWORK * near)))
        return found

    def _depths(
        self, tracker: Tracker, points: Points, metres: FloatArray, stddev: FloatArray
    ) -> Ratio | str:
        """Compare depths of the points of a keyframe with those of its landmarks."""
        rows, at = tracker.seen_again(points.number)
        here = tracker.window.up_to(points.number)[-1].window_from_camera
        units = tracker.window.depths_in(here, rows)
        marks = tracker.window.landmarks
        units_stddev = np.sqrt(marks.variance[rows]) * units**2
        return depth_ratio(units, units_stddev, metres[at], stddev[at])

    def _ground(self, tracker: Tracker, points: Points) -> Ratio | str:
        """Compare the height of the camera over the ground with what it is."""
        if len(frames := tracker.window.up_to(points.number)) < 2:
            return 'one keyframe shows no ground'
        older, newer = frames[-2:]
        motion = np.linalg.inv(older.window_from_camera) @ newer.window_from_camera
        rows, _ = tracker.seen_again(points.number)
        seen = tracker.window.points_of(rows) - newer.window_from_camera[:3, 3]
        seen = seen @ newer.window_from_camera[:3, :3]
        marks = tracker.window.landmarks
        stddev = np.sqrt(marks.variance[rows]) * seen[:, 2] ** 2
        shift = float(np.linalg.norm(motion[:3, 3]))
        if np.linalg.matrix_rank(tracker.motion_covariance, hermitian=True) < 6:
            return 'the motion between the last keyframes is not known yet'
        if not len(seen) or shift < _MOVES * float(np.median(seen[:, 2])):
            return 'the camera moved too little to show the ground'
        up = up_of_motion(motion[:3, :3].T @ motion[:3, 3])
        by_points = ground_of_points(seen, stddev, up=up)
        by_road: Ground | str = 'the lens bends the road'
        if not points.camera.distorted:
            by_road = ground_of_views(
                older.grey, newer.grey, points.camera, motion, tracker.motion_covariance, up=up
            )
        ground = combined(by_points, by_road)
        return ground if isinstance(ground, str) else height_ratio(ground, self._height)


def depths_at(depth: DepthMap, camera: Camera, rays: Matrix) -> tuple[Matrix, Matrix]:
    """Return the depth of points by a map of depth, and how much its neighbours differ.

    Args:
        depth: Of the same picture, rectified, of any size.
        camera: What took the picture.
        rays: ``(N, 2)`` x/z and y/z of the points.

    Returns:
        ``(N,)`` metres along z, NaN where unknown or at an edge, where a pixel decides between near
        and far; and ``(N,)`` metres half the spread around.
    """
    assert depth.depth is not None
    height, width = depth.depth.shape
    lens = depth.camera or camera.undistorted().scaled(width, height)
    xy = rays * (lens.fx, lens.fy) + (lens.cx, lens.cy)
    x, y = np.rint(xy).astype(np.intp).T
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    known = np.isfinite(depth.depth) & (depth.depth > 0)
    reach = max(1, round(2 * width / camera.width))
    box = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    near = cv2.erode(np.where(known, depth.depth, 1e6).astype(np.float32), box)[y, x]
    far = cv2.dilate(np.where(known, depth.depth, 0.0).astype(np.float32), box)[y, x]
    here = np.where(known, depth.depth, np.nan)[y, x].astype(np.float64)
    even = inside & (far - near < _EVEN * here)
    return np.where(even, here, np.nan), np.where(even, (far - near) / 4, np.nan)


def depth_camera_stddev(metres: FloatArray, spread: FloatArray) -> Matrix:
    """Return the standard deviation ``(N,)`` of a depth camera's depths."""
    noise = _DEPTH[0] * metres + _DEPTH[1] * np.square(metres)
    return np.asarray(np.hypot(noise, spread))


def inverse_depths(metres: FloatArray, spread: FloatArray) -> tuple[Matrix, Matrix]:
    """Return what a depth camera says, as `depths_at` has it, as ``(N,)`` 1/m and deviations."""
    return 1 / metres, depth_camera_stddev(metres, spread) / np.square(metres)
