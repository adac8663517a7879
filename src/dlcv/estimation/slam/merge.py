"""Two maps made one, where they show the same place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dlcv.estimation.slam.accuracy import common_error
from dlcv.estimation.slam.closing import Closing
from dlcv.estimation.slam.loops import LoopSettings
from dlcv.estimation.slam.place import Edge, Matrix, PlaceMap
from dlcv.estimation.slam.points import located

Report = Callable[[str, int, int], None]


class MergeError(ValueError):
    """Two maps cannot be one; the message says why."""


def merged(
    one: PlaceMap,
    other: PlaceMap,
    settings: LoopSettings | None = None,
    report: Report = lambda _what, _done, _of: None,
) -> tuple[PlaceMap, list[Edge]]:
    """Return both maps as one, and where they were joined.

    The other's keyframes are gone through as if they were mapped now: places that both show are
    loops, with all guards of these, and the graph of both is solved.

    Args:
        one: Its frame is kept.
        other: It may have any other.
        settings: When a place counts as seen again.
        report: Told how far it is.

    Returns:
        A map of its own, and the edges between the two that are believed.

    Raises:
        MergeError: The maps are of different kinds, or nothing of the one is known to the other.
    """
    _check(one, other)
    place = one.copied()
    first, session, named = len(place), place.sessions, place.named
    place.named += other.named
    closing = Closing(place, settings or LoopSettings())
    closing.begin(session, joined=False)
    edges: dict[int, list[tuple[Edge, bool]]] = {}
    for edge, good in zip(other.edges, other.trusted, strict=True):
        edges.setdefault(max(edge.older, edge.newer), []).append((edge, good))
    for k, frame in enumerate(other.keyframes):
        names = np.where(frame.landmark >= 0, frame.landmark + named, -1)
        # until they are joined all of its sessions are one, which moves as a whole
        kept = replace(frame, session=session, landmark=names)
        newest = place.add(kept, _placed(place, other, first, k), float(other.log_scale[k]))
        for edge, good in edges.get(k, []):
            place.connect(replace(edge, older=edge.older + first, newer=edge.newer + first))
            place.trusted[-1] = good
        closing.look(newest)
        report('merge', k + 1, len(other))
    closing.settle(wait=True)
    joints = [e for e in place.loops if e.older < first <= e.newer]
    if not joints:
        why = closing.refused.most_common(1)
        detail = f'; candidates were refused: {why[0][0]}' if why else ''
        raise MergeError(
            f'nothing is common: none of the {len(other)} keyframes of {other.source or "one map"} '
            f'was recognised among the {first} of {one.source or "the other"}{detail}'
        )
    for k, frame in enumerate(other.keyframes):
        place.keyframes[first + k] = replace(
            place.keyframes[first + k], session=session + frame.session
        )
    place.landmarks = located(place, np.arange(len(place)))
    place.common = common_error(place)
    place.source = f'{one.source}, {other.source}' if one.source else other.source
    return place, joints


def _placed(place: PlaceMap, other: PlaceMap, first: int, k: int) -> Matrix:
    """Return where a keyframe belongs, by the one before it, which loops may have moved."""
    if not k:
        return np.asarray(other.poses[0])
    change = place.poses[first + k - 1] @ np.linalg.inv(other.poses[k - 1])
    grown = np.exp(place.log_scale[first + k - 1] - other.log_scale[k - 1])
    pose = np.array(other.poses[k])
    middle = other.poses[k - 1][:3, 3]
    pose[:3, 3] = middle + grown * (pose[:3, 3] - middle)
    return np.asarray(change @ pose)


def _check(one: PlaceMap, other: PlaceMap) -> None:
    for place in (one, other):
        if not len(place):
            raise MergeError('a map without keyframes cannot be merged')
    if one.described != other.described:
        raise MergeError(
            f'the maps describe places by {one.described} and by {other.described}, which cannot '
            'be compared'
        )
    if one.scaled != other.scaled:
        raise MergeError('one map is in metres, in the other each keyframe has a unit of its own')
