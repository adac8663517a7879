"""``dlcv bench fundamental``: matrices from weights of matches beside those from samples of them.

The table of Ranftl and Koltun (ECCV 2018), with ratio test and without, on matches of SIFT and of
SuperPoint. Every method gets the same matches.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import mean, median
from time import perf_counter

import numpy as np
import numpy.typing as npt

from dlcv.data.world.samples import SampleConfig, WorldSamples
from dlcv.estimation.deep_fundamental import MatchWeigher, MatchWeigherSettings
from dlcv.estimation.load import load_features, load_match_weigher
from dlcv.evaluation.bench.options import (
    BenchError,
    BenchOptions,
    Progress,
    check_sets,
    silent,
    told,
)
from dlcv.evaluation.bench.recordings import open_data
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.evaluation.bench.sets import ItemSet, add_set
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.geometry.epipolar import epipolar_errors
from dlcv.metrics.baselines.features import Classical, Described, Learned, Method
from dlcv.metrics.baselines.fundamental import (
    CONFIDENCE,
    FAST_ROUNDS,
    NAMES,
    PIXELS,
    ROUNDS,
    consensus,
)
from dlcv.metrics.fundamental import (
    F_SCORE,
    INLIERS,
    MEAN_ERROR,
    MEDIAN_ERROR,
    WITHIN,
    FundamentalScore,
    score,
    summary,
)
from dlcv.metrics.quantity import Quantity
from dlcv.networks.deep_fundamental import LEAST
from dlcv.networks.layers.threads import one_thread
from dlcv.training.match_pairs import KINDS, MatchConfig, WorldMatches, match_sample, passing
from dlcv.training.recipe import Sample
from dlcv.types import FloatArray, Snapshot

SUMMARY = 'fundamental matrices: learned weights of matches beside RANSAC and its kin'
SETS = {'world': 'pairs of pictures of generated worlds that no training saw'}
_FAR = 10.0  # pixels, beyond which a match is a gross error
COLUMNS = (
    INLIERS,
    F_SCORE,
    MEAN_ERROR,
    MEDIAN_ERROR,
    Quantity(
        name='right', unit='%', better='high', digits=1,
        doc=f'of what is believed, what is within {WITHIN:g} px of the true matrix: of the weight '
        "in the row of a network's own matrix, of the inliers elsewhere",
    ),
    Quantity(
        name='wrong', unit='%', better='low', digits=1,
        doc=f'of what is believed, what is farther than {_FAR:g} px from it',
    ),
    time_column('pair'),
)  # fmt: skip

_SEED, _CLIPS, _SIZE = 18284, 15, (416, 256)
_PAIRS = MatchConfig(points=1000, pairs=4)
_TESTS = {'ratio': 'with ratio test', 'none': 'without ratio test'}
_STANDS = 0.1  # of the median step, below which a pair of a folder has no matrix to be found

Answer = Callable[[FloatArray, FloatArray], tuple[FloatArray, FloatArray | None]]
"""Takes matches ``(N, 4)`` and side information ``(N, 3)``.

