"""Read a recording of the nodes' outputs: counts, rates, latencies, trajectories, pictures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dlcv import messages
from dlcv.bags import Bag, BagError
from dlcv.contract.launch import full_name
from dlcv.contract.nodes import ANSWERS, DIAGNOSTICS, NODES
from dlcv.geometry.trajectory import pose_at
from dlcv.metrics.relocalization import relocalizations
from dlcv.types import ByteImage, FloatArray, Trajectory

MAX_GAP_NS = 500_000_000  # of true poses around a time
PICTURES = {'superpoint': '~/overlay', 'flownet': '~/color', 'monodepth': 'depth/color'}
SAMPLES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeSummary:
    """How one node did.

    Attributes:
        name: Of the node.
        answered: Images with an output of the same stamp.
        images: Images there were.
        hertz: Answers per second of the recording's own time.
        inference_ms: Median and 95 % of the estimator's time, from the node's diagnostics.
        latency_ms: Median, 95 % and largest age of an output, from the node's diagnostics.
        dropped: Images that the node counted as superseded, too old, lost or failed.
        trained: Whether its weights are trained; None when the node never said.
        message: The last line of its diagnostics.
    """

    name: str
    answered: int
    images: int
    hertz: float
    inference_ms: tuple[float, float]
    latency_ms: tuple[float, float, float]
    dropped: int
    trained: bool | None
    message: str


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sample:
    """The pictures of one moment: (title, RGB) of the input and of each node."""

    stamp_ns: int
    pictures: tuple[tuple[str, ByteImage], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Summary:
    """All that the page shows.

    Attributes:
        bag: Where it was read.
        image_topic: The camera.
        seconds: From the first image to the last.
        nodes: One for each node that recorded anything.
        samples: Some moments.
        estimate: Poses of the odometry; None without.
        truth: True poses in the frame of the odometry's first pose; None without.
        relocalized: Accepted poses of the relocalizer, in the truth's frame if that is known; None
            without any.
    """

    bag: Path
    image_topic: str
    seconds: float
    nodes: tuple[NodeSummary, ...]
    samples: tuple[Sample, ...]
    estimate: Trajectory | None
    truth: Trajectory | None
    relocalized: Trajectory | None

    @property
    def poses(self) -> int:
        """How many poses the relocalizer has found."""
        return 0 if self.relocalized is None else len(self.relocalized.stamps_ns)

    @property
    def relocalization_error(self) -> float | None:
        """Median distance in metres of the relocalizer's poses from the truth; None without."""
        if self.relocalized is None or self.truth is None:
            return None
        poses = zip(self.relocalized.stamps_ns, self.relocalized.world_from_body, strict=True)
        pairs = [
            (pose, true)
            for stamp, pose in poses
            if (true := pose_at(self.truth, int(stamp), MAX_GAP_NS)) is not None
        ]
        metres, _ = relocalizations([p for p, _ in pairs], [true for _, true in pairs]).medians
        return metres if pairs else None

    @property
    def untrained(self) -> list[str]:
        """Names of the nodes that ran untrained networks."""
        return [node.name for node in self.nodes if node.trained is False]


def summarise(
    path: Path,
    *,
    inputs: Path | None = None,
    truth_topic: str = '',
    image_topic: str = '',
    namespace: str = '',
) -> Summary:
    """Read a recording.

    Args:
        path: Bag with the outputs.
        inputs: Bag that was played, with the images and the truth; None when ``path`` has them.
        truth_topic: True odometry; empty for none.
        image_topic: The camera; empty when there is one.
        namespace: Of the nodes.

    Raises:
        BagError: A bag cannot be read, has no images, no answers to them, or no such truth.
    """
    with Bag(path, keep_damaged=True) as bag, Bag(inputs or path, keep_damaged=True) as source:
        image_topic = image_topic or _input_topic(source, namespace)
        stamps = header_stamps(source, image_topic)
        if not stamps:
            raise BagError(f'{source.path}: no images on {image_topic}')
        nodes = tuple(_nodes(bag, namespace, stamps))
        if not any(node.answered for node in nodes):
            raise BagError(_unanswered(bag, source, image_topic, namespace))
        truth = source.trajectory(truth_topic) if truth_topic else None
        relocalized = _trajectory(bag, full_name('~/pose', 'dsac', namespace), least=1)
        return Summary(
            bag=path,
            image_topic=image_topic,
            seconds=(stamps[-1] - stamps[0]) / 1e9,
            nodes=nodes,
            samples=tuple(_samples(bag, source, image_topic, stamps, namespace)),
            estimate=_trajectory(bag, full_name('~/odometry', 'deepvo', namespace)),
            truth=None if truth is None else _from_start(truth, truth, stamps[0]),
            relocalized=relocalized
            if relocalized is None or truth is None
            else _from_start(relocalized, truth, stamps[0]),
        )


def header_stamps(bag: Bag, topic: str) -> list[int]:
    """Return the header stamps on a topic, in nanoseconds, without decoding its messages."""
    if not any(t.name == topic for t in bag.topics):
        return []
    return [messages.header_stamp_ns(raw.data) for raw in bag.raw([topic])]


