"""SLAM: images and their odometry in; a map, and where odometry began in it, out."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any, NoReturn

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.task import Future
from std_srvs.srv import SetBool, Trigger

from dlcv.estimation.slam.files import PlaceError
from dlcv.estimation.tasks.slam import TF, Placed, SlamTask
from dlcv.interface.nodes import TF_STATIC
from dlcv.interface.slam_parameters import SlamParameters
from dlcv.ros import start
from dlcv.ros.intake import Intake
from dlcv.ros.node import VisionNode
from dlcv.ros.transforms import subscribe
from dlcv.ros.vocabulary import COMPOSER

TF_PERIOD = 0.05  # seconds between two map -> odom
SAVE, LOAD, PAUSE, LOCALIZE = '~/save', '~/load', '~/pause_mapping', '~/localize_only'


class SlamNode(VisionNode[SlamParameters, Placed]):
    """Owns ``map_frame -> odom_frame``, and the file of the map."""

    task_class = SlamTask
    task: SlamTask

    def __init__(self, **node_args: Any) -> None:
        super().__init__(**node_args)
        self._saved_at = monotonic()
        self._saving: threading.Thread | None = None
        together = ReentrantCallbackGroup()
        for name, kind, answer in (
            (SAVE, Trigger, self._on_save),
            (LOAD, Trigger, self._on_load),
            (PAUSE, SetBool, self._on_pause),
            (LOCALIZE, SetBool, self._on_localize),
        ):
            self.create_service(kind, name, answer, callback_group=together)
        self.create_timer(TF_PERIOD, self._publish_transform)

    def more_inputs(self) -> Iterable[Any]:
        """Listen to where the camera sits."""
        yield from subscribe(self, TF_STATIC, self.task.frames)

    def look_after(self, intake: Intake) -> None:
        """Save now and then, if that is asked for."""
        period = self.parameters.save_period
        busy = self._saving is not None and self._saving.is_alive()
        if not period or busy or monotonic() - self._saved_at < period:
            return
        self._saved_at = monotonic()
        if self.task.unsaved:
            self._saving = threading.Thread(target=self._save, name='save', daemon=True)
            self._saving.start()

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, and save if that is asked for."""
        done = super().on_deactivate(state)
        self._save_at_end()
        return done

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Give the map back, saved if that is asked for."""
        self._stop()
        self._end()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop from any state; save if that is asked for."""
        self._stop()
        self._end()
        return super().on_shutdown(state)

    def destroy_node(self) -> None:
        """Stop, save if that is asked for, and destroy the node."""
        self._stop()
        self._end()
        super().destroy_node()

    # executor thread ----------------------------------------------------------------------------

    def _publish_transform(self) -> None:
        """Say steadily where odometry began: whoever asks for now must not wait for an image."""
        p = self.parameters
        if not (self.active and p.publish_tf and self.wanted(TF)):
            return
        now = self.now()
        known = self.task.correction.at(now)
        if known is None:
            return
        header = COMPOSER.header(now + int(1e9 * p.transform_tolerance), p.map_frame)
        moved = COMPOSER.transform(header, self.task.odom_frame, known)
        self.outputs[TF].publish(COMPOSER.tf(moved))

    def _on_reset(self, request: Any, response: Any) -> Any:
        """Forget the map too; its file stays."""
        if self.estimator is not None:
            self.task.renew()
        return super()._on_reset(request, response)

    async def _on_save(self, _: Any, response: Any) -> Any:
        return await self._beside(self.task.save, response)

    async def _on_load(self, _: Any, response: Any) -> Any:
        return await self._beside(self.task.open, response)

    def _on_pause(self, request: Any, response: Any) -> Any:
        def pause() -> str:
            self.task.online.pause(request.data)
            return 'nothing is mapped' if request.data else 'mapping goes on'

        return self._answered(pause, response)

    def _on_localize(self, request: Any, response: Any) -> Any:
        def localize() -> str:
            self.task.online.localize(request.data)
            return 'the map stays as it is' if request.data else 'mapping goes on once it is found'

        return self._answered(localize, response)

    async def _beside(self, work: Callable[[], str], response: Any) -> Any:
        """Answer with what a thread does; the executor goes on meanwhile."""
        done = Future(executor=self.executor)

        def run() -> None:
            done.set_result(self._answered(work, response))
            if self.executor is not None:
                self.executor.wake()

        threading.Thread(target=run, name='map file', daemon=True).start()
        return await done

    def _answered(self, work: Callable[[], str], response: Any) -> Any:
        try:
            response.success, response.message = True, work()
        except (PlaceError, ValueError, OSError) as err:
            response.success, response.message = False, str(err)
            self.get_logger().error(str(err))
        else:
            self.get_logger().info(response.message)
        return response

    # any thread ---------------------------------------------------------------------------------

    def _save(self) -> None:
        try:
            self.get_logger().info(f'saved: {self.task.save()}')
        except (PlaceError, OSError) as err:
            self.get_logger().error(f'the map is not saved: {err}')

    def _save_at_end(self) -> None:
        if self._saving is not None:
            self._saving.join()
        if self.parameters.save_on_exit and self.task.unsaved:
            self._save()

    def _end(self) -> None:
        self._save_at_end()
        self.task.close()


def main(args: list[str] | None = None) -> NoReturn:
    """Run the node until it is stopped."""
    start.run(SlamNode, args)


if __name__ == '__main__':
    main()
