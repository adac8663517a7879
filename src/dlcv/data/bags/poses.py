"""Pose and transform messages to matrices and trajectories."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from dlcv.data.bags.errors import BagError
from dlcv.geometry.frames import frame_name
from dlcv.geometry.trajectory import FARTHEST, left_out, time_order
from dlcv.interface.messages import MessageError, pose_matrix, stamp_ns, transform_matrix
from dlcv.types import FloatArray, Trajectory


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Edge:
    """A transform at a time.

    Attributes:
        stamp_ns: Its header's stamp.
        parent: Frame of the coordinates.
        child: Frame that is placed.
        parent_from_child: ``(4, 4)`` metres.
    """

    stamp_ns: int
    parent: str
    child: str
    parent_from_child: FloatArray


class Edges(list[Edge]):
    """Transforms as they come, without those that hold no pose.

    Attributes:
        lost: Frames of those that are left out, and what is wrong with each.
    """

    def __init__(
        self, edges: Iterable[Edge] = (), lost: Iterable[tuple[str, str, str]] = ()
    ) -> None:
        super().__init__(edges)
        self.lost = list(lost)

    def of(self, frame: str | None, child: str | None) -> Edges:
        """Return those of two frames; None is any."""

        def fits(a: str, b: str) -> bool:
            return frame in (None, a) and child in (None, b)

        return Edges(
            (e for e in self if fits(e.parent, e.child)),
            (one for one in self.lost if fits(*one[:2])),
        )

    @property
    def note(self) -> str:
        """How many are left out, in words; empty where none is."""
        if not self.lost:
            return ''
        return left_out(len(self.lost), len(self) + len(self.lost), 'messages', self.lost[0][2])


def pose_edges(messages: Sequence[Any], place: str) -> Edges:
    """Return the poses of Odometry, PoseStamped and such; those that are none are left out.

    Trackers send quaternions of zeros before they know where they are.

    Raises:
        BagError: All of them are none.
    """
    found = Edges()
    child = frame_name(getattr(messages[0], 'child_frame_id', '')) if messages else ''
    for i, message in enumerate(messages):
        pose = getattr(message.pose, 'pose', message.pose)
        _add(found, message.header, child, partial(pose_matrix, pose), f'pose {i + 1}')
    if found.lost and not found:
        raise BagError(f'{place}: {found.lost[0][2]}')
    return found


def edges_of(messages: Iterable[Any]) -> Edges:
    """Return all transforms of TF messages; those that are none are left out."""
    found = Edges()
    for i, t in enumerate(t for message in messages for t in message.transforms):
        make = partial(transform_matrix, t.transform)
        _add(found, t.header, frame_name(t.child_frame_id), make, f'transform {i + 1}')
    return found


def _add(found: Edges, header: Any, child: str, make: Callable[[], FloatArray], what: str) -> None:
    parent = frame_name(header.frame_id)
    try:
        matrix = make()
    except MessageError as err:
        found.lost.append((parent, child, f'{what}: {err}'))
        return
    if np.abs(matrix[:3, 3]).max() > FARTHEST:
        found.lost.append((parent, child, f'{what}: no position: {matrix[:3, 3].tolist()} m'))
        return
    found.append(
        Edge(stamp_ns=stamp_ns(header.stamp), parent=parent, child=child, parent_from_child=matrix)
    )


def trajectory_of(edges: Sequence[Edge], place: str) -> Trajectory:
    """Return the poses sorted by time, the first of each stamp.

    Raises:
        BagError: There is none, or they are in several fixed frames.
    """
    if not edges:
        raise BagError(f'{place}: no poses')
    parents = sorted({e.parent for e in edges})
    if len(parents) > 1:
        raise BagError(f'{place}: poses in several frames: {parents}')
    stamps = np.array([e.stamp_ns for e in edges], np.int64)
    order, _ = time_order(stamps)
    return Trajectory(
        stamps_ns=stamps[order],
        world_from_body=np.stack([edges[i].parent_from_child for i in order]),
        frame_id=edges[0].parent,
        child_frame_id=edges[0].child,
    )
