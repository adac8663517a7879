"""Whole runs: failures, second starts, interruptions."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dlcv.evaluation.matrix import LocalPool, MatrixError, Summary, load, run

DRIVER = """
import sys
from pathlib import Path
from dlcv.evaluation.matrix import LocalPool, load, run
matrix, out, jobs, *program = sys.argv[1:]
say = lambda line: print(line, flush=True)
sys.exit(run(load(Path(matrix)), Path(out), LocalPool(int(jobs), program), say=say).exit_code)
"""


def ran(desk, retries: int = 0, jobs: int = 2) -> tuple[Summary, list[str]]:
    lines: list[str] = []
    pool = LocalPool(jobs, desk.program)
    summary = run(load(desk.matrix), desk.out, pool, retries=retries, say=lines.append)
    return summary, lines


def states(summary: Summary) -> dict[str, tuple[str, int]]:
    return {r.cell.bag: (r.state, r.tries) for r in summary.results}


def driver(desk, jobs: int = 2) -> subprocess.Popen[str]:
    command = [sys.executable, '-c', DRIVER, desk.matrix, desk.out, str(jobs), *desk.program]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(what) -> None:
    deadline = time.monotonic() + 30
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def leftovers(folder: Path) -> list[Path]:
    return [p for p in folder.rglob('.*') if p.name != '.lock']


def test_every_cell_gets_its_folder_and_a_line(desk):
    desk.write(
        {'a': 'ok', 'b': 'ok'}, 'configurations: {x: , y: {parameters: {deepvo: {scale: 2.0}}}}'
    )
    summary, lines = ran(desk)
    assert summary.exit_code == 0
    assert len(lines) == 4
    assert lines[-1].startswith('[4/4] ')
    for place in ('a/x', 'a/y', 'b/x', 'b/y'):
        folder = desk.out / 'cells' / place
        names = {p.relative_to(folder).as_posix() for p in folder.rglob('*') if p.is_file()}
        assert names == {
            'cell.json', 'cell.log', 'evaluation.json', 'page/large.bin', 'parameters.yaml'
        }  # fmt: skip
    assert 'scale: 2.0' in (desk.out / 'cells/a/y/parameters.yaml').read_text()
    assert leftovers(desk.out) == []


def test_a_failing_cell_is_retried_and_the_rest_goes_on(desk):
    desk.write({'a': 'fail', 'b': 'fail first 1', 'c': 'ok', 'd': 'torn'})
    summary, lines = ran(desk, retries=2)
    assert summary.exit_code == 1
    assert states(summary) == {
        'a': ('failed', 3), 'b': ('done', 2), 'c': ('done', 1), 'd': ('failed', 3)
    }  # fmt: skip
    assert [len(desk.begun(bag)) for bag in 'abcd'] == [3, 2, 1, 3]
    a, _, _, d = summary.results
    assert a.error == 'exit code 1'
    assert a.log.endswith('the bag is bad')
    assert 'evaluation.json' in d.error
    assert 'a / default: exit code 1 (the bag is bad); trying again, 2 of 3' in lines
    assert (desk.out / 'failed/a/default/cell.log').read_text().endswith('the bag is bad\n')
    assert not (desk.out / 'cells/a/default').exists()


def test_a_second_start_runs_what_is_not_finished(desk):
    desk.write({'a': 'ok', 'b': 'fail first 1'})
    first, _ = ran(desk)
    assert states(first) == {'a': ('done', 1), 'b': ('failed', 1)}
    second, lines = ran(desk)
    assert states(second) == {'a': ('skipped', 1), 'b': ('done', 1)}
    assert lines[0] == '[1/2] a / default: skipped: finished before'
    assert not (desk.out / 'failed/b/default').exists()
    assert second.exit_code == 0
    assert len(desk.begun('a')) == 1


def test_what_changed_is_run_again(desk):
    desk.write({'a': 'ok', 'b': 'ok'})
    ran(desk)
    (desk.folder / 'b.mcap').write_text('ok ok')
    assert states(ran(desk)[0]) == {'a': ('skipped', 1), 'b': ('done', 1)}
    desk.write({}, '')
    desk.matrix.write_text(
        'bags: {a: a.mcap, b: b.mcap}\nconfigurations: {default: {nodes: [deepvo]}}'
    )
    assert states(ran(desk)[0]) == {'a': ('done', 1), 'b': ('done', 1)}


@pytest.mark.parametrize('text', ['', '{"schema": ', '{}'])
def test_a_damaged_result_is_run_again(desk, text):
    desk.write({'a': 'ok'})
    ran(desk)
    (desk.out / 'cells/a/default/evaluation.json').write_text(text)
    assert states(ran(desk)[0]) == {'a': ('done', 1)}


def test_an_old_result_stays_until_there_is_a_new_one(desk):
    desk.write({'a': 'ok'})
    ran(desk)
    desk.write({'a': 'fail'})
    assert ran(desk)[0].exit_code == 1
    assert (desk.out / 'cells/a/default/evaluation.json').exists()


def test_the_summary_is_there_while_cells_run(desk):
    gate = desk.folder / 'gate'
    desk.write({'a': 'ok', 'b': f'wait {gate}'})
    process = driver(desk)
    path = desk.out / 'matrix.json'
    wait_for(lambda: path.exists() and json.loads(path.read_text())['cells'][0]['state'] == 'done')
    assert json.loads(path.read_text())['cells'][1]['state'] == 'open'
    gate.touch()
    assert process.wait() == 0
    assert json.loads(path.read_text())['cells'][1]['state'] == 'done'


def test_nothing_finished_is_lost_when_the_run_is_killed(desk):
    gate = desk.folder / 'gate'
    desk.write({'a': 'ok', 'b': f'wait {gate}', 'c': 'ok'})
    process = driver(desk, jobs=1)
    wait_for(lambda: desk.begun('b'))
    process.kill()
    process.wait()
    assert leftovers(desk.out) == [desk.out / 'cells/b/.default.part']
    gate.touch()
    summary, _ = ran(desk)
    assert states(summary) == {'a': ('skipped', 1), 'b': ('done', 1), 'c': ('done', 1)}
    assert leftovers(desk.out) == []


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_ends_its_cells_and_says_what_is_finished(desk, number):
    desk.write({'a': 'ok', 'b': 'wait never', 'c': 'wait never'})
    process = driver(desk)
    wait_for(lambda: desk.begun('b') and desk.begun('c'))
    process.send_signal(number)
    text, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert 'interrupted: ending what runs; 1 of 3 cells are finished and kept' in text
    assert leftovers(desk.out) == []
    for bag in 'bc':
        with pytest.raises(ProcessLookupError):
            os.kill(int(desk.begun(bag)[0].split()[0]), 0)
    told = json.loads((desk.out / 'matrix.json').read_text())
    assert [cell['state'] for cell in told['cells']] == ['done', 'open', 'open']
    assert told['interrupted']


def test_two_runs_do_not_share_a_folder(desk):
    gate = desk.folder / 'gate'
    desk.write({'a': f'wait {gate}'})
    process = driver(desk)
    wait_for(lambda: desk.begun('a'))
    with pytest.raises(MatrixError, match='another run is at work here'):
        ran(desk)
    gate.touch()
    assert process.wait() == 0


def test_no_more_at_a_time_than_jobs(desk):
    gate = desk.folder / 'gate'
    desk.write(dict.fromkeys('abc', f'wait {gate}'))
    process = driver(desk, jobs=2)
    wait_for(lambda: desk.begun('a') and desk.begun('b'))
    time.sleep(0.3)
    assert not desk.begun('c')
    gate.touch()
    assert process.wait() == 0


def test_half_a_swap_is_undone(desk):
    desk.write({'a': 'ok'})
    ran(desk)
    folder = desk.out / 'cells/a/default'
    folder.rename(folder.with_name('.default.old'))
    assert states(ran(desk)[0]) == {'a': ('skipped', 1)}


def test_numbers_that_make_no_sense(desk):
    desk.write({'a': 'ok'})
    with pytest.raises(MatrixError, match='retries: expected 0 or more, got -1'):
        ran(desk, retries=-1)
    with pytest.raises(ValueError, match='jobs: expected 1 or more, got 0'):
        LocalPool(0)
