"""Several nodes in one process: one interpreter, one PyTorch, one decoded picture.

Each has an executor and a thread of its own, as it has a process of its own otherwise: one that
loads its network, waits for its worker or fails in a callback holds up none of the others. A
thread for all would also be dearer: what an executor does for each message grows with all that it
watches.
"""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from time import sleep
from typing import Any, NoReturn

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from dlcv import process
from dlcv.interface.nodes import NODES
from dlcv.ros import start
from dlcv.ros.exchange import Exchange
from dlcv.ros.node import LAST_FRAME, VisionNode

END = '--'  # of the arguments of a node, as for ROS
FLAG = '--ros-args'
PATIENCE = LAST_FRAME + 3.0  # seconds for all nodes to be destroyed


class CompositionError(ValueError):
    """The command line does not say which nodes are to run."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the process.

    Attributes:
        name: Of its `dlcv.interface.nodes.NodeSpec`.
        arguments: ROS arguments for it alone; they go before those for all.
    """

    name: str
    arguments: tuple[str, ...] = ()


def parsed(words: Sequence[str]) -> tuple[list[Member], list[str]]:
    """Return the nodes of a command line, and the ROS arguments for all of them.

    The line is ``NAME [--ros-args ... --] NAME ... [--ros-args ...]``: what is closed by ``--`` is
    for the node before it.

    Raises:
        CompositionError: If a name is none of the nodes, comes twice, or there is none.
    """
    members: list[Member] = []
    rest = list(words)
    while rest and (rest[0] != FLAG or END in rest):
        if rest[0] == FLAG:
            end = rest.index(END)
            if not members:
                raise CompositionError(f'{FLAG} ... {END} has no node before it')
            members[-1] = Member(members[-1].name, tuple(rest[:end]))
            del rest[: end + 1]
            continue
        name = rest.pop(0)
        if name not in NODES:
            raise CompositionError(f'no node {name!r}; there are {", ".join(NODES)}')
        if name in {member.name for member in members}:
            raise CompositionError(f'{name}: named twice')
        members.append(Member(name))
    if not members:
        raise CompositionError(f'no node is named; there are {", ".join(NODES)}')
    return members, rest


def run(members: Sequence[Member], args: Sequence[str]) -> NoReturn:
    """Run nodes until Ctrl-C or a shutdown from outside, then clean up and end the process.

    Args:
        members: The nodes.
        args: ROS arguments for all of them.
    """
    start.begin(list(args))
    try:
        exchange = Exchange()
        homes: list[Home] = []
        try:
            homes.extend(  # all of them, before one asks who answers what
                Home(_node_class(m.name), m.arguments, exchange) for m in members
            )
            process.run()
            if any(home.node.get_parameter('autostart').value for home in homes):
                _load_what_all_need()
            for home in homes:
                home.begin()
            while rclpy.ok():
                sleep(start.LOOK)
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        finally:
            process.end()
            for home in homes:
                home.end()
            for home in homes:
                home.join(PATIENCE)
    finally:
        rclpy.try_shutdown()
    start.leave(0)


class Home:
    """A node with the thread in which its callbacks run."""

    def __init__(
        self,
        make: Callable[..., VisionNode[Any, Any]],
        arguments: Sequence[str],
        exchange: Exchange,
    ) -> None:
        self._executor = SingleThreadedExecutor()
        self.node = make(exchange=exchange, cli_args=list(arguments))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f'{self.node.spec.name} callbacks')
        self._thread.daemon = True  # a call that does not return must not keep the process

    def begin(self) -> None:
        """Start the node, if it is to start itself, and run its callbacks."""
        self._thread.start()

    def end(self) -> None:
        """Ask for the end."""
        self._ending.set()
        if self._thread.ident is None:  # a Ctrl-C came before it was started
            self._close()
        else:
            self._executor.wake()

    def join(self, patience: float) -> None:
        """Wait so many seconds for the end."""
        if self._thread.ident is not None:
            self._thread.join(patience)

    def _live(self) -> None:
        with suppress(ExternalShutdownException):
            self._guarded(lambda: start.autostart(self.node))
            self._executor.add_node(self.node)
            while rclpy.ok() and not self._ending.is_set():
                self._guarded(lambda: self._executor.spin_once(timeout_sec=start.LOOK))
        self._executor.remove_node(self.node)
        self._close()

    def _close(self) -> None:
        self.node.destroy_node()
        self._executor.shutdown()  # left to the collector, it complains of a context that is gone

    def _guarded(self, step: Callable[[], object]) -> None:
        """Let an exception be the fault of this node alone: its health says so."""
        try:
            step()
        except ExternalShutdownException:
            raise
        except Exception as err:  # noqa: BLE001 - alone, it would have taken its process down
            if self._ending.is_set() or not rclpy.ok():
                return  # ROS ended under its hands
            self.node.fault = f'{type(err).__name__}: {err}'
            self.node.get_logger().error(traceback.format_exc())


def _node_class(name: str) -> type[VisionNode[Any, Any]]:
    module = import_module(NODES[name].module)
    found: type[VisionNode[Any, Any]] = next(
        one
        for one in vars(module).values()
        if isinstance(one, type)
        and issubclass(one, VisionNode)
        and one.__module__ == NODES[name].module
    )
    return found


def _load_what_all_need() -> None:
    """Import PyTorch and what is built on it once, before several threads ask for it at a time."""
    import_module('dlcv.estimation.load')
