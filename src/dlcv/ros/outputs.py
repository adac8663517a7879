"""What a node publishes of its contract, and who listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions

from dlcv.interface.nodes import HANDLED, Topic
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER, message_class


class Outputs:
    """The managed publishers of a configured node; they publish while it is active.

    Attributes:
        sent: Names of what was sent since `begin`, in their order.
    """

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {}
        self.sent: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self._publishers

    def __getitem__(self, name: str) -> Any:
        return self._publishers[name]

    def open(self, topics: Iterable[Topic]) -> None:
        """Create the publishers of topics; one whose type is not installed is left out."""
        for topic in topics:
            try:
                kind = message_class(topic.type)
            except ImportError:
                reason = f'{topic.type} is not installed'
                self._node.get_logger().warning(f'{topic.name} is off: {reason}')
                continue
            self._publishers[topic.name] = self._node.create_lifecycle_publisher(
                kind,
                topic.name,
                profile(topic.qos),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

    def close(self) -> None:
        """Give the publishers back."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)
        self._publishers = {}

    def wanted(self, name: str) -> bool:
        """Whether anybody listens to an output."""
        publisher = self._publishers.get(name)
        return publisher is not None and publisher.get_subscription_count() > 0

    def begin(self) -> None:
        """Let what is sent from now on belong to another image."""
        self.sent = []

    def send(self, name: str, message: Any) -> None:
        """Publish what belongs to the image in the worker's hands."""
        self.sent.append(name)
        self._publishers[name].publish(message)

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
        return {one.topic_name: one.get_subscription_count() for one in self._publishers.values()}
