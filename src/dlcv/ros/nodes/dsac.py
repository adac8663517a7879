"""Relocalization: images in, the pose in a known scene out, on demand or all the time."""

from __future__ import annotations

from collections.abc import Iterable
from threading import Lock
from typing import Any, NoReturn

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from scipy.spatial.transform import Rotation

from dlcv.estimation.tasks.dsac import Fix, RelocalizationTask
from dlcv.geometry.frames import Matrix, TransformBuffer, TransformError, inverse
from dlcv.interface import messages
from dlcv.interface.nodes import DSAC, TF_STATIC
from dlcv.interface.parameters import DsacParameters
from dlcv.ros import start
from dlcv.ros.asked import AskedNode
from dlcv.ros.faults import QUIET
from dlcv.ros.qos import profile
from dlcv.ros.transforms import subscribe
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Frame

TF, TRIGGER, INITIAL_POSE = '/tf', '~/trigger', 'initial_pose'
TF_INPUT = next(topic for topic in DSAC.inputs if topic.name == TF)
TF_PERIOD = 0.05  # seconds between two map -> odom
TF_PATIENCE_NS = 2 * 10**9  # odometry of an image may come this much later than its pose
AGREE_METRES, AGREE_RADIANS = 0.5, np.deg2rad(10)  # poses this close confirm each other


class DsacNode(AskedNode[DsacParameters, Fix]):
    """The pose in a map, asked for or all the time; and where odometry started in it."""

    task_class = RelocalizationTask
    task: RelocalizationTask
    service, refusal = TRIGGER, 'rejected: '

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        self._anchor = Anchor(self.task.frames)
        self.create_timer(TF_PERIOD, self._publish_anchor)

    def more_inputs(self) -> Iterable[Any]:
        """Listen to the prior, to where the camera sits, and to odometry when it is needed."""
        yield self.create_subscription(
            PoseWithCovarianceStamped, INITIAL_POSE, self._on_initial_pose, profile('R10')
        )
        yield from subscribe(self, TF_STATIC, self.task.frames)
        if self.parameters.publish_tf:
            yield from subscribe(self, TF_INPUT, self.task.frames)

    def publish(self, frame: Frame, header: Any, result: Fix) -> None:
        """Publish, and answer whoever asked."""
        self.task.asked = self.asked
        super().publish(frame, header, result)
        if result.accepted and self.parameters.publish_tf:
            assert result.map_from_base is not None
            self._anchor.add(result.found.stamp_ns, result.map_from_base)
        verdict = 'accepted' if result.accepted else 'rejected'
        self.answer(result.accepted, f'{verdict}: {result.found.reason}')

    def reset_history(self) -> None:
        """Forget also what was to be confirmed."""
        super().reset_history()
        self._anchor.clear()

    # executor thread -----------------------------------------------------------------------

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        frame, wanted = messages.frame_of(message), self.parameters.map_frame
        if frame not in ('', wanted):
            self.get_logger().error(f'initial_pose is in frame {frame!r}; {wanted!r} is needed')
            return
        try:
            self.task.prior = messages.pose_matrix(message.pose.pose)
        except messages.MessageError as err:
            self.get_logger().error(f'initial_pose is not taken: {err}')

    def _publish_anchor(self) -> None:
        p = self.parameters
        if not (self.active and p.publish_tf):
            return
        now = self.get_clock().now().nanoseconds
        problem = self._anchor.settle(p.odom_frame, p.base_frame, p.confirmations, now)
        if problem:
            self.get_logger().error(
                f'{p.map_frame} -> {p.odom_frame} cannot be moved: {problem}',
                throttle_duration_sec=QUIET,
            )
        map_from_odom = self._anchor.map_from_odom
        if map_from_odom is None or not self.wanted(TF):
            return
        header = COMPOSER.header(now + int(1e9 * p.transform_tolerance), p.map_frame)
        self.outputs[TF].publish(
            COMPOSER.tf(COMPOSER.transform(header, p.odom_frame, map_from_odom))
        )


class Anchor:
    """Where odometry started in the map, once enough poses in a row agree on it."""

    def __init__(self, frames: TransformBuffer) -> None:
        self._frames = frames
        self._lock = Lock()
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self.map_from_odom: Matrix | None = None
            self._poses: list[tuple[int, Matrix]] = []
            self._agreeing: list[Matrix] = []

    def add(self, stamp_ns: int, map_from_base: Matrix) -> None:
        """Take an accepted pose."""
        with self._lock:
            self._poses.append((stamp_ns, map_from_base))

    def settle(self, odom: str, base: str, confirmations: int, now_ns: int) -> str:
        """Set ``map_from_odom`` by the poses whose odometry has arrived.

        Args:
            odom: Frame of the odometry.
            base: Frame of the body.
            confirmations: How many poses must agree in a row.
            now_ns: The time; a pose whose odometry has not come for long is given up.

        Returns:
            Why a pose had to be given up; empty if none.
        """
        with self._lock:
            waiting, problem = [], ''
            for stamp, map_from_base in self._poses:
                try:
                    odom_from_base = self._frames.lookup(odom, base, stamp)
                except TransformError as err:
                    if now_ns - stamp <= TF_PATIENCE_NS:
                        waiting.append((stamp, map_from_base))
                    else:
                        problem = str(err)
                    continue
                self._confirm(map_from_base @ inverse(odom_from_base), confirmations)
            self._poses = waiting[-10:]
            return problem

    def _confirm(self, candidate: Matrix, confirmations: int) -> None:
        if self._agreeing and not _agree(self._agreeing[-1], candidate):
            self._agreeing = []
        self._agreeing = [*self._agreeing, candidate][-confirmations:]
        if len(self._agreeing) >= confirmations:
            self.map_from_odom = candidate


def _agree(one: Matrix, other: Matrix) -> bool:
    apart = inverse(one) @ other
    turn = Rotation.from_matrix(apart[:3, :3]).magnitude()
    return bool(np.linalg.norm(apart[:3, 3]) <= AGREE_METRES and turn <= AGREE_RADIANS)


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(DsacNode, args)


if __name__ == '__main__':
    main()
