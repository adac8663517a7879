"""The pictures of chosen times: what went in, what came out, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcv import messages
from dlcv.bags import Bag
from dlcv.bags.reader import floats
from dlcv.bags.vocabulary import typestore
from dlcv.types import ByteImage, FloatArray

MAX_DISPLACEMENT = 0.0  # of the colour wheel: each picture its own


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Topics that pictures are made of; those that are not there are left out.

    Attributes:
        image: Of the bag that was played.
        true_depth: Of that bag.
        true_flow: Of that bag.
        keypoints: Of the answers, and so on.
        depth: Of the answers.
        flow: Of the answers.
    """

    image: str
    true_depth: str = ''
    true_flow: str = ''
    keypoints: str = ''
    depth: str = ''
    flow: str = ''


Pictures = dict[int, list[tuple[str, ByteImage]]]


def pictures(outputs: Bag, source: Bag, topics: Sources, stamps: Iterable[int]) -> Pictures:
    """Return the pictures of some times, each with a title.

    Args:
        outputs: The answers.
        source: The bag that was played.
        topics: What they are made of.
        stamps: Which times.
    """
    wanted = set(stamps)
    images = dict(_images(source, topics.image, wanted))
    found: Pictures = {stamp: [('input', image)] for stamp, image in images.items()}
    for stamp, message in _of(outputs, topics.keypoints, wanted):
        if stamp in images:
            found[stamp].append(('keypoints', _keypoints(images[stamp], message)))
    rows: tuple[tuple[str, Bag, str, Callable[[FloatArray], ByteImage]], ...] = (
        ('depth', outputs, topics.depth, _depth),
        ('true depth', source, topics.true_depth, _depth),
        ('flow', outputs, topics.flow, _flow),
        ('true flow', source, topics.true_flow, _flow),
    )
    for title, bag, topic, drawn in rows:
        for stamp, message in _of(bag, topic, wanted):
            if stamp in found:
                found[stamp].append((title, drawn(floats(message, f'{bag.path}: {topic}'))))
    return found


def _images(bag: Bag, topic: str, wanted: set[int]) -> Iterator[tuple[int, ByteImage]]:
    for stamp, message in _of(bag, topic, wanted):
        with suppress(messages.MessageError):  # the nodes rejected it too: it is counted there
            yield stamp, messages.decode_any(message)


def _of(bag: Bag, topic: str, wanted: set[int]) -> Iterable[tuple[int, Any]]:
    """Give the messages of some times; the others are not deserialised."""
    if not any(t.name == topic and t.count for t in bag.topics):
        return
    for raw in bag.raw([topic]):
        stamp = messages.header_stamp_ns(raw.data)
        if stamp in wanted:
            yield stamp, typestore().deserialize_cdr(raw.data, raw.msgtype)


def _keypoints(image: ByteImage, message: Any) -> ByteImage:
    from dlcv.view.features import draw_keypoints

    points = messages.points_of(message)
    return draw_keypoints(image, np.stack((points['u'], points['v']), 1), points['score'])


def _depth(depth: FloatArray) -> ByteImage:
    from dlcv.view.depth import depth_colours

    return depth_colours(depth)


def _flow(flow: FloatArray) -> ByteImage:
    from dlcv.view.flow import flow_colours

    return flow_colours(flow, MAX_DISPLACEMENT)


def spread(stamps: list[int], count: int) -> list[int]:
    """Return times spread evenly, neither the first nor the last of many."""
    places = np.linspace(0, len(stamps) - 1, min(count, len(stamps)) + 2)[1:-1]
    return sorted({stamps[round(float(place))] for place in places})
