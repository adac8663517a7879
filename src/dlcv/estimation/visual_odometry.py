"""Frames to camera motion by learned features and geometry between them.

What is learned finds points again (SuperPoint) and says how far away things are (monodepth, by its
topic); what is geometry holds them together: a motion that agrees with the points, a window of
keyframes, one scale with its uncertainty. The parts are in `dlcv.estimation.odometry`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.estimation.base import Estimator
from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.odometry.metre import (
    Metre,
    depth_camera_stddev,
    depths_at,
    stereo_depths,
)
from dlcv.estimation.odometry.scale import ScaleSource
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.odometry.tracker import FEWEST, Step, Tracker
from dlcv.estimation.odometry.view import Points
from dlcv.estimation.pictures import grey, size_of
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.geometry.trajectory import extent
from dlcv.networks.superpoint import SuperPoint
from dlcv.types import (
    Aids,
    Camera,
    FloatArray,
    Frame,
    Keypoints,
    Lost,
    Matches,
    Motion,
    Tracking,
    TrackingState,
)

Matrix = npt.NDArray[np.float64]
ScaleChoice = Literal['auto', 'stereo', 'depth', 'network', 'wheels', 'camera_height', 'none']

_GUESS = 5.0  # metres that points are taken to be away before anything is known
_MOTION, _DRIFT = 1.0, 0.5  # shares of the poses' covariances, in motions and in their sum
_STILL = np.repeat((1e-4, 1e-5), 3)  # m and rad by which what stands may have moved
_TURN, _SURE = 0.01, 2.0  # rad that is a turn, and deviations by which a shift is none
_LEAST_SPEED = np.repeat((0.1, 0.05), 3)  # m/s and rad/s of what moves unseen


@dataclass(frozen=True, kw_only=True, slots=True)
class VisualOdometrySettings:
    """How motion is estimated, believed and doubted.

    Attributes:
        max_keypoints: Strongest points of a picture that are looked at.
        scale_source: What the metre comes from; ``auto`` takes the best that arrives.
        camera_height: Of the camera over the ground, in metres; 0 where it is not known.
        scale: Factor on all translations.
        window: Keyframes that are held together.
        lockstep: Adjust the window before the answer, not beside it: the same pictures then give
            the same answers.
        max_frame_interval: A longer pause in seconds loses the odometry.
        max_linear_speed: A faster motion, in m/s, is not believed.
        max_angular_speed: A faster turn, in rad/s, is not believed.
    """

    max_keypoints: int = 1000
    scale_source: ScaleChoice = 'auto'
    camera_height: float = 0.0
    scale: float = 1.0
    window: int = 10
    lockstep: bool = True
    max_frame_interval: float = 0.5
    max_linear_speed: float = 40.0
    max_angular_speed: float = 3.5


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """A picture that was answered: its time, what took it, and where it was in the window."""

    stamp_ns: int
    source: tuple[tuple[int, int], Camera | None]
    window_from_camera: Matrix
    covariance: Matrix


class VisualOdometry(Estimator[SuperPoint]):
    """Visual odometry on a stream of frames.

    Args:
        network: Finds the points of pictures that come without.
        settings: May be replaced between two frames.
        device: See `Estimator`.
        precision: See `Estimator`.

    Attributes:
        odom_from_camera: ``(4, 4)`` the pose so far, in metres.
        tracking: What it knows of itself since the last frame.
    """

    def __init__(
        self,
        network: SuperPoint,
        settings: VisualOdometrySettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or VisualOdometrySettings()
        self._features = FeatureEstimator(self.network, None, device, precision)
        self.reset()

    def reset(self) -> None:
        """Forget the drive so far; the next frame is the origin."""
        self.tracking = Tracking(stamp_ns=0, state='starting')
        self._metre = Metre(self.settings.scale_source, self.settings.camera_height)
        self._tracker: Tracker | None = None
        self._seen: _Seen | None = None  # the last picture whose place in the window is known
        self._last_ns: int | None = None
        self._speed: Matrix = np.zeros(2)  # m/s, rad/s of the last motion
        self._gap_ns = 0  # time that no motion covers, since the last one
        self._number = 0
        self.set_pose(np.eye(4))

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose, with this ``(6, 6)`` covariance (default zero)."""
        self.odom_from_camera: Matrix = np.array(odom_from_camera, np.float64)
        self._noise: Matrix = (
            np.zeros((6, 6)) if covariance is None else np.array(covariance, np.float64)
        )
        self._scale_variance = self._metre.filter.stddev**2  # of the scale when it was last used
        self._way: Matrix = np.zeros(3)  # in odom axes, metres that the scale's error is a share of

    @property
    def pose_covariance(self) -> Matrix:
        """``(6, 6)`` of the pose as (x, y, z, rx, ry, rz), in odom axes, m and rad.

        The scale's error is one and the same in all motions: it adds up in full.
        """
        covariance = self._noise.copy()
        covariance[:3, :3] += self._metre.filter.spread(self._way)
        return covariance

    def push(self, frame: Frame, aids: Aids | None = None) -> Motion | Lost | None:
        """Take the next frame and estimate the camera's motion since the last one.

        Args:
            frame: The picture, with its camera.
            aids: What was measured beside it.

        Returns:
            The motion; None for the first frame; Lost where there is none to be believed.
        """
        aids = aids or Aids()
        before, self._last_ns = self._last_ns, frame.stamp_ns
        self._number += 1
        if frame.camera is None:
            return self._lost(frame, before, 'the camera is not calibrated')
        if reason := silence(frame.image):
            return self._lost(frame, before, reason)
        points, network_depth = self._look(frame, frame.camera, aids)
        if len(points.pixels) < FEWEST:
            reason = f'{len(points.pixels)} points in the picture; {FEWEST} are needed'
            return self._lost(frame, before, reason)
        if reason := self._break(frame, before):
            self._begin(frame, points)
            return self._lost(frame, before, reason)
        if self._tracker is None:
            self._begin(frame, points)
            self.tracking = Tracking(stamp_ns=frame.stamp_ns, state='starting')
            return None
        step = self._tracker.track(points, self._thought(aids))
        if step.state == 'lost':
            if self._tracker.exhausted:
                self._begin(frame, points)
            return self._lost(frame, before, step.reason, step.matches)
        return self._found(frame, aids, points, network_depth, step)

    # what is seen ---------------------------------------------------------------------------

    def _look(self, frame: Frame, camera: Camera, aids: Aids) -> tuple[Points, Matrix]:
        """Return the points of a picture, and their depths by a network (NaN for none)."""
        keypoints = aids.keypoints or self._keypoints(frame)
        pixels, descriptors = self._chosen(keypoints, aids)
        unknown = np.full(len(pixels), np.nan)
        picture = grey(frame.image)
        points = Points(
            number=self._number,
            stamp_ns=frame.stamp_ns,
            grey=picture,
            camera=camera,
            pixels=pixels,
            descriptors=descriptors,
            inverse_depth=unknown,
            inverse_stddev=unknown,
        )
        if aids.right is not None and aids.baseline > 0 and self._metre.allowed('stereo'):
            inverse, stddev = stereo_depths(
                picture, grey(aids.right.image), pixels, camera.fx, aids.baseline
            )
            return self._measured(points, 'stereo', inverse, stddev), unknown
        if aids.depth is None or aids.depth.depth is None:
            return points, unknown
        metres, spread = depths_at(aids.depth, camera, points.rays(pixels))
        if aids.depth_source == 'network':
            if self._metre.allowed('network'):
                inverse = self._metre.filter.scale / metres
                points = replace(points, inverse_depth=inverse, inverse_stddev=inverse / 2)
            return points, metres
        if not self._metre.allowed('depth'):
            return points, unknown
        stddev = depth_camera_stddev(metres, spread) / np.square(metres)
        return self._measured(points, 'depth', 1 / metres, stddev), unknown

    def _keypoints(self, frame: Frame) -> Keypoints:
        if self._features.settings.max_keypoints != self.settings.max_keypoints:
            self._features.settings = FeatureSettings(max_keypoints=self.settings.max_keypoints)
        return self._features.push(frame)

    def _chosen(self, keypoints: Keypoints, aids: Aids) -> tuple[FloatArray, FloatArray]:
        """Return the strongest points outside of the mask, and their descriptors."""
        pixels = np.asarray(keypoints.xy, np.float32)
        which = np.arange(len(pixels))
        if aids.mask is not None and len(pixels):
            height, width = aids.mask.shape
            x, y = np.rint(pixels).astype(np.intp).T
            inside = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
            which = which[aids.mask[inside]]
        which = which[: self.settings.max_keypoints]
        return pixels[which], np.asarray(keypoints.descriptors[which], np.float32)

    def _measured(
        self, points: Points, source: ScaleSource, inverse: Matrix, stddev: Matrix
    ) -> Points:
        return replace(
            points,
            inverse_depth=inverse,
            inverse_stddev=stddev,
            source=source,
            metric=self._metre.metric != 'none',
        )

    # where it is ----------------------------------------------------------------------------

    @property
    def _unit(self) -> float:
        """Metres per unit of the window."""
        return self._metre.filter.scale * self.settings.scale

    def _break(self, frame: Frame, before: int | None) -> str:
        """Say why a frame does not follow those before; empty if it does."""
        if before is None or self._seen is None:
            return ''
        pause, limit = (frame.stamp_ns - before) / 1e9, self.settings.max_frame_interval
        if pause <= 0:
            return f'time went from {before} to {frame.stamp_ns} ns'
        if pause > limit:
            return f'no frame for {pause:.2f} s; {limit:g} s are allowed'
        if self._seen.source != (size_of(frame), frame.camera):
            return 'the camera or its image size changed'
        return ''

    def _begin(self, frame: Frame, points: Points) -> None:
        """Start a window with a picture."""
        metric = self._metre.begin(points)
        points = replace(points, metric=metric)
        guess = _GUESS / self._metre.filter.scale
        self._tracker = Tracker(points, self.settings.window, guess)
        if self._seen is not None:
            self._gap_ns += max(frame.stamp_ns - self._seen.stamp_ns, 0)
        self._seen = _Seen(
            frame.stamp_ns, (size_of(frame), frame.camera), np.eye(4), np.zeros((6, 6))
        )

    def _thought(self, aids: Aids) -> Matrix | None:
        """Return the motion since the last picture by wheels and gyroscope, in units."""
        assert self._tracker is not None
        if aids.wheels is None and aids.turn is None:
            return None
        motion = self._tracker.motion
        if aids.wheels is not None:
            motion = np.array(aids.wheels, np.float64)
            motion[:3, 3] /= self._unit
        if aids.turn is not None:
            motion[:3, :3] = aids.turn
        return motion

    def _found(
        self, frame: Frame, aids: Aids, points: Points, network_depth: Matrix, step: Step
    ) -> Motion | Lost:
        assert self._tracker is not None
        assert self._seen is not None
        seen, source = self._seen, (size_of(frame), frame.camera)
        here = _Seen(frame.stamp_ns, source, step.window_from_camera, step.covariance)
        unit = self._unit
        motion = np.linalg.inv(seen.window_from_camera) @ here.window_from_camera
        if step.state == 'standing':
            motion = np.eye(4)
        length = float(np.linalg.norm(motion[:3, 3]))
        motion[:3, 3] *= unit
        pause = (frame.stamp_ns - seen.stamp_ns) / 1e9
        if reason := self._doubt(motion, pause):
            self._begin(frame, points)
            return self._lost(frame, seen.stamp_ns, reason, step.matches)
        if aids.wheels is not None and step.state != 'standing':
            self._metre.step(length, float(np.linalg.norm(aids.wheels[:3, 3])))
        answer = self._moved(seen, here, motion, pause, step.state == 'standing')
        if step.state != 'standing':
            self._seen = here
            if self._tracker.is_keyframe(self._number):
                self._metre.measure(self._tracker, points, network_depth)
                pose, covariance = self._tracker.pose, self._tracker.covariance
                self._seen = replace(here, window_from_camera=pose, covariance=covariance)
        else:
            self._seen = replace(seen, stamp_ns=frame.stamp_ns)
        self.tracking = self._report(frame, seen.stamp_ns, step, self._state(step, answer))
        return answer

    def _doubt(self, motion: Matrix, pause: float) -> str:
        """Say why the motion cannot be; empty if it can."""
        linear, angular = extent(motion) / pause
        if linear > self.settings.max_linear_speed:
            return f'a motion of {linear:.1f} m/s; {self.settings.max_linear_speed:g} are allowed'
        if angular > self.settings.max_angular_speed:
            return f'a turn of {angular:.2f} rad/s; {self.settings.max_angular_speed:g} are allowed'
        return ''

    def _moved(
        self, seen: _Seen, here: _Seen, motion: Matrix, pause: float, standing: bool
    ) -> Motion:
        unit = self._unit
        if standing:
            covariance, drift = np.diag(np.square(_STILL)), np.zeros((6, 6))
        else:
            both = _in_camera(here.covariance + seen.covariance, seen.window_from_camera, unit)
            alone = _in_camera(here.covariance, seen.window_from_camera, unit)
            covariance, drift = _MOTION * both, _DRIFT * alone
        unseen = self._unseen(extent(motion) / pause)
        covariance, drift = covariance + unseen, drift + unseen
        covariance[:3, :3] += self._metre.filter.spread(motion[:3, 3])
        self._settle_scale()
        self._way = self._way + self.odom_from_camera[:3, :3] @ motion[:3, 3]
        pose, self._noise = compounded(self.odom_from_camera, self._noise, motion, drift)
        self.odom_from_camera = orthonormal(pose)
        self._speed, self._gap_ns = extent(motion) / pause, 0
        return Motion(
            stamp_ns=here.stamp_ns,
            previous_stamp_ns=seen.stamp_ns,
            previous_from_current=motion,
            odom_from_camera=self.odom_from_camera,
            covariance=covariance,
            drift=drift,
            scale_stddev=self._metre.filter.stddev,
        )

    def _settle_scale(self) -> None:
        """Keep in the pose what the scale was off by on the way so far, now that it is surer."""
        before, now = self._scale_variance, self._metre.filter.stddev**2
        if now < before:
            self._noise[:3, :3] += (before - now) * np.outer(self._way, self._way)
        self._scale_variance = now

    def _unseen(self, speed: Matrix) -> Matrix:
        """Return the ``(6, 6)`` covariance of what may have happened while nothing was seen."""
        if self._gap_ns == 0:
            return np.zeros((6, 6))
        fastest = np.repeat(np.maximum(speed, self._speed), 3)
        return np.diag(np.square((fastest + _LEAST_SPEED) * self._gap_ns / 1e9))

    # what is said ---------------------------------------------------------------------------

    def _state(self, step: Step, motion: Motion) -> TrackingState:
        if step.state == 'standing':
            return 'standing'
        shift, angle = extent(motion.previous_from_current)
        unsure = np.sqrt(np.linalg.eigvalsh(motion.covariance[:3, :3])[-1])
        return 'turning' if angle > _TURN and shift < _SURE * unsure else 'tracking'

    def _report(self, frame: Frame, before: int, step: Step, state: TrackingState) -> Tracking:
        assert self._tracker is not None
        window, scale = self._tracker.window, self._metre.filter
        unit = self._unit
        odom_from_window = self.odom_from_camera @ _scaled(np.linalg.inv(self._tracker.pose), unit)
        points = unit * window.points() @ odom_from_window[:3, :3].T + odom_from_window[:3, 3]
        marks = window.landmarks
        sure = marks.inverse_depth > 0
        share = np.sqrt(marks.variance[sure]) / marks.inverse_depth[sure]
        return Tracking(
            stamp_ns=frame.stamp_ns,
            state=state,
            matches=step.matches,
            inliers=step.inliers,
            scale_source=scale.source,
            scale=self._unit,
            scale_stddev=scale.stddev,
            tracks=Matches(
                stamp_ns=frame.stamp_ns,
                previous_stamp_ns=before,
                previous_xy=step.earlier,
                xy=step.pixels,
                scores=np.ones(len(step.pixels), np.float32),
            ),
            landmarks=points[sure].astype(np.float32),
            landmark_stddev=share.astype(np.float32),
        )

    def _lost(self, frame: Frame, before: int | None, reason: str, matches: int = 0) -> Lost:
        scale = self._metre.filter
        self.tracking = Tracking(
            stamp_ns=frame.stamp_ns,
            state='lost',
            reason=reason,
            matches=matches,
            scale_source=scale.source,
            scale=self._unit,
            scale_stddev=scale.stddev,
        )
        known = frame.stamp_ns if self._seen is None else self._seen.stamp_ns
        blind = (self._gap_ns + max(frame.stamp_ns - known, 0)) / 1e9
        deviation = (np.repeat(self._speed, 3) + _LEAST_SPEED) * blind
        return Lost(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=frame.stamp_ns if before is None else before,
            reason=reason,
            odom_from_camera=self.odom_from_camera,
            pose_covariance=self.pose_covariance + np.diag(np.square(deviation)),
        )


def _in_camera(covariance: Matrix, window_from_camera: Matrix, unit: float) -> Matrix:
    """Return the covariance ``(6, 6)`` of a pose in a camera's axes, in metres."""
    turn = np.kron(np.diag((unit, 1.0)), window_from_camera[:3, :3].T)
    return np.asarray(turn @ covariance @ turn.T)


def _scaled(pose: Matrix, factor: float) -> Matrix:
    scaled = pose.copy()
    scaled[:3, 3] *= factor
    return scaled
