"""The highest rate of images that nodes keep up with, as ros2_benchmark looks for it.

The first images are shown again and again, at rates that close in on it, under stamps as if they
had been recorded at that rate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from time import monotonic

from dlcv.data.bags import Bag, RawMessage
from dlcv.interface import messages
from dlcv.interface.handled import PROCESSED
from dlcv.ros.play import CLOCK_PERIOD
from dlcv.ros.replay.listener import Word
from dlcv.ros.replay.realtime import LINGER
from dlcv.ros.replay.stage import Stage

DROPPED = 0.05  # share of images at most, of ros2_benchmark
IMAGES, LEAST_IMAGES = 60, 10  # that it is looked for with
STEPS = 6  # halvings of its range
SECONDS = 6.0  # of images at each rate
GAP_NS = 10**9  # of the nodes' time between two of these


def highest_rate(stage: Stage, bag: Bag, slowest_ms: float) -> float | None:
    """Return the highest rate, in Hz, at which no node drops more than `DROPPED` of the images.

    Args:
        stage: Where a replay has come to its end.
        bag: Whose images are shown.
        slowest_ms: What the slowest node needs for an image; twice the rate at which it could work
            without a break is where the search begins.

    Returns:
        The rate; None where there are too few images, or no rate is low enough.
    """
    shown = list(stage.first(bag, IMAGES))
    if not slowest_ms or sum(map(stage.is_image, shown)) < LEAST_IMAGES:
        return None
    now_ns, low, high = bag.end_ns + 10 * GAP_NS, 0.0, 2e3 / slowest_ms  # past the last tick
    for _ in range(STEPS):
        middle = (low + high) / 2
        dropped, now_ns = _burst(stage, shown, middle, now_ns + GAP_NS)
        low, high = (middle, high) if dropped <= DROPPED else (low, middle)
    return low or None


def _burst(
    stage: Stage, shown: Sequence[RawMessage], hertz: float, now_ns: int
) -> tuple[float, int]:
    """Show images at a rate; return the share that the slowest node dropped, and the time."""
    most, begin, images = max(LEAST_IMAGES, round(SECONDS * hertz)), monotonic(), 0
    names = [one.node for one in stage.job.nodes]
    words: list[Word] = []

    def spin() -> int:
        stage.spin(CLOCK_PERIOD / 2)
        words.extend(stage.listener.words)
        stage.listener.words.clear()
        stage.listener.arrived.clear()
        at = now_ns + int(1e9 * (monotonic() - begin))
        stage.player.tick(at)
        return at

    for raw in shown:
        if stage.is_image(raw) and images == most:
            break
        while monotonic() < begin + images / hertz:
            spin()
        stamp = now_ns + int(1e9 * images / hertz)
        stage.player.publish(raw._replace(data=messages.restamped(raw.data, stamp)))
        images += stage.is_image(raw)
    end = monotonic() + LINGER
    while monotonic() < end and len(words) < images * len(names):
        spin()
    done = Counter(word.node for word in words if word.outcome.name == PROCESSED)
    return 1 - min(done[name] for name in names) / images, spin()
