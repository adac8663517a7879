"""One report of speed beside an older one."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.report import Report, Row, Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """One number that is known of both reports.

    Attributes:
        table: Where it stands.
        row: Of what.
        column: Which.
        worse: How many times as bad it is as it was: below 1 it is better.
    """

    table: str
    row: str
    column: str
    worse: float

    def __str__(self) -> str:
        return f'{self.table}, {self.row}, {self.column}: {self.worse:.2f} times as bad as before'


def compare(new: Report, old: Report) -> tuple[list[Table], list[Change]]:
    """Return new over old, table by table, and how much worse each number has become.

    A number takes part that is in both reports, above zero, and better high or low.

    Raises:
        BenchError: The reports have no such number in common.
    """
    changes: list[Change] = []
    before = {table.name: table for table in old.tables}
    both = (table for table in new.tables if table.name in before)
    found = (_ratios(table, before[table.name], changes) for table in both)
    tables = [table for table in found if table is not None]
    if not tables:
        raise BenchError(
            f'nothing to compare: the new report has {[t.name for t in new.tables]}, the old one '
            f'{[t.name for t in old.tables]}'
        )
    return tables, changes


def _ratios(new: Table, old: Table, changes: list[Change]) -> Table | None:
    columns = [c for c in new.columns if c.better and c.name in {o.name for o in old.columns}]
    known = {row.name for row in old.rows}
    rows = []
    for row in new.rows:
        if row.name not in known:
            continue
        values: list[float | None] = []
        for column in columns:
            now, then = new.value(row.name, column.name), old.value(row.name, column.name)
            if not now or not then or min(now, then) < 0:
                values.append(None)
                continue
            values.append(now / then)
            worse = now / then if column.better == 'low' else then / now
            changes.append(Change(table=new.name, row=row.name, column=column.name, worse=worse))
        rows.append(Row(name=row.name, values=tuple(values)))
    if not rows or not columns:
        return None
    return Table(
        name=new.name,
        title=f'{new.title}: new over old',
        columns=tuple(replace(column, unit='', digits=2) for column in columns),
        rows=tuple(rows),
    )
