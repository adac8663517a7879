"""Visual odometry: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import BodyOdometry, BodySettings, BodyState
from dlcv.estimation.tasks.base import Estimator, Host, Level, Task, Verdict, settings
from dlcv.geometry.frames import Mount, TransformBuffer
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import DEEPVO
from dlcv.interface.parameters import DeepVOParameters
from dlcv.types import Frame, Motion

ODOMETRY, PATH, TF = '~/odometry', '~/path', '/tf'
PATH_PERIOD_NS = 500_000_000
_BODY_TO_CAMERA = (1, 2, 0, 4, 5, 3)  # deviations: camera x y z lie along body -y -z x

Matrix = npt.NDArray[np.float64]
Earlier = Callable[[int], BodyState | None]


class OdometryTask(Task[DeepVOParameters, BodyState]):
    """Adds the motions of an odometry estimator up to odometry of the body.

    Attributes:
        frames: Where the camera sits; whoever runs the task fills it.
    """

    spec = DEEPVO

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self.frames = TransformBuffer()
        self._mount = Mount(self.frames, host.warn)
        self._body = BodyOdometry()
        self._path: deque[Any] = deque()
        self._path_sent_ns: int | None = None
        self._blind = False
        self._given: tuple[Matrix, Matrix] | None = None
        self._earlier: Earlier | None = None

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.estimation.load import load_odometry

        return load_odometry(settings=self._estimator_settings(), **self.loading(device, precision))

    def configure(self) -> None:
        """Start the body at the origin."""
        self._body = BodyOdometry(settings(BodySettings, self.parameters))
        self._path = deque(maxlen=self.parameters.path_max_size)

    def retune(self) -> None:
        """Hand changed limits on."""
        self.estimator.settings = self._estimator_settings()

    def due(self, stamp_ns: int) -> bool:
        """Every image: a motion that is not looked at is missing from the sum for ever."""
        return True

    def continue_from(self, odom_from_base: Matrix, covariance: Matrix) -> None:
        """Take a pose from elsewhere, in any thread; the next image goes on from it."""
        self._given = odom_from_base, covariance

    def go_on(self, earlier: Earlier) -> None:
        """Let the next image go on from where the body was before, unless a pose is given.

        Args:
            earlier: Called in the worker with the time of that image (ns); returns where the body
                was, None for the origin.
        """
        self._earlier = earlier

    def infer(self, frame: Frame) -> BodyState | None:
        """Estimate the camera's motion and move the body by it; None while lost."""
        given, self._given = self._given, None
        earlier, self._earlier = self._earlier, None
        first = self._body.new
        if given is not None:
            self._body.set_pose(*given)
        elif earlier is not None and (last := earlier(frame.stamp_ns)) is not None:
            self._body.resume(last, frame.stamp_ns)
        answer = self.estimator.push(frame)
        if isinstance(answer, Motion):
            return self._moved(frame, answer)
        if answer is not None:
            return self._lost(frame, answer.reason)
        # one frame alone has no motion; as the very first it stands where it is, at some speed
        return self._body.begin(frame.stamp_ns, self._speed_limits()) if first else None

    def publish(self, frame: Frame, header: Any, result: BodyState) -> None:
        """Send odometry and its transform; the path less often."""
        p, make = self.parameters, self.compose
        in_odom = make.header_in(p.odom_frame, header.stamp)
        message = make.odometry(
            in_odom,
            p.base_frame,
            result.odom_from_base,
            result.covariance,
            result.twist,
            result.twist_covariance,
        )
        self.send(ODOMETRY, message)
        if self.wanted(TF):
            self.send(TF, make.tf(make.transform(in_odom, p.base_frame, result.odom_from_base)))
        self._path.append(make.pose_stamped(in_odom, result.odom_from_base))
        last = self._path_sent_ns
        if last is None or frame.stamp_ns - last >= PATH_PERIOD_NS:
            self._path_sent_ns = frame.stamp_ns
            self.send(PATH, make.path(in_odom, self._path))

    def reset(self) -> None:
        """Start anew at the origin."""
        self._body.reset()
        self._path.clear()
        self._path_sent_ns = None
        self._blind, self._earlier = False, None
        self.host.judge(None)

    def interrupt(self) -> None:
        """Go on from the last pose; the gap is the body's to account for."""
        self._blind = True

    def _moved(self, frame: Frame, motion: Motion) -> BodyState:
        if self._blind:  # the estimator knows nothing of the time before its failure
            self._body.hold(motion.previous_stamp_ns)
            self._blind = False
        self.host.judge(None)
        p = self.parameters
        camera = p.camera_frame or frame.frame_id
        mount = self._mount.base_from_camera(p.base_frame, camera, frame.stamp_ns)
        return self._body.advance(motion, mount)

    def _lost(self, frame: Frame, reason: str) -> BodyState | None:
        self.host.judge(Verdict(Level.ERROR, f'lost: {reason}'))
        self.host.complain(f'lost: {reason}')
        if self.parameters.lost_policy == 'stop':
            return None
        return self._body.held(frame.stamp_ns, self._speed_limits())

    def _speed_limits(self) -> Matrix:
        p = self.parameters
        return np.repeat((p.max_linear_speed, p.max_angular_speed), 3)

    def _estimator_settings(self) -> Any:
        from dlcv.estimation.deepvo import OdometrySettings

        p = self.parameters
        in_camera = tuple(p.twist_stddev[axis] for axis in _BODY_TO_CAMERA)
        return settings(OdometrySettings, p, twist_stddev=in_camera)
