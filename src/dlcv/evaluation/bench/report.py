"""What a bench found: tables of numbers with units, as JSON, on a terminal and in Markdown."""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.config import ConfigError, from_dict
from dlcv.evaluation.bench.options import BenchError
from dlcv.files import read_text, write_whole
from dlcv.host import command, host, versions
from dlcv.metrics.quantity import Quantity

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = 1
"""Of the JSON; raised when a reader of the old one would misread the new one."""

_LIBRARIES = ('numpy', 'torch', 'opencv-python-headless')


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The numbers of one method.

    Attributes:
        name: The method.
        values: One for each column; None where it does not apply or there is no truth.
    """

    name: str
    values: tuple[float | None, ...]


def known(values: Iterable[float]) -> tuple[float | None, ...]:
    """Return numbers as a `Row` holds them: None for what is not a number."""
    return tuple(None if math.isnan(value) else float(value) for value in values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Methods by quantities, on one set.

    Attributes:
        name: Short and unique in its report, such as ``photos/viewpoint``.
        title: What was measured on what, for people.
        columns: The quantities.
        rows: The methods.
    """

    name: str
    title: str
    columns: tuple[Quantity, ...]
    rows: tuple[Row, ...]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row.values) != len(self.columns):
                raise BenchError(
                    f'table {self.name}: row {row.name} has {len(row.values)} values for '
                    f'{len(self.columns)} columns'
                )

    def value(self, row: str, column: str) -> float | None:
        """Return the number of a method in a column.

        Raises:
            BenchError: There is no such row or column.
        """
        names = [c.name for c in self.columns]
        found = [r for r in self.rows if r.name == row]
        if not found or column not in names:
            raise BenchError(
                f'table {self.name} has no {row!r} {column!r}; its rows are '
                f'{[r.name for r in self.rows]}, its columns {names}'
            )
        return found[0].values[names.index(column)]

    def cells(self) -> list[list[str]]:
        """Return the printed text of every row: its name, then its numbers; ``-`` for None."""
        return [
            [row.name, *(printed(c, v) for c, v in zip(self.columns, row.values, strict=True))]
            for row in self.rows
        ]

    def best(self) -> list[set[int]]:
        """Return, for every column, the rows whose printed number no other one betters."""
        return [self._best(i, column) for i, column in enumerate(self.columns)]

    def _best(self, index: int, column: Quantity) -> set[int]:
        texts = [printed(column, row.values[index]) for row in self.rows]
        known = [float(text) for text in texts if text != '-']
        if not column.better or len(known) < 2:
            return set()
        goal = max(known) if column.better == 'high' else min(known)
        return {i for i, text in enumerate(texts) if text != '-' and float(text) == goal}


@dataclass(frozen=True, kw_only=True, slots=True)
class Environment:
    """Where and with what a report was made.

    Attributes:
        date: UTC, ISO 8601.
        host: Processor and how many of its cores this process may use.
        python: Its version.
        versions: Name -> version of what decides the numbers.
        command: The command line that makes this report again.
        files: Name -> SHA-256 of the weight files.
    """

    date: str
    host: str
    python: str
    versions: dict[str, str]
    command: str
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All tables of one bench.

    Attributes:
        bench: Which one, such as ``features``.
        tables: In the order in which they are shown.
        settings: Name -> value of what was the same for all methods, in words.
        environment: Where and with what.
        schema: See `SCHEMA`.
    """

    bench: str
    tables: tuple[Table, ...]
    settings: dict[str, str]
    environment: Environment
    schema: int = SCHEMA

    def table(self, name: str) -> Table:
        """Return one table.

        Raises:
            BenchError: There is none of that name.
        """
        for table in self.tables:
            if table.name == name:
                return table
        raise BenchError(f'no table {name!r}; there are {[t.name for t in self.tables]}')


def printed(column: Quantity, value: float | None) -> str:
    """Return a number as it is shown everywhere: rounded to the column's digits."""
    return '-' if value is None or not math.isfinite(value) else f'{value:.{column.digits}f}'


def time_column(item: str) -> Quantity:
    """Return the column of the milliseconds that a method takes for an item, such as a pair."""
    return Quantity(
        name='time',
        unit='ms',
        better='low',
        digits=0,
        doc=f'median time of a {item}, on one core but for --threads; no two machines agree',
    )


def environment(weights: Iterable[Path | None] = ()) -> Environment:
    """Return the present environment; the command is the process's own.

    Args:
        weights: Files of the methods; None for a method without one.
    """
    files = dict.fromkeys(path for path in weights if path is not None)
    return Environment(
        date=datetime.now(timezone.utc).isoformat(timespec='seconds'),
        host=host(),
        python=platform.python_version(),
        versions=versions(*_LIBRARIES),
        command=command(),
        files={path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
    )


def write_json(report: Report, path: Path) -> None:
    """Write a report; numbers keep all their digits, what is unknown is null."""
    text = json.dumps(_plain(asdict(report)), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path, text + '\n')


def read_json(path: Path) -> Report:
    """Read what `write_json` wrote.

    Raises:
        BenchError: It is no report, or one of another schema.
    """
    try:
        data = json.loads(read_text(path))
    except ValueError as err:
        raise BenchError(f'{path}: is no JSON: {err}') from None
    if not isinstance(data, dict) or data.get('schema') != SCHEMA:
        found = data.get('schema') if isinstance(data, dict) else None
        raise BenchError(f'{path}: expected a report of schema {SCHEMA}, got {found}')
    try:
        return from_dict(data, Report)
    except ConfigError as err:
        raise BenchError(f'{path}: {err}') from None


def print_tables(report: Report, console: Console) -> None:
    """Show a report on a terminal; the best of each column is bold."""
    from rich.table import Table as Grid
    from rich.text import Text

    for table in report.tables:
        grid = Grid(title=table.title, title_justify='left', title_style='')
        grid.add_column('', no_wrap=True)
        for column in table.columns:
            grid.add_column(column.title, justify='right', no_wrap=True)
        best = table.best()
        for i, (name, *cells) in enumerate(table.cells()):
            styled = (Text(c, 'bold' if i in best[j] else '') for j, c in enumerate(cells))
            grid.add_row(name, *styled)
        console.print(grid)


def markdown(table: Table) -> str:
    """Return a table in Markdown; the best of each column is bold."""
    best = table.best()
    lines = [['', *(c.title for c in table.columns)], ['---', *['---:'] * len(table.columns)]]
    for i, (name, *cells) in enumerate(table.cells()):
        lines.append([name, *(f'**{c}**' if i in best[j] else c for j, c in enumerate(cells))])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _plain(value: Any) -> Any:
    """Return ``value`` with null for numbers that JSON does not have."""
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
