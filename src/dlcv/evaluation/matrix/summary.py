"""What became of the cells of a matrix, as JSON and as tables in Markdown."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dlcv import __version__
from dlcv.evaluation.matrix.attempt import Attempt
from dlcv.evaluation.matrix.cell import Cell
from dlcv.evaluation.matrix.store import Record
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section

SCHEMA = 'dlcv-matrix/1'
"""Of the JSON; raised when a reader of the old one would misread the new one."""

FIRST = 3  # metrics of a section that are shown when none are chosen: its main ones are first

State = Literal['done', 'skipped', 'failed', 'open']
_WORDS: dict[State, str] = {
    'done': 'done',
    'skipped': 'skipped',
    'failed': 'failed',
    'open': 'not finished',
}
_ARROWS = {'high': ' ↑', 'low': ' ↓', '': ''}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Result:
    """What became of one cell.

    Attributes:
        cell: Which.
        state: ``done`` now, ``skipped`` because it was finished before, ``failed`` at last, or
            still ``open``.
        tries: Made so far; of a finished cell, those it took.
        seconds: The last of them took.
        host: It ran on.
        error: Why the last one failed; empty if none did.
        log: Last lines of the last one, if it failed.
        evaluation: Of a finished cell.
    """

    cell: Cell
    state: State
    tries: int = 0
    seconds: float = 0.0
    host: str = ''
    error: str = ''
    log: str = ''
    evaluation: Evaluation | None = None

    @property
    def finished(self) -> bool:
        """Whether there are numbers."""
        return self.evaluation is not None

    @property
    def words(self) -> str:
        """The state as it is shown."""
        match self.state, self.tries:
            case 'failed', 1:
                return 'failed'
            case 'failed', _:
                return f'failed after {self.tries} tries'
            case 'open', 0:
                return 'not run'
            case 'open', _:
                return f'not finished ({self.tries} failed)'
            case 'done', 1:
                return 'done'
            case 'done', _:
                return f'done (try {self.tries})'
        return 'skipped'

    @property
    def line(self) -> str:
        """It in a line, for progress."""
        match self.state:
            case 'skipped':
                return f'{self.cell.name}: skipped: finished before'
            case 'failed':
                indented = self.log.replace('\n', '\n    ')
                more = f'\n    {indented}' if self.log else ''
                return f'{self.cell.name}: {self.words}: {self.error}{more}'
        return f'{self.cell.name}: {self.words}, {self.seconds:.1f} s'


def skipped(cell: Cell, record: Record, evaluation: Evaluation) -> Result:
    """Return what is said of a cell that was finished before."""
    return _finished('skipped', cell, record, evaluation)


def done(cell: Cell, record: Record, evaluation: Evaluation) -> Result:
    """Return what is said of a cell that has just been finished."""
    return _finished('done', cell, record, evaluation)


def missed(cell: Cell, tries: int, attempt: Attempt, error: str, log: str) -> Result:
    """Return what is said of a cell whose last attempt failed."""
    return Result(
        cell=cell,
        state='failed',
        tries=tries,
        seconds=attempt.seconds,
        host=attempt.host,
        error=error,
        log=log,
    )


def _finished(state: State, cell: Cell, record: Record, evaluation: Evaluation) -> Result:
    return Result(
        cell=cell,
        state=state,
        tries=record.tries,
        seconds=record.seconds,
        host=record.host,
        evaluation=evaluation,
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Summary:
    """What became of a matrix.

    Attributes:
        title: Headline.
        results: One for each cell, bag by bag.
        columns: Section -> metrics that are shown; a section without has its first ones.
        interrupted: Whether the run was ended before all cells had their turn.
    """

    title: str
    results: tuple[Result, ...]
    columns: Mapping[str, Sequence[str]]
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 if all cells are finished, 130 after an interruption, else 1."""
        if self.interrupted:
            return 130
        return int(not all(result.finished for result in self.results))

    @property
    def words(self) -> str:
        """How many cells are in which state."""
        counts = Counter(result.state for result in self.results)
        parts = [f'{counts[state]} {word}' for state, word in _WORDS.items() if counts[state]]
        return f'{len(self.results)} cells: {", ".join(parts)}'


def to_json(summary: Summary) -> str:
    """Return a summary as JSON, with all metrics of all finished cells."""
    data = {
        'schema': SCHEMA,
        'title': summary.title,
        'dlcv': __version__,
        'interrupted': summary.interrupted,
        'cells': [_cell(result) for result in summary.results],
    }
    return json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + '\n'


def _cell(result: Result) -> dict[str, Any]:
    evaluation = result.evaluation
    return {
        'bag': result.cell.bag,
        'configuration': result.cell.configuration,
        'state': result.state,
        'tries': result.tries,
        'seconds': round(result.seconds, 3),
        'host': result.host,
        'error': result.error,
        'log': result.log,
        'folder': _folder(result),
        'sections': _sections(evaluation.sections) if evaluation else {},
        'nodes': _nodes(evaluation.nodes) if evaluation else {},
        'warnings': list(evaluation.warnings) if evaluation else [],
    }


def _sections(sections: Iterable[Section]) -> dict[str, Any]:
    return {section.name: {m.name: _metric(m) for m in section.metrics} for section in sections}


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        'value': _plain(metric.value),
        'unit': metric.unit,
        'better': metric.better,
        'why': metric.why,
    }


