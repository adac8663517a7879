"""What becomes of an image: dropped, not asked for, computed and published, or failed."""

from __future__ import annotations

import threading
import traceback
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dlcv.interface import messages
from dlcv.interface.handled import PROCESSED, Outcome
from dlcv.ros.calibration import Calibration
from dlcv.ros.exchange import Arrived
from dlcv.ros.faults import QUIET, is_gpu_error
from dlcv.ros.intake import Intake
from dlcv.ros.screening import Screening
from dlcv.ros.worker import Worker
from dlcv.types import Frame

if TYPE_CHECKING:
    from dlcv.ros.node import VisionNode


class Handling:
    """Takes images to their results, in the worker; the node's history is kept or broken here."""

    def __init__(self, node: VisionNode) -> None:
        self._node = node
        self._forget, self._break = threading.Event(), threading.Event()
        self._screening = Screening(
            node.health, node.rejections, lambda: node.parameters, node.now, self.forget, node.warn
        )

    def start_anew(self) -> None:
        """Forget everything at once: no worker runs yet."""
        self._screening.clear()
        self.forget()
        self._forget_if_asked()

    def forget(self) -> None:
        """Let the next image be the first one of a new history; from any thread."""
        self._forget.set()

    def time_jumped(self) -> None:
        """Begin anew after a jump of the clock, which the images' own is not counted again."""
        self._screening.clear()
        self.forget()

    def handle(self, arrived: Arrived, intake: Intake, worker: Worker) -> None:
        """Deal with an image, and say what became of it."""
        try:
            self._deal_with(arrived, intake, worker)
        except Exception:
            if self._node.context.ok() and not worker.abandoned:
                raise
            # a Ctrl-C has ended ROS or the node under the worker's hands: nobody is left to be told

    def _deal_with(self, arrived: Arrived, intake: Intake, worker: Worker) -> None:
        self._node.outputs.begin()
        try:
            outcome = self._outcome(arrived, intake, worker)
        except messages.UnsupportedEncodingError as err:
            outcome = self._node.rejections.add('rejected_encoding', str(err))
        except messages.MessageError as err:
            outcome = self._node.rejections.add('rejected_invalid', str(err))
        except Exception as err:  # noqa: BLE001 - a bad frame must not end the node
            outcome = self._survive(err, worker)
        self._node.tell(arrived.message.header, outcome)

    def _outcome(self, arrived: Arrived, intake: Intake, worker: Worker) -> str:
        message = arrived.message
        node, stamp = self._node, messages.stamp_ns(message.header.stamp)
        if problem := self._screening.refusal(stamp):
            return problem
        if not node.due(stamp):
            self._forget_if_asked()
            node.health.count('not_asked_for')
            return 'not_asked_for'
        frame = self._frame(arrived, intake)
        if frame is None:
            return 'rejected_camera'
        self._forget_if_asked()
        node.task.gather(frame)
        worker.begin_computing()
        begin = perf_counter()
        result = node.infer(frame)
        inference_ms = 1e3 * (perf_counter() - begin)
        if worker.abandoned:
            return 'failed'
        node.task.tell(frame)
        if result is not None:
            if reason := self._screening.lateness(stamp):
                node.withhold(reason)
                return node.rejections.add('late', reason)
            node.publish(frame, message.header, result)
        node.health.done(inference_ms, (node.now() - stamp) / 1e6)
        return str(Outcome(PROCESSED, inference_ms, tuple(node.outputs.sent)))

    def _frame(self, arrived: Arrived, intake: Intake) -> Frame | None:
        """Decode a message and give it its calibration; None when that is needed and missing."""
        message, pictures = arrived.message, self._node.exchange.pictures
        pixels = pictures.of(arrived, messages.decode_any)
        height, width = pixels.shape[:2]
        stamp, calibration = messages.stamp_ns(message.header.stamp), intake.calibration
        camera = calibration.of(stamp, width, height, self._patience(intake))
        if problem := self._camera_problem(camera, calibration, width, height):
            self._node.rejections.add('rejected_camera', problem)
            return None
        return Frame(stamp_ns=stamp, image=pixels, camera=camera, frame_id=message.header.frame_id)

    def _patience(self, intake: Intake) -> float:
        """Return the seconds for which a calibration is waited for."""
        expected = self._node.task.needs_camera or intake.has_camera_info()
        return self._node.parameters.input_timeout if expected else 0.0

    def _camera_problem(
        self, camera: Any, calibration: Calibration, width: int, height: int
    ) -> str:
        task = self._node.task
        if camera is None:
            return calibration.complaint(width, height) if task.needs_camera else ''
        return task.misfit(camera)

    def _forget_if_asked(self) -> None:
        node = self._node
        if self._forget.is_set():
            self._forget.clear()
            self._break.clear()
            node.estimator.reset()
            node.reset_history()
        elif self._break.is_set():
            self._break.clear()
            node.estimator.reset()
            node.task.interrupt()

    def _survive(self, err: Exception, worker: Worker) -> str:
        if worker.ending or not self._node.context.ok():
            return 'failed'  # the frame was cut short by deactivate or by a Ctrl-C
        node = self._node
        node.health.count('failed', why=f'{type(err).__name__}: {err}')
        self._break.set()
        node.get_logger().debug(traceback.format_exc())
        if not is_gpu_error(err):
            reason = f'image failed: {type(err).__name__}: {err}'
            node.get_logger().error(reason, throttle_duration_sec=QUIET)
        elif node.parameters.on_gpu_error == 'cpu':
            self._leave_gpu(err)
        else:
            node.fault = f'GPU error: {err}'
        return 'failed'

    def _leave_gpu(self, err: Exception) -> None:
        node = self._node
        node.get_logger().error(f'GPU error, going on on the CPU: {err}')
        try:
            node.task.estimator = node.load('cpu', 'fp32')
        except Exception as worse:  # noqa: BLE001 - the file may be gone by now
            node.fault = f'GPU error: {err}; and no way on on the CPU: {worse}'
