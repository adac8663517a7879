"""Where odometry has a picture, read from the messages of whoever publishes it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded
from dlcv.estimation.tasks.beside import Beside
from dlcv.geometry.frames import frame_name, inverse
from dlcv.geometry.trajectory import pose_at
from dlcv.interface import messages
from dlcv.types import Trajectory

ODOMETRY = 'odometry'
BEFORE_NS = 10**9  # that is looked at before the first picture
NEAR_NS = 10**6  # by which times are rounded on their way

Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Told:
    """What odometry says of a picture.

    Attributes:
        odom_from_base: ``(4, 4)`` metres.
        spread: ``(6, 6)`` of the motion since the last picture, in that one's body axes.
        broken: Whether it was silent for long in between.
        odom: Name of its fixed frame; empty where the message has none.
        base: Name of the body's frame; likewise.
    """

    odom_from_base: Matrix
    spread: Matrix
    broken: bool
    odom: str
    base: str


class OdometryReader:
    """Reads the odometry of one picture after the other.

    Args:
        beside: The messages.
    """

    def __init__(self, beside: Beside) -> None:
        self._beside = beside
        self.clear()

    def clear(self) -> None:
        """Take the next picture for the first."""
        self._last_ns: int | None = None

    def read(self, stamp_ns: int, gap: float, until: float) -> Told | None:
        """Return what odometry says of a picture; None where it says nothing.

        Args:
            stamp_ns: Time of the picture.
            gap: Seconds of silence after which odometry was lost.
            until: Time of `time.monotonic` up to which it is waited for.

        Raises:
            MessageError: A pose is none.
        """
        last = self._last_ns
        begin = stamp_ns - BEFORE_NS if last is None else last
        span = self._beside.span(ODOMETRY, begin, stamp_ns, until, hoped=last is None)
        around = dict(span)
        if not around:
            return None
        stamps = np.array(list(around), np.int64)
        poses = np.stack([messages.pose_matrix(one.pose.pose) for one in around.values()])
        way = Trajectory(stamps_ns=stamps, world_from_body=poses)
        gap_ns = round(1e9 * gap)
        pose = pose_at(way, stamp_ns, gap_ns, NEAR_NS)
        if pose is None:
            return None
        newest = around[max(stamps.tolist())]
        told = Told(
            odom_from_base=np.asarray(pose, np.float64),
            spread=np.zeros((6, 6)) if last is None else _spread(around, poses, last, stamp_ns),
            broken=last is not None and bool((np.diff(stamps) > gap_ns).any()),
            odom=messages.frame_of(newest),
            base=frame_name(newest.child_frame_id),
        )
        self._last_ns = stamp_ns
        return told


def _spread(around: dict[int, Any], poses: Matrix, begin_ns: int, end_ns: int) -> Matrix:
    """Return the ``(6, 6)`` of a motion: what its velocities state, step by step."""
    motion: Matrix = np.eye(4)
    spread: Matrix = np.zeros((6, 6))
    steps = zip(pairwise(around.items()), pairwise(poses), strict=True)
    for ((before, _), (after, message)), (first, second) in steps:
        inside = min(after, end_ns) - max(before, begin_ns)
        if inside <= 0:
            continue
        seconds = inside / 1e9
        stated = messages.covariance_matrix(message.twist.covariance) * seconds**2
        motion, spread = compounded(motion, spread, inverse(first) @ second, stated)
    return spread
