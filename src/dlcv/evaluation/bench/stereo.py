"""``dlcv bench stereo``: DispNet beside OpenCV's SGBM and BM, on the same pairs in one run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.evaluation.bench import stereo_sets
from dlcv.evaluation.bench.options import BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.evaluation.bench.stereo_sets import PairSet
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.disparity import (
    Stereo,
    block_matching,
    filled,
    semi_global_matching,
)
from dlcv.metrics.disparity import QUANTITIES, DisparityErrors, disparity_errors, mean_of_pictures
from dlcv.types import ByteImage, FloatArray, Frame, StereoPair

if TYPE_CHECKING:
    from dlcv.estimation.stereo import StereoEstimator

SUMMARY = 'stereo disparity: DispNet beside SGBM and BM'
SETS = stereo_sets.SETS

_HELD = 64  # pairs that are kept in memory, as they are looked at twice
_D1 = next(q for q in QUANTITIES if q.name == 'D1')
COLUMNS = (
    *QUANTITIES,
    replace(_D1, name='D1-noc', doc='D1 of pixels that the right picture shows too, where known'),
    time_column('pair'),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench stereo` is told: nothing more than other benches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to match.

    Attributes:
        name: Of its row.
        match: Left and right picture to disparity.
        file: Its weight file, if it has one.
    """

    name: str
    match: Stereo
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did on the pairs so far."""

    errors: list[DisparityErrors] = field(default_factory=list)
    seen: list[DisparityErrors] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, method: Method, pair: StereoPair) -> None:
        begin = perf_counter()
        disparity = method.match(pair.left, pair.right)
        self.seconds.append(perf_counter() - begin)
        self.errors.append(disparity_errors(disparity, pair.disparity))
        if pair.occluded is not None:
            self.seen.append(disparity_errors(disparity, pair.disparity, ~pair.occluded))

    def values(self) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`."""
        seen = mean_of_pictures(self.seen).d1 if self.seen else None
        return (*mean_of_pictures(self.errors).figures(), seen, 1e3 * median(self.seconds))


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or is not there.
        DatasetError: A folder is no stereo set.
        WeightsError: A weight file is refused.
    """
    known = stereo_sets.find(options.data)
    check_sets(options.sets, list(dict.fromkeys((*SETS, *known))))
    stereo_sets.refuse_missing([name for name in options.sets if name not in known])
    learned = networks(options.weights, options.running)
    names = options.sets or tuple(known)
    tables = [_table(known[name].cut(options.limit), learned, progress) for name in names]
    return Report(
        bench='stereo',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment(method.file for method in learned),
    )


def classical(reach: float) -> list[Method]:
    """Return the methods that need no weights, the simplest first.

    Args:
        reach: Greatest disparity that they look for, pixels.
    """
    pixels = int(np.ceil(reach))
    matched = semi_global_matching(pixels)
    return [
        Method(name='BM', match=block_matching(pixels)),
        Method(name='SGBM', match=matched),
        Method(name='SGBM, filled', match=lambda left, right: filled(matched(left, right))),
    ]


def networks(weights: tuple[Path, ...], running: Mapping[str, Any]) -> list[Method]:
    """Return the networks, as the node runs them.

    Args:
        weights: Files, or names of shipped weights; empty for those that are shipped, if any.
        running: See `BenchOptions`.

    Raises:
        WeightsError: A file is refused.
        BenchError: Two files have one name.
    """
    from dlcv.estimation.load import load_stereo

    return [
        Method(name=one.title, match=_estimated(load_stereo(one.name, **running)), file=one.file)
        for one in weight_files('dispnet', weights)
    ]


def _estimated(estimator: StereoEstimator) -> Stereo:
    from dlcv.geometry.stereo import RectifiedPair

    def match(left: ByteImage, right: ByteImage) -> FloatArray:
        frames = [Frame(stamp_ns=0, image=image) for image in (left, right)]
        found = estimator.push(RectifiedPair(left=frames[0], right=frames[1], baseline=1.0))
        return np.asarray(found.disparity * np.float32(left.shape[1]), np.float32)

    return match


def _table(pairs: PairSet, learned: list[Method], progress: Progress) -> Table:
    if pairs.count <= _HELD:
        kept = list(pairs.read())
        pairs = replace(pairs, read=lambda: iter(kept))
    reach = max(float(np.nanmax(pair.disparity)) for pair in pairs.read())
    methods = [*classical(min(reach, _widest(pairs))), *learned]
    tallies = {method.name: _Tally() for method in methods}
    for pair in told(pairs.name, pairs.count, pairs.read(), progress):
        for method in methods:
            tallies[method.name].add(method, pair)
    return Table(
        name=pairs.name,
        title=f'{pairs.title}; {pairs.count} pairs, disparities up to {reach:.0f} px',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=tally.values()) for name, tally in tallies.items()),
    )


def _widest(pairs: PairSet) -> float:
    """Return a third of the width: OpenCV's methods cannot look as far as a picture is wide."""
    return next(iter(pairs.read())).left.shape[1] / 3


def _settings() -> dict[str, str]:
    from dlcv.estimation.stereo import StereoSettings

    width, height = stereo_sets.WORLDS.size
    return {
        'figures': 'means of those of the pairs, over all pixels whose truth is known, occluded '
        'ones included; what is not answered counts as bad',
        'SGBM, BM': 'of OpenCV; told the greatest disparity of the set, up to a third of the '
        "picture's width; filled: what they do not answer is taken from the background beside it",
        'networks': f'on the CPU in 32 bits; pairs wider than '
        f'{StereoSettings().resize_long_side} pixels are shrunk to that, as in the node',
        'world': f'{width}x{height}, seed {stereo_sets.WORLD_SEED}',
    }
