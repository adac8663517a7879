"""Cards and README hold what was measured; a wrong mark is named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from dlcv.evaluation.bench.card import insert, renew
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.report import Report, Row, Table, environment, write_json
from dlcv.metrics.quantity import Quantity

ROOT = Path(__file__).parents[3]
CARDS = sorted((ROOT / 'docs' / 'models').glob('*.md'))
DOCUMENTS = [ROOT / 'README.md', ROOT / 'docs' / 'lecture.md', *CARDS]
DOCUMENT = """\
# A network

<!-- bench net.json: begin -->
old
<!-- bench: end -->

And for deciding:

<!-- bench net.json graf: begin -->
<!-- bench: end -->
The end.
"""


@pytest.fixture
def folder(tmp_path):
    columns = (Quantity(name='MLE', unit='px', better='low', doc='how far off'),)
    tables = [
        Table(name=name, title=f'On {name}', columns=columns, rows=(Row(name='A', values=(1.5,)),))
        for name in ('photos', 'graf')
    ]
    report = Report(
        bench='features',
        tables=tuple(tables),
        settings={'matcher': 'mutual'},
        environment=replace(environment(), files={'net.safetensors': 'abc'}),
    )
    write_json(report, tmp_path / 'net.json')
    return tmp_path


@pytest.mark.parametrize('path', DOCUMENTS, ids=lambda path: path.name)
def test_documents_hold_what_was_measured(path):
    text = path.read_text()
    assert insert(text, path.parent) == text, f'run `dlcv bench cards {path.name}`'


def test_every_report_has_a_card():
    cards = ''.join(path.read_text() for path in CARDS)
    reports = [path.name for path in (ROOT / 'docs' / 'models').glob('*.json')]
    assert [name for name in reports if f'bench {name}' not in cards] == []


def test_all_tables_come_with_their_meaning_and_origin(folder):
    whole, _, chosen = insert(DOCUMENT, folder).partition('And for deciding:')
    for text in ('**On photos**', '**On graf**', '| A | 1.500 |', '- MLE: how far off',
                 '- matcher: mutual', '`net.safetensors`, SHA-256 `abc`'):  # fmt: skip
        assert text in whole
    assert 'old' not in whole
    assert chosen.count('| A | 1.500 |') == 1
    assert 'Measured' not in chosen
    assert chosen.endswith('The end.\n')


def test_renewing_twice_changes_nothing(folder):
    path = folder / 'net.md'
    path.write_text(DOCUMENT)
    assert renew(path)
    assert not renew(path)


def test_a_document_without_marks_is_left_alone(folder):
    assert insert('# Nothing\n', folder) == '# Nothing\n'


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('<!-- bench net.json: begin -->', 'has no <!-- bench: end -->'),
        ('<!-- bench net.json: begin -->\n' * 2 + '<!-- bench: end -->', 'has no'),
        ('<!-- bench nothing.json: begin --><!-- bench: end -->', 'no such report'),
        ('<!-- bench net.json wall: begin --><!-- bench: end -->', "no table 'wall'"),
    ],
)
def test_wrong_marks_are_named(folder, text, words):
    with pytest.raises(BenchError, match=words):
        insert(text, folder)
