"""What every kind of storage file looks like to a reader."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

_LATCHED = re.compile(r'durability["\']?\s*:\s*["\']?(1|transient_local)\b')


@dataclass(frozen=True, kw_only=True, slots=True)
class StoredTopic:
    """A topic as a storage file announces it.

    Attributes:
        name: Topic.
        msgtype: As it is written in the file, such as ``sensor_msgs/msg/Image``.
        definition: Text of the message definition; empty when the file has none.
        encoding: Of the definition: ``ros2msg``, ``ros2idl``, ``ros1msg``, ... or empty.
        serialization: Of the messages: ``cdr``, ``ros1``, ``json``, ...
        latched: Whether the file says that late subscribers got the last message.
    """

    name: str
    msgtype: str
    definition: str = ''
    encoding: str = ''
    serialization: str = 'cdr'
    latched: bool = False


class Stored(NamedTuple):
    """A message of a storage file: the key of its topic, its receive time and its bytes."""

    topic: int
    stamp_ns: int
    data: bytes


class Storage(Protocol):
    """An open storage file, whole or damaged.

    Attributes:
        topics: By the file's own keys.
        counts: Messages that can be read, by the same keys.
        start_ns: Receive time of the first message; 0 without one.
        end_ns: Receive time of the last message; 0 without one.
        damage: What is damaged about the file, in words; empty for a whole one.
    """

    topics: dict[int, StoredTopic]
    counts: dict[int, int]
    start_ns: int
    end_ns: int
    damage: str

    def messages(
        self, keys: Collection[int], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[Stored]:
        """Give messages of some topics in time order, from a moment and before another."""

    def close(self) -> None:
        """Close the file."""


def says_latched(qos: str) -> bool:
    """Whether the text of offered QoS profiles has one that is transient local."""
    return _LATCHED.search(qos) is not None


def within(stamp_ns: int, start_ns: int | None, stop_ns: int | None) -> bool:
    """Whether a time lies in a span; None is no limit, the end is not included."""
    after = start_ns is None or stamp_ns >= start_ns
    return after and (stop_ns is None or stamp_ns < stop_ns)
