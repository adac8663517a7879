"""Measure the ranges of an estimator's activations, so that its network can run in int8."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from dlcv.engines import Runner
from dlcv.engines.building import deviation, examples, flat
from dlcv.engines.quantised import Quantised, measure
from dlcv.estimation.base import Estimator
from dlcv.types import Frame

_CHECKED = 8  # inputs on which the rounded network is run: it is slow
_MARGIN = 2.0  # pictures that nobody has seen may be that much worse


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Measured:
    """What was measured.

    Attributes:
        ranges: ``(P, 2)``; see `dlcv.engines.quantised`.
        deviation: How far outputs were off at most, as a share of their spread.
        tolerance: How far they may be off.
        inputs: Number of inputs that were looked at.
    """

    ranges: Tensor
    deviation: float
    tolerance: float
    inputs: int


def measure_ranges(estimator: Estimator[Any], clips: Iterable[Sequence[Frame]]) -> Measured:
    """Run an estimator on pictures and measure what its network sees and answers.

    Args:
        estimator: Runs in PyTorch, on the CPU.
        clips: Pictures that follow each other; between two clips it starts anew.

    Raises:
        ValueError: The network was never run.
    """
    runner = _Recorder(estimator.runner)
    estimator.runner = runner
    try:
        for clip in clips:
            estimator.reset()
            for frame in clip:
                estimator.push(frame)
    finally:
        estimator.runner = runner.inner
        estimator.reset()
    if not runner.seen:
        raise ValueError('no pictures to measure on, or too few that follow each other')
    part = runner.inner.part
    ranges = measure(part, runner.seen)
    shapes = tuple(tuple(x.shape) for x in runner.seen[0])
    step = -(-len(runner.seen) // _CHECKED)
    worst = 0.0
    rounded = Quantised(part, ranges)
    with torch.no_grad():
        for inputs in (*runner.seen[::step], examples(part, shapes)):
            pairs = zip(flat(rounded(*inputs)), flat(part(*inputs)), strict=True)
            worst = max(worst, *(deviation(found, expected) for found, expected in pairs))
    return Measured(
        ranges=ranges, deviation=worst, tolerance=_MARGIN * worst, inputs=len(runner.seen)
    )


class _Recorder(Runner):
    """Runs what another runner does, and keeps what it was given."""

    def __init__(self, inner: Runner) -> None:
        super().__init__(inner.part)
        self.inner = inner
        self.seen: list[tuple[Tensor, ...]] = []

    def __call__(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        self.seen.append(tuple(x.clone() for x in inputs))
        return self.inner(*inputs)
