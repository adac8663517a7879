"""Publish the messages of a bag, at its own pace or faster, as ``ros2 bag play`` does.

For installs without rosbag2, and to start on time: the player can wait until the nodes listen and
the recorder records, so that the first image is not lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from rclpy.duration import Duration
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Empty

from dlcv import process
from dlcv.data.bags import Bag, BagError, RawMessage, Topic
from dlcv.estimation.memory import keep_freed_memory
from dlcv.ros.qos import profile
from dlcv.ros.start import init
from dlcv.ros.vocabulary import message_class

READY_TOPIC = '/dlcv_recorder/ready'
QUEUE = 100  # messages that a reliable listener may be behind before it loses one
SETTLE = 0.5  # seconds after which who is counted as a listener has found the publisher, too
CLOCK_PERIOD = 0.025  # seconds between two messages on /clock; each costs each node 0.5 ms
IMAGE_TYPES = ('sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage')
Progress = Callable[[float, float], None]


class PlayError(ValueError):
    """The bag cannot be played as asked; the message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlayOptions:
    """How a bag is played.

    Attributes:
        rate: Speed; 1 is as recorded.
        loop: Begin anew at the end, for ever.
        clock: Publish /clock, for nodes with use_sim_time.
        topics: Only these; empty for all.
        wait_subscribers: Wait until an image topic has as many.
        wait_for_recorder: Wait until `dlcv.ros.record` says that it records.
        patience: Seconds to wait for either before giving up.
        linger: Seconds for which the clock runs on after the last message.
        damaged: Play what can be read of a damaged bag, which is refused otherwise.
    """

    rate: float = 1.0
    loop: bool = False
    clock: bool = False
    topics: tuple[str, ...] = ()
    wait_subscribers: int = 0
    wait_for_recorder: bool = False
    patience: float = 120.0
    linger: float = 0.0
    damaged: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.rate < inf:
            raise PlayError(f'rate must be positive and finite, got {self.rate}')
        for name in ('wait_subscribers', 'patience', 'linger'):
            if not 0 <= getattr(self, name) < inf:
                raise PlayError(f'{name} must not be negative, got {getattr(self, name)}')


class Player(Node):
    """Publishers for the topics of a bag, and the clock."""

    def __init__(self, topics: Sequence[Topic], options: PlayOptions) -> None:
        super().__init__('dlcv_player')
        self._options = options
        self._recording = not options.wait_for_recorder
        self._publishers_of = {t.name: p for t in topics if (p := self._publisher(t)) is not None}
        self._images = [t.name for t in topics if t.msgtype in IMAGE_TYPES]
        self._clock_out = self.create_publisher(Clock, '/clock', 10) if options.clock else None
        self._clock_at, self._clock_ns = -1.0, -1
        if options.wait_for_recorder:
            self.create_subscription(Empty, READY_TOPIC, self._on_ready, profile('latched'))

    @property
    def topics(self) -> list[str]:
        """The topics it publishes."""
        return list(self._publishers_of)

    def listeners(self) -> dict[str, int]:
        """Return how many subscriptions each topic has found."""
        return {name: p.get_subscription_count() for name, p in self._publishers_of.items()}

    def wait(self, stamp_ns: int) -> None:
        """Wait for those the options name, with the clock standing at ``stamp_ns``.

        Raises:
            PlayError: If they do not come in time; says who is missing.
        """
        deadline = monotonic() + self._options.patience
        while missing := self._missing():
            if monotonic() > deadline:
                raise PlayError(f'after {self._options.patience:g} s there is still {missing}')
            self._stand(stamp_ns)
        settled = monotonic() + (SETTLE if self._options.wait_subscribers else 0.0)
        while monotonic() < settled:
            self._stand(stamp_ns)

    def _stand(self, stamp_ns: int) -> None:
        self.tick(stamp_ns)
        rclpy.spin_once(self, timeout_sec=0.05)

    def publish(self, message: RawMessage) -> None:
        """Publish the serialised bytes of one message."""
        publisher = self._publishers_of.get(message.topic)
        if publisher is not None:
            publisher.publish(bytes(message.data))

    def tick(self, stamp_ns: int) -> None:
        """Publish the time, at most every `CLOCK_PERIOD`."""
        now = monotonic()
        if self._clock_out is None or now - self._clock_at < CLOCK_PERIOD:
            return
        self._clock_at, self._clock_ns = now, stamp_ns
        self._clock_out.publish(Clock(clock=Time(sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)))

    def settle(self, stamp_ns: int) -> None:
        """Publish the time now, once: the messages that follow are of this moment."""
        if stamp_ns != self._clock_ns:
            self._clock_at = -1.0
            self.tick(stamp_ns)

    def finish(self) -> None:
        """Wait a moment until reliable listeners have the last messages."""
        for publisher in self._publishers_of.values():
            publisher.wait_for_all_acked(Duration(seconds=1))

    def _publisher(self, topic: Topic) -> Any:
        try:
            cls = message_class(topic.msgtype)
        except (ImportError, AttributeError):
            self.get_logger().warning(f'{topic.name} is left out: no package of {topic.msgtype}')
            return None
        qos = QoSProfile(depth=QUEUE)
        if topic.latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        return self.create_publisher(cls, topic.name, qos)

    def _missing(self) -> str:
        counts = {name: n for name, n in self.listeners().items() if name in self._images}
        wanted = self._options.wait_subscribers
        if wanted and max(counts.values(), default=0) < wanted:
            return f'no image topic with {wanted} subscribers: {counts or "no images at all"}'
        return '' if self._recording else f'no recorder on {READY_TOPIC}'

    def _on_ready(self, _: Empty) -> None:
        self._recording = True


