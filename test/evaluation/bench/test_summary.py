"""The suite in one table: each figure is that of its report, the better one bold."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.report import read_json, write_json
from dlcv.evaluation.bench.summary import LINES, summary

MODELS = Path(__file__).parents[3] / 'docs' / 'models'


def changed(tmp_path, value):
    """Copy the reports; SuperPoint's H@3 on photos becomes another one."""
    for path in MODELS.glob('*.json'):
        shutil.copy(path, tmp_path)
    report = read_json(tmp_path / 'superpoint.json')
    (table,) = (t for t in report.tables if t.name == 'photos')
    at = [c.name for c in table.columns].index('H@3')
    rows = tuple(
        replace(row, values=(*row.values[:at], value, *row.values[at + 1 :]))
        if row.name == 'SuperPoint'
        else row
        for row in table.rows
    )
    tables = tuple(replace(t, rows=rows) if t is table else t for t in report.tables)
    write_json(replace(report, tables=tables), tmp_path / 'superpoint.json')
    return next(line for line in summary(tmp_path).splitlines() if '| the same |' in line)


def test_there_is_a_row_for_each_comparison():
    assert len(summary(MODELS).splitlines()) == 2 + len(LINES)


def test_the_better_one_is_bold(tmp_path):
    assert '**0.912** SuperPoint' in changed(tmp_path, 0.912)
    assert '| 0.100 SuperPoint | **0.' in changed(tmp_path, 0.1)


def test_what_was_not_measured_is_a_dash(tmp_path):
    assert '| - SuperPoint | **0.' in changed(tmp_path, None)


def test_a_row_that_is_gone_is_named(tmp_path):
    for path in MODELS.glob('*.json'):
        shutil.copy(path, tmp_path)
    report = read_json(tmp_path / 'odometry.json')
    tables = tuple(
        replace(t, rows=tuple(r for r in t.rows if r.name != 'deepvo')) for t in report.tables
    )
    write_json(replace(report, tables=tables), tmp_path / 'odometry.json')
    with pytest.raises(BenchError, match="no 'deepvo' 't_rel'"):
        summary(tmp_path)
