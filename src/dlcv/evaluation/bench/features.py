"""Interest points and descriptors: SuperPoint beside SIFT and ORB, where the homography is known.

As in the SuperPoint paper (DeTone et al., CVPRW 2018, sec. 7), detectors are measured on pictures
of 240x320 with at most 300 points, descriptors and homographies on 480x640 with at most 1000.
Pictures of another shape get the same long side, smaller ones stay as they are. All methods have
the same matcher (mutual nearest neighbours, no ratio test) and the same RANSAC.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Protocol

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.homographies import open_homographies
from dlcv.estimation.lift import LiftSettings
from dlcv.estimation.load import load_features, load_lift
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, silent
from dlcv.evaluation.bench.photo_pairs import PhotoPairs
from dlcv.evaluation.bench.report import Report, Row, Table, environment
from dlcv.metrics import features as metrics
from dlcv.metrics.baselines.features import (
    NMS_RADIUS,
    RANSAC_PIXELS,
    Classical,
    Described,
    Learned,
    LearnedPatches,
    Method,
    estimate,
    mutual,
    neighbours,
)
from dlcv.metrics.features import MATCHING_SCORE, MLE, REPEATABILITY, TrueMotion, mma
from dlcv.metrics.quantity import Quantity
from dlcv.networks.layers.threads import one_thread
from dlcv.types import ByteImage, FloatArray, HomographyPair

SUMMARY = 'interest points and descriptors: SuperPoint beside SIFT and ORB'
SETS = {'photos': '30 photos and paintings seen anew and in another light (built in)'}

DETECTOR_SIDE = 320
DESCRIPTOR_SIDE = 640
ORDERS = 10
"""Orders of a pair's matches that RANSAC is given: what it draws, and so what it finds, hangs on
that; of 120 pairs now five more have their homography within 3 px, now five fewer."""

COLUMNS = (
    replace(REPEATABILITY, name='Rep.'),
    MLE,
    replace(MATCHING_SCORE, name='M.Score'),
    Quantity(name='NN mAP', better='high', doc='nearest-neighbour mean average precision'),
    mma(3),
    Quantity(name='H@1', better='high', doc='homographies with a corner error up to 1 px'),
    Quantity(name='H@3', better='high', doc='homographies with a corner error up to 3 px'),
    Quantity(name='H@5', better='high', doc='homographies with a corner error up to 5 px'),
    Quantity(name='points', digits=0, doc='mean number of points for the descriptor metrics'),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What the feature bench is told.

    Attributes:
        points: Most points of a picture for the descriptor metrics and homographies.
        detector_points: Most points of a picture for the detector metrics.
        lift: Weights of LIFT, which is then measured, too: a file, or ``lift`` for the shipped
            ones. It takes ten times as long as all others together.
    """

    points: int = 1000
    detector_points: int = 300
    lift: str = ''

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if self.points < 4 or self.detector_points < 1:
            raise BenchError(
                'a homography needs at least 4 points and a detector 1, got '
                f'{self.points} and {self.detector_points}'
            )


