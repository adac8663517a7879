"""The way so far: where the camera is, what its motions added to the doubt, and what was missed."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.odometry.scale import ScaleFilter
from dlcv.geometry.trajectory import extent
from dlcv.types import FloatArray, Lost, Motion

Matrix = npt.NDArray[np.float64]

# On the covariance of a pose on landmarks that are known, each by itself. What they are all off by
# is not in it: a pose is twice as far off, and as other landmarks take over, the map goes astray in
# the same directions, the faster the less it shares with itself. Patches that turn look different.
# As wide as KITTI asks for, which is three times the variance that generated walks, cars and drones
# (of other seeds than the bench's) ask for.
_PAIR = 0.8  # of two poses on the same landmarks, for the motion between them
_ALONE = 2.0  # of a pose; it goes with the next one
_DRIFT = 45.0  # stays, for a view that is another one: a shift as long as its depth, a rad of turn
_BENT = 100.0  # stays, for a turn of a rad from one picture to the next
_CREEP = np.repeat((3e-4, 6e-5), 3)  # of the depth, and rad, by which what stands may have moved
_LEAST_GAP_NS = 100_000_000
_ANY_SPEED = 1.0  # m/s of a camera whose shift cannot be seen
_LEAST_SPEED = np.repeat((0.1, 0.05), 3)  # m/s and rad/s of what moves unseen


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Doubt:
    """How well a motion is known, but for its scale; covariances in the older camera's axes.

    Attributes:
        motion: ``(6, 6)`` covariance of the motion, m and rad.
        before: ``(6, 6)`` what the older pose alone was off by.
        after: ``(6, 6)`` the same of the newer pose.
        drift: ``(6, 6)`` what adds up from motion to motion.
        turn_only: Whether nothing was seen of the shift.
        still: Whether the camera stands; ``after`` is what it may have crept by meanwhile.
    """

    motion: Matrix
    before: Matrix
    after: Matrix
    drift: Matrix
    turn_only: bool = False
    still: bool = False

    @classmethod
    def standing(cls, depth: float) -> Doubt:
        """Return that of a camera which stands, most landmarks ``depth`` metres away.

        Nothing adds up: what it creeps by without being seen to move is seen when it goes on.
        """
        none, crept = np.zeros((6, 6)), _crept(depth)
        return cls(motion=crept, before=none, after=crept, drift=none, still=True)

    def grown(self, factor: float) -> Doubt:
        """Return it with lengths that may be ``factor`` times as long, if the camera moves.

        What is off across the way was seen in units, as the way was.
        """
        if self.still:
            return self
        length = np.repeat((factor, 1.0), 3)
        by = np.outer(length, length)
        return replace(
            self,
            motion=by * self.motion,
            before=by * self.before,
            after=by * self.after,
            drift=by * self.drift,
        )

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
        before = _in_camera(older, window_from_camera, unit)
        after = _in_camera(newer, window_from_camera, unit)
        shift, turn = extent(motion)
        bent = _BENT * turn**2 * after
        return cls(
            motion=_PAIR * (before + after) + bent,
            before=_ALONE * before,
            after=_ALONE * after,
            drift=_DRIFT * (shift / depth + turn) * after + bent,
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
        self._alone: Matrix = np.zeros((6, 6))  # what goes with the next pose, in odom axes
        self._crept: Matrix = np.zeros((6, 6))  # what a camera that stands may have moved by
        self._begins = True  # whether no motion led away from the pose that was set
        self._scale_variance = np.inf  # of the scale when it was last used
        self._length: Matrix = np.zeros(3)  # in odom axes: what the scale's error is a share of

    def covariance(self, scale: ScaleFilter) -> Matrix:
        """Return ``(6, 6)`` of the pose as (x, y, z, rx, ry, rz), in odom axes, m and rad.

        The scale's error is one and the same in all motions: it adds up in full.
        """
        used = self._scale_variance if np.isfinite(self._scale_variance) else 0.0
        covariance = self._noise + self._alone + self._crept
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
        doubt = doubt.grown(scale.growth)
        covariance = doubt.motion + unseen + self._crept
        covariance[:3, :3] += scale.spread(motion[:3, 3])
        self.settle(scale)
        self._length = self._length + self.odom_from_camera[:3, :3] @ motion[:3, 3]
        self._add(motion, doubt, unseen)
        self._speed, self._gap_ns = speed, 0
        return Motion(
            stamp_ns=stamp_ns,
            previous_stamp_ns=before_ns,
            previous_from_current=motion,
            odom_from_camera=self.odom_from_camera,
            covariance=covariance,
            scale_stddev=scale.stddev,
        )

    def _add(self, motion: Matrix, doubt: Doubt, unseen: Matrix) -> None:
        """Let the pose, and what it is off by, go on by a motion."""
        turn = np.kron(np.eye(2), self.odom_from_camera[:3, :3])
        if self._gap_ns:  # the next landmarks hang on this very pose
            self._noise = self._noise + self._alone
        if self._begins and not doubt.still:
            self._noise = self._noise + turn @ doubt.before @ turn.T
            self._begins = False
        pose, self._noise = compounded(
            self.odom_from_camera, self._noise, motion, doubt.drift + unseen
        )
        if not doubt.still:
            self._alone = turn @ doubt.after @ turn.T
        self._crept = doubt.after if doubt.still else np.zeros((6, 6))
        self.odom_from_camera = orthonormal(pose)

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

    def keep(self, scale: ScaleFilter) -> None:
        """Keep what the scale was off by on the way so far, before the unit is another one."""
        self.settle(scale)
        self._noise[:3, :3] += scale.stddev**2 * np.outer(self._length, self._length)
        self._length, self._scale_variance = np.zeros(3), np.inf

    def _unseen(self, speed: Matrix) -> Matrix:
        """Return the ``(6, 6)`` covariance of what may have happened while nothing was seen."""
        if self._gap_ns == 0:
            return np.zeros((6, 6))
        fastest = np.repeat(np.maximum(speed, self._speed), 3)
        return np.diag(np.square((fastest + _LEAST_SPEED) * self._gap_ns / 1e9))


def _crept(depth: float) -> Matrix:
    """Return the ``(6, 6)`` covariance of what moves too little to be seen to move."""
    return np.diag(np.square(_CREEP * np.repeat((depth, 1.0), 3)))


def _in_camera(covariance: FloatArray, window_from_camera: FloatArray, unit: float) -> Matrix:
    """Return the covariance ``(6, 6)`` of a pose in a camera's axes, in metres."""
    turn = np.kron(np.diag((unit, 1.0)), window_from_camera[:3, :3].T)
    return np.asarray(turn @ covariance @ turn.T)
