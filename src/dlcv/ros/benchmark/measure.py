"""Tables of how fast nodes are: each alone, and graphs of several."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np
import rclpy

from dlcv import process
from dlcv.bringup import NodeStart, Plan, job_of, make_plan
from dlcv.estimation.device import set_threads
from dlcv.estimation.memory import keep_freed_memory
from dlcv.evaluation.bench.options import BenchError, Progress, silent
from dlcv.evaluation.bench.report import Row, Table
from dlcv.evaluation.speed.film import Film
from dlcv.evaluation.speed.steps import NEVER_LATE, SUBJECTS, estimator_of
from dlcv.evaluation.speed.timing import spend
from dlcv.metrics.quantity import Quantity
from dlcv.ros.benchmark.processes import Processes
from dlcv.ros.benchmark.stage import Shown, Stage
from dlcv.ros.start import init

NAMESPACE = 'dlcv_benchmark'
GRAPHS = {'vo': ('superpoint', 'visual_odometry', 'monodepth')}
"""Name -> nodes that are measured together."""
COMPOSED = '-composed'
"""End of the name of what is measured in one process."""
DROPPED = 0.05  # share of pictures at most, at the peak rate
STEPS = 6  # halvings of the range of rates
START_PATIENCE, PATIENCE = 180.0, 30.0  # seconds
WARM_UP = 3  # pictures that are not counted


@dataclass(frozen=True, kw_only=True, slots=True)
class NodesOptions:
    """How nodes are measured.

    Attributes:
        targets: Names of nodes, and of `GRAPHS`, each with or without `COMPOSED`.
        rates: Pictures a second, in Hz.
        seconds: That each rate is shown.
        rounds: Pictures that are shown one after another, each when the last is answered.
        peak: Whether the highest rate is looked for.
        arguments: Launch arguments besides those of the benchmark's own.
        parameters: Of the nodes, where they have them.
    """

    targets: tuple[str, ...]
    rates: tuple[float, ...] = (10.0, 30.0)
    seconds: float = 10.0
    rounds: int = 30
    peak: bool = True
    arguments: dict[str, str] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.targets or not self.rates or min(*self.rates, self.seconds) <= 0:
            raise BenchError(
                'nodes are measured with a name, rates and seconds above 0, got '
                f'{self.targets}, {self.rates} and {self.seconds:g}'
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What was found of one node, or of several together.

    Attributes:
        name: Of the node, or of the graph.
        ready_s: From the start of the processes until all are active and have found the camera.
        memory_mb: PSS of all processes, after the rates.
        gpu_mb: Memory that they hold of GPUs.
        latency_ms: Of each node, median of pictures shown one after another.
        overhead_ms: Of each node, what is added to its estimator's time.
        bare_ms: Median of the same estimator in this process, by turns; None where not measured.
        over_bare: Median over turns of the node's latency over that.
        cpu_ms: Time of the processor for a picture shown so, all processes together.
        peak_hz: Highest rate with few drops.
        shown: What became of the pictures at each rate, and CPU seconds in a second.
    """

    name: str
    ready_s: float
    memory_mb: float | None
    gpu_mb: float
    latency_ms: dict[str, float]
    overhead_ms: dict[str, float]
    bare_ms: float | None
    over_bare: float | None
    cpu_ms: float
    peak_hz: float | None
    shown: dict[float, tuple[Shown, float]]


def measure_nodes(options: NodesOptions, film: Film, progress: Progress = silent) -> list[Table]:
    """Measure nodes and graphs, one after another.

    Args:
        options: Which, and how.
        film: What is shown to them.
        progress: Told how far it is.

    Raises:
        BenchError: A node does not run, or does not answer.
        LaunchError: There is no such node.
    """
    keep_freed_memory()
    plans = {name: _plan(name, options) for name in options.targets}
    found = []
    for number, (name, plan) in enumerate(plans.items()):
        progress('nodes', number, len(plans))
        os.environ.update(plan.environment)  # before this process takes part itself
        init([])
        try:
            process.run()
            found.append(_measure(name, plan, options, film))
        finally:
            process.end()
            rclpy.try_shutdown()
    process.run()
    progress('nodes', len(plans), len(plans))
    return [_overview(found), *(_at_rate(found, rate) for rate in options.rates)]


