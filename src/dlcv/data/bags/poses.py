"""Pose and transform messages to matrices and trajectories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcv.data.bags.errors import BagError
from dlcv.geometry.frames import frame_name
from dlcv.geometry.trajectory import time_order
from dlcv.interface.messages import (
    MessageError,
    frame_of,
    pose_matrix,
    stamp_ns,
    transform_matrix,
)
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


def pose_of(pose: Any, place: str, number: int) -> FloatArray:
    """Return the ``(4, 4)`` matrix of a geometry_msgs/Pose.

    Raises:
        BagError: It is none.
    """
    try:
        return pose_matrix(pose)
    except MessageError as err:
        raise BagError(f'{place}: pose {number + 1}: {err}') from err


def edges_of(messages: Iterable[Any], place: str) -> list[Edge]:
    """Return all transforms of TF messages."""
    transforms = [t for message in messages for t in message.transforms]
    return [
        Edge(
            stamp_ns=stamp_ns(t.header.stamp),
            parent=frame_of(t),
            child=frame_name(t.child_frame_id),
            parent_from_child=_transform(t.transform, f'{place}: transform {i + 1}'),
        )
        for i, t in enumerate(transforms)
    ]


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


def _transform(transform: Any, place: str) -> FloatArray:
    try:
        return transform_matrix(transform)
    except MessageError as err:
        raise BagError(f'{place}: {err}') from err
