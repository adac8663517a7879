"""The life of every node here: receive the newest image, compute in one worker, publish, report.

Two threads. The executor's thread runs callbacks, services and timers and never computes. The
worker owns the estimator and all CUDA work: it takes the newest image out of a `Mailbox`, decodes
it, runs the network and publishes. What a subclass adds is its estimator and its messages.
"""

from __future__ import annotations

import gc
import threading
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from math import inf
from time import perf_counter
from typing import Any, ClassVar, Generic

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType, JumpThreshold
from rclpy.duration import Duration
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from dlcv.estimation.tasks.base import Estimator, Level, P, R, Task, Verdict
from dlcv.estimation.tasks.order import Order
from dlcv.evaluation.replay.log import PROCESSED, Outcome
from dlcv.host import threads
from dlcv.interface import messages
from dlcv.interface.diagnostics import PUBLISHERS, SUBSCRIBERS, peers_text
from dlcv.interface.nodes import (
    CAMERA_INFO,
    COMPRESSED,
    DIAGNOSTICS,
    HANDLED,
    IMAGE,
    RESET,
    SET_ENABLED,
    NodeSpec,
    Topic,
)
from dlcv.interface.parameters import CommonParameters
from dlcv.ros.calibration import Calibration
from dlcv.ros.health import Health, usage
from dlcv.ros.mailbox import Mailbox
from dlcv.ros.parameters import Parameters
from dlcv.ros.qos import image_profile, profile
from dlcv.ros.vocabulary import COMPOSER, message_class
from dlcv.types import Frame

SUCCESS, FAILURE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE
WATCHDOG_PERIOD = 0.1  # seconds
WARM_UP_SIZE = 640, 480  # the camera's own size is not known before its first image
LAST_FRAME = 2.0  # seconds for the frame in hand when a process ends: ROS's launch kills after ten
QUIET = 5.0  # seconds between two log lines from one place


@dataclass(slots=True)
class _Session:
    """One activation: its mailbox and its worker, which stops when the mailbox is closed."""

    inbox: Mailbox[Any]
    worker: threading.Thread | None = None
    busy_since: float | None = None
    abandoned: bool = False


