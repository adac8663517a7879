"""Tables of a bench in Markdown documents, written from its JSON between two marks.

A document asks for tables with ::

    <!-- bench superpoint.json: begin -->
    <!-- bench: end -->

The file is looked for beside the document. Names of tables after it pick these and leave out how
they were measured: ``<!-- bench docs/models/superpoint.json photos: begin -->``. A folder
of reports in place of a file asks for the suite in one table, see `summary`:
``<!-- bench docs/models: begin -->``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.report import Report, Table, markdown, read_json
from dlcv.evaluation.bench.summary import summary
from dlcv.files import write_whole

_BEGIN = re.compile(r'<!-- bench (?P<file>[^\s:]+)(?P<tables>(?: [^\s:]+)*): begin -->')
_END = '<!-- bench: end -->'


def renew(path: Path) -> bool:
    """Write the tables of a document anew; return whether that changed it.

    Raises:
        BenchError: See `insert`.
    """
    before = path.read_text(encoding='utf-8')
    after = insert(before, path.parent)
    if after != before:
        write_whole(path, after)
    return after != before


def insert(document: str, folder: Path) -> str:
    """Return a document with what stands between its marks renewed.

    Args:
        document: Markdown.
        folder: Where its JSON files are looked for.

    Raises:
        BenchError: A mark has no end, or its file or table does not exist.
    """
    parts, at = [], 0
    for begin in _BEGIN.finditer(document):
        end = document.find(_END, begin.end())
        following = _BEGIN.search(document, begin.end())
        if end < 0 or (following and following.start() < end):
            raise BenchError(f'{begin[0]} has no {_END}')
        parts += [document[at : begin.end()], _block(folder / begin['file'], begin['tables']), _END]
        at = end + len(_END)
    return ''.join([*parts, document[at:]])


def _block(path: Path, names: str) -> str:
    if path.is_dir():
        return f'\n\n{summary(path)}\n\n'
    if not path.is_file():
        raise BenchError(f'{path}: there is no such report to take tables from')
    report = read_json(path)
    if names:
        picked = [report.table(name) for name in names.split()]
        texts = _titled(picked) if len(picked) > 1 else [markdown(picked[0])]
    else:
        texts = _whole(report)
    return '\n\n{}\n\n'.format('\n\n'.join(texts))


def _whole(report: Report) -> list[str]:
    """Return all tables under their titles, then what their columns mean, then how it was run."""
    tables = _titled(report.tables)
    columns = {c.name: c for t in report.tables for c in t.columns if c.doc}
    meanings = '\n'.join(f'- {column.name}: {column.doc}' for column in columns.values())
    settings = '\n'.join(f'- {name}: {value}' for name, value in report.settings.items())
    return [*tables, *filter(None, (meanings, settings)), _origin(report)]


def _titled(tables: Sequence[Table]) -> list[str]:
    return [text for t in tables for text in (f'**{t.title}**', markdown(t))]


def _origin(report: Report) -> str:
    here = report.environment
    versions = ', '.join(f'{name} {version}' for name, version in here.versions.items())
    files = ''.join(f'\n- `{name}`, SHA-256 `{digest}`' for name, digest in here.files.items())
    return (
        f'Measured by `{here.command}` on {here.date[:10]}, {here.host}, Python {here.python}, '
        f'{versions}.{files}'
    )
