"""Relocalization: images in, the pose in a known scene out, on demand or all the time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from threading import Lock
from typing import Any, NoReturn

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from scipy.spatial.transform import Rotation
from std_srvs.srv import Trigger

from dlcv.contract.nodes import DSAC, TF_STATIC
from dlcv.contract.parameters import DsacParameters
from dlcv.inference.body import compounded
from dlcv.ros import convert, start
from dlcv.ros.health import Level, Verdict
from dlcv.ros.node import QUIET, Estimator, VisionNode
from dlcv.ros.parameters import settings
from dlcv.ros.qos import profile
from dlcv.ros.transforms import Matrix, Mount, TransformBuffer, TransformError, inverse, subscribe
from dlcv.types import Camera, Frame, Localization

POSE, HYPOTHESES, INITIALPOSE, TF = '~/pose', '~/hypotheses', 'initialpose', '/tf'
TRIGGER, INITIAL_POSE = '~/trigger', 'initial_pose'
TF_INPUT = next(topic for topic in DSAC.inputs if topic.name == TF)
TF_PERIOD = 0.05  # seconds between two map -> odom
TF_PATIENCE_NS = 2 * 10**9  # odometry of an image may come this much later than its pose
AGREE_METRES, AGREE_RADIANS = 0.5, np.deg2rad(10)  # poses this close confirm each other
LEAST_VARIANCE = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Fix:
    """An answer of the relocalizer, for the body instead of the camera.

    Attributes:
        found: The answer.
        map_from_base: ``(4, 4)`` pose of the body in metres; None if there is none.
        covariance: ``(6, 6)`` of it in map axes.
    """

    found: Localization
    map_from_base: Matrix | None = None
    covariance: Matrix | None = None


class DsacNode(VisionNode[DsacParameters, Fix]):
    """Carry images to a relocalizer; say where the body is, and where odometry started."""

    spec = DSAC

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        self._frames = TransformBuffer()
        self._mount = Mount(self._frames, self.get_logger().warning)
        self._anchor = Anchor(self._frames)
        self._asked: list[Future] = []
        self._asking = Lock()
        self._computing = False
        self._prior: Matrix | None = None
        self._last_due_ns: int | None = None
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_service(
            Trigger, TRIGGER, self._on_trigger, callback_group=ReentrantCallbackGroup()
        )
        self.create_timer(TF_PERIOD, self._publish_anchor)

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator; a map of another frame is refused."""
        from dlcv.inference.load import load_relocalization
        from dlcv.inference.relocalization import RelocalizationError, RelocalizationSettings

        made = load_relocalization(
            settings=settings(RelocalizationSettings, self.parameters),
            **self.loading(device, precision),
        )
        if made.place and (problem := made.place.frame_misfit(self.parameters.map_frame)):
            raise RelocalizationError(f'{made.origin.path}: {problem} (parameter map_frame)')
        return made

    def misfit(self, camera: Camera) -> str:
        """Say that the map was made for other cameras."""
        return str(self.estimator.misfit(camera))

    def retune(self) -> None:
        """Hand changed gates on."""
        self.estimator.settings = settings(type(self.estimator.settings), self.parameters)

    def more_inputs(self) -> Iterable[Any]:
        """Listen to the prior, to where the camera sits, and to odometry when it is needed."""
        yield self.create_subscription(
            PoseWithCovarianceStamped, INITIAL_POSE, self._on_initial_pose, profile('R10')
        )
        yield from subscribe(self, TF_STATIC, self._frames)
        if self.parameters.publish_tf:
            yield from subscribe(self, TF_INPUT, self._frames)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and tell whoever still waits for an answer."""
        done = super().on_deactivate(state)
        self._answer(False, 'rejected: the node was deactivated')
        return done

    def due(self, stamp_ns: int) -> bool:
        """Compute when asked, or in mode continuous at the rate."""
        with self._asking:
            if self._asked:
                return True
        if self.parameters.mode != 'continuous':
            return False
        last = self._last_due_ns
        if last is not None and 0 <= stamp_ns - last < 0.95e9 / self.parameters.rate:
            return False
        self._last_due_ns = stamp_ns
        return True

    def infer(self, frame: Frame) -> Fix:
        """Find the pose; a failure is an answer too, to whoever asked."""
        mount = self._mount.base_from_camera(
            self.parameters.base_frame, frame.frame_id, frame.stamp_ns
        )
        prior = None if self._prior is None else self._prior @ mount
        self._computing = True
        try:
            found = self.estimator.push(frame, prior=prior)
        except Exception as err:
            self._answer(False, f'rejected: {type(err).__name__}: {err}')
            raise
        finally:
            self._computing = False
        if found.map_from_camera is None or found.covariance is None:
            return Fix(found)
        none = np.zeros((6, 6))  # where the camera sits is taken as exact
        pose, spread = compounded(found.map_from_camera, found.covariance, inverse(mount), none)
        lacking = np.maximum(LEAST_VARIANCE - np.diag(spread), 0)
        return Fix(found, pose, spread + np.diag(lacking))

    def publish(self, frame: Frame, header: Any, result: Fix) -> None:
        """Publish the pose if it is accepted, the hypotheses anyhow; answer whoever asked."""
        found, p = result.found, self.parameters
        in_map = convert.header_in(p.map_frame, header.stamp)
        if self.wanted(HYPOTHESES):
            finite = [pose for pose in found.hypotheses if np.isfinite(pose).all()]
            self.send(HYPOTHESES, convert.pose_array(in_map, finite))
        if not found.accepted or result.map_from_base is None or result.covariance is None:
            self.judge(Verdict(Level.WARN, f'rejected: {found.reason}'))
            self._answer(False, f'rejected: {found.reason}')
            return
        self.judge(None)
        message = convert.pose_with_covariance(in_map, result.map_from_base, result.covariance)
        self.send(POSE, message)
        if p.publish_initialpose:
            self.send(INITIALPOSE, message)
        if p.publish_tf:
            self._anchor.add(found.stamp_ns, result.map_from_base)
        self._answer(True, f'accepted: {found.reason}')

    def reset_history(self) -> None:
        """Forget the prior, the odometry and what was to be confirmed."""
        self._prior, self._last_due_ns = None, None
        self._frames.clear_moving()
        self._anchor.clear()
        self.judge(None)

    def break_history(self) -> None:
        """Nothing to do: images are independent of each other."""

    # executor thread -----------------------------------------------------------------------

    async def _on_trigger(self, _: Any, response: Any) -> Any:
        """Ask the worker and wait without holding up the executor, which runs other callbacks."""
        if not (self.active and self.enabled):
            state = 'disabled' if self.active else 'not active'
            response.success, response.message = False, f'rejected: the node is {state}'
            return response
        answer = Future(executor=self.executor)
        self.complaint = ''
        # an image may take that long to come, and its camera_info again; a computation that does
        # not end is the watchdog's business, which answers by deactivating
        patience = 2 * self.parameters.input_timeout

        def give_up() -> None:
            if not self._computing:
                self._answer(False, f'rejected: {self.complaint or "no image arrived"}')

        timer = self.create_timer(patience, give_up, clock=self._steady)
        with self._asking:
            self._asked.append(answer)
        try:
            response.success, response.message = await answer
        finally:
            self.destroy_timer(timer)
        return response

    def _answer(self, success: bool, message: str) -> None:
        with self._asking:
            asked, self._asked = self._asked, []
        for future in asked:
            future.set_result((success, message))
        if asked and self.executor is not None:
            self.executor.wake()

    def _on_initial_pose(self, message: PoseWithCovarianceStamped) -> None:
        frame, wanted = message.header.frame_id, self.parameters.map_frame
        if frame not in ('', wanted):
            self.get_logger().error(f'initial_pose is in frame {frame!r}; {wanted!r} is needed')
            return
        try:
            self._prior = convert.pose_matrix(message.pose.pose)
        except convert.ConvertError as err:
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
        from tf2_msgs.msg import TFMessage

        later = convert.time_of(now + int(1e9 * p.transform_tolerance))
        header = convert.header_in(p.map_frame, later)
        placed = convert.transform(header, p.odom_frame, map_from_odom)
        self.send(TF, TFMessage(transforms=[placed]))


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
