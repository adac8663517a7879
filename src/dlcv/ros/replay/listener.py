"""What a replay hears: answers, what became of images, and what nodes say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import TimeReference

from dlcv.evaluation.replay.job import Answering
from dlcv.evaluation.replay.outputs import Output
from dlcv.evaluation.replay.states import NodeStates
from dlcv.interface import messages
from dlcv.interface.handled import Outcome
from dlcv.interface.nodes import DIAGNOSTICS
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import installed, message_class

DEPTH = 200  # answers that may wait while the disk is slow


@dataclass(frozen=True, slots=True)
class Word:
    """What a node said of an image.

    Attributes:
        node: Its name.
        stamp_ns: The image.
        outcome: What became of it.
        at: When that was heard, by the monotonic clock.
    """

    node: str
    stamp_ns: int
    outcome: Outcome
    at: float


class Listener:
    """Subscriptions to all that the nodes of a replay send; lists are emptied by who reads them.

    Attributes:
        arrived: Answers: topic and bytes.
        words: What became of images.
        states: What the nodes say of themselves.
    """

    def __init__(self, node: Node, nodes: Sequence[Answering]) -> None:
        self.arrived: list[tuple[str, bytes]] = []
        self.words: list[Word] = []
        self._node = node
        self.states = NodeStates({one.node for one in nodes})
        outputs = {output.topic: output for one in nodes for output in one.outputs}
        self._kept = [self._keep(one) for one in outputs.values() if installed(one.type)]
        self._heard = {one.node: self._hear(one) for one in nodes}
        node.create_subscription(
            DiagnosticArray, DIAGNOSTICS.name, self.states.add, profile(DIAGNOSTICS.qos)
        )

    def absent(self) -> list[str]:
        """Return the nodes that tell no more what becomes of images."""
        return [name for name, heard in self._heard.items() if not heard.get_publisher_count()]

    def publishers(self) -> dict[str, int]:
        """Return how many publishers each topic that is listened to has found."""
        every = (*self._kept, *self._heard.values())
        return {one.topic_name: one.get_publisher_count() for one in every}

    def _keep(self, output: Output) -> Any:
        qos = QoSProfile(depth=DEPTH)
        if output.latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        return self._node.create_subscription(
            message_class(output.type),
            output.topic,
            lambda data: self.arrived.append((output.topic, data)),
            qos,
            raw=True,
        )

    def _hear(self, one: Answering) -> Any:
        def on_handled(message: TimeReference) -> None:
            stamp, outcome = messages.stamp_ns(message.header.stamp), Outcome.parse(message.source)
            self.words.append(Word(one.node, stamp, outcome, monotonic()))

        return self._node.create_subscription(TimeReference, one.handled, on_handled, DEPTH)
