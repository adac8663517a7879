"""What a node's diagnostics are called, and how they tell whom it has found: ``/image 1, /tf 0``.

Publishers and subscriptions find each other in two steps, one on each side. Between the two a
publisher counts a subscription that drops what it sends; only the node's own counts tell when its
inputs hear and its outputs are heard.
"""

from __future__ import annotations

from collections.abc import Mapping

PUBLISHERS = 'publishers'  # of the topics that the node subscribes to
SUBSCRIBERS = 'subscribers'  # to the topics that the node publishes


def status_name(full_name: str, doc: str) -> str:
    """Return what the status of a node is called: those of two robots are two in every viewer.

    Args:
        full_name: Of the node, with its namespace.
        doc: What it is.
    """
    return f'{full_name.strip("/")}: {doc}'


def node_of(status: str) -> str:
    """Return the name, without its namespace, of the node whose status is called so."""
    return status.partition(':')[0].rpartition('/')[2]


def peers_text(counts: Mapping[str, int]) -> str:
    """Return the value of a key: each topic, by its full name, and how many there are."""
    return ', '.join(f'{topic} {count}' for topic, count in counts.items())


def read_peers(text: str) -> dict[str, int]:
    """Read what `peers_text` made.

    Raises:
        ValueError: It is something else.
    """
    pairs = [pair.rsplit(' ', 1) for pair in text.split(', ')] if text else []
    try:
        return {topic: int(count) for topic, count in pairs}
    except ValueError as err:
        raise ValueError(f'topics and their numbers are needed, got {text!r}') from err
