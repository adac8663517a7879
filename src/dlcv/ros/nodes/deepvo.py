"""Visual odometry: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NoReturn

from geometry_msgs.msg import PoseWithCovarianceStamped

from dlcv.estimation.body import BodyState
from dlcv.estimation.tasks.deepvo import OdometryTask
from dlcv.interface import messages
from dlcv.interface.nodes import TF_STATIC
from dlcv.interface.parameters import DeepVOParameters
from dlcv.ros import start
from dlcv.ros.node import VisionNode
from dlcv.ros.qos import profile
from dlcv.ros.transforms import subscribe

SET_POSE = '~/set_pose'


class DeepVONode(VisionNode[DeepVOParameters, BodyState]):
    """Odometry of the body, and poses for it from elsewhere."""

    task_class = OdometryTask
    task: OdometryTask

    def more_inputs(self) -> Iterable[Any]:
        """Listen to where the camera sits and to poses from elsewhere."""
        yield self.create_subscription(
            PoseWithCovarianceStamped, SET_POSE, self._on_set_pose, profile('R10')
        )
        yield from subscribe(self, TF_STATIC, self.task.frames)

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


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(DeepVONode, args)


if __name__ == '__main__':
    main()
