"""``dlcv bench captions``: Show and Tell beside what was said of the picture most alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from dlcv.data.captions import View
from dlcv.evaluation.bench import captions_sets
from dlcv.evaluation.bench.captions_sets import SETS, ToldPicture
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment, known, time_column
from dlcv.evaluation.bench.sets import ItemSet
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.captions import Describer, Feature, any_of, nearest, thumbnail
from dlcv.metrics.captions import QUANTITIES, Truth, figures_of
from dlcv.metrics.quantity import Quantity
from dlcv.types import ByteImage, FloatArray, Frame

if TYPE_CHECKING:
    from dlcv.estimation.caption import CaptionEstimator

SUMMARY = 'descriptions: Show and Tell beside nearest-neighbour captions'

COLUMNS = (*QUANTITIES, time_column('picture'))
_FACTS = ('place', 'light', 'thing', 'side', 'count', 'distance', 'motion')
FACT_COLUMNS = tuple(Quantity(name=name, unit='%', better='high', digits=1) for name in _FACTS)
_ITSELF = 'the world, in other words'


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench captions` is told.

    Attributes:
        beams: Beginnings that the networks follow.
        length_power: See `dlcv.networks.caption.beam_search`.
    """

    beams: int = 5
    length_power: float = 1.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """One way to describe.

    Attributes:
        name: Of its row.
        describe: Picture to text.
        file: Its weight file, if it has one.
    """

    name: str
    describe: Describer
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method said of the pictures so far."""

    texts: list[str] = field(default_factory=list)
    truth: Truth = field(default_factory=Truth.none)
    seconds: list[float] = field(default_factory=list)

    def add(self, text: str, view: View, seconds: float = 0.0) -> None:
        self.texts.append(text)
        self.truth.add(text, view)
        self.seconds.append(seconds)

    def values(self, pictures: Sequence[ToldPicture]) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`; None where nothing was said."""
        found = figures_of(self.texts, [one.references for one in pictures], self.truth)
        return (*known(found), 1e3 * median(self.seconds))

    def facts(self) -> tuple[float | None, ...]:
        """Return the share of the facts of each kind that are true, per cent."""
        shares = self.truth.by_fact()
        return tuple(100 * shares[name] if name in shares else None for name in _FACTS)


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or there are folders: none of them has truths.
        WeightsError: A weight file is refused.
    """
    if options.data:
        raise BenchError(
            f'no folder holds what is true of its pictures, got {options.data[0]}; the sets are '
            f'{", ".join(SETS)}'
        )
    check_sets(options.sets, SETS)
    lesson = captions_sets.worlds(captions_sets.LESSON_SEED, captions_sets.LESSON_PICTURES).cut(
        options.limit
    )
    learned = networks(options, options.running)
    lessons = list(told('lesson', lesson.count, lesson.read(), progress))
    methods = [*classical(lessons, learned), *(method for method, _ in learned)]
    pictures = captions_sets.worlds(captions_sets.WORLD_SEED, captions_sets.WORLD_PICTURES).cut(
        options.limit
    )
    return Report(
        bench='captions',
        tables=_tables(pictures, methods, progress),
        settings=_settings(lesson, options),
        environment=environment(method.file for method in methods),
    )


def networks(options: Options, running: Mapping[str, Any]) -> list[tuple[Method, CaptionEstimator]]:
    """Return the networks as the node runs them, but that they always say something.

    Args:
        options: Weights: files, or names of shipped weights; empty for those that are shipped.
        running: See `BenchOptions`.

    Raises:
        WeightsError: A file is refused.
        BenchError: Two files have one name.
    """
    from dlcv.estimation.caption import CaptionSettings
    from dlcv.estimation.load import load_captions

    settings = CaptionSettings(beams=options.beams, length_power=options.length_power)
    found = []
    for one in weight_files('caption', options.weights):
        estimator = load_captions(one.name, settings, **running)
        method = Method(name=one.title, describe=_estimated(estimator), file=one.file)
        found.append((method, estimator))
    return found


def classical(
    lessons: Sequence[ToldPicture], learned: Sequence[tuple[Method, CaptionEstimator]]
) -> list[Method]:
    """Return the methods that repeat what was said of other pictures, the simplest first."""
    images, texts = [one.image for one in lessons], [one.another for one in lessons]
    found = [
        Method(name='any sentence', describe=any_of(texts)),
        Method(name='nearest thumbnail', describe=nearest(thumbnail, images, texts)),
    ]
    for method, estimator in learned[:1]:
        features = nearest(_feature(estimator), images, texts)
        found.append(Method(name=f'nearest feature of {method.name}', describe=features))
    return found


def _estimated(estimator: CaptionEstimator) -> Describer:
    def describe(image: ByteImage) -> str:
        return ' '.join(estimator.push(Frame(stamp_ns=0, image=image)).words)

    return describe


def _feature(estimator: CaptionEstimator) -> Feature:
    def feature(image: ByteImage) -> FloatArray:
        return estimator.encode(Frame(stamp_ns=0, image=image))

    return feature


def _tables(
    pictures: ItemSet[ToldPicture], methods: list[Method], progress: Progress
) -> tuple[Table, ...]:
    tallies = {method.name: _Tally() for method in methods}
    itself, shown = _Tally(), []
    for picture in told(pictures.name, pictures.count, pictures.read(), progress):
        shown.append(picture)
        itself.add(picture.another, picture.view)
        for method in methods:
            begin = perf_counter()
            text = method.describe(picture.image)
            tallies[method.name].add(text, picture.view, perf_counter() - begin)
    title = f'{pictures.title}; {pictures.count} pictures'
    rows = [Row(name=name, values=tally.values(shown)) for name, tally in tallies.items()]
    best = Row(name=_ITSELF, values=(*itself.values(shown)[:-1], None))
    facts = [Row(name=name, values=tally.facts()) for name, tally in tallies.items()]
    return (
        Table(name=pictures.name, title=title, columns=COLUMNS, rows=(*rows, best)),
        Table(
            name=f'{pictures.name}/facts',
            title=f'{title}: facts that are true, of those that are stated',
            columns=FACT_COLUMNS,
            rows=tuple(facts),
        ),
    )


def _settings(lesson: ItemSet[ToldPicture], options: Options) -> dict[str, str]:
    width, height = captions_sets.WORLDS.size
    return {
        'references': f'{captions_sets.REFERENCES} sentences of each picture by the world itself; '
        f'"{_ITSELF}" is one more of them, and what a method can reach',
        'other methods': f'repeat a sentence of one of {lesson.count} pictures of other worlds, '
        f'seed {captions_sets.LESSON_SEED}',
        'networks': f'on the CPU, {options.beams} beams, log likelihood over length to the power '
        f'of {options.length_power:g}; they say something of every picture',
        'true': 'a thing that is hardly seen may be counted or not; near an edge between left, '
        'middle and right, or between two distances, both are true',
        'world': f'{width}x{height}, seed {captions_sets.WORLD_SEED}',
    }
