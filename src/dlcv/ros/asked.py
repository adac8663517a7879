"""A node that is asked by a service: the next image is computed, and the caller gets its answer."""

from __future__ import annotations

from threading import Lock
from typing import Any, ClassVar

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_srvs.srv import Trigger

from dlcv.estimation.tasks.base import P, R
from dlcv.ros.node import VisionNode
from dlcv.types import Frame


class AskedNode(VisionNode[P, R]):
    """A node that computes also when asked; `answer` is to be called for each result.

    Attributes:
        service: Name of the service.
        refusal: What answers begin with that tell why there is no result.
    """

    service: ClassVar[str]
    refusal: ClassVar[str] = ''

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        self._asked: list[Future] = []
        self._asking = Lock()
        self._computing = False
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_service(
            Trigger, self.service, self._on_asked, callback_group=ReentrantCallbackGroup()
        )

    @property
    def asked(self) -> bool:
        """Whether somebody waits for an answer."""
        with self._asking:
            return bool(self._asked)

    def answer(self, success: bool, message: str) -> None:
        """Answer whoever asked; from any thread."""
        with self._asking:
            asked, self._asked = self._asked, []
        for future in asked:
            future.set_result((success, message))
        if asked and self.executor is not None:
            self.executor.wake()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and tell whoever still waits for an answer."""
        done = super().on_deactivate(state)
        self._refuse_answer('the node was deactivated')
        return done

    def due(self, stamp_ns: int) -> bool:
        """Compute also when asked."""
        return self.asked or super().due(stamp_ns)

    def infer(self, frame: Frame) -> R | None:
        """Compute; a failure is an answer too, to whoever asked."""
        self._computing = True
        try:
            return super().infer(frame)
        except Exception as err:
            self._refuse_answer(f'{type(err).__name__}: {err}')
            raise
        finally:
            self._computing = False

    def withhold(self, reason: str) -> None:
        """Answer whoever asked that the result came too late."""
        self._refuse_answer(reason)

    async def _on_asked(self, _: Any, response: Any) -> Any:
        """Ask the worker and wait without holding up the executor, which runs other callbacks."""
        if not (self.active and self.enabled):
            state = 'disabled' if self.active else 'not active'
            response.success, response.message = False, f'{self.refusal}the node is {state}'
            return response
        answer = Future(executor=self.executor)
        self.rejections.forget()
        # an image may take that long to come, and its camera_info again; a computation that does
        # not end is the watchdog's business, which answers by deactivating
        patience = 2 * self.parameters.input_timeout

        def give_up() -> None:
            if not self._computing:
                self._refuse_answer(self.complaint or 'no image arrived')

        timer = self.create_timer(patience, give_up, clock=self._steady)
        with self._asking:
            self._asked.append(answer)
        try:
            response.success, response.message = await answer
        finally:
            self.destroy_timer(timer)
        return response

    def _refuse_answer(self, reason: str) -> None:
        self.answer(False, self.refusal + reason)