class VisionNode(LifecycleNode, Generic[P, R]):
    """A managed node that turns images into results of one estimator.

    Attributes:
        task_class: What it does with images.
        task: That, for this node.
        complaint: Why the last dropped image was dropped; empty while none was.
    """

    task_class: ClassVar[type[Task[Any, Any]]]

    def __init__(self, **node_args: Any) -> None:
        super().__init__(self.spec.name, **node_args)
        self.health = Health()
        self._session: _Session | None = None
        self._stuck: threading.Thread | None = None
        self.task = self.task_class(self, COMPOSER)
        self._outputs: dict[str, Any] = {}
        self._inputs: list[Any] = []
        self._matches_told: dict[str, str] = {}
        self._enabled, self._state = True, 'unconfigured'
        self._fault = ''
        self._condition: Verdict | None = None
        self._reset_wanted, self._break_wanted = threading.Event(), threading.Event()
        self._order = Order()
        self.complaint = ''
        self._sent: list[str] = []  # outputs of the image in the worker's hands
        self._said: dict[str, float] = {}  # when a kind of dropped image was last spoken of
        self._calibration = Calibration()
        self._settings = Parameters(
            self, self.spec.parameters, self._on_changed, lambda: self._state != 'unconfigured'
        )
        self.create_service(Trigger, RESET.name, self._on_reset)
        self.create_service(SetBool, SET_ENABLED.name, self._on_set_enabled)
        self._diagnostics = self.create_publisher(
            DiagnosticArray, DIAGNOSTICS.name, profile(DIAGNOSTICS.qos)
        )
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # also while simulated time stands still
        self._report_timer = self.create_timer(
            self.parameters.diagnostic_period, self._report, clock=steady
        )
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

    def retune(self) -> None:
        """Hand changed dynamic parameters to the estimator."""
        self.task.retune()

    def due(self, stamp_ns: int) -> bool:
        """Whether an image is to be computed, in the worker."""
        return self.task.due(stamp_ns)

    def more_inputs(self) -> Iterable[Any]:
        """Create the subscriptions that the node has besides the camera, at activation."""
        return ()

    def reset_history(self) -> None:
        """Forget what was before this frame, in the worker."""
        self.task.reset()

    # what the task uses --------------------------------------------------------------------

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

    def output(self, name: str) -> Any:
        """Return the publisher of a contract output."""
        return self._outputs[name]

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to a contract output."""
        publisher = self._outputs.get(name)
        return publisher is not None and publisher.get_subscription_count() > 0

    def send(self, name: str, message: Any) -> None:
        """Publish on a contract output what belongs to the image in the worker's hands."""
        self._sent.append(name)
        self._outputs[name].publish(message)

    def judge(self, condition: Verdict | None) -> None:
        """Put a condition of the task itself (lost, no map ...) into the diagnostics."""
        self._condition = condition

    def warn(self, text: str) -> None:
        """Log a warning."""
        self.get_logger().warning(text)

    def complain(self, text: str) -> None:
        """Log an error that may come with each image, now and then."""
        self.get_logger().error(text, throttle_duration_sec=QUIET)

    @property
    def active(self) -> bool:
        """Whether images are taken."""
        return self._state == 'active'

    @property
    def enabled(self) -> bool:
        """Whether `~/set_enabled` lets images through."""
        return self._enabled

    def publishes(self, topic: Topic) -> bool:
        """Whether an output of the contract is there under the present parameters."""
        return not topic.when or bool(getattr(self.parameters, topic.when))

    # life cycle ----------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load, check and warm up the network; FAILURE, with the reason logged, on any problem."""
        p = self.parameters
        if self._settings.problem:
            return self._refuse(self._settings.problem)
        self._report_timer.timer_period_ns = int(1e9 * p.diagnostic_period)
        self._report_timer.reset()  # or the old period would end first
        try:
            _use_threads(p.num_threads)
            self.get_logger().info(f'threads: {threads()}')
            self.task.estimator = self.load(p.device, p.precision)
            self._say_weights()
            self.task.estimator.warm_up(*WARM_UP_SIZE)
            self._create_outputs()
            self.task.configure()
        except Exception as err:  # noqa: BLE001 - a bad file must never take the process down
            self.get_logger().debug(traceback.format_exc())
            self._drop()
            return self._refuse(_explained(err))
        gc.freeze()  # a full collection over torch's 170,000 objects stops a node for half a second
        self._fault, self._state = '', 'inactive'
        return SUCCESS

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Subscribe and start the worker."""
        if self._stuck is not None and self._stuck.is_alive():
            self.get_logger().error('cannot activate: a frame from before is still being computed')
            return FAILURE
        self.health.clear()
        self._calibration.clear()
        self._reset_wanted.set()
        self._forget_if_asked()  # no worker runs yet
        self._order = Order()
        self._fault, self._condition, self.complaint = '', None, ''
        session = _Session(Mailbox())
        session.worker = threading.Thread(
            target=self._work, args=(session,), name=f'{self.spec.name} worker', daemon=True
        )
        activated = super().on_activate(state)  # the publishers first: the worker is quick
        self._session, self._state = session, 'active'
        self._subscribe()
        session.worker.start()
        return activated

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Drop the subscriptions and let the worker finish its frame."""
        self._stop()
        self._state = 'inactive'
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Free the network and its GPU memory."""
        self._stop()
        self._drop()
        self._state = 'unconfigured'
        return SUCCESS

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state."""
        self._stop()
        self._drop()
        self._state = 'finalized'
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

    def _refuse(self, reason: str) -> TransitionCallbackReturn:
        self._fault = reason
        self.get_logger().error(f'cannot configure: {reason}')
        return FAILURE

    def _create_outputs(self) -> None:
        for topic in self.spec.outputs:
            if topic is DIAGNOSTICS or not self.publishes(topic):
                continue
            try:
                kind = message_class(topic.type)
            except ImportError:
                self.get_logger().warning(f'{topic.name} is off: {topic.type} is not installed')
                continue
            self._outputs[topic.name] = self.create_lifecycle_publisher(
                kind,
                topic.name,
                profile(topic.qos),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

    def _subscribe(self) -> None:
        compressed = self.parameters.image_transport == 'compressed'
        image = (CompressedImage, COMPRESSED.name) if compressed else (Image, IMAGE.name)
        events = SubscriptionEventCallbacks(
            message_lost=lambda e: self.health.count('lost_by_middleware', e.total_count_change),
            incompatible_qos=self._on_incompatible_qos,
        )
        overrides = QoSOverridingOptions.with_default_policies()
        self._inputs = [
            self.create_subscription(
                CameraInfo,
                CAMERA_INFO.name,
                self._on_camera_info,
                profile(CAMERA_INFO.qos),
                qos_overriding_options=overrides,
            ),
            self.create_subscription(
                *image,
                self._on_image,
                image_profile(self.parameters),
                event_callbacks=events,
                qos_overriding_options=overrides,
            ),
            *self.more_inputs(),
        ]
        self._camera_info_topic = self._inputs[0].topic_name

    def _stop(self, patience: float = inf) -> None:
        session, self._session = self._session, None
        for subscription in self._inputs:
            self.destroy_subscription(subscription)
        self._inputs = []
        if session is None or session.worker is None:
            return
        session.inbox.close()
        self._calibration.close()
        if session.worker.ident is None:  # a Ctrl-C came before it was started
            return
        if not session.abandoned:
            session.worker.join(timeout=min(self.parameters.inference_timeout, patience))
        if session.worker.is_alive():  # it cannot be stopped; it ends when its call returns
            session.abandoned, self._stuck = True, session.worker

    def _drop(self) -> None:
        for publisher in self._outputs.values():
            self.destroy_lifecycle_publisher(publisher)
        self._outputs = {}
        device = getattr(self.task.estimator, 'device', None)
        self.task.estimator = None
        gc.unfreeze()  # what the network leaves behind may be collected
        if device is not None and str(device).startswith('cuda'):
            import torch

            torch.cuda.empty_cache()

    # executor thread -----------------------------------------------------------------------

    def _on_image(self, message: Any) -> None:
        session = self._session
        if session is None:
            return
        if not self._enabled:
            self._tell(message.header, 'disabled')
            return
        self.health.count('received')
        if (older := session.inbox.put(message)) is not None:
            self.health.count('superseded')
            self._tell(older.header, 'superseded')

    def _on_camera_info(self, message: CameraInfo) -> None:
        self._calibration.update(message)

    def _on_incompatible_qos(self, event: Any) -> None:
        self.health.count('incompatible_qos', event.total_count_change)
        self.get_logger().warning(
            f'a publisher of {IMAGE.name} offers an incompatible QoS ({event.last_policy_kind}); '
            'set image_qos to match',
            throttle_duration_sec=QUIET,
        )

    def _on_changed(self, _: CommonParameters) -> None:
        if self.task.estimator is not None:
            self.retune()

    def _on_reset(self, _: Any, response: Any) -> Any:
        self.health.clear()
        self._reset_wanted.set()
        response.success, response.message = True, 'history and counters are forgotten'
        return response

    def _on_set_enabled(self, request: Any, response: Any) -> Any:
        self._enabled = request.data
        response.success, response.message = True, 'enabled' if request.data else 'disabled'
        return response

    def _watch_time(self) -> Any:
        any_back = Duration(nanoseconds=-1)
        threshold = JumpThreshold(min_forward=None, min_backward=any_back, on_clock_change=False)
        return self.get_clock().create_jump_callback(threshold, post_callback=self._on_time_jump)

    def _on_time_jump(self, jump: Any) -> None:
        if -jump.delta.nanoseconds / 1e9 > self.parameters.time_jump_back_threshold:
            self._order = Order()  # the images' jump is this one, not another
            self.health.count('time_jumps')
            self._reset_wanted.set()

    def _watch(self) -> None:
        """Tell of new peers; deactivate after a fault in the worker or when a frame takes too long.

        Who waits for this node knows from its peers alone whether both sides have found each other:
        a publisher may see a subscription well before the subscription hears the publisher.
        """
        if self._matches() != self._matches_told:
            self._report()
        session = self._session
        if session is None:
            return
        busy = session.busy_since
        if busy is not None and perf_counter() - busy > self.parameters.inference_timeout:
            self._fault = f'a frame took over {self.parameters.inference_timeout:g} s'
            session.abandoned = True
        if self._fault:
            self.get_logger().error(f'deactivating: {self._fault}')
            fault = self._fault
            self.trigger_deactivate()
            self._fault = fault

    def _report(self) -> None:
        verdict, estimator = self._verdict(), self.task.estimator
        self._matches_told = matches = self._matches()
        origin = getattr(estimator, 'origin', None)
        values = {
            'state': self._state,
            'device': str(getattr(estimator, 'device', 'none')),
            'precision': self.parameters.precision,
            'weights': str(getattr(origin, 'path', None) or ''),
            'weights_sha256': getattr(origin, 'sha256', ''),
            'trained': str(bool(origin and origin.trained)).lower(),
            **self.health.values(),
            **usage(),
            'gpu_mem_mb': f'{_gpu_memory(estimator):.1f}',
            **matches,
        }
        status = DiagnosticStatus(
            level=bytes([verdict.level]),
            name=f'{self.get_name()}: {self.spec.doc}',
            message=verdict.text,
            hardware_id=self.get_fully_qualified_name(),
            values=[KeyValue(key=key, value=value) for key, value in values.items()],
        )
        array = DiagnosticArray(status=[status])
        array.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(array)

    def _verdict(self) -> Verdict:
        if self._fault:
            return Verdict(Level.ERROR, self._fault)
        if self._state != 'active':
            return Verdict(Level.OK, self._state)
        if not self._enabled:
            return Verdict(Level.OK, 'disabled')
        p = self.parameters
        verdicts = [self.health.verdict(p.input_timeout, p.max_input_age, self._source())]
        if self._condition is not None:
            verdicts.append(self._condition)
        if not self.task.estimator.origin.trained:
            verdicts.append(Verdict(Level.WARN, 'the network is untrained'))
        return max(verdicts, key=lambda verdict: verdict.level)

    def _matches(self) -> dict[str, str]:
        """Return how many peers the node itself has found, by topic, for the diagnostics."""
        heard = {one.topic_name: one.get_publisher_count() for one in self._inputs}
        told = {one.topic_name: one.get_subscription_count() for one in self._outputs.values()}
        return {PUBLISHERS: peers_text(heard), SUBSCRIBERS: peers_text(told)}

    def _source(self) -> str:
        _, images, *_ = self._inputs
        count = images.get_publisher_count()
        who = f'{count} publisher{"s" * (count > 1)}, silent' if count else 'no publisher'
        return f'{images.topic_name} has {who}'

    # worker thread -------------------------------------------------------------------------

    def _work(self, session: _Session) -> None:
        while not session.inbox.closed:
            message = session.inbox.take(timeout=0.5)
            if message is None:
                continue
            self._sent = []
            try:
                outcome = self._handle(message, session)
            except messages.UnsupportedEncodingError as err:
                outcome = self._reject('rejected_encoding', str(err))
            except messages.MessageError as err:
                outcome = self._reject('rejected_invalid', str(err))
            except Exception as err:  # noqa: BLE001 - a bad frame must not end the node
                outcome = self._survive(err, session)
            finally:
                session.busy_since = None
            self._tell(message.header, outcome)

    def _handle(self, message: Any, session: _Session) -> str:
        """Take an image to its results, or drop it; return what became of it."""
        stamp = messages.stamp_ns(message.header.stamp)
        if problem := self._too_old(stamp) or self._out_of_order(stamp):
            return problem
        if not self.due(stamp):
            self._forget_if_asked()
            return 'not_asked_for'
        frame = self._frame(message)
        if frame is None:
            return 'rejected_camera'
        self._forget_if_asked()
        session.busy_since = begin = perf_counter()
        result = self.infer(frame)
        inference_ms = 1e3 * (perf_counter() - begin)
        if session.abandoned:
            return 'failed'
        if result is not None:
            self.publish(frame, message.header, result)
        age_ns = self.get_clock().now().nanoseconds - stamp
        self.health.done(inference_ms, age_ns / 1e6)
        return str(Outcome(PROCESSED, inference_ms, tuple(self._sent)))

    def _tell(self, header: Any, outcome: str) -> None:
        """Say what became of an image, in any thread."""
        with suppress(
            rclpy_implementation.InvalidHandle
        ):  # the node was destroyed while the worker computed
            if not self.wanted(HANDLED.name):
                return
            now = self.get_clock().now().nanoseconds
            self._outputs[HANDLED.name].publish(COMPOSER.time_reference(header, now, outcome))

    def _frame(self, message: Any) -> Frame | None:
        """Decode a message and give it its calibration; None when that is needed and missing."""
        pixels = messages.decode_any(message)
        height, width = pixels.shape[:2]
        stamp = messages.stamp_ns(message.header.stamp)
        patience = self.parameters.input_timeout if self._camera_info_expected() else 0.0
        camera = self._calibration.of(stamp, width, height, patience)
        if camera is None and self.task.needs_camera:
            self._reject('rejected_camera', self._calibration.complaint(width, height))
            return None
        if camera is not None and (problem := self.task.misfit(camera)):
            self._reject('rejected_camera', problem)
            return None
        return Frame(stamp_ns=stamp, image=pixels, camera=camera, frame_id=message.header.frame_id)

    def _camera_info_expected(self) -> bool:
        topic = self._camera_info_topic  # the resolved name: counting does not follow remappings
        return self.task.needs_camera or self.count_publishers(topic) > 0

    def _too_old(self, stamp: int) -> str:
        now = self.get_clock().now().nanoseconds
        limit = self.parameters.max_input_age
        age = (now - stamp) / 1e9
        if not limit or not now or age <= limit:
            return ''
        hint = ' (a replayed bag needs use_sim_time and a /clock)' if age > 3600 else ''
        reason = f'an image is {age:.2f} s old; max_input_age is {limit}{hint}'
        return self._reject('rejected_age', reason)

    def _out_of_order(self, stamp: int) -> str:
        p, last = self.parameters, self._order.last_ns
        verdict = self._order.judge(stamp, p.time_jump_back_threshold, p.max_rate)
        if verdict == 'time_jumps':
            self.health.count(verdict)
            self._reset_wanted.set()
            return ''
        if verdict == 'rejected_order':
            behind = ((last or 0) - stamp) / 1e9
            return self._reject(verdict, f'an image is {behind:.3f} s older than the last one')
        if verdict:
            self.health.count(verdict)
        return verdict

    def _forget_if_asked(self) -> None:
        if self._reset_wanted.is_set():
            self._reset_wanted.clear()
            self._break_wanted.clear()
            self.task.estimator.reset()
            self.reset_history()
        elif self._break_wanted.is_set():
            self._break_wanted.clear()
            self.task.estimator.reset()
            self.task.interrupt()

    def _reject(self, counter: str, reason: str) -> str:
        self.health.count(counter)
        self.complaint = reason
        now = perf_counter()
        if now - self._said.get(counter, -QUIET) >= QUIET:  # each kind of fault gets its word in
            self._said[counter] = now
            self.get_logger().error(f'image dropped: {reason}')
        return counter

    def _survive(self, err: Exception, session: _Session) -> str:
        if session.inbox.closed:
            return 'failed'  # the frame was cut short by deactivate
        self.health.count('failed')
        self._break_wanted.set()
        self.get_logger().debug(traceback.format_exc())
        if not _is_gpu_error(err):
            reason = f'image failed: {type(err).__name__}: {err}'
            self.get_logger().error(reason, throttle_duration_sec=QUIET)
        elif self.parameters.on_gpu_error == 'cpu':
            self._leave_gpu(err)
        else:
            self._fault = f'GPU error: {err}'
        return 'failed'

    def _leave_gpu(self, err: Exception) -> None:
        self.get_logger().error(f'GPU error, going on on the CPU: {err}')
        try:
            self.task.estimator = self.load('cpu', 'fp32')
        except Exception as worse:  # noqa: BLE001 - the file may be gone by now
            self._fault = f'GPU error: {err}; and no way on on the CPU: {worse}'


def _explained(err: Exception) -> str:
    reason = str(err) or type(err).__name__
    if type(err).__name__ != 'WeightsError':
        return reason
    return f'{reason} (parameters weights, weights_sha256, allow_random_weights)'


def _use_threads(count: int) -> None:
    from dlcv.estimation.device import set_threads

    set_threads(count)


def _is_gpu_error(err: Exception) -> bool:
    return type(err).__name__ in ('OutOfMemoryError', 'AcceleratorError') or 'CUDA' in str(err)


def _gpu_memory(estimator: Any) -> float:
    """Megabytes that torch holds on the estimator's GPU; 0 on a CPU."""
    device = getattr(estimator, 'device', None)
    if device is None or not str(device).startswith('cuda'):
        return 0.0
    import torch

    return torch.cuda.memory_allocated(device) / 2**20
