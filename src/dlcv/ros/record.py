"""Record topics into a bag as serialised bytes, without rosbag2.

``python -m dlcv.ros.record OUT --topics /a /b``: types and QoS are those of the publishers. When
all topics are there it says so on `READY_TOPIC`, for which `dlcv play` can wait. Ctrl-C, or a
SIGTERM, completes the bag.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from std_msgs.msg import Empty

from dlcv import process
from dlcv.data.bags import BagError, BagWriter
from dlcv.estimation.memory import keep_freed_memory
from dlcv.files import expanded
from dlcv.ros.play import READY_TOPIC
from dlcv.ros.qos import profile
from dlcv.ros.start import init, leave, spin
from dlcv.ros.vocabulary import message_class

LOOK_PERIOD = 0.1  # seconds between two looks for publishers
SETTLE = 0.5  # seconds after which the publishers, too, know that they have a listener
DEPTH = 200  # messages that may wait while the disk is slow


class Recorder(Node):
    """Subscriptions that write what they receive."""

    def __init__(
        self, writer: BagWriter, topics: Sequence[str], *, sim_time: bool, patience: float
    ) -> None:
        """Look for the publishers of ``topics``.

        Args:
            writer: The open bag.
            topics: Full names.
            sim_time: Date messages by /clock.
            patience: Seconds after which it is ready without the topics that nobody publishes.
        """
        override = Parameter('use_sim_time', value=sim_time)
        super().__init__('dlcv_recorder', parameter_overrides=[override])
        self._writer = writer
        self._absent, self._unmatched = set(topics), set(topics)
        self._early: list[tuple[str, bytes]] = []
        self._deadline = monotonic() + patience
        self._complete_at = monotonic()
        self.failure = ''
        self._ready = self.create_publisher(Empty, READY_TOPIC, profile('latched'))
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._looking = self.create_timer(LOOK_PERIOD, self._look, clock=steady)

    def _look(self) -> None:
        for name, types in self.get_topic_names_and_types():
            if name in self._absent and self.count_publishers(name):
                self._absent.discard(name)
                self._subscribe(name, types[0])
        now = monotonic()
        if self._unmatched and now < self._deadline:
            self._complete_at = now
            return
        if now < self._complete_at + SETTLE:
            return
        self._looking.cancel()
        if self._unmatched:
            names = ', '.join(sorted(self._unmatched))
            self.get_logger().warning(f'nobody publishes {names}: recording without')
        self._ready.publish(Empty())
        self.get_logger().info(f'recording into {self._writer.path}')

    def _subscribe(self, name: str, msgtype: str) -> None:
        offers = [info.qos_profile for info in self.get_publishers_info_by_topic(name)]
        latched = all(q.durability == DurabilityPolicy.TRANSIENT_LOCAL for q in offers)
        reliable = all(q.reliability == ReliabilityPolicy.RELIABLE for q in offers)
        qos = QoSProfile(depth=DEPTH)
        qos.reliability = ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        if latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self._writer.add_topic(name, msgtype, qos='latched' if latched else 'reliable')
        self.create_subscription(
            message_class(msgtype),
            name,
            lambda data: self._write(name, data),
            qos,
            raw=True,
            event_callbacks=SubscriptionEventCallbacks(
                matched=lambda _: self._unmatched.discard(name)
            ),
        )

    def _write(self, name: str, data: bytes) -> None:
        now = self.get_clock().now().nanoseconds
        if now == 0:  # simulated time has not begun
            self._early.append((name, data))
            return
        try:
            for early in self._early:
                self._writer.write_raw(early[0], now, early[1])
            self._early = []
            self._writer.write_raw(name, now, data)
        except BagError as err:
            self.failure = str(err)
            self.get_logger().error(f'recording ends: {err}')
            rclpy.try_shutdown()


def record(
    path: Path, topics: Sequence[str], *, sim_time: bool, patience: float, overwrite: bool
) -> tuple[int, str]:
    """Record until a signal; return the number of messages and what went wrong, if anything.

    Raises:
        BagError: The bag cannot be made.
    """
    keep_freed_memory()
    init()
    try:
        with BagWriter(path, overwrite=overwrite, notes={'writer': 'dlcv'}) as writer:
            executor = SingleThreadedExecutor()
            node: Any = Recorder(writer, topics, sim_time=sim_time, patience=patience)
            try:
                with contextlib.suppress(KeyboardInterrupt, ExternalShutdownException):
                    process.run()
                    executor.add_node(node)
                    spin(executor)
            finally:
                process.end()  # the bag is to be whole
                node.destroy_node()  # or its shared memory would be left behind
                executor.shutdown()
            return writer.messages, node.failure
    finally:
        rclpy.try_shutdown()


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of ``python -m dlcv.ros.record``."""
    parser = argparse.ArgumentParser(prog='dlcv.ros.record', description=__doc__)
    parser.add_argument('out', type=expanded, help='NAME.mcap, or the bag folder to make')
    parser.add_argument('--topics', nargs='+', required=True, metavar='TOPIC')
    parser.add_argument('--use-sim-time', action='store_true', help='date messages by /clock')
    parser.add_argument('--overwrite', action='store_true', help='replace a bag that is there')
    parser.add_argument('--patience', type=float, default=60.0, metavar='S')
    args = parser.parse_args(argv)
    try:
        count, failure = record(
            args.out,
            args.topics,
            sim_time=args.use_sim_time,
            patience=args.patience,
            overwrite=args.overwrite,
        )
    except BagError as err:
        count, failure = 0, str(err)
    sys.stderr.write(f'{args.out}: {count} messages recorded\n')
    if failure:
        sys.stderr.write(f'{failure}\n')
    return 1 if failure else 0


if __name__ == '__main__':
    leave(main())
