"""The managed node that every node here is: its life cycle, and the parts that do its work.

Two threads. The executor's thread runs callbacks, services and timers and never computes. The
worker owns the estimator and all CUDA work. What arrives is in `intake`, what becomes of an image
in `handling`, what is published in `outputs`, what the node says of itself in `reporter`; what a
subclass adds is its estimator and its messages.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from math import inf
from typing import Any, ClassVar, Generic

from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger

from dlcv.estimation.tasks.base import Estimator, P, R, Task, Verdict
from dlcv.host import threads
from dlcv.interface.nodes import DIAGNOSTICS, RESET, SET_ENABLED, NodeSpec, Topic
from dlcv.interface.parameters import CommonParameters
from dlcv.ros import resources
from dlcv.ros.exchange import Exchange
from dlcv.ros.faults import QUIET, Rejections, explained
from dlcv.ros.handling import Handling
from dlcv.ros.health import Health
from dlcv.ros.intake import Intake
from dlcv.ros.outputs import Outputs
from dlcv.ros.parameters import Parameters
from dlcv.ros.reporter import Reporter
from dlcv.ros.vocabulary import COMPOSER
from dlcv.ros.worker import Worker
from dlcv.types import Frame

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
WATCHDOG_PERIOD = 0.1  # seconds
LAST_FRAME = 2.0  # seconds for the frame in hand when a process ends: ROS's launch kills after ten
WARM_UP_SIZE = 640, 480  # the camera's own size is not known before its first image


class VisionNode(LifecycleNode, Generic[P, R]):
    """A managed node that turns images into results of one estimator.

    Attributes:
        task_class: What it does with images.
        task: That, for this node.
        state: ``unconfigured``, ``inactive``, ``active`` or ``finalized``.
        enabled: Whether `~/set_enabled` lets images through.
        fault: Why it could not be configured, or was deactivated; empty while all is well.
        health: Counters and timings of its work.
        rejections: The images that were dropped as bad.
        exchange: Shared with the other nodes of this process.
        outputs: What it publishes, between configure and cleanup.
        intake: What it takes in, while it is active; else None.
    """

    task_class: ClassVar[type[Task[Any, Any]]]

    def __init__(self, exchange: Exchange | None = None, **node_args: Any) -> None:
        super().__init__(self.spec.name, **node_args)
        self.exchange = exchange or Exchange()
        self.state, self.enabled, self.fault = 'unconfigured', True, ''
        self.health = Health()
        self.rejections = Rejections(self.health, self.get_logger().error)
        self.task = self.task_class(self, COMPOSER)
        self.outputs = Outputs(self, self.exchange, self.spec.outputs)
        self.intake: Intake | None = None
        self._worker: Worker | None = None
        self._stuck: Worker | None = None
        self._settings = Parameters(
            self, self.spec.parameters, self._on_changed, lambda: self.state != 'unconfigured'
        )
        self._handling = Handling(self)
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also while simulated time stands still
        self._reporter = Reporter(self, steady)
        self.create_service(Trigger, RESET.name, self._on_reset)
        self.create_service(SetBool, SET_ENABLED.name, self._on_set_enabled)
        self.create_timer(WATCHDOG_PERIOD, self._watch, clock=steady)
        self._jump_handle = self._watch_time()

    # the task, to which a subclass may add ------------------------------------------------

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator; any exception makes configure fail."""
        return self.task.load(device, precision)

    def infer(self, frame: Frame) -> R | None:
        """Run the estimator on a frame, in the worker; None when there is nothing to publish."""
        return self.task.infer(frame)

    def publish(self, frame: Frame, header: Any, result: R) -> None:
        """Publish a result under the image's header, in the worker."""
        self.task.publish(frame, header, result)

    def withhold(self, reason: str) -> None:
        """Take note that the result of an image is not published, in the worker."""

    def retune(self) -> None:
        """Hand changed dynamic parameters to the estimator."""
        self.task.retune()

    def due(self, stamp_ns: int) -> bool:
        """Whether an image is to be computed, in the worker."""
        return self.task.due(stamp_ns)

    def resume(self) -> None:
        """Take up what is known from before this activation, its history being forgotten."""

    def more_inputs(self) -> Iterable[Any]:
        """Create the subscriptions that the node has besides the camera, at activation."""
        return ()

    def look_after(self, intake: Intake) -> None:
        """Do what an active node is to do now and then, in the executor's thread."""

    def reset_history(self) -> None:
        """Forget what was before this frame, in the worker."""
        self.task.reset()

    # what the task and the parts use -------------------------------------------------------

    @property
    def spec(self) -> NodeSpec:
        """What the node offers; topics, services and parameters are made from it."""
        return self.task_class.spec

    @property
    def parameters(self) -> P:
        """The parameters as they are now."""
        return self._settings.values  # type: ignore[return-value]

    @property
    def estimator(self) -> Any:
        """The estimator, between configure and cleanup."""
        return self.task.estimator

    @property
    def active(self) -> bool:
        """Whether images are taken."""
        return self.state == 'active'

    @property
    def complaint(self) -> str:
        """Why the last dropped image was dropped; empty while none was."""
        return self.rejections.last

    def now(self) -> int:
        """Return the node's time in nanoseconds; 0 while simulated time has not begun."""
        return int(self.get_clock().now().nanoseconds)

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to a contract output."""
        return self.outputs.wanted(name)

    def send(self, name: str, message: Any) -> None:
        """Publish on a contract output what belongs to the image in the worker's hands."""
        self.outputs.send(name, message)

    def hand(self, name: str, header: Any, value: Any) -> bool:
        """Give a result to the nodes of this process that listen; whether others listen too."""
        return self.outputs.hand(name, header, value)

    def tell(self, header: Any, outcome: str) -> None:
        """Say what became of an image, in any thread."""
        self.outputs.tell(header, outcome, self.now)

    def judge(self, condition: Verdict | None) -> None:
        """Put a condition of the task itself (lost, no map ...) into the diagnostics."""
        self._reporter.condition = condition

    def verdict(self) -> Verdict:
        """Return what the diagnostics say now."""
        return self._reporter.verdict()

    def warn(self, text: str) -> None:
        """Log a warning."""
        self.get_logger().warning(text)

    def complain(self, text: str) -> None:
        """Log an error that may come with each image, now and then."""
        self.get_logger().error(text, throttle_duration_sec=QUIET)

    def publishes(self, topic: Topic) -> bool:
        """Whether an output of the contract is there under the present parameters."""
        return not topic.when or bool(getattr(self.parameters, topic.when))

    # life cycle ----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm up the network; FAILURE, with the reason logged, on any problem."""
        p = self.parameters
        if self._settings.problem:
            return self._refuse(self._settings.problem)
        self._reporter.keep_period(p.diagnostic_period)
        try:
            resources.use_threads(p.num_threads)
            self.get_logger().info(f'threads: {threads()}')
            self.task.estimator = self.load(p.device, p.precision)
            self._say_weights()
            self._warm_up()
            topics = [t for t in self.spec.outputs if t is not DIAGNOSTICS and self.publishes(t)]
            self.outputs.open(topics)
            self.task.configure()
        except Exception as err:  # noqa: BLE001 - a bad file must never take the process down
            self.get_logger().debug(traceback.format_exc())
            self._drop()
            return self._refuse(explained(err))
        resources.settle(self)
        self.fault, self.state = '', 'inactive'
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        if self._stuck is not None and self._stuck.alive:
            self.get_logger().error('cannot activate: a frame from before is still being computed')
            return FAILURE
        self.health.clear()
        self.rejections.forget()
        self.fault = ''
        self._handling.start_anew()
        self.judge(None)
        self.resume()
        p, depth = self.parameters, self.parameters.image_qos_depth
        intake = Intake(
            self,
            self.health,
            lambda: self.enabled,
            self.tell,
            depth,
            self.exchange,
            self.task.choose if self.task.chooses else None,
        )
        worker = Worker(
            self.spec.name,
            intake.inbox,
            lambda image, by: self._handling.handle(image, intake, by),
            lambda: resources.use_threads(p.num_threads),
        )
        activated = super().on_activate(state)  # the publishers first: the worker is quick
        self.intake, self._worker, self.state = intake, worker, 'active'
        intake.open(p, self.more_inputs())
        self.task.beside.open()
        wanted = filter(self.task.listens, self.task.beside.topics.values())
        intake.open_beside(p, wanted, self.task.beside.put)
        worker.start()
        return activated

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop the subscriptions and let the worker finish its frame."""
        self._stop()
        self.state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network and its GPU memory."""
        self._stop()
        self._drop()
        self.state = 'unconfigured'
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        self._drop()
        self.state = 'finalized'
        return SUCCESS

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After an exception in a transition: clean up and be configurable again."""
        return self.on_cleanup(state)

    def destroy_node(self) -> None:
        """Stop the worker, then destroy the node.

        rclpy's state machine holds on to the node, and with it to the middleware's shared memory:
        as long as it is there, a process that ends leaves megabytes behind in /dev/shm.
        """
        self._stop(LAST_FRAME)
        super().destroy_node()
        self.__dict__.pop('_state_machine', None)

    def _say_weights(self) -> None:
        origin = self.task.estimator.origin
        if origin.trained:
            self.get_logger().info(f'weights: {origin.path}')
        else:
            self.get_logger().warning('the network is untrained: its results mean nothing')

    def _warm_up(self) -> None:
        runner = getattr(self.task.estimator, 'runner', None)  # not all have a network of their own
        if runner is not None:
            runner.say = self.warn
        self.task.estimator.warm_up(*WARM_UP_SIZE)
        if runner is not None:
            self.get_logger().info(f'engine: {runner.choice}')

    def _refuse(self, reason: str) -> TransitionCallbackReturn:
        self.fault = reason
        self.get_logger().error(f'cannot configure: {reason}')
        return FAILURE

    def _stop(self, patience: float = inf) -> None:
        intake, self.intake = self.intake, None
        worker, self._worker = self._worker, None
        if intake is not None:
            intake.close()
            self.task.beside.close()
        if worker is not None:
            worker.join(min(self.parameters.inference_timeout, patience))
            if worker.alive:  # it cannot be stopped; it ends when its call returns
                self._stuck = worker

    def _drop(self) -> None:
        self.outputs.close()
        device = getattr(self.task.estimator, 'device', None)
        self.task.estimator = None
        resources.release(self, device)

    # executor thread -----------------------------------------------------------------------

    def _on_changed(self, _: CommonParameters) -> None:
        if self.task.estimator is not None:
            self.retune()

    def _on_reset(self, _: Any, response: Any) -> Any:
        self.health.clear()
        self._handling.forget()
        response.success, response.message = True, 'history and counters are forgotten'
        return response

    def _on_set_enabled(self, request: Any, response: Any) -> Any:
        self.enabled = request.data
        response.success, response.message = True, 'enabled' if request.data else 'disabled'
        return response

    def _watch_time(self) -> Any:
        any_back = Duration(nanoseconds=-1)
        threshold = JumpThreshold(min_forward=None, min_backward=any_back, on_clock_change=False)
        return self.get_clock().create_jump_callback(threshold, post_callback=self._on_time_jump)

    def _on_time_jump(self, jump: Any) -> None:
        if -jump.delta.nanoseconds / 1e9 > self.parameters.time_jump_back_threshold:
            self.health.count('time_jumps')
            self._handling.time_jumped()

    def _watch(self) -> None:
        """Tell of new peers; deactivate after a fault in the worker or when a frame takes long."""
        if self.intake is not None:
            self.intake.follow()
            self.look_after(self.intake)
        self._reporter.report_new_peers()
        worker = self._worker
        if worker is None:
            return
        self.fault = worker.trouble(self.parameters.inference_timeout) or self.fault
        if self.fault:
            self.get_logger().error(f'deactivating: {self.fault}')
            fault = self.fault
            self.trigger_deactivate()
            self.fault = fault
