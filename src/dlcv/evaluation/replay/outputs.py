"""Where the answers of a replay go: a bag whose bytes depend on nothing but the answers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dlcv.data.bags import Bag, BagWriter
from dlcv.data.bags.vocabulary import typestore
from dlcv.files import Closing
from dlcv.interface.nodes import DIAGNOSTICS, HANDLED, NodeSpec
from dlcv.interface.parameters import CommonParameters

APART = (DIAGNOSTICS, HANDLED)  # they tell times of this run, which the log keeps


class NodeRun(Protocol):
    """One node that takes part in a replay."""

    @property
    def spec(self) -> NodeSpec:
        """What it offers."""

    @property
    def settings(self) -> CommonParameters:
        """Its parameters."""

    def resolve(self, name: str) -> str:
        """Return the full name of one of its topics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What is kept of a node.

    Attributes:
        name: In the contract.
        topic: Full name.
        type: Of its messages.
        latched: Whether who comes late still gets the last one.
    """

    name: str
    topic: str
    type: str
    latched: bool = False


def outputs_of(node: NodeRun) -> tuple[Output, ...]:
    """Return what is kept of a node."""
    return tuple(
        Output(
            name=topic.name,
            topic=node.resolve(topic.name),
            type=topic.type,
            latched=topic.qos == 'latched',
        )
        for topic in node.spec.outputs
        if topic not in APART and (not topic.when or getattr(node.settings, topic.when))
    )


class OutputBag(Closing):
    """The bag of answers.

    The answers to an image are written under its receive time, by node and then in the order in
    which the node sent them, so that two replays of one bag are the same byte for byte.

    Args:
        path: ``NAME.mcap``; one that is there is replaced.
        outputs: What is kept of the nodes.
    """

    def __init__(self, path: Path, outputs: Iterable[Output]) -> None:
        self._writer = BagWriter(path, overwrite=True, notes={'writer': 'dlcv'})
        self._types: dict[str, str] = {}
        for output in outputs:
            self._announce(output.topic, output.type, latched=output.latched)

    def keep(self, bag: Bag, topics: Iterable[str]) -> None:
        """Write all messages of some topics of the played bag as they are, such as the truth."""
        wanted = [topic for topic in bag.topics if topic.name in set(topics)]
        for topic in wanted:
            self._announce(topic.name, topic.msgtype, latched=topic.latched)
        for raw in bag.raw([topic.name for topic in wanted]) if wanted else ():
            self._writer.write_raw(raw.topic, raw.stamp_ns, raw.data)

    def add(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Write a message of rosbags' classes."""
        self._writer.write(topic, stamp_ns, message)

    def add_raw(self, topic: str, stamp_ns: int, data: bytes) -> None:
        """Write the bytes of a live message, what lies between its fields cleared."""
        kind = self._types[topic]
        message = typestore().deserialize_cdr(data, kind)
        self._writer.write_raw(topic, stamp_ns, typestore().serialize_cdr(message, kind))

    def _announce(self, name: str, msgtype: str, *, latched: bool) -> None:
        if name not in self._types:
            self._types[name] = msgtype
            self._writer.add_topic(name, msgtype, qos='latched' if latched else 'reliable')

    def close(self) -> None:
        """Complete the bag."""
        self._writer.close()
