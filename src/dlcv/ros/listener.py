"""What a replay hears: answers, what became of images, and what nodes say of themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from time import monotonic
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import TimeReference

from dlcv import messages
from dlcv.contract.nodes import DIAGNOSTICS
from dlcv.replay.job import Answering, NodeFacts
from dlcv.replay.log import Outcome
from dlcv.replay.outputs import Output
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import message_class

DEPTH = 200  # answers that may wait while the disk is slow
ERROR = b'\x02'  # of diagnostic_msgs/DiagnosticStatus


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


@dataclass(frozen=True, slots=True)
class _State:
    """What a node said of itself."""

    message: str
    error: bool
    values: dict[str, str]

    @property
    def cpu_s(self) -> float:
        return float(self.values.get('cpu_s', 'nan'))


class Listener:
    """Subscriptions to all that the nodes of a replay send; lists are emptied by who reads them.

    Attributes:
        arrived: Answers: topic and bytes.
        words: What became of images.
    """

    def __init__(self, node: Node, nodes: Sequence[Answering]) -> None:
        self.arrived: list[tuple[str, bytes]] = []
        self.words: list[Word] = []
        self._node = node
        self._states: dict[str, _State] = {}
        self._cpu_s: dict[str, float] = {}  # when the replay began
        outputs = {output.topic: output for one in nodes for output in one.outputs}
        for output in outputs.values():
            self._keep(output)
        self._heard = {one.node: self._hear(one) for one in nodes}
        node.create_subscription(
            DiagnosticArray, DIAGNOSTICS.name, self._on_diagnostics, profile(DIAGNOSTICS.qos)
        )

    def absent(self) -> list[str]:
        """Return the nodes that do not tell what becomes of images: not yet, or no more."""
        return [name for name, heard in self._heard.items() if not heard.get_publisher_count()]

    def refusal(self) -> str:
        """Return why a node does not run; empty as far as is known."""
        for name, state in self._states.items():
            if state.values.get('state') == 'unconfigured' and state.error:
                return f'{name}: {state.message}'
        return ''

    def begin(self) -> None:
        """Count CPU time from now on."""
        self._cpu_s = {name: state.cpu_s for name, state in self._states.items()}

    def facts(self, name: str, seconds: float) -> NodeFacts:
        """Return what a node said of itself at last, after a replay of so many seconds."""
        state = self._states.get(name)
        if state is None:
            return NodeFacts(message='no diagnostics arrived')
        values = state.values
        cpu = (state.cpu_s - self._cpu_s.get(name, 0.0)) / seconds
        return NodeFacts(
            trained={'true': True, 'false': False}.get(values.get('trained', '')),
            weights=values.get('weights', ''),
            weights_sha256=values.get('weights_sha256', ''),
            device=values.get('device', ''),
            cpu=cpu if isfinite(cpu) else None,
            memory_mb=float(values['max_rss_mb']) if 'max_rss_mb' in values else None,
            message=state.message,
        )

    def _keep(self, output: Output) -> None:
        qos = QoSProfile(depth=DEPTH)
        if output.latched:
            qos.durability = DurabilityPolicy.TRANSIENT_LOCAL
        self._node.create_subscription(
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

    def _on_diagnostics(self, array: DiagnosticArray) -> None:
        for status in array.status:
            name = status.name.partition(':')[0]
            if name in self._heard:
                older, values = self._states.get(name), {p.key: p.value for p in status.values}
                text = status.message
                if older is not None and text.startswith('no image'):  # the bag has ended
                    text = older.message
                self._states[name] = _State(text, status.level == ERROR, values)
