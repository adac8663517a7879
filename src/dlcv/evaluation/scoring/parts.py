"""What the sections share: making metrics, keeping the worst frames, truth beside answers."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from dlcv.evaluation.scoring.model import Metric, Statistic, summary
from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray

NO_TRUTH = 'no truth'
WORST = 3  # frames that are shown
MAX_GAP_NS = 500_000_000  # of true poses around a time, where nobody says


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind(Quantity):
    """A metric before there is a number; see `Metric` for the statistic."""

    statistic: Statistic = 'mean'

    @classmethod
    def like(cls, quantity: Quantity, statistic: Statistic = 'mean', **changes: str) -> Kind:
        """Return a quantity as a kind of metric, some of its fields changed."""
        return cls(**{**_fields(quantity), **changes}, statistic=statistic)

    def of(self, samples: Sequence[float] | FloatArray, why: str = NO_TRUTH) -> Metric:
        """Return the metric of samples; of none, say why there is none."""
        values = tuple(float(sample) for sample in samples)
        known = [value for value in values if isfinite(value)]
        found = summary(self.statistic, known)
        return self._made(found, '' if found is not None else why, self.statistic, values)

    def value(self, value: float | None, why: str = NO_TRUTH) -> Metric:
        """Return the metric of one number that follows from no samples."""
        known = value if value is not None and isfinite(value) else None
        return self._made(known, '' if known is not None else why, '', ())

    def _made(
        self, value: float | None, why: str, statistic: Statistic, samples: tuple[float, ...]
    ) -> Metric:
        return Metric(**_fields(self), value=value, why=why, statistic=statistic, samples=samples)


def _fields(quantity: Quantity) -> dict[str, Any]:
    return {field.name: getattr(quantity, field.name) for field in fields(Quantity)}


class Worst:
    """The frames with the greatest errors.

    Args:
        what: Name of the error.
        unit: Of it.
    """

    def __init__(self, what: str = '', unit: str = '') -> None:
        self._what, self._unit = what, unit
        self._heap: list[tuple[float, int]] = []

    def add(self, error: float, stamp_ns: int) -> None:
        """Take the error of a frame; one that is none does not count."""
        if isfinite(error):
            heapq.heappush(self._heap, (error, -stamp_ns))
            if len(self._heap) > WORST:
                heapq.heappop(self._heap)

    def titles(self) -> dict[int, str]:
        """Return what is said of these frames, by time; the worst first."""
        unit = f' {self._unit}' if self._unit else ''
        return {stamp: f'worst {self._what}: {error:.3g}{unit}' for error, stamp in self.frames()}

    def frames(self) -> list[tuple[float, int]]:
        """Return errors and times, the worst first; of the same error the earlier first."""
        return [(error, -negative) for error, negative in sorted(self._heap, reverse=True)]
