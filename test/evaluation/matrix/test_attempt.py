"""Processes of cells: how they end, are ended, and that none outlives who started it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlcv.evaluation.matrix import attempt as module
from dlcv.evaluation.matrix import load
from dlcv.evaluation.matrix.attempt import Attempt, Running, end


def started(desk, words: str, timeout: float = 0.0) -> Running:
    more = f'configurations: {{default: }}\ntimeout: {timeout}'
    (cell,) = load(desk.write({'a': words}, more)).cells
    return Running(cell, desk.folder / 'cell', program=desk.program)


def ended(running: Running) -> Attempt:
    while (attempt := running.attempt()) is None:
        time.sleep(0.01)
    return attempt


def until_begun(desk) -> int:
    """Wait for the mark of a run and return its process."""
    while not desk.begun('a'):
        time.sleep(0.01)
    time.sleep(0.1)  # to get from the mark to what the bag says
    return int(desk.begun('a')[0].split()[0])


def is_alive(pid: int) -> bool:
    try:
        return 'State:\tZ' not in Path(f'/proc/{pid}/status').read_text()
    except FileNotFoundError:
        return False


def test_a_good_end(desk):
    attempt = ended(started(desk, 'ok'))
    assert attempt.error == ''
    assert attempt.seconds > 0
    assert (desk.folder / 'cell/cell.log').read_text().startswith('evaluating')
    assert (desk.folder / 'cell/evaluation.json').exists()


@pytest.mark.parametrize(
    ('words', 'error'), [('fail', 'exit code 1'), ('die', 'killed by SIGSEGV')]
)
def test_a_bad_end(desk, words, error):
    assert ended(started(desk, words)).error == error


def test_a_program_that_is_not_there(desk):
    (cell,) = load(desk.write({'a': 'ok'})).cells
    assert ended(Running(cell, desk.folder / 'cell', program=['/no/program'])).error
    assert '/no/program: No such file' in (desk.folder / 'cell/cell.log').read_text()


def test_one_that_takes_too_long_is_given_up(desk):
    assert ended(started(desk, 'wait never', timeout=0.3)).error == 'given up after 0.3 s'


def test_one_that_hears_nothing_is_killed(desk, monkeypatch):
    monkeypatch.setattr(module, 'INTERRUPT_PATIENCE', 0.2)
    monkeypatch.setattr(module, 'TERMINATE_PATIENCE', 0.2)
    running = started(desk, 'deaf')
    until_begun(desk)
    end([running])
    assert ended(running).error == 'killed by SIGKILL'


def test_one_that_listens_is_interrupted(desk):
    running = started(desk, 'wait never')
    until_begun(desk)
    end([running])
    assert 'KeyboardInterrupt' in (desk.folder / 'cell/cell.log').read_text()


@pytest.fixture(params=['blocked', 'ignored'])
def deaf_to_interrupts(request) -> Iterator[None]:
    """This process does not hear Ctrl-C, as a worker of Ray or what a shell runs in background."""
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT] * (request.param == 'blocked'))
    handler = signal.getsignal(signal.SIGINT)
    if request.param == 'ignored':
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, handler)
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def test_one_listens_though_who_started_it_does_not(desk, deaf_to_interrupts):
    running = started(desk, 'wait never')
    until_begun(desk)
    end([running])
    assert 'KeyboardInterrupt' in (desk.folder / 'cell/cell.log').read_text()


@pytest.mark.skipif(sys.platform != 'linux', reason='the kernel is asked for it')
def test_none_outlives_who_started_it(desk):
    desk.write({'a': 'wait never'})
    code = (
        'import sys; from pathlib import Path; from dlcv.evaluation.matrix import *; '
        f'pool = LocalPool(1, {desk.program!r}); [cell] = load(Path({str(desk.matrix)!r})).cells; '
        f'pool.start(cell, Path({str(desk.out)!r})); pool.wait()'
    )
    parent = subprocess.Popen([sys.executable, '-c', code])
    child = until_begun(desk)
    assert is_alive(child)
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    deadline = time.monotonic() + 10
    while is_alive(child) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_alive(child)
