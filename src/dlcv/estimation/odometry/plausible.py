"""Whether a picture follows the one before it, and a motion can have been."""

from __future__ import annotations

from typing import Protocol

from dlcv.geometry.trajectory import extent
from dlcv.types import FloatArray


class Limits(Protocol):
    """What odometry believes, as its settings have it."""

    @property
    def max_frame_interval(self) -> float:
        """Longest pause, seconds."""

    @property
    def max_linear_speed(self) -> float:
        """Greatest speed, m/s."""

    @property
    def max_angular_speed(self) -> float:
        """Greatest rate of turn, rad/s."""


def interruption(before_ns: int, stamp_ns: int, *, same_camera: bool, limits: Limits) -> str:
    """Say why two pictures are not neighbours; empty if they are."""
    pause, limit = (stamp_ns - before_ns) * 1e-9, limits.max_frame_interval
    if pause <= 0:
        return f'time went from {before_ns} to {stamp_ns} ns'
    if pause > limit:
        return f'no frame for {pause:.2f} s; {limit:g} s are allowed'
    if not same_camera:
        return 'the camera or its image size changed'
    return ''


def excess(motion: FloatArray, seconds: float, limits: Limits) -> str:
    """Say why a motion ``(4, 4)`` in metres is too fast to be believed; empty if it is not."""
    linear, angular = extent(motion) / seconds
    if linear > limits.max_linear_speed:
        return f'a motion of {linear:.1f} m/s; {limits.max_linear_speed:g} are allowed'
    if angular > limits.max_angular_speed:
        return f'a turn of {angular:.2f} rad/s; {limits.max_angular_speed:g} are allowed'
    return ''
