"""The pictures of chosen times: what went in, what came out, and the truth."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcv.data.bags import Bag
from dlcv.data.bags.reader import floats
from dlcv.data.bags.vocabulary import typestore
from dlcv.interface import messages
from dlcv.types import ByteImage, FloatArray


@dataclass(frozen=True, kw_only=True, slots=True)
class Sources:
    """Topics that pictures are made of; those that are not there are left out.

    Attributes:
        image: Of the bag that was played.
        true_depth: Of that bag.
        true_flow: Of that bag.
        keypoints: Of the answers, and so on.
        matches: Of the answers.
        depth: Of the answers.
        flow: Of the answers.
        followed: Of the answers, drawn by the odometry itself.
        labels: Of the answers.
    """

    image: str
    true_depth: str = ''
    true_flow: str = ''
    keypoints: str = ''
    matches: str = ''
    depth: str = ''
    flow: str = ''
    followed: str = ''
    labels: str = ''


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
    for stamp, message in _of(outputs, topics.matches, wanted):
        if stamp in images:
            found[stamp].append(('matches', _tracks(images[stamp], message)))
    for stamp, drawn in _images(outputs, topics.followed, wanted):
        if stamp in images:
            found[stamp].append(('tracks', drawn))
    for stamp, labels in _images(outputs, topics.labels, wanted):
        if stamp in images:
            found[stamp].append(('labels', _labels(images[stamp], labels)))
    for name, topic, truth, colour in (
        ('depth', topics.depth, topics.true_depth, _depths),
        ('flow', topics.flow, topics.true_flow, _flows),
    ):
        estimates, truths = _arrays(outputs, topic, wanted), _arrays(source, truth, wanted)
        for stamp in sorted((estimates.keys() | truths.keys()) & found.keys()):
            both = {name: estimates.get(stamp), f'true {name}': truths.get(stamp)}
            found[stamp] += colour({title: a for title, a in both.items() if a is not None})
    return found


def _arrays(bag: Bag, topic: str, wanted: set[int]) -> dict[int, FloatArray]:
    return {s: floats(message, f'{bag.path}: {topic}') for s, message in _of(bag, topic, wanted)}


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


def _tracks(image: ByteImage, message: Any) -> ByteImage:
    from dlcv.view.features import draw_tracks

    points = messages.points_of(message)
    before, now = (np.stack((points[x], points[y]), 1) for x, y in (('u0', 'v0'), ('u', 'v')))
    return draw_tracks(image, before, now)


def _labels(image: ByteImage, labels: ByteImage) -> ByteImage:
    from dlcv.view.labels import label_colours

    return label_colours(labels, image)


def _depths(depths: dict[str, FloatArray]) -> list[tuple[str, ByteImage]]:
    """Draw depth and its truth in the colours of the truth."""
    from dlcv.view.depth import depth_colours, depth_range

    near, far = depth_range(list(depths.values())[-1])
    return [(title, depth_colours(depth, near, far)) for title, depth in depths.items()]


def _flows(flows: dict[str, FloatArray]) -> list[tuple[str, ByteImage]]:
    """Draw flow and its truth in the colours of the truth."""
    from dlcv.view.flow import flow_colours

    lengths = np.linalg.norm(list(flows.values())[-1], axis=-1)
    longest = float(np.max(lengths, initial=0.0, where=np.isfinite(lengths)))
    return [(title, flow_colours(flow, longest)) for title, flow in flows.items()]


def spread(stamps: list[int], count: int) -> list[int]:
    """Return times spread evenly, neither the first nor the last of many."""
    places = np.linspace(0, len(stamps) - 1, min(count, len(stamps)) + 2)[1:-1]
    return sorted({stamps[round(float(place))] for place in places})
