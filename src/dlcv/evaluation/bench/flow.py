"""``dlcv bench flow``: FlowNets beside DIS and Farneback, on the same pairs in one run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from statistics import median
from time import perf_counter

import numpy as np

from dlcv.evaluation.bench import flow_sets
from dlcv.evaluation.bench.flow_methods import Method, classical, networks
from dlcv.evaluation.bench.flow_sets import PairSet
from dlcv.evaluation.bench.options import BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.metrics.baselines.flow import FARNEBACK
from dlcv.metrics.flow import (
    AE,
    EPE,
    FL_ALL,
    FlowErrors,
    Mean,
    WarpError,
    flow_errors,
    warp_error,
)
from dlcv.metrics.quantity import Quantity
from dlcv.types import FlowPair

SUMMARY = 'optical flow: FlowNetS and FlowNetC beside DIS and Farneback'
SETS = flow_sets.SETS

COLUMNS = (
    replace(EPE, digits=2),
    replace(EPE, name='0-10', digits=2,
            doc='end-point error where the true displacement is below 10 px'),
    replace(EPE, name='10-40', digits=2, doc='the same from 10 to 40 px'),
    replace(EPE, name='40+', digits=2, doc='the same from 40 px on'),
    replace(AE, digits=2),
    replace(FL_ALL, digits=1),
    Quantity(name='warp', unit='grey', better='low', digits=2,
             doc='difference of the first picture and the second warped back, of 255 levels'),
    time_column('pair'),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench flow` is told: nothing more than other benches."""


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did on the pairs so far."""

    errors: FlowErrors = field(default_factory=FlowErrors)
    warp: WarpError = field(default_factory=WarpError)
    seconds: list[float] = field(default_factory=list)

    def add(self, method: Method, pair: FlowPair) -> None:
        begin = perf_counter()
        flow = method.flow(pair.first, pair.second)
        self.seconds.append(perf_counter() - begin)
        self.errors += flow_errors(flow, pair.flow)
        self.warp += warp_error(pair.first, pair.second, flow)

    def values(self) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`."""
        e = self.errors
        means = (e.epe, *e.by_displacement, e.angle, e.fl_all, self.warp.warped)
        return (*map(_known, means), 1e3 * median(self.seconds))


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or is not there.
        DatasetError: A folder is no flow set.
        WeightsError: A weight file is refused.
    """
    known = flow_sets.find(options.data)
    check_sets(options.sets, list(dict.fromkeys((*SETS, *known))))
    flow_sets.refuse_missing([name for name in options.sets if name not in known])
    methods = [*classical(), *networks(options.weights, options.running)]
    names = options.sets or tuple(known)
    tables = [_table(known[name].cut(options.limit), methods, progress) for name in names]
    return Report(
        bench='flow',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment(method.file for method in methods),
    )


def _table(pairs: PairSet, methods: list[Method], progress: Progress) -> Table:
    tallies = {method.name: _Tally() for method in methods}
    for pair in told(pairs.name, pairs.count, pairs.read(), progress):
        for method in methods:
            tallies[method.name].add(method, pair)
    known = next(iter(tallies.values())).errors  # of the first method, whose flow knows no NaN
    return Table(
        name=pairs.name,
        title=f'{pairs.title}; {pairs.count} pairs{_shares(known.by_displacement)}',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=tally.values()) for name, tally in tallies.items()),
    )


def _shares(ranges: Iterable[Mean]) -> str:
    """Return how many of the pixels move how far, in words."""
    counts = np.array([part.count for part in ranges])
    if not counts.any():
        return ', no truth'
    slow, middle, fast = 100 * counts / counts.sum()
    return (
        f', in which {slow:.0f} % of the pixels move by less than 10 px, {middle:.0f} % by 10 to '
        f'40 px and {fast:.0f} % by more'
    )


def _known(mean: Mean) -> float | None:
    return mean.value if mean.count else None


def _settings() -> dict[str, str]:
    width, height = flow_sets.SIZE
    return {
        'averages': 'over all pixels of a set whose truth is known, occluded ones included',
        'networks': 'on the CPU in 32 bits; +v: followed by variational refinement',
        'DIS': 'preset medium',
        'Farneback': ', '.join(f'{name} {value}' for name, value in FARNEBACK.items()),
        'layers': f'{width}x{height}, seed {flow_sets.LAYERS_SEED}',
        'world': f'{width}x{height}, seed {flow_sets.WORLD_SEED}',
    }
