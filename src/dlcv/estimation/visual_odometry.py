"""Frames to camera motion by learned features and geometry between them.

What is learned finds points again (SuperPoint) and says how far away things are (monodepth, by its
topic); what is geometry holds them together: a motion that agrees with the points, a window of
keyframes, one scale with its uncertainty. The parts are in `dlcv.estimation.odometry`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.engines import Choice
from dlcv.estimation import rehearsal
from dlcv.estimation.base import Estimator
from dlcv.estimation.deep_fundamental import MatchWeigher
from dlcv.estimation.odometry.adjustment import GUESSED, Adjuster
from dlcv.estimation.odometry.metre import Metre
from dlcv.estimation.odometry.plausible import excess, interruption
from dlcv.estimation.odometry.report import report
from dlcv.estimation.odometry.resection import FEWEST
from dlcv.estimation.odometry.settings import VisualOdometrySettings as VisualOdometrySettings
from dlcv.estimation.odometry.sight import look
from dlcv.estimation.odometry.speechless import silence
from dlcv.estimation.odometry.step import Step
from dlcv.estimation.odometry.tracker import Tracker
from dlcv.estimation.odometry.view import Points
from dlcv.estimation.odometry.way import Doubt, Way
from dlcv.estimation.pictures import size_of
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.geometry.trajectory import extent
from dlcv.networks.superpoint import SuperPoint
from dlcv.types import (
    Aids,
    Camera,
    FloatArray,
    Frame,
    Lost,
    Motion,
    Tracking,
    TrackingState,
)

Matrix = npt.NDArray[np.float64]

_GUESS = 5.0  # metres that points are taken to be away before anything is known
_HEIGHTS = 7.0  # heights of the camera, where that is known: floors, roads and what stands on them
_TURN, _SURE = 0.01, 2.0  # rad that is a turn, and deviations by which a shift is none


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
        weigher: Says which matches count, where no prediction holds; None for all alike.
        tracking: What it knows of itself since the last frame.
        points_come: Whether pictures are to come with their points, so that the network is run for
            those alone that do not: nothing is got ready for it.
    """

    proven = FeatureEstimator.proven

    def __init__(
        self,
        network: SuperPoint,
        settings: VisualOdometrySettings | None = None,
        device: str = 'auto',
        precision: str = 'fp32',
    ) -> None:
        super().__init__(network, device, precision)
        self.settings = settings or VisualOdometrySettings()
        self.weigher: MatchWeigher | None = None
        self.points_come = False
        self._features = FeatureEstimator(self.network, None, device, precision)
        self._adjuster = Adjuster(lockstep=True)
        self.reset()

    def use(self, choice: Choice) -> None:
        """Find points in this engine from now on."""
        self._features.use(choice)
        self.runner = self._features.runner

    def warm_up(self, width: int, height: int, camera: Camera | None = None) -> None:
        """Run on made-up pictures of the size to come: the first real one is as fast as any."""
        first, second = rehearsal.pictures(2, width, height, camera)
        size = self.network.config.descriptor_size
        come = self.points_come
        points = rehearsal.points(first, size) if come else self._features.push(first)
        for frame in (first, second):
            self.push(frame, Aids(keypoints=points))
        self.reset()

    def reset(self) -> None:
        """Forget the drive so far; the next frame is the origin."""
        self.tracking = Tracking(stamp_ns=0, state='starting')
        self._metre = Metre(self.settings.scale_source, self.settings.camera_height)
        self._tracker: Tracker | None = None
        self._seen: _Seen | None = None  # the last picture whose place in the window is known
        self._last_ns: int | None = None
        self._number = 0
        self._way = Way()
        self._unmeasured: dict[int, tuple[Points, Matrix]] = {}  # keyframes, by number
        self._adjuster.close()

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose, with this ``(6, 6)`` covariance (default zero)."""
        self._way.set_pose(odom_from_camera, covariance)

    @property
    def odom_from_camera(self) -> Matrix:
        """``(4, 4)`` the pose so far, in metres."""
        return self._way.odom_from_camera

    @property
    def pose_covariance(self) -> Matrix:
        """``(6, 6)`` of the pose as (x, y, z, rx, ry, rz), in odom axes, m and rad."""
        return self._way.covariance(self._metre.filter)

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
        if self._tracker.before is not None and self._seen is not None:  # the way stays as it was
            last = self._tracker.before.copy()  # but for a turn that a shift was taken for
            last[:3, :3] = self._seen.window_from_camera[:3, :3]
            self._seen = replace(self._seen, window_from_camera=last)
            self._unmeasured.clear()
        if step.state == 'lost':
            if self._tracker.exhausted:
                self._begin(frame, points)
            return self._lost(frame, before, step.reason, step.matches)
        return self._found(frame, aids, points, network_depth, step)

    # what is seen ---------------------------------------------------------------------------

    def _look(self, frame: Frame, camera: Camera, aids: Aids) -> tuple[Points, Matrix]:
        """Return the points of a picture, and their depths by a network (NaN for none)."""
        limit = self.settings.max_keypoints
        keypoints = aids.keypoints
        if keypoints is None:
            if self._features.settings.max_keypoints != limit:
                self._features.settings = FeatureSettings(max_keypoints=limit)
            keypoints = self._features.push(frame)
        return look(self._number, frame, camera, keypoints, aids, self._metre, limit)

    # where it is ----------------------------------------------------------------------------

    @property
    def _unit(self) -> float:
        """Metres per unit of the window."""
        return self._metre.filter.scale * self.settings.scale

    def _break(self, frame: Frame, before: int | None) -> str:
        """Say why a frame does not follow those before; empty if it does."""
        if before is None or self._seen is None:
            return ''
        same_camera = self._seen.source == (size_of(frame), frame.camera)
        return interruption(before, frame.stamp_ns, same_camera=same_camera, limits=self.settings)

    def _begin(self, frame: Frame, points: Points) -> None:
        """Start a window with a picture."""
        self._way.settle(self._metre.filter)
        metric = self._metre.begin(points)
        points = replace(points, metric=metric)
        height = self.settings.camera_height if self._metre.allowed('camera_height') else 0.0
        guess = (_HEIGHTS * height or _GUESS) / self._metre.filter.scale
        self._adjuster.close()
        self._adjuster = Adjuster(lockstep=self.settings.lockstep)
        self._tracker = Tracker(points, self.settings.window, guess, self._adjuster, self._weigh)
        self._unmeasured.clear()
        if self._seen is not None:
            self._way.miss(frame.stamp_ns - self._seen.stamp_ns)
        self._seen = _Seen(
            frame.stamp_ns, (size_of(frame), frame.camera), np.eye(4), np.zeros((6, 6))
        )

    def _weigh(self, older: FloatArray, newer: FloatArray, likeness: FloatArray) -> FloatArray:
        if self.weigher is None:
            return np.full(len(older), 1 / max(1, len(older)))
        return self.weigher.weigh(older, newer, likeness).weights

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
        seen, scale, unit = self._seen, self._metre.filter, self._unit
        here = _Seen(
            frame.stamp_ns, (size_of(frame), frame.camera), step.window_from_camera, step.covariance
        )
        standing = step.state == 'standing'
        motion: Matrix = np.eye(4)
        if not standing:
            motion = np.asarray(np.linalg.inv(seen.window_from_camera) @ here.window_from_camera)
        length = float(np.linalg.norm(motion[:3, 3]))
        motion[:3, 3] *= unit
        if reason := excess(motion, (frame.stamp_ns - seen.stamp_ns) / 1e9, self.settings):
            self._begin(frame, points)
            return self._lost(frame, seen.stamp_ns, reason, step.matches)
        state: TrackingState = 'standing'
        if standing:
            doubt = Doubt.standing(unit * self._tracker.depth)
            answer = self._way.move(motion, doubt, here.stamp_ns, seen.stamp_ns, scale)
            self._seen = replace(seen, stamp_ns=frame.stamp_ns)
        else:
            if aids.wheels is not None:
                self._metre.step(length, float(np.linalg.norm(aids.wheels[:3, 3])))
            doubt = Doubt.between(
                seen.covariance,
                here.covariance,
                seen.window_from_camera,
                unit,
                motion,
                unit * self._tracker.depth,
            )
            doubt = replace(doubt, turn_only=step.turn_only)
            state = 'turning' if step.turn_only or _turns(motion, doubt) else 'tracking'
            answer = self._way.move(motion, doubt, here.stamp_ns, seen.stamp_ns, scale)
            self._seen = here
            if self._tracker.is_keyframe(self._number):
                self._unmeasured[self._number] = points, network_depth
                self._measured_to(self._tracker.window.frames[0].number - 1)  # or out of the window
            if self._tracker.unit_lost and scale.source != 'none':
                self._way.keep(scale)
                scale.doubt(GUESSED)
            settled = self._tracker.settled
            if settled is not None and settled in self._unmeasured:
                self._way.settle(scale)
                self._metre.measure(self._tracker, *self._unmeasured[settled])
                self._measured_to(settled)
                pose, covariance = self._tracker.pose, self._tracker.covariance
                self._seen = replace(here, window_from_camera=pose, covariance=covariance)
        self.tracking = replace(
            report(
                self._tracker,
                step,
                self.odom_from_camera,
                self._unit,
                (seen.stamp_ns, here.stamp_ns),
            ),
            state=state,
            scale_source=scale.source,
            scale=self._unit,
            scale_stddev=scale.stddev,
        )
        return answer

    def _measured_to(self, number: int) -> None:
        """Take note that keyframes up to one are not to be measured any more."""
        self._unmeasured = {n: one for n, one in self._unmeasured.items() if n > number}

    # what is said ---------------------------------------------------------------------------

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
        return self._way.lose(
            frame.stamp_ns,
            frame.stamp_ns if before is None else before,
            frame.stamp_ns if self._seen is None else self._seen.stamp_ns,
            reason,
            scale,
        )


def _turns(motion: FloatArray, doubt: Doubt) -> bool:
    """Whether a motion is a turn, and its shift may be none."""
    shift, angle = extent(motion)
    unsure = np.sqrt(np.linalg.eigvalsh(doubt.motion[:3, :3])[-1])
    return bool(angle > _TURN and shift < _SURE * unsure)