def _plan(name: str, options: NodesOptions) -> Plan:
    graph = name.removesuffix(COMPOSED)
    given = {
        'nodes': ','.join(GRAPHS.get(graph, (graph,))),
        'composed': str(graph != name).lower(),
        'namespace': NAMESPACE,
        'publish_tf': 'false',  # a robot may be listening
        'log_level': 'warn',
        **options.arguments,
    }
    plan = make_plan(given, os.environ, colour=False)
    changed = NEVER_LATE | options.parameters
    return replace(plan, nodes=tuple(_changed(node, changed) for node in plan.nodes))


def _changed(node: NodeStart, parameters: dict[str, Any]) -> NodeStart:
    known = {one.name for one in fields(node.settings)}
    changed = {name: value for name, value in parameters.items() if name in known}
    return replace(
        node,
        parameters=node.parameters | changed,
        settings=replace(node.settings, **changed),
    )


@contextmanager
def _running(plan: Plan, film: Film) -> Iterator[tuple[Processes, Stage, float]]:
    """Start a plan; yield its processes, the stage, and the seconds until all was ready."""
    stage = Stage(plan.nodes, film)
    try:
        with Processes(job_of(plan), {**os.environ, 'PYTHONUNBUFFERED': '1'}) as processes:
            ready = stage.open(START_PATIENCE, lambda: _trouble(processes))
            yield processes, stage, ready - processes.began
    finally:
        stage.close()


def _trouble(processes: Processes) -> str:
    dead = processes.dead()
    return f'{", ".join(dead)}: {processes.last_words()}' if dead else ''


def _measure(name: str, plan: Plan, options: NodesOptions, film: Film) -> Found:
    bare = _bare(plan.nodes, film)
    with _running(plan, film) as (processes, stage, ready):
        for _ in range(WARM_UP):
            stage.ask(PATIENCE)
            if bare is not None:
                bare()
        busy, alone, asked = 0.0, [], []
        for _ in range(options.rounds):
            before = processes.cpu_s()
            asked.append(stage.ask(PATIENCE))
            busy += processes.cpu_s() - before
            if bare is not None:
                alone.append(spend(bare).wall_ms)
        shown = {}
        for rate in options.rates:
            before = processes.cpu_s()
            one = stage.at_rate(rate, options.seconds)
            shown[rate] = one, (processes.cpu_s() - before) / one.seconds
        latency = {n: median(one[n].latency_ms for one in asked) for n in stage.names}
        peak = _peak(stage, max(latency.values()), options.seconds) if options.peak else None
        (only, *others) = stage.names
        ratios = [one[only].latency_ms / ms for one, ms in zip(asked, alone, strict=False)]
        return Found(
            name=name,
            ready_s=ready,
            memory_mb=processes.memory_mb(),
            gpu_mb=stage.gpu_memory_mb(),
            latency_ms=latency,
            overhead_ms={
                n: median(one[n].latency_ms - one[n].inference_ms for one in asked)
                for n in stage.names
            },
            bare_ms=median(alone) if alone else None,
            over_bare=median(ratios) if ratios and not others else None,
            cpu_ms=1e3 * busy / options.rounds,
            peak_hz=peak,
            shown=shown,
        )


def _bare(nodes: Sequence[NodeStart], film: Film) -> Callable[[], object] | None:
    """Return a step of a single node's estimator in this process; None where there is no such."""
    subjects = {node: subject for subject, node in reversed(SUBJECTS.items())}
    (first, *others) = nodes
    if others or first.spec.name not in subjects or first.spec.name == 'dsac':
        return None
    settings = first.settings
    changed = {one.name: getattr(settings, one.name) for one in fields(settings)}
    changed['weights'] = settings.weights or subjects[first.spec.name]
    set_threads(settings.num_threads)
    estimator, frames = estimator_of(subjects[first.spec.name], **changed), film.frames()
    return lambda: estimator.push(next(frames))


