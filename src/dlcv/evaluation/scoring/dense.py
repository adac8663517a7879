"""Depth and flow against the truth, picture by picture."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from dlcv.estimation.refinement import cell_means
from dlcv.evaluation.scoring.model import Metric, Plot, Section, Series
from dlcv.evaluation.scoring.parts import NO_TRUTH, Kind, Worst
from dlcv.metrics.depth import QUANTITIES, DepthCaps, DepthErrors, depth_errors
from dlcv.metrics.flow import AE, EPE, FL_ALL, FlowErrors, flow_errors
from dlcv.types import FloatArray

NO_MEDIAN = 'the median of the estimate is no depth'


class Depth:
    """Collects the errors of depth pictures, with and without median scaling.

    Args:
        caps: What counts.
    """

    def __init__(self, caps: DepthCaps) -> None:
        self._caps = caps
        self._stamps: list[int] = []
        self._plain: list[DepthErrors] = []
        self._scaled: list[DepthErrors] = []
        self._seen = 0
        self._why = NO_TRUTH
        self.worst = Worst('Abs Rel')

    def add(self, stamp_ns: int, depth: FloatArray, truth: FloatArray | None) -> None:
        """Compare a picture; one without truth is counted."""
        self._seen += 1
        if truth is None:
            return
        if truth.shape != depth.shape:
            self._why = _other_size(truth, depth)
            return
        plain = depth_errors(depth, truth, self._caps)
        if plain.pixels:
            self._stamps.append(stamp_ns)
            self._plain.append(plain)
            self._scaled.append(depth_errors(depth, truth, self._caps, median_scaling=True))
            self.worst.add(plain.abs_rel, stamp_ns)
        else:
            self._why = f'{NO_TRUTH} where there is an estimate, within the caps and the crop'

    def section(self) -> Section:
        """Return what was found."""
        why = self._why
        scaled = sum(error.pixels > 0 for error in self._scaled)
        why_scaled = NO_MEDIAN if self._plain else why
        metrics = [
            Kind.like(quantity).of([error.figures[i] for error in self._plain], why)
            for i, quantity in enumerate(QUANTITIES)
        ]
        metrics += [
            Kind.like(
                quantity,
                name=f'{quantity.name} (median-scaled)',
                doc=f'{quantity.doc}; the estimate scaled to the true median',
                source='Zhou et al., CVPR 2017',
            ).of([error.figures[i] for error in self._scaled], why_scaled)
            for i, quantity in enumerate(QUANTITIES)
        ]
        metrics.append(_scale([error.scale for error in self._scaled], why_scaled))
        caps = self._caps
        note = (
            f'{len(self._plain)} of {self._seen} pictures have truth; it counts from '
            f'{caps.nearest:g} to {caps.farthest:g} m, crop: {caps.crop}; means of the pictures.'
        )
        notes: tuple[str, ...] = (note,)
        if scaled < len(self._plain):
            notes += (f'{scaled} of them can be scaled: {NO_MEDIAN} in the others.',)
        plots = (self._plot(),) if self._plain else ()
        return Section(
            name='depth', title='Depth', metrics=tuple(metrics), notes=notes, plots=plots
        )

    def _plot(self) -> Plot:
        seconds = (np.array(self._stamps) - self._stamps[0]) / 1e9
        rows = (('as it is', self._plain), ('median-scaled', self._scaled))
        return Plot(
            title='Abs Rel of each picture',
            x='time (s)',
            y='Abs Rel',
            series=tuple(
                Series(name=word, x=seconds, y=np.array([error.abs_rel for error in errors]))
                for word, errors in rows
            ),
        )


class Flow:
    """Collects the errors of flow fields.

    Args:
        before: Time of an image -> of the image before it, from which the true flow leads.
    """

    def __init__(self, before: Mapping[int, int]) -> None:
        self._before = before
        self._since: dict[int, int] = {}
        self._found: dict[int, FlowErrors] = {}
        self._seen = 0
        self._why = NO_TRUTH

    def add(self, stamp_ns: int, flow: FloatArray, truth: FloatArray | None) -> None:
        """Compare a field, whose cells may be means of those of the truth."""
        self._seen += 1
        if truth is None:
            return
        stride = _stride(truth, flow)
        if not stride:
            self._why = _other_size(truth, flow)
            return
        errors = flow_errors(flow, cell_means(truth, stride) if stride > 1 else truth)
        if errors.epe.count:
            self._found[stamp_ns] = errors
        else:
            self._why = f'{NO_TRUTH} where there is an estimate'

    def add_interval(self, stamp_ns: int, previous_ns: int) -> None:
        """Take word of the image from which the field of a time leads."""
        self._since[stamp_ns] = previous_ns

    @property
    def worst(self) -> Worst:
        """The worst fields."""
        worst = Worst('EPE', 'px')
        for stamp, errors in self._errors.items():
            worst.add(errors.epe.value, stamp)
        return worst

    @property
    def _errors(self) -> dict[int, FlowErrors]:
        """Those of fields that lead from where the truth does: not over images left out."""
        return {s: e for s, e in self._found.items() if not self._skips(s)}

    def _skips(self, stamp_ns: int) -> bool:
        return self._since.get(stamp_ns) not in (None, self._before.get(stamp_ns))

    def section(self) -> Section:
        """Return what was found."""
        errors = self._errors
        why = 'all lead over images that were left out' if self._found else self._why
        metrics = (
            Kind.like(EPE).of([error.epe.value for error in errors.values()], why),
            Kind.like(AE).of([error.angle.value for error in errors.values()], why),
            Kind.like(FL_ALL).of([error.fl_all.value for error in errors.values()], why),
        )
        notes = [f'{len(errors)} of {self._seen} fields have truth; means of the fields.']
        if skipping := len(self._found) - len(errors):
            notes.append(f'{skipping} lead over images that were left out: they do not count.')
        plots = (self._plot(),) if errors else ()
        return Section(name='flow', title='Flow', metrics=metrics, notes=tuple(notes), plots=plots)

    def _plot(self) -> Plot:
        errors = self._errors
        stamps = np.array(list(errors))
        seconds = (stamps - stamps[0]) / 1e9
        values = np.array([error.epe.value for error in errors.values()])
        return Plot(
            title='End-point error of each field',
            x='time (s)',
            y='EPE (px)',
            series=(Series(name='EPE', x=seconds, y=values),),
        )


def _stride(truth: FloatArray, flow: FloatArray) -> int:
    """Return the side of the cells of a flow in pixels of the truth; 0 where there is none."""
    height, width = truth.shape[:2]
    strides = range(1, max(height, width) + 1)
    return next((s for s in strides if (-(-height // s), -(-width // s)) == flow.shape[:2]), 0)


def _other_size(truth: FloatArray, found: FloatArray) -> str:
    (high, wide), (height, width) = truth.shape[:2], found.shape[:2]
    return f'the truth is of another size: {wide}x{high}, the estimate {width}x{height}'


def _scale(values: list[float], why: str) -> Metric:
    return Kind(
        name='scale',
        doc='ratio of the medians of truth and estimate; 1 where the unit is right',
        statistic='median',
    ).of(values, why)
