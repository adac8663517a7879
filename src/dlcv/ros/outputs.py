"""What a node publishes of its contract, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions

from dlcv.estimation.tasks.beside import Handed
from dlcv.interface.nodes import HANDLED, Topic
from dlcv.ros.exchange import Exchange
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER, installed, message_class


class Outputs:
    """The managed publishers of a configured node; they publish while it is active.

    Attributes:
        sent: Names of what was sent since `begin`, in their order.
    """

    def __init__(self, node: LifecycleNode, exchange: Exchange, topics: Iterable[Topic]) -> None:
        """Offer topics to the nodes of this process; their publishers come with `open`."""
        self._node, self._exchange = node, exchange
        for name in (topic.name for topic in topics):
            if not name.startswith('/'):  # what all nodes share comes from others too
                exchange.offer(node.resolve_topic_name(name))
        self._publishers: dict[str, Any] = {}
        self._handed: set[str] = set()  # of the image in hand, as they are
        self.sent: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._publishers

    def __getitem__(self, name: str) -> Any:
        return self._publishers[name]

    def open(self, topics: Iterable[Topic]) -> None:
        """Create the publishers of topics; one whose type is not installed is left out."""
        for topic in topics:
            if not installed(topic.type):
                reason = f'{topic.type} is not installed'
                self._node.get_logger().warning(f'{topic.name} is off: {reason}')
                continue
            self._publishers[topic.name] = self._node.create_lifecycle_publisher(
                message_class(topic.type),
                topic.name,
                profile(topic.qos),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
            self._exchange.open(self._publishers[topic.name].topic_name)

    def close(self) -> None:
        """Give the publishers back."""
        for publisher in self._publishers.values():
            self._exchange.close(publisher.topic_name)
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to an output."""
        publisher = self._publishers.get(name)
        return publisher is not None and self._listeners(publisher) > 0

    def begin(self) -> None:
        """Let what is sent from now on belong to another image."""
        self.sent, self._handed = [], set()

    def hand(self, name: str, header: Any, value: Any) -> bool:
        """Give a result to the nodes of this process that listen; whether others listen too."""
        publisher = self._publishers[name]
        self._handed.add(name)
        self._exchange.hand(publisher.topic_name, Handed(header, value))
        return bool(publisher.get_subscription_count() > 0)

    def send(self, name: str, message: Any) -> None:
        """Publish what belongs to the image in the worker's hands."""
        self.sent.append(name)
        publisher = self._publishers[name]
        if name not in self._handed:
            self._exchange.hand(publisher.topic_name, message)
        publisher.publish(message)

    def tell(self, header: Any, outcome: str, now: Callable[[], int]) -> None:
        """Say what became of an image, in any thread, if anybody listens.

        Args:
            header: Of the image.
            outcome: As `dlcv.interface.handled.Outcome` reads it.
            now: Gives the time in nanoseconds.
        """
        if self.wanted(HANDLED.name):
            told = COMPOSER.time_reference(header, now(), outcome)
            self._publishers[HANDLED.name].publish(told)

    def peers(self) -> dict[str, int]:
        """Return how many subscriptions each output has found, by its full name."""
        return {one.topic_name: self._listeners(one) for one in self._publishers.values()}

    def _listeners(self, publisher: Any) -> int:
        within = self._exchange.listeners(publisher.topic_name)
        return int(publisher.get_subscription_count()) + within
