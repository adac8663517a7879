"""What is known of a node, as metrics: for comparisons and for limits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dlcv.evaluation.scoring.model import Metric, NodeResult

_TIMES = ('median', '95 %')
"""What of `NodeResult.inference_ms` and `age_ms` is compared; the rest are single frames."""

_DOCS = {
    'answered': 'share of the images that have an answer',
    'longest gap': 'longest time without an answer, the ends of the bag included',
    'inference median': 'time of the network for an image',
    'inference 95 %': 'time that 95 % of the images take at most',
    'age median': 'time from the image to its answer',
    'age 95 %': 'time from the image to its answer, of 95 % of them at most',
    'cpu': 'CPU seconds in a second of the run',
    'memory': 'largest memory of its process',
}


def node_metrics(node: NodeResult) -> tuple[Metric, ...]:
    """Return availability, times and needs of a node; none of them has samples."""
    share = node.answered / node.images if node.images else None
    return (
        _metric('answered', share, '', 3, 'no images', better='high'),
        _metric('longest gap', node.longest_gap, 's', 2),
        *_times('inference', node.inference_ms, 'no time of inference was told'),
        *_times('age', node.age_ms, 'ages are of runs in real time'),
        _metric('cpu', node.cpu, 's/s', 2, 'not told'),
        _metric('memory', node.memory_mb, 'MB', 0, 'not told'),
    )


def _times(name: str, values: Sequence[float], why: str) -> list[Metric]:
    return [
        _metric(f'{name} {part}', values[i] if values else None, 'ms', 1, why)
        for i, part in enumerate(_TIMES)
    ]


def _metric(
    name: str,
    value: float | None,
    unit: str,
    digits: int,
    why: str = '',
    better: Literal['high', 'low'] = 'low',
) -> Metric:
    return Metric(
        name=name,
        value=value,
        unit=unit,
        better=better,
        digits=digits,
        doc=_DOCS[name],
        why=why if value is None else '',
    )
