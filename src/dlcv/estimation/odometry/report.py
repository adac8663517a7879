"""What visual odometry shows of its window after a picture."""

from __future__ import annotations

import numpy as np

from dlcv.estimation.odometry.step import Step
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.types import FloatArray, Matches, Tracking


def report(
    tracker: Tracker,
    step: Step,
    odom_from_camera: FloatArray,
    unit: float,
    stamps_ns: tuple[int, int],
) -> Tracking:
    """Return matches, tracks and landmarks of a picture that was found; no word of the metre.

    Args:
        tracker: Who found it.
        step: What it says of the way.
        odom_from_camera: ``(4, 4)`` where it was taken, metres.
        unit: Metres per unit of the window.
        stamps_ns: Times of the picture before it, and of the picture.
    """
    before, stamp = stamps_ns
    marks = tracker.window.landmarks
    sure = np.flatnonzero(marks.inverse_depth > 0)
    camera_from_window = np.linalg.inv(tracker.pose)
    local = tracker.window.points()[sure] @ camera_from_window[:3, :3].T + camera_from_window[:3, 3]
    points = unit * local @ odom_from_camera[:3, :3].T + odom_from_camera[:3, 3]
    share = np.sqrt(marks.variance[sure]) / marks.inverse_depth[sure]
    return Tracking(
        stamp_ns=stamp,
        state=step.state,
        matches=step.matches,
        inliers=step.inliers,
        tracks=Matches(
            stamp_ns=stamp,
            previous_stamp_ns=before,
            previous_xy=step.earlier,
            xy=step.pixels,
            scores=np.ones(len(step.pixels), np.float32),
        ),
        landmarks=points.astype(np.float32),
        landmark_stddev=share.astype(np.float32),
    )
