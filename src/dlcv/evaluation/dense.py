"""Depth and flow against the truth, picture by picture."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcv.evaluation.model import Metric, Plot, Section, Series
from dlcv.evaluation.parts import NO_TRUTH, Kind, Worst
from dlcv.inference.refinement import cell_means
from dlcv.metrics.depth import DepthCaps, DepthErrors, depth_errors
from dlcv.metrics.flow import FlowErrors, flow_errors
from dlcv.types import FloatArray

EIGEN = 'Eigen et al., NIPS 2014'
DEPTH = (
    ('abs_rel', Kind(name='Abs Rel', better='low', doc='mean of |d - d*| / d*', source=EIGEN)),
    ('sq_rel', Kind(name='Sq Rel', unit='m', better='low', doc='mean of (d - d*)^2 / d*',
                    source=EIGEN)),
    ('rmse', Kind(name='RMSE', unit='m', better='low', doc='root of the mean of (d - d*)^2',
                  source=EIGEN)),
    ('rmse_log', Kind(name='RMSE log', better='low', doc='the same of natural logarithms',
                      source=EIGEN)),
    ('a1', Kind(name='<1.25', better='high', doc='share of pixels off by less than this factor',
                source=EIGEN)),
    ('a2', Kind(name='<1.25^2', better='high', doc='the same of its square', source=EIGEN)),
    ('a3', Kind(name='<1.25^3', better='high', doc='the same of its cube', source=EIGEN)),
)  # fmt: skip
FLOW = (
    Kind(name='EPE', unit='px', better='low', doc='mean distance of end points',
         source='Otte and Nagel, ECCV 1994'),
    Kind(name='AE', unit='deg', better='low', doc='mean angle of (u, v, 1)',
         source='Barron et al., IJCV 1994'),
    Kind(name='Fl-all', unit='%', better='low', digits=2,
         doc='pixels off by more than 3 px and more than 5 %',
         source='Menze and Geiger, CVPR 2015'),
)  # fmt: skip


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
        self._of_other_size = 0
        self.worst = Worst('Abs Rel')

    def add(self, stamp_ns: int, depth: FloatArray, truth: FloatArray | None) -> None:
        """Compare a picture; one without truth is counted."""
        self._seen += 1
        if truth is None:
            return
        if truth.shape != depth.shape:
            self._of_other_size += 1
            return
        plain = depth_errors(depth, truth, self._caps)
        if plain.pixels:
            self._stamps.append(stamp_ns)
            self._plain.append(plain)
            self._scaled.append(depth_errors(depth, truth, self._caps, median_scaling=True))
            self.worst.add(plain.abs_rel, stamp_ns)

    def section(self) -> Section:
        """Return what was found."""
        why = 'the truth is of another size' if self._of_other_size else NO_TRUTH
        metrics = [
            kind.of([getattr(error, name) for error in self._plain], why) for name, kind in DEPTH
        ]
        for name, kind in DEPTH:
            scaled = replace(
                kind,
                name=f'{kind.name} (median-scaled)',
                doc=f'{kind.doc}, times the ratio of the medians',
                source='Zhou et al., CVPR 2017',
            )
            metrics.append(scaled.of([getattr(error, name) for error in self._scaled], why))
        metrics.append(_scale([error.scale for error in self._scaled], why))
        caps = self._caps
        note = (
            f'{len(self._plain)} of {self._seen} pictures have truth; it counts from '
            f'{caps.nearest:g} to {caps.farthest:g} m, crop: {caps.crop}; means of the pictures.'
        )
        plots = (self._plot(),) if self._plain else ()
        return Section(
            name='depth', title='Depth', metrics=tuple(metrics), notes=(note,), plots=plots
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
    """Collects the errors of flow fields."""

    def __init__(self) -> None:
        self._stamps: list[int] = []
        self._errors: list[FlowErrors] = []
        self._seen = 0
        self.worst = Worst('EPE', 'px')

    def add(self, stamp_ns: int, flow: FloatArray, truth: FloatArray | None) -> None:
        """Compare a field; one without truth is counted."""
        self._seen += 1
        if truth is None:
            return
        stride = round(truth.shape[0] / flow.shape[0])
        errors = flow_errors(flow, cell_means(truth, stride) if stride > 1 else truth)
        if errors.epe.count:
            self._stamps.append(stamp_ns)
            self._errors.append(errors)
            self.worst.add(errors.epe.value, stamp_ns)

    def section(self) -> Section:
        """Return what was found."""
        epe, angle, outlying = FLOW
        metrics: tuple[Metric, ...] = (
            epe.of([error.epe.value for error in self._errors]),
            angle.of([error.angle.value for error in self._errors]),
            outlying.of([error.fl_all.value for error in self._errors]),
        )
        notes = (f'{len(self._errors)} of {self._seen} fields have truth; means of the fields.',)
        plots = (self._plot(),) if self._errors else ()
        return Section(name='flow', title='Flow', metrics=metrics, notes=notes, plots=plots)

    def _plot(self) -> Plot:
        seconds = (np.array(self._stamps) - self._stamps[0]) / 1e9
        values = np.array([error.epe.value for error in self._errors])
        return Plot(
            title='End-point error of each field',
            x='time (s)',
            y='EPE (px)',
            series=(Series(name='EPE', x=seconds, y=values),),
        )


def _scale(values: list[float], why: str) -> Metric:
    return Kind(
        name='scale',
        doc='ratio of the medians of truth and estimate; 1 where the unit is right',
        statistic='median',
    ).of(values, why)
