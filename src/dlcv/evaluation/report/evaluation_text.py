"""An evaluation as plain text, for the terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dlcv.evaluation.report import wording
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section

NODE_HEAD = ('node', 'answered', 'availability', 'gap s', 'inference ms', 'age ms', 'weights')
METRIC_HEAD = ('metric', 'value', '', '')


def text_table(evaluation: Evaluation) -> str:
    """Return the nodes, then the metrics of each section, in aligned columns.

    Times are median / 95 % / 99 % / largest. An arrow says which direction is better.
    """
    blocks = [evaluation.title, wording.verdict(evaluation)]
    blocks += [f'warning: {warning}' for warning in evaluation.warnings]
    if evaluation.nodes:
        rows = [NODE_HEAD, *map(_node, evaluation.nodes)]
        blocks += ['', *_aligned(rows, right=range(1, 6))]
    for section in evaluation.sections:
        blocks += ['', section.title, *_metrics(section)]
    return '\n'.join(blocks)


def _node(node: NodeResult) -> tuple[str, ...]:
    return (
        node.name,
        f'{node.answered} of {node.images}',
        wording.percent(wording.availability(node)),
        wording.short(node.longest_gap),
        _times(node.inference_ms),
        _times(node.age_ms),
        wording.TRAINED[node.trained],
    )


def _times(values: Sequence[float]) -> str:
    return ' / '.join(map(wording.short, values)) or wording.NOTHING


def _metrics(section: Section) -> Iterator[str]:
    rows = [_metric(metric) for metric in section.metrics]
    yield from ('  ' + line for line in _aligned(rows, right=(1,)))
    yield from (f'  {note}' for note in section.notes)


def _metric(metric: Metric) -> tuple[str, ...]:
    if not wording.has_value(metric):
        return metric.name, wording.NOTHING, wording.value(metric), ''
    return metric.name, wording.value(metric), metric.unit, wording.ARROWS[metric.better]


def _aligned(rows: Sequence[Sequence[str]], right: Sequence[int]) -> Iterator[str]:
    """Yield rows whose columns have one width each, those in ``right`` flush right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield '  '.join(cells).rstrip()
