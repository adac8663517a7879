"""A report survives its file, prints what it holds, and refuses what it is not."""

from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from dlcv.evaluation.bench.options import BenchError, BenchOptions, check_sets
from dlcv.evaluation.bench.report import (
    Report,
    Row,
    Table,
    environment,
    markdown,
    print_tables,
    read_json,
    time_column,
    write_json,
)
from dlcv.metrics.quantity import Quantity

COLUMNS = (
    Quantity(name='MLE', unit='px', better='low', digits=2),
    Quantity(name='mAP', better='high'),
    Quantity(name='pairs', digits=0),
)


def report(*rows: Row) -> Report:
    table = Table(name='photos', title='Photos', columns=COLUMNS, rows=rows)
    return Report(
        bench='features', tables=(table,), settings={'points': '300'}, environment=environment()
    )


A = Row(name='a', values=(1.004, 0.5, 10.0))
B = Row(name='b', values=(1.0, 0.75, None))


def test_what_is_written_is_read(tmp_path):
    path = tmp_path / 'report.json'
    written = report(A, B)
    write_json(written, path)
    assert read_json(path) == written


def test_numbers_that_json_does_not_have_become_null(tmp_path):
    path = tmp_path / 'report.json'
    write_json(report(Row(name='a', values=(float('nan'), float('inf'), 1.0))), path)
    assert read_json(path).tables[0].rows[0].values == (None, None, 1.0)


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        ('{', 'no JSON'),
        ('[]', 'schema 1, got None'),
        ('{"schema": 2}', 'schema 1, got 2'),
        ('{"schema": 1, "bench": "flow"}', "'tables' is required"),
    ],
)
def test_what_is_no_report_is_refused(tmp_path, text, words):
    path = tmp_path / 'report.json'
    path.write_text(text)
    with pytest.raises(BenchError, match=words):
        read_json(path)


def test_a_row_has_a_value_for_each_column(tmp_path):
    with pytest.raises(BenchError, match='row a has 1 values for 3 columns'):
        report(Row(name='a', values=(1.0,)))


def test_the_best_is_what_a_reader_of_the_print_would_call_best():
    table = report(A, B).tables[0]
    assert table.best() == [{0, 1}, {1}, set()]  # 1.004 and 1.0 both print as 1.00
    assert markdown(table).splitlines() == [
        '|  | MLE (px) ↓ | mAP ↑ | pairs |',
        '| --- | ---: | ---: | ---: |',
        '| a | **1.00** | 0.500 | 10 |',
        '| b | **1.00** | **0.750** | - |',
    ]


def test_times_are_not_repeatable():
    assert not time_column('pair').repeatable
    assert not Quantity(name='making', unit='s').repeatable
    assert all(column.repeatable for column in COLUMNS)


def test_values_are_found_by_name_and_the_message_names_the_others():
    table = report(A, B).tables[0]
    assert table.value('b', 'mAP') == 0.75
    with pytest.raises(BenchError, match=r"rows are \['a', 'b'\]"):
        table.value('c', 'mAP')
    with pytest.raises(BenchError, match=r"there are \['photos'\]"):
        report(A).table('graf')


def test_the_terminal_shows_every_number():
    out = io.StringIO()
    print_tables(report(A, B), Console(file=out, width=100))
    shown = out.getvalue()
    assert all(text in shown for text in ('Photos', 'MLE (px)', '0.750', '1.00', '10'))


def test_the_environment_names_files_by_digest(tmp_path):
    file = tmp_path / 'net.safetensors'
    file.write_bytes(b'abc')
    found = environment([file]).files['net.safetensors']
    assert found == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'
    assert json.dumps(environment().versions)


def test_options_are_checked():
    with pytest.raises(BenchError, match='at least 1, got 0'):
        BenchOptions(limit=0)
    with pytest.raises(BenchError, match=r"no set 'moon'; there are photos, graf"):
        check_sets(['moon'], ['photos', 'graf'])
