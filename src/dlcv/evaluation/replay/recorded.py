"""A recording of nodes that ran by themselves, read as if a replay had made it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from dlcv.data.bags import Bag
from dlcv.evaluation.replay.job import Answering, ReplayError, RunFacts
from dlcv.evaluation.replay.log import Handled
from dlcv.evaluation.replay.outputs import APART, Output
from dlcv.evaluation.replay.states import NodeStates
from dlcv.geometry.frames import frame_name
from dlcv.interface import messages
from dlcv.interface.handled import PROCESSED, Outcome
from dlcv.interface.launch import full_name
from dlcv.interface.nodes import (
    DIAGNOSTICS,
    FILTERED_ODOMETRY,
    HANDLED,
    NODES,
    ODOMETRY,
    ODOMETRY_NODES,
    NodeSpec,
)

_ODOMETRY = ODOMETRY[0].type


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What a recording tells of its nodes.

    Attributes:
        nodes: Who answered, and where.
        log: What became of each image.
        facts: What the nodes said of themselves.
        base_frame: Body whose odometry they published.
    """

    nodes: tuple[Answering, ...]
    log: tuple[Handled, ...]
    facts: RunFacts
    base_frame: str


def read_recorded(
    bag: Bag, stamps: Sequence[int], namespace: str | None = None, odometry: str = ''
) -> Recorded:
    """Read what nodes sent.

    Args:
        bag: The open recording.
        stamps: Times of the images that they were shown, ascending.
        namespace: Theirs; None for the only one.
        odometry: Where it is of the node that owns it; empty for its own topic, or that for a
            filter.

    Raises:
        ReplayError: No node answered to any of the images, or there are several namespaces; the
            message says what there is.
        BagError: A message in the bag is wrong.
    """
    there = {topic.name for topic in bag.topics if topic.count}
    found = _namespaces(there)
    if namespace is None and len(found) > 1:
        raise ReplayError(f'{bag.path}: nodes in several namespaces, name one: {sorted(found)}')
    if odometry:
        bag.topic(odometry, [_ODOMETRY])
    space = (namespace if namespace is not None else next(iter(found), '')).strip('/')
    nodes = tuple(_nodes(space, there, odometry))
    shown, log = set(stamps), []
    for node in nodes:
        log += [line for line in _log(bag, node, there) if line.stamp_ns in shown]
    if not any(line.outcome.sent for line in log):
        place = f'in namespace {space}' if space else 'without a namespace'
        raise ReplayError(
            f'{bag.path}: no answer of a node {place} has the stamp of an image that was shown; '
            f'there are\n{bag.describe()}'
        )
    return Recorded(
        nodes=nodes,
        log=tuple(_by_a_clock(log)),
        facts=_facts(bag, space, nodes, stamps, there),
        base_frame=_base(bag, nodes),
    )


def _namespaces(topics: set[str]) -> set[str]:
    """Return the namespaces in which a node has a private output."""
    tails = [
        full_name(topic.name, spec.name, '')
        for spec in NODES.values()
        for topic in spec.outputs
        if topic.name.startswith('~/')
    ]
    return {
        name[: -len(tail)].strip('/') for name in topics for tail in tails if name.endswith(tail)
    }


def _nodes(namespace: str, there: set[str], odometry: str) -> Iterator[Answering]:
    owner = _owner(namespace, there)
    told = {spec.name for spec in NODES.values() if _handled(spec, namespace) in there}
    found, answered = {}, set[str]()  # of two nodes with one answer, only one has sent it
    for spec in sorted(NODES.values(), key=lambda spec: spec.name not in told):
        moved = odometry if spec is owner else None
        outputs = tuple(_outputs(spec, namespace, there, moved))
        answers = {output.topic for output in outputs if output.name == spec.answer}
        if spec.name in told or answers - answered:
            handled = _handled(spec, namespace)
            found[spec.name] = Answering(
                node=spec.name, handled=handled, inputs=(), outputs=outputs
            )
        answered |= answers
    yield from (found[name] for name in NODES if name in found)