def _nodes(nodes: Iterable[NodeResult]) -> dict[str, Any]:
    return {
        node.name: {
            'images': node.images,
            'answered': node.answered,
            'median_inference_ms': _plain(node.inference_ms[0]) if node.inference_ms else None,
            'weights': node.weights,
            'weights_sha256': node.weights_sha256,
            'trained': node.trained,
        }
        for node in nodes
    }


def _plain(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _folder(result: Result) -> str:
    """Return where the files of a cell are, as seen from the summary."""
    above = {'failed': 'failed', 'open': ''}.get(result.state, 'cells')
    return (Path(above) / result.cell.place).as_posix() if above else ''


def to_markdown(summary: Summary) -> str:
    """Return a summary as tables: the cells, each section, the nodes, what failed."""
    parts = [f'# {summary.title}', f'{summary.words}. dlcv {__version__}.', _states(summary)]
    for name, title in _titles(summary.results).items():
        parts += [f'## {title}', _numbers(summary.results, name, summary.columns.get(name, ()))]
    parts += _node_tables(summary.results)
    failed = [result for result in summary.results if result.state == 'failed']
    parts += ['## Failed', *map(_failure, failed)] if failed else []
    return '\n\n'.join(parts) + '\n'


def _states(summary: Summary) -> str:
    rows = [
        [
            *_names(result),
            result.words,
            f'{result.seconds:.1f}' if result.tries else '',
            result.host,
        ]
        for result in summary.results
    ]
    return _table(['bag', 'configuration', 'state', 'seconds', 'host'], rows, numbers=(3,))


def _names(result: Result) -> list[str]:
    folder = _folder(result)
    name = result.cell.configuration
    return [result.cell.bag, f'[{name}]({folder}/)' if folder else name]


def _titles(results: Iterable[Result]) -> dict[str, str]:
    """Return the headlines of all sections that some cell has."""
    evaluations = (result.evaluation for result in results if result.evaluation)
    return {section.name: section.title for e in evaluations for section in e.sections}


def _numbers(results: Sequence[Result], section: str, chosen: Sequence[str]) -> str:
    """Return the table of a section; the best of each bag is bold."""
    rows = [(result, _metrics(result, section)) for result in results]
    rows = [(result, metrics) for result, metrics in rows if metrics]
    columns = _columns([metrics for _, metrics in rows], chosen)
    lines = []
    for result, metrics in rows:
        peers = [other for one, other in rows if one.cell.bag == result.cell.bag]
        shown = [_shown(metrics.get(name), [p.get(name) for p in peers]) for name in columns]
        lines.append([*_names(result), *shown])
    head = ['bag', 'configuration', *columns.values()]
    return _table(head, lines, numbers=range(2, len(head)))


def _metrics(result: Result, section: str) -> dict[str, Metric]:
    sections = result.evaluation.sections if result.evaluation else ()
    return {metric.name: metric for s in sections if s.name == section for metric in s.metrics}


def _columns(rows: Iterable[Mapping[str, Metric]], chosen: Sequence[str]) -> dict[str, str]:
    """Return the metrics of a table with their heads: the chosen ones, or the first with values."""
    known: dict[str, Metric] = {}
    for row in rows:
        for name, metric in row.items():
            if name not in known or known[name].value is None:
                known[name] = metric
    names = chosen or [name for name, metric in known.items() if metric.value is not None][:FIRST]
    return {name: _head(known[name]) if name in known else name for name in names}


def _head(metric: Metric) -> str:
    unit = f' ({metric.unit})' if metric.unit else ''
    return f'{metric.name}{unit}{_ARROWS[metric.better]}'


def _shown(metric: Metric | None, peers: Iterable[Metric | None]) -> str:
    if metric is None:
        return '-'
    if metric.value is None:
        return metric.text
    text = f'{metric.value:.{metric.digits}f}'
    values = [peer.value for peer in peers if peer is not None and peer.value is not None]
    best = {'high': max(values), 'low': min(values), '': None}[metric.better]
    return f'**{text}**' if len(set(values)) > 1 and metric.value == best else text


def _node_tables(results: Sequence[Result]) -> list[str]:
    """Return the table of how many images each node answered, and how fast."""
    rows = [(r, {n.name: n for n in r.evaluation.nodes}) for r in results if r.evaluation]
    names = list(dict.fromkeys(name for _, nodes in rows for name in nodes))
    if not names:
        return []
    lines = [
        [*_names(result), *(_node(nodes.get(name)) for name in names)] for result, nodes in rows
    ]
    head = ['bag', 'configuration', *names]
    table = _table(head, lines, numbers=range(2, len(head)))
    return ['## Nodes', 'Images answered, median time of inference.', table]


def _node(node: NodeResult | None) -> str:
    if node is None:
        return '-'
    time = f', {node.inference_ms[0]:.1f} ms' if node.inference_ms else ''
    return f'{node.answered}/{node.images}{time}'


def _failure(result: Result) -> str:
    fence = '`' * 3
    log = f'\n\n{fence}text\n{result.log}\n{fence}' if result.log else ''
    return f'### {result.cell.name}\n\n{result.words}: {result.error}{log}'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], numbers: Iterable[int]) -> str:
    """Return a table in Markdown; ``numbers`` are the columns that are set to the right."""
    right = set(numbers)
    rule = ['---:' if i in right else '---' for i in range(len(head))]
    lines = [list(head), rule, *(list(row) for row in rows)]
    return '\n'.join('| ' + ' | '.join(_escaped(c) for c in line) + ' |' for line in lines)


def _escaped(text: str) -> str:
    return text.replace('|', '\\|').replace('\n', ' ')
