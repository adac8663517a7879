"""The one way a node of this suite starts and stops, and a process of ROS ends."""

from __future__ import annotations

import faulthandler
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.signals import SignalHandlerOptions

from dlcv import process

RCLError = rclpy_implementation.RCLError
LOOK = 0.2  # seconds after which a signal is seen when nothing else happens


def run(make_node: Callable[[], LifecycleNode], args: list[str] | None = None) -> NoReturn:
    """Run a node until Ctrl-C or a shutdown from outside, then clean up and end the process."""
    begin(args)
    try:
        # one thread receives, the node's worker computes: a multi-threaded executor costs three
        # times the CPU for every message and loses some; made first, before the node says a word:
        # a Ctrl-C inside its constructor would leave half an executor that complains
        executor = SingleThreadedExecutor()
        node = make_node()
        try:
            process.run()
            autostart(node)
            _spin(executor, node)
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        finally:
            process.end()
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    leave(0)


def begin(args: list[str] | None = None) -> None:
    """Start ROS in a process of nodes, which ends here, with a line that says why, if it cannot."""
    faulthandler.register(signal.SIGUSR1)  # whoever waits for this process can ask where it is
    try:
        init(args)
    except RCLError as err:  # such as a parameter file that ROS cannot read
        sys.stderr.write(f'{err}\n')
        leave(1)


def init(args: list[str] | None = None) -> None:
    """Start ROS; an interrupt waits from now on until `dlcv.process.run`.

    ROS's own answer to signals would take everything down at once, below the feet of the worker and
    of what is just being made.
    """
    options = SignalHandlerOptions.NO if process.hold() else None
    rclpy.init(args=args, signal_handler_options=options)


def spin(executor: SingleThreadedExecutor) -> None:
    """Run callbacks until ROS is shut down, looking for signals between them."""
    while rclpy.ok():
        executor.spin_once(timeout_sec=LOOK)


def leave(code: int) -> NoReturn:
    """End this process of ROS, everything being closed, without the interpreter's own farewell.

    That takes a second over torch's 170,000 objects and then runs the destructors of the
    middleware's and torch's libraries, which now and then wait for each other forever: on a busy
    machine one process of a few hundred hung there until it was killed.
    """
    with suppress(AttributeError):  # after a signal, rclpy leaves its log file unwritten
        context = rclpy.get_default_context()
        with context._lock:  # noqa: SLF001
            context._logging_fini()  # noqa: SLF001
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # whoever read it has gone
            stream.flush()
    os._exit(code)


def autostart(node: LifecycleNode) -> None:
    """Configure and activate a node that is to manage itself."""
    if not node.get_parameter('autostart').value:
        return
    if node.trigger_configure() == TransitionCallbackReturn.SUCCESS:
        node.trigger_activate()


def _spin(executor: SingleThreadedExecutor, node: LifecycleNode) -> None:
    executor.add_node(node)
    try:
        spin(executor)
    finally:
        executor.remove_node(node)
