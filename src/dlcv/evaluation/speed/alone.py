"""Estimators without ROS: beside their bare networks, and beside plain programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Any

from dlcv.evaluation.bench.options import Progress, silent
from dlcv.evaluation.bench.report import Row, Table
from dlcv.evaluation.speed.steps import ESTIMATOR, NETWORK
from dlcv.evaluation.speed.timing import alternate, middle, ratio
from dlcv.evaluation.speed.worker import PLAIN, Worker, WorkerJob
from dlcv.metrics.quantity import Quantity

GOALS = {'superpoint': 2.0, 'flownet_c': 3.5, 'monodepth': 3.0, 'deepvo': 4.0}
"""How many times as fast as its plain program an estimator is to be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AloneOptions:
    """How estimators are measured.

    Attributes:
        film: File of the pictures.
        subjects: Names of shipped weights.
        rounds: Times that each is run.
        threads: That each computes with.
        parameters: Of our nodes.
    """

    film: Path
    subjects: tuple[str, ...]
    rounds: int = 9
    threads: int = 1
    parameters: tuple[tuple[str, Any], ...] = ()

    def job(self, subject: str, *, plain: bool = False) -> WorkerJob:
        """Return what the worker of a subject runs."""
        return WorkerJob(
            subject=subject,
            film=str(self.film),
            plain=plain,
            threads=self.threads,
            parameters={} if plain else dict(self.parameters),
        )


def _time(name: str, doc: str) -> Quantity:
    return Quantity(name=name, unit='ms', better='low', digits=1, doc=doc)


BARE_COLUMNS = (
    _time('network', 'median time of one forward pass of the bare network in PyTorch'),
    _time('estimator', 'median time from a picture to its result: preparation, network, decoding'),
    _time('CPU', 'the same, in time of the processor, all threads together'),
    Quantity(name='over network', better='low', digits=2, doc='estimator over network, by turns'),
    Quantity(name='ready', unit='s', better='low', digits=1, doc='from the start of its process'),
    Quantity(name='memory', unit='MB', better='low', digits=0, doc='PSS of its process'),
)
PLAIN_COLUMNS = (
    _time('plain', "median time of the plain program, in the public demonstration's manner"),
    _time('ours', 'median time of our estimator on the same picture'),
    Quantity(name='ratio', better='high', digits=2, doc='plain over ours: median of turns'),
    Quantity(name='CPU ratio', better='high', digits=2, doc='the same in time of the processor'),
    Quantity(name='goal', digits=1, doc='of the ratio'),
)


def bare(options: AloneOptions, progress: Progress = silent) -> Table:
    """Measure estimators beside their bare networks."""
    rows = []
    for number, subject in enumerate(options.subjects):
        progress('estimators', number, len(options.subjects))
        with Worker(options.job(subject)) as ours:
            runs = {step: lambda step=step: ours.run(step) for step in (NETWORK, ESTIMATOR)}
            taken = alternate(runs, options.rounds)
            started = ours.started
        whole, network = taken[ESTIMATOR], taken[NETWORK]
        values = (
            middle(network), middle(whole), middle(whole, 'cpu_ms'), ratio(whole, network),
            started.seconds, started.memory_mb,
        )  # fmt: skip
        rows.append(Row(name=subject, values=values))
    progress('estimators', len(options.subjects), len(options.subjects))
    return Table(
        name='bare',
        title='Estimators beside their bare networks',
        columns=BARE_COLUMNS,
        rows=tuple(rows),
    )


def beside_plain(
    options: AloneOptions, progress: Progress = silent, *, busy: bool = False
) -> Table:
    """Measure estimators beside plain programs.

    Args:
        options: How.
        progress: Told how far it is.
        busy: Whether another process keeps a core busy meanwhile.
    """
    rows = []
    subjects = [subject for subject in options.subjects if subject in GOALS]
    part = 'plain programs, busy' if busy else 'plain programs'
    with _busy(1 if busy else 0):
        for number, subject in enumerate(subjects):
            progress(part, number, len(subjects))
            rows.append(Row(name=subject, values=_against_plain(options, subject, busy=busy)))
    progress(part, len(subjects), len(subjects))
    return Table(
        name='plain/busy' if busy else 'plain',
        title='Estimators beside plain programs' + (', and a busy process' if busy else ''),
        columns=PLAIN_COLUMNS,
        rows=tuple(rows),
    )


def _against_plain(options: AloneOptions, subject: str, *, busy: bool) -> tuple[float | None, ...]:
    with (
        Worker(options.job(subject)) as ours,
        Worker(options.job(subject, plain=True)) as plain,
    ):
        runs = {ESTIMATOR: lambda: ours.run(ESTIMATOR), PLAIN: lambda: plain.run(PLAIN)}
        taken = alternate(runs, options.rounds)
    theirs, mine = taken[PLAIN], taken[ESTIMATOR]
    goal = None if busy else GOALS[subject]
    return middle(theirs), middle(mine), ratio(theirs, mine), ratio(theirs, mine, 'cpu_ms'), goal


@contextmanager
def _busy(count: int) -> Iterator[None]:
    """Keep so many cores busy."""
    others = [Popen([sys.executable, '-c', 'while True: pass']) for _ in range(count)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()
