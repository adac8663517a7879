"""The way from one frame to another over several transforms, as TF takes it, without a limit."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from dlcv.data.bags.poses import Edge, trajectory_of
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import pose_at
from dlcv.types import FloatArray, Trajectory

_ANY_GAP = np.iinfo(np.int64).max  # tf2 knows no gap: it takes the poses around, however far


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Link:
    """How a frame lies in its parent: at times, or always (the first pose of ``poses``)."""

    poses: Trajectory
    moves: bool

    def at(self, stamp_ns: int) -> FloatArray | None:
        if not self.moves:
            always: FloatArray = self.poses.world_from_body[0]
            return always
        return pose_at(self.poses, stamp_ns, _ANY_GAP)


def chained(moving: Sequence[Edge], fixed: Sequence[Edge], parent: str, child: str) -> list[Edge]:
    """Return ``parent_from_child`` where no transform says it but several together do.

    It is given at the times of the transform on the way that comes most often; the others are
    taken between two of theirs, as tf2 does.

    Args:
        moving: Transforms over time.
        fixed: Static transforms, of which the last that names a frame counts.
        parent: Frame of the coordinates.
        child: Frame that is placed.

    Returns:
        In order of time; empty where nothing that moves connects the two.
    """
    links = {**_links(fixed, moves=False), **_links(moving, moves=True)}
    way = _way(links, parent, child)
    timed = [link for _, _, link in way if link.moves]
    if not timed:
        return []
    often = max(timed, key=lambda link: len(link.poses.stamps_ns))
    poses = ((int(stamp), _product(way, int(stamp))) for stamp in often.poses.stamps_ns)
    return [
        Edge(stamp_ns=stamp, parent=parent, child=child, parent_from_child=pose)
        for stamp, pose in poses
        if pose is not None
    ]


_Links = dict[tuple[str, str], _Link]
_Step = tuple[str, str, _Link]  # from a frame to the next, whichever of them is the parent


def _links(edges: Sequence[Edge], *, moves: bool) -> _Links:
    found: dict[tuple[str, str], list[Edge]] = {}
    for edge in edges if moves else reversed(edges):
        found.setdefault((edge.parent, edge.child), []).append(edge)
    return {
        pair: _Link(poses=trajectory_of(some if moves else some[:1], str(pair)), moves=moves)
        for pair, some in found.items()
    }


def _way(links: _Links, start: str, goal: str) -> list[_Step]:
    """Return the steps of the shortest way between two frames; none where there is no way."""
    ways: dict[str, list[_Step]] = {start: []}
    waiting = [start]
    for frame in waiting:  # grows while it is walked: breadth first
        for step in _steps_from(frame, links, ways):
            ways[step[1]] = [*ways[frame], step]
            waiting.append(step[1])
    return ways.get(goal, [])


def _steps_from(frame: str, links: _Links, known: Collection[str]) -> list[_Step]:
    down = [(frame, b, link) for (a, b), link in links.items() if a == frame and b not in known]
    up = [(frame, a, link) for (a, b), link in links.items() if b == frame and a not in known]
    return down + up


def _product(way: Sequence[_Step], stamp_ns: int) -> FloatArray | None:
    product: FloatArray = np.eye(4)
    for frame, _, link in way:
        pose = link.at(stamp_ns)
        if pose is None:
            return None
        downwards = frame == link.poses.frame_id
        product = product @ (pose if downwards else inverse(np.asarray(pose, np.float64)))
    return product
