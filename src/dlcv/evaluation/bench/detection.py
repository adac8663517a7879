"""``dlcv bench detection``: FCOS beside detectors without a network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dlcv.data.world.samples import SampleConfig, WorldSamples
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment, known, time_column
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.detection import Detector, Found, gradients_lda, people
from dlcv.metrics.detection import (
    LEAST_PIXELS,
    LEAST_SHARE,
    LEAST_SIDE,
    QUANTITIES,
    DetectionTally,
    wanted,
)
from dlcv.metrics.quantity import Quantity
from dlcv.things import KINDS
from dlcv.types import BoxedPicture, ByteImage, Frame

if TYPE_CHECKING:
    from dlcv.estimation.localization import LocalizationEstimator

SUMMARY = 'boxes around things: FCOS beside histograms of gradients'
WORLD_SEED, WORLD_PICTURES = 20194, 60
LESSON_SEED, LESSON_PICTURES = 20195, 30
WORLDS = SampleConfig(
    size=(320, 240), frames=1, objects=True, fov=(50.0, 90.0), flyers=1, people=3, per_world=5
)
"""Rooms, corridors and streets with people."""

SETS = {'world': 'generated rooms, corridors and streets, with people'}
COLUMNS = (*QUANTITIES, time_column('picture'))
KIND_COLUMNS = tuple(
    Quantity(name=one.name, unit='%', better='high', digits=0, doc='') for one in KINDS
)
_THRESHOLD = 0.05  # of scores: what is unsure counts where all recalls are looked at


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench detection` is told: nothing more than other benches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to find things.

    Attributes:
        name: Of its row.
        find: Picture to boxes.
        file: Its weight file, if it has one.
    """

    name: str
    find: Detector
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did on the pictures so far."""

    found: DetectionTally = field(default_factory=DetectionTally)
    seconds: list[float] = field(default_factory=list)

    def add(self, method: Method, picture: BoxedPicture) -> None:
        begin = perf_counter()
        found = method.find(picture.image)
        self.seconds.append(perf_counter() - begin)
        seen = picture.objects
        self.found.add(found, (seen.box, seen.kind, wanted(seen)))

    def values(self) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`."""
        scores = self.found.scores()
        shares = (scores.map_half, scores.map_all, scores.recall_half)
        return (*(100 * share for share in shares), 1e3 * median(self.seconds))

    def kinds(self) -> tuple[float | None, ...]:
        """Return the average precision at 0.5 of each kind, per cent."""
        precision = self.found.scores().precision[:, 0]
        return known(100 * precision)

    def things(self) -> tuple[float | None, ...]:
        """Return how many things of each kind there are."""
        return tuple(float(count) for count in self.found.scores().things)


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on generated worlds.

    Raises:
        BenchError: A set does not exist, or a folder is given: none is read.
        WeightsError: A weight file is refused.
    """
    if options.data:
        raise BenchError(f'detection is measured on generated worlds, not on {options.data[0]}')
    check_sets(options.sets, list(SETS))
    learned = networks(options.weights, options.running)
    lesson = worlds(LESSON_SEED, LESSON_PICTURES).cut(options.limit)
    pictures = worlds(WORLD_SEED, WORLD_PICTURES).cut(options.limit)
    lessons = list(told('lesson', lesson.count, lesson.read(), progress))
    methods = [*classical(lessons), *learned]
    tallies = {method.name: _Tally() for method in methods}
    for picture in told(pictures.name, pictures.count, pictures.read(), progress):
        for method in methods:
            tallies[method.name].add(method, picture)
    return Report(
        bench='detection',
        tables=_tables(pictures, tallies),
        settings=_settings(lesson.count),
        environment=environment(method.file for method in learned),
    )


def worlds(seed: int, count: int) -> ItemSet[BoxedPicture]:
    """Return pictures of the worlds of a seed."""

    def read() -> Iterator[BoxedPicture]:
        return map(WorldSamples(WORLDS, seed).boxed, range(count))

    return ItemSet[BoxedPicture](name='world', title=SETS['world'], count=count, read=read)


def classical(lesson: list[BoxedPicture]) -> list[Method]:
    """Return the methods that need no network."""
    return [
        Method(name="HOG, OpenCV's people", find=people()),
        Method(name='HOG and LDA, all kinds', find=gradients_lda(lesson)),
    ]


def networks(weights: tuple[Path, ...], running: Mapping[str, Any]) -> list[Method]:
    """Return the networks, as the node runs them but for the least score.

    Args:
        weights: Files, or names of shipped weights; empty for those that are shipped, if any.
        running: See `BenchOptions`.

    Raises:
        WeightsError: A file is refused.
        BenchError: Two files have one name.
    """
    from dlcv.estimation.load import load_localization
    from dlcv.estimation.localization import LocalizationSettings
    from dlcv.interface.parameters import LocalizationParameters

    node = LocalizationParameters()
    settings = LocalizationSettings(
        resize_long_side=node.resize_long_side,
        detection_threshold=_THRESHOLD,
        nms_overlap=node.nms_overlap,
        max_detections=node.max_detections,
    )
    return [
        Method(
            name=one.title,
            find=_estimated(load_localization(one.name, settings, **running)),
            file=one.file,
        )
        for one in weight_files('fcos', weights)
    ]


def _estimated(estimator: LocalizationEstimator) -> Detector:
    def find(image: ByteImage) -> Found:
        found = estimator.push(Frame(stamp_ns=0, image=image))
        return found.box, found.kind, found.score

    return find


def _tables(pictures: ItemSet[BoxedPicture], tallies: Mapping[str, _Tally]) -> tuple[Table, ...]:
    title = f'{pictures.title}; {pictures.count} pictures'
    things = next(iter(tallies.values())).things()
    kinds = [Row(name=name, values=tally.kinds()) for name, tally in tallies.items()]
    return (
        Table(
            name=pictures.name,
            title=title,
            columns=COLUMNS,
            rows=tuple(Row(name=name, values=tally.values()) for name, tally in tallies.items()),
        ),
        Table(
            name=f'{pictures.name}/kinds',
            title=f'{title}: average precision of each kind at an overlap of 0.5',
            columns=KIND_COLUMNS,
            rows=tuple(kinds),
        ),
        Table(
            name=f'{pictures.name}/things',
            title=f'{title}: how many things there are to be found',
            columns=tuple(Quantity(name=one.name, digits=0) for one in KINDS),
            rows=(Row(name='things', values=things),),
        ),
    )


def _settings(lesson: int) -> dict[str, str]:
    width, height = WORLDS.size
    return {
        'things': f'those of {LEAST_SIDE:g} pixels or more in width and height, that '
        f'{LEAST_PIXELS:g} pixels or more show, a quarter of them or more '
        f'({LEAST_SHARE:g}); others are ignored',
        'boxes': f'at most 100 of a picture, of a score of {_THRESHOLD:g} or more',
        'HOG and LDA': f'taught by {lesson} pictures of other worlds, seed {LESSON_SEED}; windows '
        'of 12 shapes',
        "OpenCV's people": 'in pictures enlarged to 640 pixels; finds persons alone, the mean is '
        'over all kinds',
        'world': f'{width}x{height}, seed {WORLD_SEED}',
    }
