"""Camera motions into the pose and the velocity of the body that carries the camera.

Poses are ``R, p`` of the body in the fixed frame. Errors are small turns and shifts as ROS messages
mean them: position ``p + dp`` and orientation ``exp(dr) R``, both in the axes of the frame that the
pose is given in. With that, to first order:

* A camera motion ``C = (Rc, tc)`` seen from the body, which carries the camera at ``A = (Ra, ta)``
  before and at ``B = (Rb, tb)`` after it (the same, but for a camera on a joint), is
  ``M = A C B^-1 = (S, s)`` with ``S = Ra Rc Rb'`` and ``s = Ra tc + ta - S tb``. A turn of the
  camera by ``dr`` swings the lever ``tb``: ``ds = Ra dtc + hat(S tb) Ra drc``, ``dS = Ra drc``.
* An error of a pose swings whatever sits ``l`` away from it (fixed axes): ``dp' = dp - hat(l) dr``.
* A pose followed by a motion is ``p + R s, R S``. An error of the heading sweeps the step:
  ``dp' = dp - hat(R s) dr + R ds``, ``dr' = dr + R dS``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.perturbation import hat
from dlcv.types import FloatArray, Motion

Matrix = npt.NDArray[np.float64]
LEAST_VARIANCE = 1e-9  # a filter must be able to invert what it gets
_FLAT = np.array([True, True, False, False, False, True])  # x, y and yaw stay in two dimensions


@dataclass(frozen=True, kw_only=True, slots=True)
class BodySettings:
    """How motions add up.

    Attributes:
        two_d_mode: Keep z, roll and pitch at zero.
        twist_stddev: ``(6,)`` least standard deviation of the velocity, m/s and rad/s.
    """

    two_d_mode: bool = False
    twist_stddev: tuple[float, ...] = (0.1, 0.1, 0.1, 0.05, 0.05, 0.05)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class BodyState:
    """Where the body is and how it moves.

    Attributes:
        stamp_ns: Time of the newer image.
        odom_from_base: ``(4, 4)`` pose in metres.
        covariance: ``(6, 6)`` of the pose as (x, y, z, rx, ry, rz) in odom axes, m and rad.
        twist: ``(6,)`` vx vy vz (m/s), wx wy wz (rad/s) in the axes of the body.
        twist_covariance: ``(6, 6)`` of the twist.
    """

    stamp_ns: int
    odom_from_base: Matrix
    covariance: Matrix
    twist: Matrix
    twist_covariance: Matrix


def standing(stamp_ns: int, odom_from_base: FloatArray) -> BodyState:
    """Return the state of a body of which only the pose ``(4, 4)`` is known, as by TF."""
    return BodyState(
        stamp_ns=stamp_ns,
        odom_from_base=np.asarray(odom_from_base, np.float64),
        covariance=np.diag(np.full(6, LEAST_VARIANCE)),
        twist=np.zeros(6),
        twist_covariance=np.diag(np.full(6, LEAST_VARIANCE)),
    )


class BodyOdometry:
    """Add up motions; holds the pose while there are none."""

    def __init__(self, settings: BodySettings | None = None) -> None:
        self.settings = settings or BodySettings()
        self.reset()

    def reset(self) -> None:
        """Start anew at the origin."""
        at_origin = standing(-1, np.eye(4))
        self._state = replace(at_origin, twist_covariance=self._floored(np.zeros((6, 6))))

    @property
    def new(self) -> bool:
        """Whether there was neither `begin` nor a motion since the start."""
        return self._state.stamp_ns < 0

    @property
    def pose(self) -> tuple[Matrix, Matrix]:
        """``(4, 4)`` the body in the fixed frame, and its ``(6, 6)``."""
        return self._state.odom_from_base, self._state.covariance

    def set_pose(self, odom_from_base: FloatArray, covariance: FloatArray) -> None:
        """Go on from a pose that is known from elsewhere."""
        pose, spread = np.asarray(odom_from_base, np.float64), np.asarray(covariance, np.float64)
        if self.settings.two_d_mode:
            pose, spread = flattened(pose), _flat_covariance(spread)
        spread = spread + _lacking(spread, LEAST_VARIANCE)
        self._state = replace(self._state, odom_from_base=pose, covariance=spread)

    def advance(
        self,
        motion: Motion,
        base_from_camera: FloatArray,
        base_from_camera_before: FloatArray | None = None,
        pose_covariance: FloatArray | None = None,
    ) -> BodyState:
        """Add a motion of the camera.

        Args:
            motion: What the camera did; its covariance answers for the time back to the motion
                before, unless `hold` was called for a part of it.
            base_from_camera: ``(4, 4)`` where the camera sits on the body, metres.
            base_from_camera_before: The same before the motion, where the camera moves on the body.
            pose_covariance: ``(6, 6)`` of the body's pose after the motion, in odom axes; by
                default the errors of the motions add up as if each were independent.
        """
        step, spread = on_body(
            motion.previous_from_current,
            motion.covariance,
            base_from_camera,
            base_from_camera_before,
        )
        if self.settings.two_d_mode:
            step, spread = flattened(step), _flat_covariance(spread)
        seconds = (motion.stamp_ns - motion.previous_stamp_ns) / 1e9
        pose, covariance = compounded(
            self._state.odom_from_base, self._state.covariance, step, spread
        )
        if pose_covariance is not None:
            covariance = np.asarray(pose_covariance) + _lacking(pose_covariance, LEAST_VARIANCE)
        if self.settings.two_d_mode:  # what is set to zero does not add up
            covariance = _flat_covariance(covariance)
        self._state = BodyState(
            stamp_ns=motion.stamp_ns,
            odom_from_base=orthonormal(pose),
            covariance=covariance,
            twist=twist_of(step, seconds),
            twist_covariance=self._floored(spread / seconds**2),
        )
        return self._state

    def begin(self, stamp_ns: int, speed_limits: FloatArray) -> BodyState:
        """Stand at the pose so far, at an unknown velocity.

        Args:
            stamp_ns: Time of the first image.
            speed_limits: ``(6,)`` standard deviation of the velocity: what it can be at most.
        """
        self._state = _at_any_speed(replace(self._state, stamp_ns=stamp_ns), speed_limits)
        return self._state

    def resume(self, last: BodyState, stamp_ns: int) -> None:
        """Go on from where the body was when it was last seen, before whatever ended it.

        Args:
            last: Where that was; trusted less by the time since, as `hold` says.
            stamp_ns: Time of the first image after it.
        """
        self._state = last
        self.set_pose(last.odom_from_base, last.covariance)
        self.hold(stamp_ns)

    def held(
        self, stamp_ns: int, speed_limits: FloatArray, pose_covariance: FloatArray | None = None
    ) -> BodyState:
        """Return the pose as it is, trusted less, at an unknown velocity; changes nothing.

        Args:
            stamp_ns: Until when nothing was seen.
            speed_limits: ``(6,)`` standard deviation of the velocity: what it can be at most.
            pose_covariance: ``(6, 6)`` of the pose by who lost it; counts where it is wider.
        """
        state = _at_any_speed(self._grown(stamp_ns), speed_limits)
        if pose_covariance is None:
            return state
        wider = _lacking(state.covariance, np.diag(pose_covariance))
        if self.settings.two_d_mode:
            wider = wider * np.outer(_FLAT, _FLAT)
        return replace(state, covariance=state.covariance + wider)

    def hold(self, stamp_ns: int) -> None:
        """Keep the pose over a time in which nothing was seen, and trust it less.

        The body may have gone on as it last did, or stopped: over ``t`` seconds the standard
        deviation grows by the distance and the turn of the last velocity, at least by those of
        its floors, in every direction. Gaps add as steps of one wrong velocity, not of noise.

        Args:
            stamp_ns: Until when nothing was seen.
        """
        self._state = self._grown(stamp_ns)

    def _grown(self, stamp_ns: int) -> BodyState:
        last = self._state
        seconds = max(stamp_ns - last.stamp_ns, 0) / 1e9 if last.stamp_ns >= 0 else 0.0
        speeds = np.maximum(_norms(last.twist), _norms(np.array(self.settings.twist_stddev)))
        deviation = np.sqrt(np.diag(last.covariance))
        growth = (deviation + np.repeat(speeds * seconds, 3)) ** 2 - deviation**2
        if self.settings.two_d_mode:
            growth *= _FLAT
        covariance = last.covariance + np.diag(growth)
        return replace(last, stamp_ns=stamp_ns, covariance=covariance)

    def _floored(self, covariance: Matrix) -> Matrix:
        least = np.square(self.settings.twist_stddev).clip(LEAST_VARIANCE)
        return np.asarray(covariance + _lacking(covariance, least))


def on_body(
    motion: FloatArray,
    covariance: FloatArray,
    base_from_camera: FloatArray,
    base_from_camera_before: FloatArray | None = None,
) -> tuple[Matrix, Matrix]:
    """Return a camera's motion as that of the body it sits on.

    Args:
        motion: ``(4, 4)`` newer camera in the older one.
        covariance: ``(6, 6)`` of it as (x, y, z, rx, ry, rz), in the older camera's axes.
        base_from_camera: ``(4, 4)``.
        base_from_camera_before: ``(4, 4)`` before the motion; the same by default.

    Returns:
        ``(4, 4)`` newer body in the older one, and its ``(6, 6)``, in the older body's axes.
    """
    after = np.asarray(base_from_camera, np.float64)
    before = after if base_from_camera_before is None else np.asarray(base_from_camera_before)
    moved = before @ motion @ np.linalg.inv(after)
    turn = before[:3, :3]
    jacobian = np.zeros((6, 6))
    jacobian[:3, :3] = jacobian[3:, 3:] = turn
    jacobian[:3, 3:] = hat(moved[:3, :3] @ after[:3, 3]) @ turn
    return moved, _symmetric(jacobian @ covariance @ jacobian.T)


def swung(covariance: FloatArray, lever: FloatArray) -> Matrix:
    """Return the covariance of a pose that sits rigidly beside another one.

    Args:
        covariance: ``(6, 6)`` of the other one, in the fixed frame's axes.
        lever: ``(3,)`` from the other one to this one in metres, in the same axes.
    """
    jacobian = np.eye(6)
    jacobian[:3, 3:] = -hat(np.asarray(lever, np.float64))
    return _symmetric(jacobian @ covariance @ jacobian.T)


def compounded(
    pose: FloatArray, covariance: FloatArray, step: FloatArray, spread: FloatArray
) -> tuple[Matrix, Matrix]:
    """Return the pose after a step, and its covariance; errors of both are independent.

    Args:
        pose: ``(4, 4)`` body in the fixed frame.
        covariance: ``(6, 6)`` of it, in the fixed frame's axes.
        step: ``(4, 4)`` newer body in the older one.
        spread: ``(6, 6)`` of it, in the older body's axes.
    """
    turn = pose[:3, :3]
    carry, enter = np.eye(6), np.zeros((6, 6))
    carry[:3, 3:] = -hat(turn @ step[:3, 3])
    enter[:3, :3] = enter[3:, 3:] = turn
    total = carry @ covariance @ carry.T + enter @ spread @ enter.T
    return np.asarray(pose @ step), _symmetric(total)


def twist_of(step: FloatArray, seconds: float) -> Matrix:
    """Return the constant velocity ``(6,)`` in body axes that makes a step in ``seconds``.

    It is the logarithm of the step over the time. A constant velocity is the same in the axes of
    the older and of the newer body.
    """
    turn = Rotation.from_matrix(step[:3, :3]).as_rotvec()
    angle, k = float(np.linalg.norm(turn)), hat(turn)
    small = angle < 1e-4
    a = 0.5 if small else (1 - np.cos(angle)) / angle**2
    b = 1 / 6 if small else (angle - np.sin(angle)) / angle**3
    shift = np.linalg.solve(np.eye(3) + a * k + b * (k @ k), step[:3, 3])
    return np.asarray(np.concatenate((shift, turn)) / seconds)


def _at_any_speed(state: BodyState, limits: FloatArray) -> BodyState:
    return replace(state, twist=np.zeros(6), twist_covariance=np.diag(np.square(limits)))


def _lacking(covariance: FloatArray, least: FloatArray | float) -> Matrix:
    """Return the diagonal matrix that lifts variances to at least these."""
    return np.diag(np.maximum(least - np.diag(covariance), 0))


def _norms(twist: Matrix) -> Matrix:
    return np.array([np.linalg.norm(twist[:3]), np.linalg.norm(twist[3:])])


def _symmetric(matrix: Matrix) -> Matrix:
    return np.asarray((matrix + matrix.T) / 2)


def orthonormal(pose: Matrix) -> Matrix:
    """Undo the rounding of many products."""
    u, _, vt = np.linalg.svd(pose[:3, :3])
    clean = pose.copy()
    clean[:3, :3] = u @ vt
    return clean


def flattened(pose: Matrix) -> Matrix:
    """Return x, y and yaw of a rigid motion ``(4, 4)``, the rest at zero."""
    yaw = float(np.arctan2(pose[1, 0], pose[0, 0]))
    flat = np.eye(4)
    flat[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    flat[:2, 3] = pose[:2, 3]
    return flat


def _flat_covariance(covariance: Matrix) -> Matrix:
    kept = covariance * np.outer(_FLAT, _FLAT)
    return np.asarray(kept + np.diag(np.where(_FLAT, 0.0, LEAST_VARIANCE)))
