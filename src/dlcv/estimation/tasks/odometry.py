"""Odometry, whoever estimates it: motions of a camera in, pose and velocity of a body out."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import BodyOdometry, BodySettings, BodyState
from dlcv.estimation.tasks.base import Host, Level, Task, Verdict, settings
from dlcv.geometry.frames import Mount, TransformBuffer, TransformError
from dlcv.interface.messages import Composer
from dlcv.interface.odometry_parameters import OdometryParameters
from dlcv.types import Frame, Lost, Motion

ODOMETRY, PATH, TF = '~/odometry', '~/path', '/tf'
PATH_PERIOD_NS = 500_000_000
MOUNT_PATIENCE = 0.1  # seconds for which a frame waits for where its camera is
SILENT_NS = 2_000_000_000  # a joint that has said nothing for so long is not waited for

Matrix = npt.NDArray[np.float64]
Earlier = Callable[[int], BodyState | None]
O = TypeVar('O', bound=OdometryParameters)  # noqa: E741


class OdometryTask(Task[O, BodyState]):
    """Adds the motions of an odometry estimator up to odometry of the body.

    Attributes:
        frames: Where the camera sits; whoever runs the task fills it.
    """

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self.frames = TransformBuffer()
        self.mount = Mount(self.frames, host.warn)
        self.body = BodyOdometry()
        self._path: deque[Any] = deque()
        self._path_sent_ns: int | None = None
        self._blind = False
        self._given: tuple[Matrix, Matrix] | None = None
        self._earlier: Earlier | None = None
        self._mounts: dict[int, Matrix] = {}  # of the last frame, and the last that moved
        self._moved_ns = -1
        self._assumed = False  # whether nobody has told yet where the camera sits

    @abstractmethod
    def estimate(self, frame: Frame) -> Motion | Lost | None:
        """Run the estimator on a frame."""

    def placed(self, frame: Frame, base_from_camera: Matrix) -> None:
        """Take note that the body was put somewhere else than its motions led it.

        Args:
            frame: From which on it is there.
            base_from_camera: ``(4, 4)`` where the camera sits.
        """

    def pose_covariance(self, answer: Motion | Lost, base_from_camera: Matrix) -> Matrix | None:
        """Return the ``(6, 6)`` of the body's pose after an answer, in odom axes.

        None leaves it to the sum of the motions, whose errors are then independent.
        """
        return None

    def configure(self) -> None:
        """Start the body at the origin."""
        self.body = BodyOdometry(settings(BodySettings, self.parameters))
        self._path = deque(maxlen=self.parameters.path_max_size)

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

    def gather(self, frame: Frame) -> None:
        """Wait for where the camera sits, for the first image and if it moves on the body."""
        base, camera, now = self.parameters.base_frame, self._camera(frame), frame.stamp_ns
        if not self.beside.patient or self.frames.fixed(base, camera):
            return

        def placed() -> bool:
            try:
                newest = self.frames.newest(base, camera)
            except TransformError:
                return not self.body.new  # nobody has told so far: it will not come with this one
            return not 0 < now - newest < SILENT_NS

        self.frames.wait_for(placed, MOUNT_PATIENCE)

    def infer(self, frame: Frame) -> BodyState | None:
        """Estimate the camera's motion and move the body by it; None while lost."""
        first, mount = self.body.new, self.base_from_camera(frame)
        self._place(frame, mount)
        answer = self.estimate(frame)
        mounts, self._mounts = self._mounts, self._mounts_after(frame, mount)
        if isinstance(answer, Motion):
            self.host.judge(None)
            before = mounts.get(answer.previous_stamp_ns)
            self._moved_ns = frame.stamp_ns
            covariance = self.pose_covariance(answer, mount)
            return self.body.advance(answer, mount, before, covariance)
        if answer is not None:
            return self._lost(frame, answer, mount)
        # one frame alone has no motion; as the very first it stands where it is, at some speed
        return self.body.begin(frame.stamp_ns, self._speed_limits()) if first else None

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
        self.body.reset()
        self._path.clear()
        self._path_sent_ns = None
        self._blind, self._earlier = False, None
        self._mounts, self._moved_ns = {}, -1
        self.host.judge(None)

    def interrupt(self) -> None:
        """Go on from the last pose; the gap is the body's to account for."""
        self._blind = True

    def base_from_camera(self, frame: Frame) -> Matrix:
        """Return ``(4, 4)`` where the camera sits on the body at a frame's moment."""
        p = self.parameters
        return self.mount.base_from_camera(p.base_frame, self._camera(frame), frame.stamp_ns)

    def _camera(self, frame: Frame) -> str:
        return self.parameters.camera_frame or frame.frame_id

    def _mounts_after(self, frame: Frame, mount: Matrix) -> dict[int, Matrix]:
        """Return the mounts that a motion to the next frame may begin at; of a joint only.

        A camera that is found to sit elsewhere than was believed has not moved.
        """
        base, camera = self.parameters.base_frame, self._camera(frame)
        if self._assumed or self.frames.fixed(base, camera):
            return {}
        kept = {at: one for at, one in self._mounts.items() if at == self._moved_ns}
        return {**kept, frame.stamp_ns: mount}

    def _place(self, frame: Frame, mount: Matrix) -> None:
        """Put the body where it is told to be, or was before the estimator forgot everything."""
        given, self._given = self._given, None
        earlier, self._earlier = self._earlier, None
        blind, self._blind = self._blind, False
        assumed = self._assumed
        self._assumed = not self.frames.connected(self.parameters.base_frame, self._camera(frame))
        found = assumed and not self._assumed
        if given is not None:
            self.body.set_pose(*given)
        elif earlier is not None and (last := earlier(frame.stamp_ns)) is not None:
            self.body.resume(last, frame.stamp_ns)
        elif blind:  # the estimator knows nothing of the time before its failure
            self.body.hold(frame.stamp_ns)
        elif not (self.body.new or found):
            return
        self.placed(frame, mount)

    def _lost(self, frame: Frame, answer: Lost, mount: Matrix) -> BodyState | None:
        self.host.judge(Verdict(Level.ERROR, f'lost: {answer.reason}'))
        self.host.complain(f'lost: {answer.reason}')
        if self.parameters.lost_policy == 'stop':
            return None
        covariance = self.pose_covariance(answer, mount)
        return self.body.held(frame.stamp_ns, self._speed_limits(), covariance)

    def _speed_limits(self) -> Matrix:
        p = self.parameters
        return np.repeat((p.max_linear_speed, p.max_angular_speed), 3)