Gives a matrix ``(3, 3)``, zeros for none, and weights ``(N,)``, None for those of its inliers.
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench fundamental` is told; ``limit`` is pairs of a set.

    Attributes:
        ratio: Greatest ratio of the nearest to the second nearest distance in the ratio test.
        gap: Pictures of a folder from the first of a pair to the second.
    """

    ratio: float = 0.8
    gap: int = 1

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if not 0 < self.ratio <= 1 or self.gap < 1:
            raise BenchError(
                f'ratio must be in (0, 1] and gap at least 1, got {self.ratio} and {self.gap}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MatchedPair:
    """The nearest neighbours of one pair of pictures, by kind of points; see `WorldMatches`."""

    samples: dict[str, Sample]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Method:
    name: str
    answer: Answer
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Run:
    """What one method did on the pairs of a table."""

    scores: list[FundamentalScore] = field(default_factory=list)
    right: list[float] = field(default_factory=list)
    wrong: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def run(options: Options, progress: Progress = silent) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or no weights are shipped and none are named.
        DatasetError: A folder cannot be read, or has no poses.
        WeightsError: A weight file is refused.
    """
    learned = Learned(load_features('', **options.running))
    known = find(options, learned)
    check_sets(options.sets, list(known))
    methods = [*_classical(), *_networks(options)]
    tables: list[Table] = []
    for name in options.sets or known:
        with one_thread():
            tables += _tables(known[name].cut(options.limit), methods, options, progress)
    return Report(
        bench='fundamental',
        tables=tuple(tables),
        settings=_settings(options),
        environment=environment([learned.weights, *(method.file for method in methods)]),
    )


def find(options: Options, learned: Learned) -> dict[str, ItemSet[MatchedPair]]:
    """Return all sets by name: the built-in one, then those of the folders.

    Args:
        options: ``data`` and ``gap`` are looked at.
        learned: Finds SuperPoint's points.

    Raises:
        DatasetError: A folder cannot be read, or has no poses.
        BenchError: Two folders have one name, or a folder has too few pictures with poses.
    """
    count = _CLIPS * _PAIRS.pairs
    found = {
        'world': ItemSet[MatchedPair](
            name='world', title=SETS['world'], count=count, read=lambda: _world(count, learned)
        )
    }
    for folder in options.data:
        add_set(found, _folder(folder, options.gap, learned), folder)
    return found


def _world(count: int, learned: Learned) -> Iterator[MatchedPair]:
    config = SampleConfig(
        size=_SIZE,
        frames=4,
        rate_hz=(5.0, 10.0),
        motions=('walk', 'car', 'drone'),
        per_world=1,
        finest=0,
    )
    matches = WorldMatches(WorldSamples(config, _SEED), _PAIRS, learned, _SEED)
    for pair in range(count):
        numbers = enumerate(KINDS, len(KINDS) * pair)
        yield MatchedPair(samples={kind: matches[number] for number, kind in numbers})


def _folder(text: Path, gap: int, learned: Learned) -> ItemSet[MatchedPair]:
    recording = open_data(text)
    items = tuple(item for item in recording.items if item.world_from_camera is not None)
    if len(items) <= gap:
        raise BenchError(
            f'{recording.name}: {len(items)} of its {len(recording)} pictures have a true pose, '
            f'which gives no pair with {gap} pictures from one to the other'
        )
    places = np.stack([p[:3, 3] for item in items if (p := item.world_from_camera) is not None])
    lengths = np.linalg.norm(places[gap:] - places[:-gap], axis=1)
    moving = set(np.flatnonzero(lengths > _STANDS * np.median(lengths)).tolist())

    def read() -> Iterator[MatchedPair]:
        methods: tuple[Method, ...] = (learned, Classical('SIFT'))
        seen: deque[tuple[Snapshot, list[Described]]] = deque(maxlen=gap + 1)
        for number, view in enumerate(replace(recording, items=items)):
            image = view.frame.image
            seen.append((view, [method.detect(image, _PAIRS.points) for method in methods]))
            if number - gap not in moving:
                continue
            (first, points), (second, there) = seen[0], seen[-1]
            both = zip(KINDS, points, there, strict=True)
            yield MatchedPair(
                samples={
                    kind: match_sample((a, b), (first, second), _PAIRS.points)
                    for kind, a, b in both
                }
            )

    return ItemSet[MatchedPair](
        name=recording.name, title=f'{recording.name}, a folder', count=len(moving), read=read
    )


def _tables(
    pairs: ItemSet[MatchedPair], methods: Sequence[_Method], options: Options, progress: Progress
) -> Iterator[Table]:
    """Yield a table for each kind of points and each test."""
    tables = [(kind, test) for kind in reversed(KINDS) for test in _TESTS]
    runs = {table: {method.name: _Run() for method in methods} for table in tables}
    diagonal = 0.0
    for pair in told(pairs.name, pairs.count, pairs.read(), progress):
        for kind, test in tables:
            sample = pair.samples[kind]
            diagonal = float(np.hypot(*np.asarray(sample['size'], np.float64)))
            _measure(sample, passing(sample, test, options.ratio), methods, runs[kind, test])
    for kind, test in tables:
        made = runs[kind, test]
        counted = len(next(iter(made.values())).scores)
        yield Table(
            name=f'{pairs.name}/{kind}/{test}',
            title=f'{pairs.title}; {kind} {_TESTS[test]}, {counted} of {pairs.count} pairs',
            columns=COLUMNS,
            rows=tuple(Row(name=name, values=_values(one, diagonal)) for name, one in made.items()),
        )


def _measure(
    sample: Sample, which: npt.NDArray[np.intp], methods: Sequence[_Method], runs: dict[str, _Run]
) -> None:
    """Let all methods answer for one pair, if its matches can decide a matrix that is known."""
    true = np.asarray(sample['fundamental'], np.float64)
    matches = np.asarray(sample['matches'], np.float32)[which]
    side = np.asarray(sample['side'], np.float32)[which]
    first, second = matches[:, :2], matches[:, 2:]
    if len(matches) < LEAST or score(first, second, true, true) is None:
        return
    off = epipolar_errors(first, second, true)
    for method in methods:
        made, begin = runs[method.name], perf_counter()
        found, weights = method.answer(matches, side)
        made.seconds.append(perf_counter() - begin)
        scored = score(first, second, found, true)
        assert scored is not None
        made.scores.append(scored)
        if weights is None:
            weights = (epipolar_errors(first, second, found) <= WITHIN).astype(np.float32)
        if weights.any():
            made.right.append(float(weights[off <= WITHIN].sum() / weights.sum()))
            made.wrong.append(float(weights[off > _FAR].sum() / weights.sum()))


def _values(made: _Run, diagonal: float) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `COLUMNS`."""
    shares = (100 * mean(of) if of else None for of in (made.right, made.wrong))
    time = 1e3 * median(made.seconds) if made.seconds else None
    return (*summary(made.scores, diagonal), *shares, time)


def _classical() -> list[_Method]:
    def answers(name: str) -> Answer:
        find = consensus(name)
        return lambda matches, _side: (find(matches[:, :2], matches[:, 2:]), None)

    return [_Method(name=name, answer=answers(name)) for name in NAMES]


def _networks(options: Options) -> list[_Method]:
    """Return each weight file twice: its own matrix, and after a second look at good matches."""
    files = weight_files('deep_fundamental', options.weights)
    if not files:
        raise BenchError('no deep_fundamental weights are shipped yet: name a file with --weights')
    methods = []
    for one in files:
        for name, refit in ((one.title, False), (f'{one.title}, refit', True)):
            settings = MatchWeigherSettings(refit=refit)
            weigher = load_match_weigher(one.name, settings, device='cpu')

            def answer(
                matches: FloatArray,
                side: FloatArray,
                weigher: MatchWeigher = weigher,
            ) -> tuple[FloatArray, FloatArray | None]:
                cosine = 1 - side[:, 0] ** 2 / 2
                others = side[:, 1 : max(1, weigher.network.config.side_channels)]
                found = weigher.weigh(matches[:, :2], matches[:, 2:], cosine, others)
                return found.fundamental, None if weigher.settings.refit else found.weights

            methods.append(_Method(name=name, answer=answer, file=one.file))
    return methods


def _settings(options: Options) -> dict[str, str]:
    width, height = _SIZE
    return {
        'points': f'at most {_PAIRS.points} of each picture',
        'matches': 'the nearest neighbour of every point of the first picture; with ratio test '
        f'those at most {options.ratio:g} times as far as the second nearest',
        'RANSAC, LMedS': f'OpenCV, {PIXELS:g} px, confidence {CONFIDENCE:g}, {ROUNDS} rounds',
        'MSAC, USAC, MAGSAC++': f'OpenCV, the same with {FAST_ROUNDS} rounds',
        'refit': 'least median of squares on the matches of great weight, as published',
        'errors': "of true inliers; none counts as more than the picture's diagonal",
        'world': f'{width}x{height}, seed {_SEED}',
    }