class Pairs(Protocol):
    """A set: so many pairs."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[HomographyPair]: ...


class Eyes:
    """A method that looks at pairs at one size; pairs that share their first picture are quick.

    Args:
        method: What finds the points.
        long_side: Pictures are made smaller to this.
        limit: Most points of a picture.
    """

    def __init__(self, method: Method, long_side: int, limit: int) -> None:
        self._method, self._long_side, self._limit = method, long_side, limit
        self._last: tuple[ByteImage, Described] | None = None

    def look(self, pair: HomographyPair) -> tuple[Described, Described, TrueMotion]:
        """Return the points of both pictures and where they should be, at the size looked at."""
        if self._last is None or self._last[0] is not pair.first:
            self._last = (pair.first, self._detect(pair.first))
        return self._last[1], self._detect(pair.second), true_motion(pair, self._long_side)

    def _detect(self, image: ByteImage) -> Described:
        return self._method.detect(shrink(image, self._long_side), self._limit)


@dataclass(frozen=True, kw_only=True, slots=True)
class PairScores:
    """What one method did on one pair; the names are those of `dlcv.metrics.features`.

    Attributes:
        corner_errors: One for each order of the matches.
    """

    repeatability: float
    localization_error: float
    matching_score: float
    nn_map: float
    matching_accuracy: float
    corner_errors: tuple[float, ...]
    points: float


def run(options: Options, progress: Progress = silent) -> Report:
    """Measure every method on every set.

    Raises:
        BenchError: A set does not exist.
        DatasetError: A folder is none that is known, or a file in it is damaged.
        WeightsError: A weight file is refused, or there are no trained weights.
    """
    sets = _sets(options)
    learned: list[Learned | LearnedPatches] = [*_learned(options)]
    if options.lift:
        learned.append(LearnedPatches(load_lift(options.lift, **options.running)))
    methods: list[Method] = [*learned, Classical('SIFT'), Classical('ORB')]
    tables: list[Table] = []
    for name, pairs in sets.items():
        # How many threads share a sum decides its last bit, and that now and then which matches
        # RANSAC takes: the same numbers should come out whatever the number of cores.
        with one_thread():
            kinds, scores = _measure(name, pairs, methods, options, progress)
        tables += _tables(name, kinds, scores)
    return Report(
        bench='features',
        tables=tuple(tables),
        settings=_settings(options),
        environment=environment([method.weights for method in learned]),
    )


def score_pair(pair: HomographyPair, detector: Eyes, descriptor: Eyes) -> PairScores:
    """Measure one method on one pair.

    Args:
        pair: The pictures and the truth.
        detector: Finds the points of the detector metrics.
        descriptor: Finds those of the descriptor metrics and of the homography.
    """
    first, second, truth = detector.look(pair)
    detected = (distinct(first.xy), distinct(second.xy), truth)
    first, second, truth = descriptor.look(pair)
    forth, back = neighbours(first.descriptors, second.descriptors)
    described = (first.xy, second.xy, forth, back, truth)
    matches = mutual(forth, back)
    return PairScores(
        repeatability=metrics.repeatability(*detected),
        localization_error=metrics.localization_error(*detected),
        matching_score=metrics.matching_score(*described),
        nn_map=metrics.nn_map(*described),
        matching_accuracy=metrics.matching_accuracy(first.xy, second.xy, matches, truth),
        corner_errors=tuple(
            metrics.corner_error(estimate(first.xy, second.xy, in_order), truth)
            for in_order in _orders(matches)
        ),
        points=(len(first.xy) + len(second.xy)) / 2,
    )


def _orders(matches: npt.NDArray[np.intp]) -> Iterator[npt.NDArray[np.intp]]:
    for seed in range(ORDERS):
        yield np.random.default_rng(seed).permutation(matches)


def shrink(image: ByteImage, long_side: int) -> ByteImage:
    """Return the picture with its longer side at most ``long_side`` pixels."""
    height, width = shrunk_size(image, long_side)
    if (height, width) == image.shape[:2]:
        return image
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def shrunk_size(image: ByteImage, long_side: int) -> tuple[int, int]:
    """Return (height, width) of `shrink`'s picture."""
    height, width = image.shape[:2]
    scale = min(1.0, long_side / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def true_motion(pair: HomographyPair, long_side: int) -> TrueMotion:
    """Return the truth between the two pictures when both are made smaller."""
    sizes = [shrunk_size(image, long_side) for image in (pair.first, pair.second)]
    to_first, to_second = (
        _small_from_large(image, size)
        for image, size in zip((pair.first, pair.second), sizes, strict=True)
    )
    return TrueMotion(
        second_from_first=to_second @ pair.second_from_first @ np.linalg.inv(to_first),
        first_size=sizes[0],
        second_size=sizes[1],
    )


def _small_from_large(image: ByteImage, size: tuple[int, int]) -> FloatArray:
    """Return the matrix of x' = (x + 0.5) s - 0.5."""
    sy, sx = size[0] / image.shape[0], size[1] / image.shape[1]
    return np.array([[sx, 0, sx / 2 - 0.5], [0, sy, sy / 2 - 0.5], [0, 0, 1]])


def distinct(xy: FloatArray) -> FloatArray:
    """Return the points without repeats: SIFT gives a place one point for each orientation."""
    _, index = np.unique(xy, axis=0, return_index=True)
    return xy[np.sort(index)]


def _sets(options: Options) -> dict[str, Pairs]:
    """Return the sets that are asked for by name.

    Raises:
        BenchError: One does not exist.
    """
    folders = [open_homographies(path) for path in options.data]
    known = [*SETS, *(folder.name for folder in folders)]
    if len(set(known)) < len(known):
        raise BenchError(f'two sets have the same name: {", ".join(known)}')
    check_sets(options.sets, known)
    photos = PhotoPairs()
    sets: dict[str, Pairs] = {'photos': photos, **{folder.name: folder for folder in folders}}
    return {name: pairs for name, pairs in sets.items() if not options.sets or name in options.sets}


def _learned(options: Options) -> list[Learned]:
    """Return one method for each weight file, or for the shipped one."""
    if len(options.weights) < 2:
        weights = options.weights[0] if options.weights else ''
        return [Learned(load_features(weights, **options.running))]
    return [
        Learned(load_features(weights, **options.running), f'SuperPoint {weights.stem}')
        for weights in options.weights
    ]


def _measure(
    name: str, pairs: Pairs, methods: Sequence[Method], options: Options, progress: Progress
) -> tuple[list[str], dict[str, list[PairScores]]]:
    """Return the kind of each pair, and what each method did on each."""
    eyes = {
        method.name: (
            Eyes(method, DETECTOR_SIDE, options.detector_points),
            Eyes(method, DESCRIPTOR_SIDE, options.points),
        )
        for method in methods
    }
    kinds: list[str] = []
    scores: dict[str, list[PairScores]] = {name: [] for name in eyes}
    total = min(len(pairs), options.limit or len(pairs))
    for pair in islice(pairs, total):
        kinds.append(pair.kind)
        for method, both in eyes.items():
            scores[method].append(score_pair(pair, *both))
        progress(name, len(kinds), total)
    return kinds, scores


def _tables(name: str, kinds: list[str], scores: dict[str, list[PairScores]]) -> Iterator[Table]:
    """Yield a table of all pairs, and one for each kind where there are several."""
    yield _table(name, f'{name}: {_pairs(len(kinds))}', scores)
    counts = Counter(kinds)
    for kind, count in counts.items() if len(counts) > 1 else ():
        chosen = {
            m: [s for s, k in zip(of, kinds, strict=True) if k == kind] for m, of in scores.items()
        }
        yield _table(f'{name}/{kind}', f'{name}, {kind}: {_pairs(count)}', chosen)


def _pairs(count: int) -> str:
    return f'{count} pair{"s" * (count != 1)}'


def _table(name: str, title: str, scores: dict[str, list[PairScores]]) -> Table:
    rows = tuple(Row(name=method, values=_summary(of)) for method, of in scores.items())
    return Table(name=name, title=title, columns=COLUMNS, rows=rows)


def _summary(scores: Sequence[PairScores]) -> tuple[float | None, ...]:
    """Return the values of `COLUMNS`: means over the pairs for which there is a value."""
    errors = [error for s in scores for error in s.corner_errors]
    means = (
        [getattr(s, name) for s in scores]
        for name in (
            'repeatability', 'localization_error', 'matching_score', 'nn_map', 'matching_accuracy',
        )
    )  # fmt: skip
    return (
        *(metrics.mean_known(values) for values in means),
        *(metrics.homography_correct(errors, within) for within in (1, 3, 5)),
        metrics.mean_known(s.points for s in scores),
    )


def _settings(options: Options) -> dict[str, str]:
    return {
        'detector': f'at most {options.detector_points} points, long side {DETECTOR_SIDE} px',
        'descriptor': f'at most {options.points} points, long side {DESCRIPTOR_SIDE} px',
        'matcher': 'mutual nearest neighbours, no ratio test',
        'homography': f'RANSAC of OpenCV, {RANSAC_PIXELS:g} px, {ORDERS} orders of the matches',
        'SuperPoint': f'settings of the node, non-maximum suppression {NMS_RADIUS} px',
        **({'LIFT': _scales()} if options.lift else {}),
        'SIFT, ORB': 'OpenCV, its own settings',
    }


def _scales() -> str:
    lift = LiftSettings()
    sigmas = lift.sigmas()
    return (
        f'{len(sigmas)} scales from {sigmas[0]:g} to {sigmas[-1]:g} px, where they fit; highest '
        f'within {lift.radius} px and {lift.across} scales'
    )