def _handled(spec: NodeSpec, namespace: str) -> str:
    return full_name(HANDLED.name, spec.name, namespace)


def _owner(namespace: str, there: set[str]) -> NodeSpec:
    """Return the node whose odometry may have another name: the first that sent anything."""
    for spec in ODOMETRY_NODES:
        own = {full_name(t.name, spec.name, namespace) for t in spec.outputs if t.name[0] == '~'}
        if own & there:
            return spec
    return ODOMETRY_NODES[0]


def _outputs(
    spec: NodeSpec, namespace: str, there: set[str], odometry: str | None
) -> Iterator[Output]:
    """Give what a node sent; its answer by another name unless `odometry` is None."""
    for topic in spec.outputs:
        name = full_name(topic.name, spec.name, namespace)
        if odometry is not None and topic.name == spec.answer:
            filtered = full_name(FILTERED_ODOMETRY, spec.name, namespace)
            name = odometry or (name if name in there else filtered)
        if topic not in APART and name in there:
            yield Output(name=topic.name, topic=name, type=topic.type)


def _log(bag: Bag, node: Answering, there: set[str]) -> Iterator[Handled]:
    """Give what a node said of its images; of one that was not listened to, what it answered."""
    if node.handled in there:
        for _, message in bag.read([node.handled]):
            stamp = messages.stamp_ns(message.header.stamp)
            age_ms = (messages.stamp_ns(message.time_ref) - stamp) / 1e6
            outcome = Outcome.parse(message.source)
            yield Handled(node.node, stamp, outcome, age_ms if age_ms >= 0 else None)
        return
    answer = NODES[node.node].answer
    (topic,) = (output.topic for output in node.outputs if output.name == answer)
    for raw in bag.raw([topic]):
        stamp = messages.header_stamp_ns(raw.data)
        yield Handled(node.node, stamp, Outcome(PROCESSED, sent=(answer,)))


def _by_a_clock(log: Sequence[Handled]) -> list[Handled]:
    """Leave the ages out where the nodes' clock was too coarse for them, as that of a bag is.

    Such a clock is known by answers that are younger than what their inference took.
    """
    coarse = any(
        line.age_ms is not None and line.age_ms < (line.outcome.inference_ms or 0) for line in log
    )
    return [replace(line, age_ms=None) for line in log] if coarse else list(log)


def _facts(
    bag: Bag, namespace: str, nodes: Sequence[Answering], stamps: Sequence[int], there: set[str]
) -> RunFacts:
    states = NodeStates([node.node for node in nodes], namespace)
    times: list[int] = []
    for raw, array in bag.read([DIAGNOSTICS.name]) if DIAGNOSTICS.name in there else ():
        states.add(array)
        if len(states.known) == len(nodes):
            if not times:
                states.begin()
            times.append(raw.stamp_ns)
    seconds = (times[-1] - times[0]) / 1e9 if times else 0.0
    deaf = [node.node for node in nodes if node.handled not in there]
    warnings = [f'{name}: what it dropped is not in the recording (~/handled)' for name in deaf]
    return RunFacts(
        mode='recording',
        seconds=(stamps[-1] - stamps[0]) / 1e9,
        images=len(stamps),
        nodes={node.node: states.facts(node.node, seconds) for node in nodes},
        warnings=tuple(warnings),
    )


def _base(bag: Bag, nodes: Sequence[Answering]) -> str:
    """Return the body that the odometry moves."""
    topics = [
        output.topic
        for node in nodes
        for output in node.outputs
        if NODES[node.node] in ODOMETRY_NODES and output.name == NODES[node.node].answer
    ]
    _, first = next(bag.read(topics) if topics else iter(()), (None, None))
    return frame_name(first.child_frame_id if first is not None else '') or 'base_link'
