"""From files to tables, files and an exit code."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from dlcv.evaluation.comparison.bootstrap import Bootstrap
from dlcv.evaluation.comparison.compare import ComparisonError, compare
from dlcv.evaluation.comparison.files import SCHEMA, labels, run_compare
from dlcv.evaluation.comparison.text import markdown
from dlcv.evaluation.scoring.files import EvaluationError, write_json
from dlcv.evaluation.scoring.model import Evaluation, Metric, NodeResult, Section, summary

HOW = Bootstrap(draws=200)
ERRORS = np.random.default_rng(0).uniform(0.3, 0.7, 60)
BASE = 0.5 * ERRORS / np.sqrt(np.mean(ERRORS**2))


def evaluation(errors, **facts: str) -> Evaluation:
    return Evaluation(
        title='drive',
        mode='lock-step',
        facts={'bag': 'drive.mcap', **facts},
        nodes=(NodeResult(name='deepvo', images=60, answered=60, longest_gap=0.1),),
        sections=(
            Section(
                name='odometry',
                title='Odometry',
                metrics=(
                    Metric(
                        name='ATE',
                        value=summary('rms', errors),
                        unit='m',
                        better='low',
                        statistic='rms',
                        samples=tuple(errors),
                    ),
                    Metric(name='a|b <1.25', value=None, why='no truth'),
                ),
            ),
        ),
    )


@pytest.fixture
def paths(tmp_path) -> list[Path]:
    """Return files of a baseline, of a worse one, and of one that drops frames."""
    found = [tmp_path / name for name in ('main.json', 'branch.json', 'short.json')]
    for path, errors in zip(found, (BASE, BASE * 1.4, BASE[:40]), strict=True):
        write_json(evaluation(errors, host=path.stem), path)
    return found


@pytest.fixture
def limits(tmp_path) -> Path:
    path = tmp_path / 'limits.yaml'
    path.write_text('odometry: {ATE: {max: 0.6}}')
    return path


def shown(paths, thresholds=None, out=None, width=160) -> tuple[int, str]:
    text = io.StringIO()
    console = Console(file=text, width=width)
    code = run_compare(paths, thresholds, out, console, HOW)
    return code, text.getvalue()


def test_a_table_shows_values_difference_interval_and_verdict(paths):
    code, text = shown(paths[:2])
    line = next(line.strip() for line in text.splitlines() if 'ATE (m)' in line)
    values, verdict = line.removeprefix('ATE (m) ↓').split()[:7], line.split()[-3:]
    assert code == 0
    assert values[:4] == ['0.500', '0.700', '+0.200', '+40.0%']
    assert float(values[4]) < 0.2 < float(values[6])
    assert verdict == ['worse', '60', 'pairs']
    assert 'warning: host differs: main and branch' in text


def test_on_a_narrow_terminal_nothing_is_cut_off(paths):
    _, text = shown(paths, width=80)
    assert '…' not in text
    assert 'odometry, a|b <1.25: no truth' in text
    assert 'odometry, ATE: 60 and 40' in text
    assert all(word in text for word in ('+0.200', 'worse', 'verdict'))


def test_without_limits_nothing_fails_and_nothing_is_said_of_them(paths):
    code, text = shown(paths)
    assert code == 0
    assert 'limits' not in text
    assert '60 and 40' in text


def test_a_broken_limit_is_shown_and_makes_the_exit_code_1(paths, limits):
    code, text = shown(paths[:2], limits)
    assert code == 1
    assert 'limits: 1 broken, 0 numbers within' in text
    assert 'odometry, ATE: 0.700 m is over max 0.6 m' in text


def test_the_baseline_itself_may_break_limits(paths, limits):
    code, text = shown([paths[1], paths[0]], limits)
    assert code == 0
    assert 'limits: 0 broken, 1 numbers within' in text


def test_one_file_is_shown_and_checked_by_itself(paths, limits):
    code, text = shown(paths[1:2], limits)
    assert code == 1
    assert 'against' not in text
    assert 'verdict' not in text


def test_the_comparison_is_written(paths, limits, tmp_path):
    out = tmp_path / 'new' / 'folder'
    shown(paths, limits, out)
    data = json.loads((out / 'comparison.json').read_text())
    ate = data['others'][0]['groups'][0]['rows'][0]
    assert (data['schema'], data['baseline'], data['level']) == (SCHEMA, 'main', 0.95)
    assert [other['label'] for other in data['others']] == ['branch', 'short']
    assert ate['verdict'] == 'worse'
    assert ate['interval']['pairing'] == 'paired'
    assert data['limits'] == {
        'held': 1,
        'violations': ['branch: odometry, ATE: 0.700 m is over max 0.6 m'],
        'skipped': [],
    }


def test_markdown_has_what_fails_first_and_as_many_cells_in_each_line(paths, limits, tmp_path):
    shown(paths, limits, tmp_path)
    text = (tmp_path / 'comparison.md').read_text()
    table = [line for line in text.splitlines() if line.startswith('|')]
    assert text.startswith('**limits: 1 broken, 1 numbers within**\n\n- branch: odometry, ATE')
    assert {line.replace('\\|', '').count('|') for line in table} == {9}
    assert '| **worse** |' in text
    assert 'a\\|b \\<1.25' in text
    assert '- warning: host differs: main and branch' in text


def test_markdown_of_one_evaluation_has_no_difference():
    text = markdown(compare(None, [evaluation(BASE)], labels=['main'], how=HOW), None)
    assert text.startswith('### main\n\n|  | main | 95 % interval | samples |')


def test_a_file_that_cannot_be_read_is_named(paths, tmp_path):
    with pytest.raises(EvaluationError, match=r'none\.json'):
        shown([paths[0], tmp_path / 'none.json'])
    with pytest.raises(ComparisonError, match='got none'):
        shown([])


@pytest.mark.parametrize(
    ('paths', 'expected'),
    [
        (['x/a.json', 'y/b.json'], ['a', 'b']),
        (['x/evaluation.json', 'y/evaluation.json'], ['x', 'y']),
        (['1/x/e.json', '2/x/e.json'], ['1/x/e.json', '2/x/e.json']),
    ],
)
def test_labels_tell_files_apart(paths, expected):
    assert labels([Path(path) for path in paths]) == expected