def _peak(stage: Stage, slowest_ms: float, seconds: float) -> float | None:
    """Return the highest rate, in Hz, at which no node drops more than `DROPPED`.

    Twice the rate of the slowest node when pictures come one after another bounds the search; None
    where no rate is low enough.
    """
    low, high = 0.0, 2e3 / slowest_ms
    for _ in range(STEPS):
        middle = (low + high) / 2
        shown = stage.at_rate(middle, max(seconds / 2, 10 / middle))
        kept_up = max(map(shown.dropped, stage.names)) <= DROPPED
        low, high = (middle, high) if kept_up else (low, middle)
    return low or None


def _quantity(name: str, unit: str, doc: str, digits: int = 1, better: str = 'low') -> Quantity:
    return Quantity(name=name, unit=unit, better=better, digits=digits, doc=doc)  # type: ignore[arg-type]


_OVERVIEW = (
    _quantity('ready', 's', 'from the start of the processes until all are active'),
    _quantity('latency', 'ms', 'median from the publication of a picture to the answer (the last '
              'of the graph), pictures shown one after another'),
    _quantity('added', 'ms', "median of what the node adds to its estimator's time"),
    _quantity('bare', 'ms', 'median of the same estimator in the process of the benchmark'),
    _quantity('over bare', '', 'latency over that, median of turns', 3),
    _quantity('CPU', 'ms', 'time of the processor for a picture, all processes together'),
    _quantity('peak', 'Hz', 'highest rate with under 5 % of the pictures dropped', 1, 'high'),
    _quantity('memory', 'MB', 'PSS of all processes', 0),
    _quantity('GPU', 'MB', 'memory held of GPUs', 0),
)  # fmt: skip


def _overview(found: Sequence[Found]) -> Table:
    rows = []
    for one in found:
        slowest = max(one.latency_ms, key=one.latency_ms.__getitem__)
        values = (
            one.ready_s, one.latency_ms[slowest], one.overhead_ms[slowest], one.bare_ms,
            one.over_bare, one.cpu_ms, one.peak_hz, one.memory_mb, one.gpu_mb,
        )  # fmt: skip
        rows.append(Row(name=one.name, values=values))
    return Table(
        name='nodes', title='Nodes and graphs in processes', columns=_OVERVIEW, rows=tuple(rows)
    )


_RATE = (
    _quantity('dropped', '%', 'pictures without a result'),
    _quantity('p50', 'ms', 'latency, of pictures with a result: median'),
    _quantity('p95', 'ms', 'the same, 95th percentile'),
    _quantity('p99', 'ms', 'the same, 99th percentile'),
    _quantity('oldest', 'ms', '95th percentile of how old the newest answer has become when the '
              'next one comes'),
    _quantity('CPU', 's/s', 'seconds of the processor in a second, all processes of the row', 2),
)  # fmt: skip


def _at_rate(found: Sequence[Found], rate: float) -> Table:
    rows = []
    for one in found:
        shown, cpu = one.shown[rate]
        several = len(shown.answers) > 1
        for node in shown.answers:
            name = f'{one.name}: {node}' if several else one.name
            rows.append(Row(name=name, values=(*latencies(shown, node), cpu)))
    return Table(
        name=f'rate/{rate:g}',
        title=f'Pictures at {rate:g} Hz',
        columns=_RATE,
        rows=tuple(rows),
    )


def latencies(shown: Shown, node: str) -> tuple[float | None, ...]:
    """Return drops in percent, p50, p95, p99 and the age at the next answer in ms, of a node."""
    done = [one for one in shown.answers[node] if one.processed]
    if not done:
        return 100.0, None, None, None, None
    at = np.percentile([one.latency_ms for one in done], (50, 95, 99)).tolist()
    ages = [1e3 * (after.word.at - one.shown) for one, after in pairwise(done)]
    oldest = float(np.percentile(ages, 95)) if ages else None
    return 100 * shown.dropped(node), *at, oldest
