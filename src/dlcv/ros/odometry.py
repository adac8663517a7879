"""What the nodes share that are odometry: their last pose, poses from elsewhere, transforms."""

from __future__ import annotations

from collections.abc import Iterable
from time import monotonic
from typing import Any, Generic

from geometry_msgs.msg import PoseWithCovarianceStamped

from dlcv.estimation.body import BodyState, standing
from dlcv.estimation.tasks.odometry import O, OdometryTask
from dlcv.geometry.frames import TransformError
from dlcv.interface import messages
from dlcv.interface.nodes import BODY, SET_POSE, TF_STATIC
from dlcv.ros.intake import Intake
from dlcv.ros.last_pose import LastPose
from dlcv.ros.node import VisionNode
from dlcv.ros.qos import profile
from dlcv.ros.transforms import subscribe
from dlcv.types import Frame

TF_PATIENCE = 10.0  # seconds for which /tf may tell where the camera sits


class OdometryNode(VisionNode[O, BodyState], Generic[O]):
    """Odometry of the body, and poses for it from elsewhere."""

    task: OdometryTask[O]

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        domain = self.context.get_domain_id()
        self._last_pose = LastPose(self.get_fully_qualified_name(), domain)
        self._tf: list[Any] = []
        self._camera = ''  # frame of the images, once there was one
        self._begun_at = 0.0

    def resume(self) -> None:
        """Go on from the last pose, of this process or the one before it, if it is recent."""
        self._camera = ''
        if self.parameters.resume_within:
            self.task.go_on(self._earlier)

    def more_inputs(self) -> Iterable[Any]:
        """Listen to where the camera sits and to poses from elsewhere."""
        yield self.create_subscription(
            PoseWithCovarianceStamped, SET_POSE.name, self._on_set_pose, profile(SET_POSE.qos)
        )
        yield from subscribe(self, TF_STATIC, self.task.frames)
        self._tf = list(subscribe(self, BODY, self.task.frames))
        yield from self._tf

    def look_after(self, intake: Intake) -> None:
        """Stop listening to /tf, which may be hundreds of messages a second, once it has served."""
        if not (self._camera and self._tf):
            return
        frames, base = self.task.frames, self.parameters.base_frame
        untold = not frames.knows(self._camera) and monotonic() - self._begun_at > TF_PATIENCE
        if untold or frames.fixed(base, self._camera):
            while self._tf:
                intake.drop(self._tf.pop())

    def publish(self, frame: Frame, header: Any, result: BodyState) -> None:
        """Publish, and keep the pose for whoever is started next."""
        super().publish(frame, header, result)
        if not self._camera:
            self._begun_at = monotonic()
            self._camera = self.parameters.camera_frame or frame.frame_id
        if not self.parameters.resume_within:
            return  # whoever is started next does not look for it
        try:
            self._last_pose.save(result, self._frames())
        except OSError as err:
            self.complain(f'the last pose is not kept, and a respawn starts at the origin: {err}')

    # worker thread -------------------------------------------------------------------------

    def _earlier(self, stamp_ns: int) -> BodyState | None:
        """Return where the body was before the first image; None, and say so, for the origin."""
        known = [self._last_pose.load(self._frames()), self._by_tf()]
        reason = 'no last pose is known'
        for last, origin in zip(known, ('its own last pose', 'the pose on /tf'), strict=True):
            if last is None:
                continue
            gap, limit = (stamp_ns - last.stamp_ns) / 1e9, self.parameters.resume_within
            if 0 <= gap <= limit:
                self.warn(f'goes on from {origin}, of {gap:.2f} s before this image')
                return last
            reason = f'{origin} is of {gap:.2f} s before this image; resume_within is {limit}'
        self.get_logger().info(f'starts at the origin of {self.parameters.odom_frame}: {reason}')
        return None

    def _by_tf(self) -> BodyState | None:
        p = self.parameters
        try:
            stamp = self.task.frames.newest(p.odom_frame, p.base_frame)
            pose = self.task.frames.lookup(p.odom_frame, p.base_frame, stamp)
        except TransformError:
            return None
        return standing(stamp, pose)

    def _frames(self) -> dict[str, str]:
        p = self.parameters
        return {'odom_frame': p.odom_frame, 'base_frame': p.base_frame}

    # executor thread -----------------------------------------------------------------------

    def _on_set_pose(self, message: PoseWithCovarianceStamped) -> None:
        frame, wanted = messages.frame_of(message), self.parameters.odom_frame
        if frame not in ('', wanted):
            self.get_logger().error(f'set_pose is in frame {frame!r}; {wanted!r} is needed')
            return
        try:
            pose = messages.pose_matrix(message.pose.pose)
            covariance = messages.covariance_matrix(message.pose.covariance)
        except messages.MessageError as err:
            self.get_logger().error(f'set_pose is not taken: {err}')
            return
        self.task.continue_from(pose, covariance)
