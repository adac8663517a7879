"""The one way a node of this suite starts and stops."""

from __future__ import annotations

import faulthandler
import gc
import signal
from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn


def run(make_node: Callable[[], LifecycleNode], args: list[str] | None = None) -> int:
    """Run a node until Ctrl-C or a shutdown from outside, then clean up; return an exit code."""
    faulthandler.register(signal.SIGUSR1)  # whoever waits for this process can ask where it is
    rclpy.init(args=args)
    try:
        # one thread receives, the node's worker computes: a multi-threaded executor costs three
        # times the CPU for every message and loses some; made first, before the node says a word:
        # a Ctrl-C inside its constructor would leave half an executor that complains
        executor = SingleThreadedExecutor()
        node = make_node()
        try:
            _autostart(node)
            _spin(executor, node)
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        finally:
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
        gc.freeze()  # or the interpreter collects torch's 170,000 objects: 1.5 instead of 0.3 s
    return 0


def _autostart(node: LifecycleNode) -> None:
    if not node.get_parameter('autostart').value:
        return
    if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()


def _spin(executor: SingleThreadedExecutor, node: LifecycleNode) -> None:
    executor.add_node(node)
    try:
        executor.spin()
    finally:
        executor.remove_node(node)