def _input_topic(bag: Bag, namespace: str) -> str:
    """Return the one image topic that is no output of a node."""
    outputs = {full_name(t.name, s.name, namespace) for s in NODES.values() for t in s.outputs}
    found = [name for name in bag.image_topics() if name not in outputs]
    if len(found) != 1:
        trouble = f'which of {", ".join(found)} was the input' if found else 'no images of a camera'
        raise BagError(
            f'{bag.path}: {trouble}: name the topic of the images, or the bag that was played '
            f'(--image, --input); there are\n{bag.describe()}'
        )
    return found[0]


def _unanswered(bag: Bag, source: Bag, image_topic: str, namespace: str) -> str:
    place = f'in namespace {namespace}' if namespace else 'without a namespace'
    return (
        f'{bag.path}: no output of a node {place} has the stamp of an image on {image_topic} of '
        f'{source.path}; there are\n{bag.describe()}'
    )


def _last_states(bag: Bag) -> dict[str, Any]:
    """Return each node's last diagnostic status while it was active and had images."""
    states: dict[str, Any] = {}
    if not any(t.name == DIAGNOSTICS.name for t in bag.topics):
        return states
    for _, array in bag.read([DIAGNOSTICS.name]):
        for status in array.status:
            name = status.name.partition(':')[0]
            values = {pair.key: pair.value for pair in status.values}
            ended = status.message.startswith('no image') and name in states  # after the bag
            if name in NODES and values.get('state') == 'active' and not ended:
                states[name] = (status, values)
    return states


def _nodes(bag: Bag, namespace: str, stamps: Sequence[int]) -> Iterator[NodeSummary]:
    states = _last_states(bag)
    there = {t.name for t in bag.topics if t.count}
    for spec in NODES.values():
        topic = full_name(ANSWERS[spec.name], spec.name, namespace)
        if topic in there or spec.name in states:
            status, values = states.get(spec.name, (None, {}))
            yield _node(spec.name, header_stamps(bag, topic), stamps, status, values)


def _node(
    name: str, answers: Sequence[int], stamps: Sequence[int], status: Any, values: dict[str, str]
) -> NodeSummary:
    answered = set(answers) & set(stamps)
    seconds = (stamps[-1] - stamps[0]) / 1e9
    dropped = ('superseded', 'rejected_age', 'lost_by_middleware', 'failed')
    return NodeSummary(
        name=name,
        answered=len(answered),
        images=len(stamps),
        hertz=len(answered) / seconds if seconds else 0.0,
        inference_ms=(_number(values, 'inference_ms_p50'), _number(values, 'inference_ms_p95')),
        latency_ms=(
            _number(values, 'latency_ms_p50'),
            _number(values, 'latency_ms_p95'),
            _number(values, 'latency_ms_max'),
        ),
        dropped=sum(int(values.get(key, 0)) for key in dropped),
        trained={'true': True, 'false': False}.get(values.get('trained', '')),
        message=status.message if status is not None else 'no diagnostics recorded',
    )


def _number(values: dict[str, str], key: str) -> float:
    return float(values.get(key, 'nan'))


def _trajectory(bag: Bag, topic: str, least: int = 2) -> Trajectory | None:
    if not any(t.name == topic and t.count >= least for t in bag.topics):
        return None
    return bag.trajectory(topic)


def _from_start(path: Trajectory, truth: Trajectory, start_ns: int) -> Trajectory:
    """Express a path from the first image on in the true pose there, where odometry begins."""
    first = int(np.argmin(np.abs(truth.stamps_ns - start_ns)))
    start_from_world: FloatArray = np.linalg.inv(truth.world_from_body[first])
    kept = path.stamps_ns >= truth.stamps_ns[first]
    return Trajectory(
        stamps_ns=path.stamps_ns[kept],
        world_from_body=start_from_world @ path.world_from_body[kept],
        frame_id='odom',
        child_frame_id=path.child_frame_id,
    )


def _samples(
    bag: Bag, source: Bag, image_topic: str, stamps: Sequence[int], namespace: str
) -> Iterator[Sample]:
    """Choose moments spread over the recording at which most nodes have a picture."""
    topics = {
        full_name(name, node, namespace): node
        for node, name in PICTURES.items()
        if any(t.name == full_name(name, node, namespace) and t.count for t in bag.topics)
    }
    coverage = dict.fromkeys(stamps, 0)
    for topic in topics:
        for stamp in header_stamps(bag, topic):
            coverage[stamp] = coverage.get(stamp, 0) + 1
    best = [s for s in stamps if coverage[s] == max(coverage[s] for s in stamps)]
    places = np.linspace(0, len(best) - 1, min(SAMPLES, len(best)) + 2)[1:-1]
    chosen = sorted({best[round(float(place))] for place in places})
    found: dict[int, dict[str, ByteImage]] = {stamp: {} for stamp in chosen}
    for place, names in ((source, {image_topic: 'input'}), (bag, topics)):
        for raw, message in place.read(names) if names else ():
            stamp = messages.stamp_ns(message.header.stamp)
            if stamp in found:
                found[stamp][names[raw.topic]] = messages.decode_any(message)
    order = ['input', *PICTURES]
    for stamp in chosen:
        pictures = tuple((name, found[stamp][name]) for name in order if name in found[stamp])
        yield Sample(stamp_ns=stamp, pictures=pictures)
