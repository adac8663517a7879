"""The way so far: where the camera is, what its motions added to the doubt, and what was missed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.odometry.scale import ScaleFilter
from dlcv.geometry.trajectory import extent
from dlcv.types import FloatArray, Lost, Motion

Matrix = npt.NDArray[np.float64]

_DRIFT = 1.2  # share of a pose's covariance that stays in the sum of the motions
# What patches are off by in common does not average out: standard deviations as shares, of the
# shift by the shift itself and by turn times depth, of the turn by the turn itself and by shift
# over depth. These and the share above were fitted to generated walks, robots, cars and drones.
_MOTION_BIAS = (0.003, 0.001), (0.002, 0.001)
_DRIFT_BIAS = (0.003, 0.002), (0.004, 0.002)
_STILL = np.repeat((1e-4, 1e-5), 3)  # m and rad by which what stands may have moved
_LEAST_GAP_NS = 100_000_000
_ANY_SPEED = 1.0  # m/s of a camera whose shift cannot be seen
_LEAST_SPEED = np.repeat((0.1, 0.05), 3)  # m/s and rad/s of what moves unseen


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Doubt:
    """How well a motion is known, but for its scale.

    Attributes:
        motion: ``(6, 6)`` covariance of the motion, in the older camera's axes, m and rad.
        drift: ``(6, 6)`` what of it adds up from motion to motion.
        turn_only: Whether nothing was seen of the shift.
    """

    motion: Matrix
    drift: Matrix
    turn_only: bool = False

    @classmethod
    def standing(cls) -> Doubt:
        """Return that of a camera which stands: nothing adds up."""
        return cls(motion=np.diag(np.square(_STILL)), drift=np.zeros((6, 6)))

    @classmethod
    def between(
        cls,
        older: FloatArray,
        newer: FloatArray,
        window_from_camera: FloatArray,
        unit: float,
        motion: FloatArray,
        depth: float,
    ) -> Doubt:
        """Return that of a motion between two poses.

        The errors of both count in the motion; in a sum of motions a pose's error comes and goes.

        Args:
            older: ``(6, 6)`` covariance of the older pose in the window's axes and unit.
            newer: The same of the newer one.
            window_from_camera: ``(4, 4)`` the older pose.
            unit: Metres per unit.
            motion: ``(4, 4)`` older_from_newer, metres.
            depth: How far away most landmarks are, metres.
        """
        both = _in_camera(older + newer, window_from_camera, unit)
        alone = _in_camera(newer, window_from_camera, unit)
        return cls(
            motion=both + _biased(motion, depth, _MOTION_BIAS),
            drift=_DRIFT * alone + _biased(motion, depth, _DRIFT_BIAS),
        )


class Way:
    """A sum of motions.

    Attributes:
        odom_from_camera: ``(4, 4)`` the pose so far, in metres.
    """

    def __init__(self) -> None:
        self._speed: Matrix = np.zeros(2)  # m/s, rad/s of the last motion
        self._gap_ns = 0  # time that no motion covers, since the last one
        self.set_pose(np.eye(4))

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose, with this ``(6, 6)`` covariance (default zero)."""
        self.odom_from_camera: Matrix = np.array(odom_from_camera, np.float64)
        self._noise: Matrix = (
            np.zeros((6, 6)) if covariance is None else np.array(covariance, np.float64)
        )
        self._scale_variance = np.inf  # of the scale when it was last used
        self._length: Matrix = np.zeros(3)  # in odom axes: what the scale's error is a share of

    def covariance(self, scale: ScaleFilter) -> Matrix:
        """Return ``(6, 6)`` of the pose as (x, y, z, rx, ry, rz), in odom axes, m and rad.

        The scale's error is one and the same in all motions: it adds up in full.
        """
        used = self._scale_variance if np.isfinite(self._scale_variance) else 0.0
        covariance = self._noise.copy()
        covariance[:3, :3] += max(used, scale.stddev**2) * np.outer(self._length, self._length)
        return covariance

    def miss(self, nanoseconds: int) -> None:
        """Take note of a time that no motion will cover; one that went back was some time too."""
        self._gap_ns += max(nanoseconds, _LEAST_GAP_NS)

    def move(
        self, motion: Matrix, doubt: Doubt, stamp_ns: int, before_ns: int, scale: ScaleFilter
    ) -> Motion:
        """Add a motion.

        Args:
            motion: ``(4, 4)`` older_from_newer, metres.
            doubt: How well it is known.
            stamp_ns: When it ended.
            before_ns: When it began.
            scale: What is known of the metre.
        """
        seconds = (stamp_ns - before_ns) / 1e9
        speed = extent(motion) / seconds
        unseen = self._unseen(speed)
        if doubt.turn_only:
            fastest = max(_ANY_SPEED, float(self._speed[0]))
            unseen = unseen + np.diag(np.square(np.repeat((fastest * seconds, 0.0), 3)))
        covariance, drift = doubt.motion + unseen, doubt.drift + unseen
        covariance[:3, :3] += scale.spread(motion[:3, 3])
        self.settle(scale)
        self._length = self._length + self.odom_from_camera[:3, :3] @ motion[:3, 3]
        pose, self._noise = compounded(self.odom_from_camera, self._noise, motion, drift)
        self.odom_from_camera = orthonormal(pose)
        self._speed, self._gap_ns = speed, 0
        return Motion(
            stamp_ns=stamp_ns,
            previous_stamp_ns=before_ns,
            previous_from_current=motion,
            odom_from_camera=self.odom_from_camera,
            covariance=covariance,
            drift=drift,
            scale_stddev=scale.stddev,
        )

    def lose(
        self, stamp_ns: int, before_ns: int, known_ns: int, reason: str, scale: ScaleFilter
    ) -> Lost:
        """Say that no motion is known, and how far away the camera may be by now.

        Args:
            stamp_ns: Of the picture.
            before_ns: Of the one before it.
            known_ns: Until when the motions are known.
            reason: Why there is none.
            scale: What is known of the metre.
        """
        blind = (self._gap_ns + max(stamp_ns - known_ns, 0)) / 1e9
        deviation = (np.repeat(self._speed, 3) + _LEAST_SPEED) * blind
        return Lost(
            stamp_ns=stamp_ns,
            previous_stamp_ns=before_ns,
            reason=reason,
            odom_from_camera=self.odom_from_camera,
            pose_covariance=self.covariance(scale) + np.diag(np.square(deviation)),
        )

    def settle(self, scale: ScaleFilter) -> None:
        """Keep what the scale was off by on the way so far, now that it is surer."""
        before, now = self._scale_variance, scale.stddev**2
        if now < before < np.inf:
            self._noise[:3, :3] += (before - now) * np.outer(self._length, self._length)
        self._scale_variance = now

    def _unseen(self, speed: Matrix) -> Matrix:
        """Return the ``(6, 6)`` covariance of what may have happened while nothing was seen."""
        if self._gap_ns == 0:
            return np.zeros((6, 6))
        fastest = np.repeat(np.maximum(speed, self._speed), 3)
        return np.diag(np.square((fastest + _LEAST_SPEED) * self._gap_ns / 1e9))


def _biased(
    motion: FloatArray, depth: float, shares: tuple[tuple[float, float], tuple[float, float]]
) -> Matrix:
    """Return the ``(6, 6)`` covariance of what grows with a motion."""
    shift, turn = extent(motion)
    (by_shift, by_turn), (turn_by_turn, turn_by_shift) = shares
    of_shift = np.hypot(by_shift * shift, by_turn * turn * depth)
    of_turn = np.hypot(turn_by_turn * turn, turn_by_shift * shift / depth)
    return np.diag(np.square(np.repeat((of_shift, of_turn), 3)))


def _in_camera(covariance: FloatArray, window_from_camera: FloatArray, unit: float) -> Matrix:
    """Return the covariance ``(6, 6)`` of a pose in a camera's axes, in metres."""
    turn = np.kron(np.diag((unit, 1.0)), window_from_camera[:3, :3].T)
    return np.asarray(turn @ covariance @ turn.T)
