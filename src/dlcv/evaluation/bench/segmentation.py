"""``dlcv bench segmentation``: FCN beside two classifiers that learn without a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dlcv.classes import CLASSES
from dlcv.evaluation.bench import segmentation_sets, segmentation_traffic
from dlcv.evaluation.bench.options import BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment, known, time_column
from dlcv.evaluation.bench.segmentation_sets import PictureSet
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.segmentation import Labeller, nearest_neighbours, usual
from dlcv.metrics.quantity import Quantity
from dlcv.metrics.segmentation import QUANTITIES, Counts, confusion, no_counts, scores
from dlcv.types import ByteImage, Frame, LabelledPicture

if TYPE_CHECKING:
    from dlcv.estimation.segmentation import SegmentationEstimator

SUMMARY = 'semantic segmentation: FCN beside the usual class and nearest neighbours'
SETS = {**segmentation_sets.SETS, segmentation_traffic.NAME: segmentation_traffic.TITLE}

COLUMNS = (*QUANTITIES, time_column('picture'))
CLASS_COLUMNS = tuple(
    Quantity(name=one.name, unit='%', better='high', digits=0, doc='') for one in CLASSES
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench segmentation` is told: nothing more than other benches."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to label.

    Attributes:
        name: Of its row.
        label: Picture to labels.
        file: Its weight file, if it has one.
    """

    name: str
    label: Labeller
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did on the pictures so far."""

    counts: Counts = field(default_factory=no_counts)
    seconds: list[float] = field(default_factory=list)

    def add(self, method: Method, picture: LabelledPicture) -> None:
        begin = perf_counter()
        labels = method.label(picture.image)
        self.seconds.append(perf_counter() - begin)
        self.counts += confusion(labels, picture.labels)

    def values(self) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`."""
        found = scores(self.counts)
        shares = (found.mean_iou, found.accuracy, found.mean_accuracy)
        return (*(100 * share for share in shares), 1e3 * median(self.seconds))

    def classes(self) -> tuple[float | None, ...]:
        """Return the intersection over union of each class, per cent."""
        iou = scores(self.counts).iou
        return known(100 * iou)


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist.
        DatasetError: A folder is no labelled set.
        WeightsError: A weight file is refused.
    """
    known = segmentation_sets.find(options.data)
    check_sets(options.sets, [*known, segmentation_traffic.NAME])
    learned = networks(options.weights, options.running)
    lesson = segmentation_sets.worlds(
        segmentation_sets.LESSON_SEED, segmentation_sets.LESSON_PICTURES
    ).cut(options.limit)
    names = [name for name in options.sets or known if name in known]
    tables: list[Table] = []
    if names:
        lessons = told('lesson', lesson.count, lesson.read(), progress)
        methods = [*classical(list(lessons)), *learned]
        for name in names:
            tables += _tables(known[name].cut(options.limit), methods, progress)
    if not options.sets or segmentation_traffic.NAME in options.sets:
        labellers = {method.name: method.label for method in learned}
        tables.append(
            segmentation_traffic.table(labellers, options.running, options.limit, progress)
        )
    return Report(
        bench='segmentation',
        tables=tuple(tables),
        settings=_settings(lesson),
        environment=environment(method.file for method in learned),
    )


def classical(lesson: list[LabelledPicture]) -> list[Method]:
    """Return the methods that need no network, the simplest first."""
    return [
        Method(name='usual class', label=usual(lesson)),
        Method(name='nearest neighbours', label=nearest_neighbours(lesson)),
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
    from dlcv.estimation.load import load_segmentation
    from dlcv.estimation.segmentation import SegmentationSettings

    settings = SegmentationSettings(resize_long_side=_long_side())
    return [
        Method(
            name=one.title,
            label=_estimated(load_segmentation(one.name, settings, **running)),
            file=one.file,
        )
        for one in weight_files('fcn', weights)
    ]


def _estimated(estimator: SegmentationEstimator) -> Labeller:
    def label(image: ByteImage) -> ByteImage:
        return estimator.push(Frame(stamp_ns=0, image=image)).labels

    return label


def _tables(pictures: PictureSet, methods: list[Method], progress: Progress) -> list[Table]:
    tallies = {method.name: _Tally() for method in methods}
    for picture in told(pictures.name, pictures.count, pictures.read(), progress):
        for method in methods:
            tallies[method.name].add(method, picture)
    title = f'{pictures.title}; {pictures.count} pictures'
    return [
        Table(
            name=pictures.name,
            title=title,
            columns=COLUMNS,
            rows=tuple(Row(name=name, values=tally.values()) for name, tally in tallies.items()),
        ),
        Table(
            name=f'{pictures.name}/classes',
            title=f'{title}: intersection over union of each class',
            columns=CLASS_COLUMNS,
            rows=tuple(Row(name=name, values=tally.classes()) for name, tally in tallies.items()),
        ),
    ]


def _long_side() -> int:
    from dlcv.interface.parameters import SegmentationParameters

    return SegmentationParameters().resize_long_side


def _settings(lesson: PictureSet) -> dict[str, str]:
    width, height = segmentation_sets.WORLDS.size
    return {
        'figures': 'of the pixels of all pictures together',
        'usual class, nearest neighbours': f'taught by {lesson.count} pictures of other worlds, '
        f'seed {segmentation_sets.LESSON_SEED}; neighbours are 5 pixels of like colour and place, '
        'looked for at 128x96',
        'networks': f'on the CPU; pictures larger than {_long_side()} pixels are shrunk to that, '
        'as in the node',
        'world': f'{width}x{height}, seed {segmentation_sets.WORLD_SEED}',
        'traffic': f'seed {segmentation_traffic.SEED}; the height of the camera tells the metre',
    }
