"""Pose and transform messages to matrices and trajectories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcv.bags.errors import BagError
from dlcv.messages import stamp_ns
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


def pose_matrix(pose: Any, place: str, number: int) -> FloatArray:
    """Return the ``(4, 4)`` matrix of a geometry_msgs/Pose.

    Raises:
        BagError: It is not finite or its quaternion is not of length 1 (to 1 %).
    """
    return _matrix(pose.position, pose.orientation, f'{place}: pose {number + 1}')


def edges_of(messages: Iterable[Any], place: str) -> list[Edge]:
    """Return all transforms of TF messages."""
    transforms = [t for message in messages for t in message.transforms]
    return [
        Edge(
            stamp_ns=stamp_ns(t.header.stamp),
            parent=t.header.frame_id.lstrip('/'),
            child=t.child_frame_id.lstrip('/'),
            parent_from_child=_matrix(
                t.transform.translation, t.transform.rotation, f'{place}: transform {i + 1}'
            ),
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
    stamps, first = np.unique(np.array([e.stamp_ns for e in edges], np.int64), return_index=True)
    return Trajectory(
        stamps_ns=stamps,
        world_from_body=np.stack([edges[i].parent_from_child for i in first]),
        frame_id=edges[0].parent,
        child_frame_id=edges[0].child,
    )


def chain(edges: Iterable[Edge], parent: str, child: str, place: str) -> FloatArray:
    """Return ``parent_from_child`` through a tree of static transforms.

    Raises:
        BagError: The tree does not connect them.
    """
    steps: dict[str, dict[str, FloatArray]] = {}
    for edge in edges:
        steps.setdefault(edge.parent, {})[edge.child] = edge.parent_from_child
        steps.setdefault(edge.child, {})[edge.parent] = np.linalg.inv(edge.parent_from_child)
    reached: dict[str, FloatArray] = {parent: np.eye(4)}
    ahead = [parent]
    while ahead:
        here = ahead.pop()
        for there, here_from_there in steps.get(here, {}).items():
            if there not in reached:
                reached[there] = reached[here] @ here_from_there
                ahead.append(there)
    if child not in reached:
        raise BagError(
            f'{place}: no static transform from {child} to {parent}; frames are {sorted(steps)}'
        )
    return reached[child]


def _matrix(position: Any, rotation: Any, place: str) -> FloatArray:
    from scipy.spatial.transform import Rotation

    xyz = np.array([position.x, position.y, position.z], np.float64)
    xyzw = np.array([rotation.x, rotation.y, rotation.z, rotation.w], np.float64)
    if not np.isfinite([*xyz, *xyzw]).all() or abs(np.linalg.norm(xyzw) - 1) > 0.01:
        raise BagError(f'{place} is none: position {xyz.tolist()}, quaternion {xyzw.tolist()}')
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_quat(xyzw).as_matrix()
    matrix[:3, 3] = xyz
    return matrix
