"""Where the lines, ticks and gaps of a plot are; the template turns them into SVG.

A drawing is a square of `SIZE` units, x to the right and y down, that the page stretches to the
room there is. Its script reads the same units back, so the page holds each number once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log10

import numpy as np
import numpy.typing as npt

from dlcv.evaluation.scoring.model import Plot, Series
from dlcv.types import FloatArray

SIZE = 10_000  # units of a drawing; a path is written to a tenth of one
BUCKETS = 500  # a line keeps its extremes in each of so many stretches
COLORS = 6  # that the style sheet has
X_TICKS, Y_TICKS = 6, 5  # about
MARGIN = 0.04  # of the span, around what is drawn
ASPECTS = (0.8, 2.2)  # width over height of a plot with equal axes


@dataclass(frozen=True, kw_only=True, slots=True)
class Axis:
    """What one side of a plot spans, in the units of its numbers."""

    low: float
    high: float

    @property
    def span(self) -> float:
        """Length."""
        return self.high - self.low

    def place(self, values: FloatArray) -> FloatArray:
        """Return how far along the axis values are: 0 at its low end, 1 at its high end."""
        return (values - self.low) / self.span

    def widened(self, span: float) -> Axis:
        """Return an axis of a greater span around the same middle."""
        middle = (self.low + self.high) / 2
        return Axis(low=middle - span / 2, high=middle + span / 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class Tick:
    """A number on an axis; ``place`` is in per cent of the axis, from its low end."""

    place: float
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One series of a drawing.

    Attributes:
        name: For the legend.
        style: See `Series`.
        color: Which of the page's colours; the truth has one of its own, 0.
        path: For the ``d`` of an SVG path.
    """

    name: str
    style: str
    color: int
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A plot, ready for the template.

    Attributes:
        title: Above it.
        x_label: Below it.
        y_label: Left above it.
        x: What is spanned.
        y: The same upwards.
        x_ticks: Numbers along x.
        y_ticks: Numbers along y.
        lines: The truth first, so that estimates are drawn over it.
        aspect: Width over height that gives both axes the same scale; None where any will do.
        description: For those who cannot see it.
    """

    title: str
    x_label: str
    y_label: str
    x: Axis
    y: Axis
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    lines: tuple[Line, ...]
    aspect: float | None
    description: str

    @property
    def empty(self) -> bool:
        """Whether there is nothing to see."""
        return not any(line.path for line in self.lines)


def draw(plot: Plot) -> Drawing:
    """Lay a plot out."""
    x = axis_of([finite(series)[0] for series in plot.series], from_zero=False)
    y = axis_of([finite(series)[1] for series in plot.series], from_zero=not plot.equal)
    aspect = None
    if plot.equal:
        x, y, aspect = equal_axes(x, y)
    return Drawing(
        title=plot.title,
        x_label=plot.x,
        y_label=plot.y,
        x=x,
        y=y,
        x_ticks=ticks(x, X_TICKS),
        y_ticks=ticks(y, Y_TICKS),
        lines=tuple(_lines(plot.series, x, y)),
        aspect=aspect,
        description=f'{plot.y} over {plot.x}. {" ".join(map(_described, plot.series))}',
    )


def _lines(all_series: Sequence[Series], x: Axis, y: Axis) -> Iterator[Line]:
    estimates = [series for series in all_series if series.style != 'truth']
    truths = [series for series in all_series if series.style == 'truth']
    for color, series in [*((0, s) for s in truths), *enumerate(estimates, 1)]:
        yield Line(
            name=series.name,
            style=series.style,
            color=(color - 1) % COLORS + 1 if color else 0,
            path=path_of(series, x, y),
        )


def _described(series: Series) -> str:
    values = finite(series)[1]
    if not values.size:
        return f'{series.name}: nothing.'
    return f'{series.name}: {values.size} points, {values.min():.4g} to {values.max():.4g}.'


# ------------------------------------------------------------------------------------------ axes


def axis_of(values: Sequence[FloatArray], *, from_zero: bool) -> Axis:
    """Return an axis with room for all values, and some around them.

    Args:
        values: Finite; any number of them.
        from_zero: Whether to begin at zero what is positive and begins near it, such as errors.
    """
    low = min((float(v.min()) for v in values if v.size), default=inf)
    high = max((float(v.max()) for v in values if v.size), default=-inf)
    if low > high:
        return Axis(low=0.0, high=1.0)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value: it gets the middle
        half = abs(low) / 2 or 0.5
        return Axis(low=low - half, high=high + half)
    margin = MARGIN * (high - low)
    if from_zero and 0 <= low < high / 3:
        return Axis(low=0.0, high=high + margin)
    return Axis(low=low - margin, high=high + margin)


def equal_axes(x: Axis, y: Axis) -> tuple[Axis, Axis, float]:
    """Widen what is too narrow for a picture of a fair shape, and return that shape too."""
    aspect = min(max(x.span / y.span, ASPECTS[0]), ASPECTS[1])
    if x.span < aspect * y.span:
        return x.widened(aspect * y.span), y, aspect
    return x, y.widened(x.span / aspect), aspect


def ticks(axis: Axis, count: int) -> tuple[Tick, ...]:
    """Return about ``count`` round numbers inside an axis."""
    step = round_step(axis.span / count)
    first, last = ceil(axis.low / step - 1e-9), floor(axis.high / step + 1e-9)
    return tuple(
        Tick(place=100 * (i * step - axis.low) / axis.span, text=tick_text(i * step, step))
        for i in range(first, last + 1)
    )


def round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is not below ``least``."""
    power: float = 10.0 ** floor(log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def tick_text(value: float, step: float) -> str:
    """Return a number with the digits that tell it from its neighbours, and a true minus."""
    if step < 1e-4 or abs(value) >= 1e7:
        text = f'{value:.6g}'
    else:
        text = f'{value:.{max(0, -floor(log10(step) + 1e-9))}f}'
    return text.replace('-', '\N{MINUS SIGN}')


# ----------------------------------------------------------------------------------------- lines


def path_of(series: Series, x: Axis, y: Axis) -> str:
    """Return a series as an SVG path.

    What is not finite is a gap. A point of its own is a line of no length, whose round ends show.
    """
    kept = thinned(np.asarray(series.x, np.float64), np.asarray(series.y, np.float64))
    u = SIZE * x.place(np.asarray(series.x, np.float64)[kept])
    v = SIZE * (1 - y.place(np.asarray(series.y, np.float64)[kept]))
    runs = [[i] for i in range(len(u))] if series.style == 'points' else _runs(u, v)
    return ''.join(
        'M' + 'L'.join(f'{u[i]:.1f} {v[i]:.1f}' for i in run) + ('h0' if len(run) == 1 else '')
        for run in runs
        if isfinite(u[run[0]]) and isfinite(v[run[0]])
    )


def _runs(u: FloatArray, v: FloatArray) -> Iterator[list[int]]:
    """Yield the places of points between gaps."""
    there = _there(u, v)
    cuts = np.flatnonzero(np.diff(there)) + 1
    for run in np.split(np.arange(len(u)), cuts):
        if run.size and there[run[0]]:
            yield run.tolist()


def thinned(x: FloatArray, y: FloatArray, buckets: int = BUCKETS) -> list[int]:
    """Return which points to draw, in order: all of a few; the extremes of many, and their gaps.

    The points are cut into stretches of equal number. Of each stretch the first and last point
    and those of the least and greatest x and y stay, so that no peak is lost, in a function of
    time as in a path that turns (Jugel et al., M4, VLDB 2014, with x added); and one gap, if any.
    """
    if len(x) <= 6 * buckets:
        return list(range(len(x)))
    kept: set[int] = set()
    there = _there(x, y)
    for places in np.array_split(np.arange(len(x)), buckets):
        good = places[there[places]]
        kept.update(places[~there[places]][:1].tolist())
        if good.size:
            kept.update((int(good[0]), int(good[-1])))
            for values in (x, y):
                kept.update((int(good[values[good].argmin()]), int(good[values[good].argmax()])))
    return sorted(kept)


def finite(series: Series) -> tuple[FloatArray, FloatArray]:
    """Return x and y of the points that have both."""
    x, y = np.asarray(series.x, np.float64), np.asarray(series.y, np.float64)
    there = _there(x, y)
    return x[there], y[there]


def _there(x: FloatArray, y: FloatArray) -> npt.NDArray[np.bool_]:
    there: npt.NDArray[np.bool_] = np.isfinite(x) & np.isfinite(y)
    return there
