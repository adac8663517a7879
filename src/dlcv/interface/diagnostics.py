"""How a node tells in its diagnostics whom it has found: ``/image 1, /camera_info 0``.

Publishers and subscriptions find each other in two steps, one on each side. Between the two a
publisher counts a subscription that drops what it sends; only the node's own counts tell when its
inputs hear and its outputs are heard.
"""

from __future__ import annotations

from collections.abc import Mapping

PUBLISHERS = 'publishers'  # of the topics that the node subscribes to
SUBSCRIBERS = 'subscribers'  # to the topics that the node publishes


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
