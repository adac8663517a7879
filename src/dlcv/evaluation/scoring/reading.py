"""One pass over the answers of a replay: everything that metrics are made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dlcv.data.bags import Bag
from dlcv.data.bags.reader import floats
from dlcv.data.recordings.bag import Beside
from dlcv.evaluation.replay.job import Answering
from dlcv.evaluation.scoring.dense import Depth, Flow
from dlcv.evaluation.scoring.features import Features
from dlcv.evaluation.scoring.odometry import Covered
from dlcv.geometry.frames import frame_name
from dlcv.geometry.trajectory import left_out
from dlcv.interface import messages
from dlcv.interface.nodes import DEPTH_NODES, ODOMETRY_NODES
from dlcv.metrics.depth import DepthCaps
from dlcv.types import FloatArray, Trajectory

Take = Callable[[int, Any], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Pose:
    """A message of odometry; see `Covered`."""

    stamp_ns: int
    pose: FloatArray
    covariance: FloatArray
    twist: FloatArray
    twist_covariance: FloatArray


class _Way:
    """The odometry of one node."""

    def __init__(self) -> None:
        self._poses: list[_Pose] = []
        self._frames = ('', '')

    @property
    def covered(self) -> Covered | None:
        """What is known of it, of several ways the longest; None without two poses."""
        ways = _ways([pose.stamp_ns for pose in self._poses])
        longest = [self._poses[i] for i in max(ways, key=len, default=[])]
        if len(longest) < 2:
            return None
        frame, child = self._frames
        return Covered(
            path=Trajectory(
                stamps_ns=np.array([pose.stamp_ns for pose in longest], np.int64),
                world_from_body=np.stack([pose.pose for pose in longest]),
                frame_id=frame,
                child_frame_id=child,
            ),
            covariances=np.stack([pose.covariance for pose in longest]),
            twists=np.stack([pose.twist for pose in longest]),
            twist_covariances=np.stack([pose.twist_covariance for pose in longest]),
            beginnings=len(ways),
        )

    def add(self, stamp_ns: int, message: Any) -> None:
        """Take a message."""
        twist = message.twist.twist
        velocity = [getattr(v, axis) for v in (twist.linear, twist.angular) for axis in 'xyz']
        self._frames = messages.frame_of(message), frame_name(message.child_frame_id)
        self._poses.append(
            _Pose(
                stamp_ns=stamp_ns,
                pose=messages.pose_matrix(message.pose.pose),
                covariance=messages.covariance_matrix(message.pose.covariance),
                twist=np.array(velocity),
                twist_covariance=messages.covariance_matrix(message.twist.covariance),
            )
        )


class Answers:
    """What the nodes answered, compared with dense truth as far as that is known.

    Args:
        outputs: Bag of answers.
        source: Bag that was played.
        nodes: Who answered, and where.
        depth: Topic of the true depth; empty for none.
        flow: Topic of the true flow; empty for none.
        caps: What of the depth counts.
        stamps: Times of the images, ascending.

    Attributes:
        depth: Errors of depth.
        flow: Errors of flow.
        features: What keypoints and matches are worth.
        found: Accepted poses ``map_from_base`` by time.
    """

    def __init__(
        self,
        outputs: Bag,
        source: Bag,
        nodes: Sequence[Answering],
        *,
        depth: str,
        flow: str,
        caps: DepthCaps,
        stamps: Sequence[int],
    ) -> None:
        before = dict(zip(stamps[1:], stamps[:-1], strict=True))
        self.depth, self.flow, self.features = Depth(caps), Flow(before), Features(before)
        self.found: dict[int, FloatArray] = {}
        self._bag = outputs
        self._topics = {(n.node, o.name): o.topic for n in nodes for o in n.outputs}
        self._depths = Beside(source, depth)
        # one reader for each node: in real time one may be some images ahead of the other
        self._flows, self._flows_of_points = Beside(source, flow), Beside(source, flow)
        self._ways = {spec.name: _Way() for spec in ODOMETRY_NODES}
        self._lost: dict[str, list[str]] = {}

    def topic(self, node: str, name: str) -> str:
        """Return the full name of an output; empty where the node took no part."""
        return self._topics.get((node, name), '')

    @property
    def depth_topic(self) -> str:
        """The full name of the answer of the node of depth; empty where there was none."""
        return next(filter(None, (self.topic(spec.name, spec.answer) for spec in DEPTH_NODES)), '')

    @property
    def warnings(self) -> list[str]:
        """How many answers were none that can be judged, in words."""
        counts = {topic.name: topic.count for topic in self._bag.topics}
        return [
            f'{topic}: {left_out(len(lost), counts[topic], "answers", lost[0])}'
            for topic, lost in self._lost.items()
        ]

    def read(self, progress: Progress) -> None:
        """Read the bag of answers."""
        takers = {
            self.depth_topic: self._on_depth,
            self.topic('flownet', '~/flow'): self._on_flow,
            self.topic('flownet', '~/flow_interval'): self._on_interval,
            self.topic('superpoint', '~/keypoints'): self._on_keypoints,
            self.topic('superpoint', '~/matches'): self._on_matches,
            self.topic('dsac', '~/pose'): self._on_pose,
        }
        takers |= {self.topic(node, '~/odometry'): way.add for node, way in self._ways.items()}
        there = {t.name: t.count for t in self._bag.topics if takers.get(t.name) and t.count}
        total = sum(there.values())
        for number, (raw, message) in enumerate(self._bag.read(there) if there else (), start=1):
            try:
                takers[raw.topic](messages.stamp_ns(message.header.stamp), message)
            except messages.MessageError as err:
                self._lost.setdefault(raw.topic, []).append(str(err))
            progress('evaluate', number, total)

    def odometry(self, node: str) -> Covered | None:
        """Return the odometry of a node, of several ways the longest; None without two poses."""
        return self._ways[node].covered

    def _on_depth(self, stamp_ns: int, message: Any) -> None:
        self.depth.add(stamp_ns, floats(message, 'depth'), self._depths.at(stamp_ns))

    def _on_flow(self, stamp_ns: int, message: Any) -> None:
        self.flow.add(stamp_ns, floats(message, 'flow'), self._flows.at(stamp_ns))

    def _on_interval(self, stamp_ns: int, message: Any) -> None:
        self.flow.add_interval(stamp_ns, messages.stamp_ns(message.time_ref))

    def _on_keypoints(self, stamp_ns: int, message: Any) -> None:
        points = messages.points_of(message)
        xy = np.stack((points['u'], points['v']), 1)
        self.features.add_keypoints(stamp_ns, xy, self._flows_of_points.at(stamp_ns))

    def _on_matches(self, stamp_ns: int, message: Any) -> None:
        points = messages.points_of(message)
        before, after = (np.stack((points[x], points[y]), 1) for x, y in (('u0', 'v0'), ('u', 'v')))
        self.features.add_matches(stamp_ns, before, after, self._flows_of_points.at(stamp_ns))

    def _on_pose(self, stamp_ns: int, message: Any) -> None:
        self.found[stamp_ns] = messages.pose_matrix(message.pose.pose)


def _ways(stamps: Sequence[int]) -> list[list[int]]:
    """Cut places of stamps where time goes back: the odometry begins anew there."""
    ways: list[list[int]] = []
    for i, stamp in enumerate(stamps):
        if i == 0 or stamp < stamps[i - 1]:
            ways.append([])
        if not ways[-1] or stamp > stamps[ways[-1][-1]]:
            ways[-1].append(i)
    return ways
