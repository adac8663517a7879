"""What nodes say of themselves in diagnostics, live or from a bag."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from dlcv.evaluation.replay.job import Answering, NodeFacts
from dlcv.interface.diagnostics import PUBLISHERS, SUBSCRIBERS, node_of, read_peers

ERROR = (2, b'\x02')  # of diagnostic_msgs/DiagnosticStatus, as rosbags and as rclpy read it


@dataclass(frozen=True, slots=True)
class _State:
    message: str
    error: bool
    values: dict[str, str]

    @property
    def cpu_s(self) -> float:
        return float(self.values.get('cpu_s', 'nan'))

    def peers(self, key: str) -> dict[str, int]:
        return read_peers(self.values.get(key, ''))


class NodeStates:
    """The last word of each node on itself.

    Args:
        nodes: Names of those that are listened to.
        namespace: Theirs, without slashes around it; None for whichever.
    """

    def __init__(self, nodes: Collection[str], namespace: str | None = None) -> None:
        self._nodes, self._namespace = nodes, namespace
        self._states: dict[str, _State] = {}
        self._heard: Counter[str] = Counter()
        self._cpu_s: dict[str, float] = {}  # at the beginning

    @property
    def known(self) -> list[str]:
        """The nodes that have said anything."""
        return list(self._states)

    def heard(self, name: str) -> int:
        """Return how often a node has said something."""
        return self._heard[name]

    def add(self, array: Any) -> None:
        """Take a ``diagnostic_msgs/DiagnosticArray``."""
        for status in array.status:
            name = node_of(status.name)
            if name in self._nodes and self._is_meant(status.hardware_id):
                older, values = self._states.get(name), {p.key: p.value for p in status.values}
                text = status.message
                if older is not None and text.startswith('no image'):  # the bag has ended
                    text = older.message
                self._heard[name] += 1
                self._states[name] = _State(text, status.level in ERROR, values)

    def _is_meant(self, full_name: str) -> bool:
        there = full_name.rpartition('/')[0].strip('/')
        return not full_name or self._namespace in (None, there)

    def begin(self) -> None:
        """Count CPU time from now on."""
        self._cpu_s = {name: state.cpu_s for name, state in self._states.items()}

    def refusal(self) -> str:
        """Return why a node does not run; empty as far as is known."""
        for name, state in self._states.items():
            if state.values.get('state') == 'unconfigured' and state.error:
                return f'{name}: {state.message}'
        return ''

    def unmatched(
        self, nodes: Sequence[Answering], played: Mapping[str, int], listened: Mapping[str, int]
    ) -> str:
        """Return who has not found whom yet, by the word of both; empty when none is missing.

        Args:
            nodes: Who answers.
            played: Topics that are shown to them, and how many listeners each is known to have.
            listened: Topics that are listened to, and how many publishers each is known to have.
        """
        wanted: Counter[str] = Counter()
        for node in nodes:
            state = self._states.get(node.node)
            if state is None:
                return f'no word of {node.node}'
            publishers, subscribers = state.peers(PUBLISHERS), state.peers(SUBSCRIBERS)
            if not publishers or node.handled not in subscribers:
                return f'{node.node} {state.values.get("state", "of another version")}'
            for topic, count in publishers.items():
                if topic in played and not count:
                    return f'{node.node} without a publisher of {topic}'
            for topic, count in subscribers.items():
                if topic in listened and not (count and listened[topic]):
                    return f'{topic} of {node.node} unheard'
            wanted.update(publishers)
        for topic, count in played.items():
            if count < wanted[topic]:
                return f'{count} of {wanted[topic]} listeners to {topic}'
        return ''

    def facts(self, name: str, seconds: float) -> NodeFacts:
        """Return what a node said of itself at last, so many seconds after the beginning."""
        state = self._states.get(name)
        if state is None:
            return NodeFacts(message='no diagnostics arrived')
        values = state.values
        cpu = (state.cpu_s - self._cpu_s.get(name, 0.0)) / seconds if seconds else float('nan')
        return NodeFacts(
            trained={'true': True, 'false': False}.get(values.get('trained', '')),
            weights=values.get('weights', ''),
            weights_sha256=values.get('weights_sha256', ''),
            device=values.get('device', ''),
            cpu=cpu if isfinite(cpu) else None,
            memory_mb=float(values['max_rss_mb']) if 'max_rss_mb' in values else None,
            gpu_memory_mb=float(values['gpu_mem_mb']) if 'gpu_mem_mb' in values else None,
            message=state.message,
        )
