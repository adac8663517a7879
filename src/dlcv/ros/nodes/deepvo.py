"""Visual odometry: images in, the pose and the velocity of the body that carries the camera out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import monotonic
from typing import Any, NoReturn

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped

from dlcv.contract.nodes import DEEPVO, TF_STATIC
from dlcv.contract.parameters import DeepVOParameters
from dlcv.inference.body import BodyOdometry, BodySettings, BodyState
from dlcv.ros import convert, start
from dlcv.ros.health import Level, Verdict
from dlcv.ros.node import QUIET, Estimator, VisionNode
from dlcv.ros.parameters import settings
from dlcv.ros.qos import profile
from dlcv.ros.transforms import Mount, TransformBuffer, subscribe
from dlcv.types import Frame, Motion

ODOMETRY, PATH, TF, SET_POSE = '~/odometry', '~/path', '/tf', '~/set_pose'
PATH_PERIOD = 0.5  # seconds
_BODY_TO_CAMERA = (1, 2, 0, 4, 5, 3)  # deviations: camera x y z lie along body -y -z x


class DeepVONode(VisionNode[DeepVOParameters, BodyState]):
    """Add the motions of an odometry estimator up to odometry of the body."""

    spec = DEEPVO

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        self._frames = TransformBuffer()
        self._mount = Mount(self._frames, self.get_logger().warning)
        self._body = BodyOdometry()
        self._path: deque[Any] = deque()
        self._path_sent = float('-inf')
        self._blind = False
        self._given: Any = None

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator."""
        from dlcv.inference.load import load_odometry

        return load_odometry(settings=self._estimator_settings(), **self.loading(device, precision))

    def on_configured(self) -> None:
        """Start the body at the origin."""
        self._body = BodyOdometry(settings(BodySettings, self.parameters))
        self._path = deque(maxlen=self.parameters.path_max_size)

    def retune(self) -> None:
        """Hand changed limits on."""
        self.estimator.settings = self._estimator_settings()

    def due(self, stamp_ns: int) -> bool:
        """Every image: a motion that is not looked at is missing from the sum for ever."""
        return True

    def more_inputs(self) -> Iterable[Any]:
        """Listen to where the camera sits and to poses from elsewhere."""
        yield self.create_subscription(
            PoseWithCovarianceStamped, SET_POSE, self._on_set_pose, profile('R10')
        )
        yield from subscribe(self, TF_STATIC, self._frames)

    def infer(self, frame: Frame) -> BodyState | None:
        """Estimate the camera's motion and move the body by it; None while lost."""
        self._take_given_pose()
        answer = self.estimator.push(frame)
        if isinstance(answer, Motion):
            return self._moved(frame, answer)
        if answer is not None:
            return self._lost(frame, answer.reason)
        # one frame alone has no motion; as the very first it stands at the origin, at some speed
        return self._body.begin(frame.stamp_ns, self._speed_limits()) if self._body.new else None

    def publish(self, frame: Frame, header: Any, result: BodyState) -> None:
        """Publish odometry and its transform; the path less often."""
        p = self.parameters
        in_odom = convert.header_in(p.odom_frame, header.stamp)
        message = convert.odometry(
            in_odom,
            p.base_frame,
            result.odom_from_base,
            result.covariance,
            result.twist,
            result.twist_covariance,
        )
        self.send(ODOMETRY, message)
        if self.wanted(TF):
            from tf2_msgs.msg import TFMessage

            moved = convert.transform(in_odom, p.base_frame, result.odom_from_base)
            self.send(TF, TFMessage(transforms=[moved]))
        self._path.append(convert.pose_stamped(in_odom, result.odom_from_base))
        if monotonic() - self._path_sent >= PATH_PERIOD:
            self._path_sent = monotonic()
            self.send(PATH, convert.path(in_odom, self._path))

    def reset_history(self) -> None:
        """Start anew at the origin."""
        self._body.reset()
        self._path.clear()
        self._path_sent = float('-inf')
        self._blind = False
        self.judge(None)

    def break_history(self) -> None:
        """Go on from the last pose; the gap is the body's to account for."""
        self._blind = True

    def _moved(self, frame: Frame, motion: Motion) -> BodyState:
        if self._blind:  # the estimator knows nothing of the time before its failure
            self._body.hold(motion.previous_stamp_ns)
            self._blind = False
        self.judge(None)
        p = self.parameters
        camera = p.camera_frame or frame.frame_id
        mount = self._mount.base_from_camera(p.base_frame, camera, frame.stamp_ns)
        return self._body.advance(motion, mount)

    def _lost(self, frame: Frame, reason: str) -> BodyState | None:
        self.judge(Verdict(Level.ERROR, f'lost: {reason}'))
        self.get_logger().error(f'lost: {reason}', throttle_duration_sec=QUIET)
        if self.parameters.lost_policy == 'stop':
            return None
        return self._body.held(frame.stamp_ns, self._speed_limits())

    def _speed_limits(self) -> np.ndarray:
        p = self.parameters
        return np.repeat((p.max_linear_speed, p.max_angular_speed), 3)

    def _estimator_settings(self) -> Any:
        from dlcv.inference.odometry import OdometrySettings

        p = self.parameters
        in_camera = tuple(p.twist_stddev[axis] for axis in _BODY_TO_CAMERA)
        return settings(OdometrySettings, p, twist_stddev=in_camera)

    def _on_set_pose(self, message: PoseWithCovarianceStamped) -> None:
        """Check a pose in the executor's thread; the worker, who owns the body, takes it."""
        frame, wanted = message.header.frame_id, self.parameters.odom_frame
        if frame not in ('', wanted):
            self.get_logger().error(f'set_pose is in frame {frame!r}; {wanted!r} is needed')
            return
        try:
            matrix = convert.pose_matrix(message.pose.pose)
            self._given = matrix, convert.covariance_matrix(message.pose.covariance)
        except convert.ConvertError as err:
            self.get_logger().error(f'set_pose is not taken: {err}')

    def _take_given_pose(self) -> None:
        given, self._given = self._given, None
        if given is not None:
            self._body.set_pose(*given)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(DeepVONode, args)


if __name__ == '__main__':
    main()
