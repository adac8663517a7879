"""What an evaluation consists of; the page, the JSON and comparisons are made from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from dlcv.metrics.quantity import Quantity
from dlcv.types import ByteImage, FloatArray, Trajectory

SCHEMA = 'dlcv-evaluation/1'
"""Of the JSON; raised when a reader of the old one would misread the new one."""

Statistic = Literal['mean', 'rms', 'median', 'share', '']
"""How a value follows from its samples; a share is the mean of zeros and ones."""

Mode = Literal['lock-step', 'real-time', 'in-process', 'recording']


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric(Quantity):
    """One number and all that is needed to read it.

    Its name says which alignment was made, where one was: ``ATE (Sim3)``.

    Attributes:
        value: The number; None where it could not be computed.
        why: Why there is no value, such as ``no truth``; empty where there is one.
        statistic: How the value follows from the samples; empty where it does not.
        samples: One number for each frame, segment or pair, in the order of time, in the unit of
            the value: what bootstraps draw from. None for what has no number of its own.
    """

    value: float | None
    why: str = ''
    statistic: Statistic = ''
    samples: tuple[float, ...] = ()

    @property
    def text(self) -> str:
        """The value as it is printed, with its unit; why there is none where there is none."""
        if self.value is None:
            return self.why or 'not computed'
        return f'{self.value:.{self.digits}f}{" " if self.unit else ""}{self.unit}'


def summary(statistic: Statistic, samples: Sequence[float] | FloatArray) -> float | None:
    """Return the value that samples have by a statistic; None of no samples."""
    values = np.asarray(samples, np.float64)
    if not values.size:
        return None
    match statistic:
        case 'rms':
            return float(np.sqrt(np.mean(values**2)))
        case 'median':
            return float(np.median(values))
        case _:
            return float(np.mean(values))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Series:
    """One line, or cloud of points, of a plot.

    Attributes:
        name: For the legend.
        x: ``(N,)``.
        y: ``(N,)``; NaN is a gap.
        style: ``truth`` is drawn so that it can be told from estimates.
    """

    name: str
    x: FloatArray
    y: FloatArray
    style: Literal['line', 'points', 'truth'] = 'line'


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Plot:
    """One plot.

    Attributes:
        title: Above it.
        x: Label with unit.
        y: Label with unit.
        series: What is drawn.
        equal: Whether both axes have the same scale, as for a path from above.
    """

    title: str
    x: str
    y: str
    series: tuple[Series, ...]
    equal: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moment:
    """The pictures of one time.

    Attributes:
        stamp_ns: Which.
        title: Why it is shown: ``sample``, or ``worst Abs Rel: 0.83``.
        pictures: (title, RGB or grey) of the input and of each node, and of the truth.
    """

    stamp_ns: int
    title: str
    pictures: tuple[tuple[str, ByteImage], ...]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Section:
    """What was found of one task.

    Attributes:
        name: ``odometry``, ``depth``, ``flow``, ``features``, ``relocalization``.
        title: Headline.
        metrics: Its numbers.
        plots: Its plots.
        moments: Its worst frames.
        notes: What a reader must know: alignment, truth, lengths that did not fit.
    """

    name: str
    title: str
    metrics: tuple[Metric, ...]
    plots: tuple[Plot, ...] = ()
    moments: tuple[Moment, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class NodeResult:
    """How one node did.

    Attributes:
        name: Of the node.
        images: Images that it was shown.
        answered: Images with an answer of the same stamp.
        longest_gap: Seconds between two answers at most, the ends of the bag included.
        outcomes: What became of images -> how many; ``processed``, ``superseded`` and so on.
        inference_ms: Median, 95 %, 99 % and largest time of inference; empty when none was told.
        age_ms: The same of the time from the image to its answer, of runs in real time.
        cpu: CPU seconds per second of the run; None when nobody told.
        memory_mb: Largest memory of its process; None when nobody told.
        trained: Whether its weights are trained; None when the node never said.
        weights: File or name of its weights.
        weights_sha256: Digest of the file.
        device: Where it ran.
        message: The last line of its diagnostics.
    """

    name: str
    images: int
    answered: int
    longest_gap: float
    outcomes: dict[str, int] = field(default_factory=dict)
    inference_ms: tuple[float, ...] = ()
    age_ms: tuple[float, ...] = ()
    cpu: float | None = None
    memory_mb: float | None = None
    trained: bool | None = None
    weights: str = ''
    weights_sha256: str = ''
    device: str = ''
    message: str = ''


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """All that was found of one bag.

    Attributes:
        title: Headline.
        mode: How the outputs were made.
        facts: What a reader needs to do it again: command, versions, host, bag, times.
        nodes: One for each node that took part.
        sections: One for each task that took part.
        samples: Some moments, spread over the bag.
        paths: Trajectories by name, as they are written to TUM and KITTI files.
        warnings: What went wrong without ending the evaluation: a truncated bag, a node that died.
    """

    title: str
    mode: Mode
    facts: Mapping[str, str]
    nodes: tuple[NodeResult, ...]
    sections: tuple[Section, ...] = ()
    samples: tuple[Moment, ...] = ()
    paths: Mapping[str, Trajectory] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()

    def metric(self, section: str, name: str) -> Metric:
        """Return a metric by names.

        Raises:
            KeyError: There is none.
        """
        for one in self.sections:
            for metric in one.metrics:
                if (one.name, metric.name) == (section, name):
                    return metric
        raise KeyError(f'{section}: {name}')