def play(path: Path, options: PlayOptions, progress: Progress | None = None) -> int:
    """Play a bag to its end and return the number of messages published.

    Args:
        path: The bag.
        options: How.
        progress: Called with (seconds played, seconds in all) now and then.

    Raises:
        BagError: The bag cannot be read.
        PlayError: Who was waited for did not come.
    """
    # what cannot be played is refused before ROS is started
    with Bag(path, keep_damaged=options.damaged) as bag:
        if not bag.message_count:
            raise BagError(f'{path}: the bag holds no messages')
        wanted = options.topics or tuple(topic.name for topic in bag.topics)
        topics = [bag.topic(name) for name in wanted if name != '/clock']
        keep_freed_memory()
        init()
        try:
            player = Player(topics, options)
            for note in bag.notes:
                player.get_logger().warning(note)
            try:
                process.run()
                return _play(bag, player, options, progress or (lambda *_: None))
            finally:
                process.end()  # or its shared memory would be left behind
                player.destroy_node()
        finally:
            rclpy.try_shutdown()


def _play(bag: Bag, player: Player, options: PlayOptions, progress: Progress) -> int:
    sent = 0
    player.wait(bag.start_ns)
    try:
        while True:
            sent += _play_once(bag.raw(player.topics), bag, player, options.rate, progress)
            _linger(player, bag.end_ns, options)
            if not options.loop:
                player.finish()
                return sent
    except ExternalShutdownException:
        return sent


def _play_once(
    messages: Iterable[RawMessage], bag: Bag, player: Player, rate: float, progress: Progress
) -> int:
    begin, first, sent = monotonic(), bag.start_ns, 0
    total = (bag.end_ns - first) / 1e9
    for message in messages:
        due = begin + (message.stamp_ns - first) / 1e9 / rate
        while (ahead := due - monotonic()) > 0:
            player.tick(first + int((monotonic() - begin) * rate * 1e9))
            sleep(min(ahead, CLOCK_PERIOD / 2))
            _stop_if_asked()
        player.settle(message.stamp_ns)
        player.publish(message)
        sent += 1
        progress((message.stamp_ns - first) / 1e9, total)
    return sent


def _linger(player: Player, end_ns: int, options: PlayOptions) -> None:
    """Let the clock run on, so that nodes finish their last images in time."""
    begin = monotonic()
    while (passed := monotonic() - begin) < options.linger:
        player.tick(end_ns + int(passed * options.rate * 1e9))
        sleep(CLOCK_PERIOD)
        _stop_if_asked()


def _stop_if_asked() -> None:
    if not rclpy.ok():
        raise ExternalShutdownException
