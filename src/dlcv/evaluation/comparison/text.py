"""A comparison for people: on a terminal, and in Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from dlcv.evaluation.comparison.bootstrap import Interval
from dlcv.evaluation.comparison.compare import Against, Comparison, Group, Row
from dlcv.evaluation.comparison.thresholds import Checked

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_ARROWS = {'high': ' ↑', 'low': ' ↓', '': ''}
_STYLES = {'better': 'green', 'worse': 'bold red', 'changed': 'yellow'}
_WIDE = 120  # characters
_LEFT_OUT = ('relative', 'samples')  # where there are fewer
_MARKED = ('better', 'worse', 'changed')


def print_comparison(comparison: Comparison, checked: Checked | None, console: Console) -> None:
    """Show a table for each evaluation, what is unfair, and what does not hold.

    Where a line has little room, what the last column would say stands below the table.
    """
    narrow = console.width < _WIDE
    for other in comparison.others:
        console.print(_grid(comparison, other, narrow))
        for text in [*(_reasons(other) if narrow else ()), *_remarks(other)]:
            console.print(text, style='yellow', markup=False, highlight=False)
    for text in _legend(comparison):
        console.print(text, style='dim', markup=False, highlight=False)
    if checked is not None:
        style = 'bold red' if checked.violations else 'green'
        console.print(_verdict(checked), style=style, markup=False, highlight=False)
        for text in _lines(checked):
            console.print(f'  {text}', markup=False, highlight=False)


def markdown(comparison: Comparison, checked: Checked | None) -> str:
    """Return the same as a comment for a pull request: what fails comes first."""
    parts = [] if checked is None else [_section(f'**{_verdict(checked)}**', _lines(checked))]
    for other in comparison.others:
        parts += [f'### {_title(comparison, other)}', _markdown_table(comparison, other)]
        if remarks := _remarks(other):
            parts.append('\n'.join(f'- {_escaped(text)}' for text in remarks))
    parts += _legend(comparison)
    return '\n\n'.join(parts) + '\n'


def _title(comparison: Comparison, other: Against) -> str:
    return f'{other.label} against {comparison.baseline}' if comparison.baseline else other.label


def _head(comparison: Comparison, other: Against) -> list[str]:
    interval = f'{100 * comparison.level:g} % interval'
    if not comparison.baseline:
        return ['', other.label, interval, 'samples']
    labels = [comparison.baseline, other.label]
    return ['', *labels, 'difference', 'relative', interval, 'verdict', 'samples']


def _cells(comparison: Comparison, row: Row) -> list[str]:
    name = f'{row.name}{f" ({row.unit})" if row.unit else ""}{_ARROWS[row.better]}'
    other, interval = _number(row, row.other), _ends(row)
    if not comparison.baseline:
        return [name, other, interval, _samples(row)]
    difference = '' if row.difference is None else f'{row.difference:+.{row.digits}f}'
    relative = '' if row.relative is None else f'{row.relative:+.1%}'
    baseline = _number(row, row.baseline)
    return [name, baseline, other, difference, relative, interval, row.verdict, _samples(row)]


def _number(row: Row, value: float | None) -> str:
    return '-' if value is None else f'{value:.{row.digits}f}'


def _ends(row: Row) -> str:
    """Return the interval, with signs where it is of a difference."""
    if row.interval is None:
        return ''
    sign = '+' if row.interval.pairing else ''
    low, high = (f'{end:{sign}.{row.digits}f}' for end in (row.interval.low, row.interval.high))
    return f'{low} to {high}'


def _samples(row: Row) -> str:
    """Return what an interval was drawn from, and what is to be said of the row."""
    return '; '.join(filter(None, (_drawn(row.interval), row.why)))


def _drawn(interval: Interval | None) -> str:
    if interval is None:
        return ''
    counts = ' and '.join(map(str, interval.samples))
    return f'{counts} pairs' if interval.pairing == 'paired' else counts


def _remarks(other: Against) -> list[str]:
    """Return warnings, and changes that may explain the numbers."""
    changes = (f'{c.name}: {c.baseline or "-"} -> {c.other or "-"}' for c in other.changes)
    return [*(f'warning: {text}' for text in other.warnings), *changes]


def _reasons(other: Against) -> list[str]:
    """Return what the last column says, of rows where it is not that all frames are paired."""
    return [
        f'{group.name}, {row.name}: {_samples(row)}'
        for group in other.groups
        for row in group.rows
        if row.why or (row.interval and row.interval.pairing == 'unpaired')
    ]


def _legend(comparison: Comparison) -> list[str]:
    """Return how intervals are to be read, where there are any."""
    found = [row.interval for other in comparison.others for row in _rows(other) if row.interval]
    if not found:
        return []
    level = comparison.level
    words = [f'Intervals: {100 * level:g} %, by bootstrap of blocks of neighbouring samples.']
    if comparison.baseline:
        by_chance = (1 - level) * len(found)
        words.append(f'By chance alone about {by_chance:.1f} of {len(found)} would exclude zero.')
    if any(interval.pairing == 'paired' for interval in found):
        words.append('Pairs: the same frames (or segments) are drawn of both.')
    if any(interval.pairing == 'unpaired' for interval in found):
        words.append('Two counts: each is drawn by itself.')
    return [' '.join(words)]


def _rows(other: Against) -> Iterable[Row]:
    return (row for group in other.groups for row in group.rows)


def _verdict(checked: Checked) -> str:
    skipped = f', {len(checked.skipped)} not checked' if checked.skipped else ''
    return f'limits: {len(checked.violations)} broken, {checked.held} numbers within{skipped}'


def _lines(checked: Checked) -> list[str]:
    return [*checked.violations, *(f'not checked: {text}' for text in checked.skipped)]


def _section(title: str, lines: Sequence[str]) -> str:
    return '\n'.join([title, *(['', *(f'- {_escaped(line)}' for line in lines)] if lines else [])])


def _grid(comparison: Comparison, other: Against, narrow: bool) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    head = _head(comparison, other)
    kept = [i for i, name in enumerate(head) if not (narrow and name in _LEFT_OUT)]
    title = Text(_title(comparison, other), 'bold')
    grid = Table(title=title, title_justify='left', box=SIMPLE_HEAD, pad_edge=False)
    for i in kept:
        text = i == 0 or head[i] == 'samples'
        grid.add_column(Text(head[i]), justify='left' if text else 'right', no_wrap=i == 0)
    for group in other.groups:
        grid.add_row(Text(group.title, 'bold'))
        for row in group.rows:
            cells = _cells(comparison, row)
            grid.add_row(*(Text(cells[i], _STYLES.get(cells[i], '')) for i in kept))
        grid.add_section()
    return grid


def _markdown_table(comparison: Comparison, other: Against) -> str:
    head = [_escaped(name) for name in _head(comparison, other)]
    lines = [head, ['---', *['---:'] * (len(head) - 2), '---']]
    for group in other.groups:
        lines += _markdown_rows(comparison, group, len(head))
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _markdown_rows(comparison: Comparison, group: Group, columns: int) -> list[list[str]]:
    title = [f'**{_escaped(group.title)}**', *[''] * (columns - 1)]
    rows = ([_escaped(cell) for cell in _cells(comparison, row)] for row in group.rows)
    return [title, *([f'**{c}**' if c in _MARKED else c for c in cells] for cells in rows)]


def _escaped(text: str) -> str:
    """Return a text that neither ends a cell nor becomes a tag or emphasis."""
    for char in '\\|<*_':
        text = text.replace(char, f'\\{char}')
    return text
