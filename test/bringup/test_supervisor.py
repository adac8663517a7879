"""Processes that crash, ignore signals, come to their end or are interrupted."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from dlcv.bringup import Command, Console, Job, supervise
from dlcv.bringup.supervisor import describe

FOREVER = 'import time\nprint("ready", flush=True)\ntime.sleep(1000)'
GRACEFUL = """
import signal, sys, time
def stop(*_):
    print('stopping cleanly', flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print('ready', flush=True)
time.sleep(1000)
"""
DEAF = """
import signal, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
{more}
print('ready', flush=True)
time.sleep(1000)
"""
DEAF_TO_INT = DEAF.format(more='')
DEAF_TO_ALL = DEAF.format(more='signal.signal(signal.SIGTERM, signal.SIG_IGN)')


def command(name: str, code: str, **options) -> Command:
    return Command(name=name, argv=(sys.executable, '-S', '-c', code), **options)


class Watch(io.StringIO):
    """Keeps what is written and signals this process when some line is."""

    def __init__(self, until: str = '', times: int = 1, number: int = signal.SIGINT):
        super().__init__()
        self._until, self._times, self._number = until, times, number

    def write(self, text: str) -> int:
        if self._until and self._until in text:
            self._times -= 1
            if self._times == 0:
                os.kill(os.getpid(), self._number)
        return super().write(text)


def run(*services: Command, out: io.StringIO | None = None, **options) -> tuple[int, str]:
    out = out or io.StringIO()
    job = Job(services=services, **options)
    console = Console(out, [c.name for c in job.commands])
    code = supervise(job, os.environ, console)
    return code, out.getvalue()


def test_lines_carry_the_name_of_their_process():
    code, text = run(
        command('one', 'print("from one")'),
        command('three', 'import sys; print("from three", file=sys.stderr)'),
    )
    assert code == 0
    assert 'one   | from one\n' in text
    assert 'three | from three\n' in text


def test_interrupted_services_end_cleanly():
    code, text = run(command('a', GRACEFUL), command('b', GRACEFUL), out=Watch('ready', times=2))
    assert code == 0
    assert text.count('stopping cleanly') == 2
    assert '-- SIGINT: stopping' in text


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGHUP])
def test_other_signals_end_it_too(number):
    code, text = run(command('a', GRACEFUL), out=Watch('ready', number=number))
    assert (code, text.count('stopping cleanly')) == (0, 1)


def test_an_interrupt_during_start_up_is_clean():
    """A process that has not set up its handlers yet dies of the signal, as it should."""
    code, _ = run(command('a', FOREVER), out=Watch('ready'))
    assert code == 0


@pytest.mark.parametrize(
    ('code', 'how'),
    [
        ('import os, signal; os.kill(os.getpid(), signal.SIGSEGV)', 'killed by SIGSEGV'),
        ('import os, signal; os.kill(os.getpid(), signal.SIGKILL)', 'killed by SIGKILL'),
        ('raise SystemExit(3)', 'exit code 3'),
    ],
)
def test_a_death_is_told_and_the_others_go_on(code, how):
    status, text = run(command('bad', code), command('good', GRACEFUL), out=Watch('died', 1))
    assert status == 1
    assert f'-- bad died: {how}\n' in text


def test_it_ends_when_all_have_died():
    assert run(command('a', 'raise SystemExit(1)'), command('b', 'raise SystemExit(2)'))[0] == 1


def test_a_program_that_is_not_there_is_named():
    code, text = run(Command(name='a', argv=('/nix/nowhere',)))
    assert code == 1
    assert 'a cannot be started' in text
    assert '/nix/nowhere' in text


def test_a_dead_service_is_started_again(tmp_path):
    """It dies at the first start and runs at the second."""
    again = f"""
import pathlib, os, signal
mark = pathlib.Path({str(tmp_path / 'mark')!r})
if not mark.exists():
    mark.touch()
    os.kill(os.getpid(), signal.SIGABRT)
{GRACEFUL}"""
    code, text = run(command('a', again, respawn_delay=0.01), out=Watch('ready'))
    assert code == 0
    assert 'a died: killed by SIGABRT; starting it again in 0.01 s' in text


def test_one_that_always_dies_is_started_ever_more_rarely():
    service = command('a', 'raise SystemExit(1)', respawn_delay=0.01)
    code, text = run(service, out=Watch('in 0.08 s'))
    assert code == 0  # it was being started again when the interrupt came
    pauses = [line.rpartition(' in ')[2] for line in text.splitlines() if 'again' in line]
    assert pauses == ['0.01 s', '0.02 s', '0.04 s', '0.08 s']


def test_a_service_that_ends_well_is_not_started_again():
    code, text = run(command('a', 'print("once")', respawn_delay=0.0))
    assert (code, text.count('once')) == (0, 1)
    assert '-- a ended' in text


def test_the_end_of_the_player_is_the_end_of_all():
    player = command('player', 'print("played")')
    code, text = run(command('a', GRACEFUL), player=player)
    assert code == 0
    assert '-- player came to its end: stopping' in text


def test_a_failing_player_fails_the_job():
    report = command('report', 'print("reported")')
    code, text = run(
        command('a', FOREVER), player=command('player', 'raise SystemExit(2)'), report=report
    )
    assert code == 1
    assert 'player died: exit code 2' in text
    assert 'reported' not in text


def test_order_of_the_end(tmp_path):
    """The recorder is complete before the services end, and the report comes after all."""
    log = tmp_path / 'log'

    def note(name):
        return f"""
import signal, sys, time
def stop(*_):
    time.sleep({0.2 if name == 'recorder' else 0})
    open({str(log)!r}, 'a').write('{name}\\n')
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
open({str(tmp_path)!r} + '/{name}', 'w').close()
time.sleep(1000)
"""

    wait = f"""
import pathlib, time
while not all(pathlib.Path({str(tmp_path)!r}, n).exists() for n in ('node', 'recorder')):
    time.sleep(0.01)
"""
    code, _ = run(
        command('node', note('node')),
        recorder=command('recorder', note('recorder')),
        player=command('player', wait),
        report=command('report', f"open({str(log)!r}, 'a').write('report')"),
    )
    assert code == 0
    assert log.read_text().split() == ['recorder', 'node', 'report']


def test_a_report_is_not_written_after_an_interrupt():
    report = command('report', 'print("reported")')
    player = command('player', GRACEFUL)
    code, text = run(command('a', GRACEFUL), player=player, report=report, out=Watch('ready', 2))
    assert code == 0
    assert 'reported' not in text


def test_a_failing_report_fails_the_job():
    code, text = run(
        command('a', FOREVER),
        player=command('player', ''),
        report=command('report', 'raise SystemExit(4)'),
    )
    assert code == 1
    assert 'report died: exit code 4' in text


def test_a_recorder_that_fails_at_the_end_fails_the_job():
    recorder = """
import signal, sys, time
signal.signal(signal.SIGINT, lambda *_: sys.exit(1))
print('ready', flush=True)
time.sleep(1000)
"""
    code, text = run(
        command('a', FOREVER), recorder=command('recorder', recorder), out=Watch('ready', 2)
    )
    assert code == 1
    assert 'recorder ended badly: exit code 1' in text


def test_who_ignores_sigint_gets_sigterm():
    code, text = run(command('a', DEAF_TO_INT), out=Watch('ready'), interrupt_patience=0.1)
    assert code == 0
    assert 'killed' not in text


def test_who_ignores_all_is_killed_and_named():
    code, text = run(
        command('a', DEAF_TO_ALL),
        out=Watch('ready'),
        interrupt_patience=0.1,
        terminate_patience=0.1,
    )
    assert code == 1
    assert '-- a does not stop: killed' in text


def interrupted(job: Job, *words: str) -> tuple[int, str]:
    """Supervise a job that gets a SIGINT when it is ready and another after each of some words."""
    out = Watch('ready')

    def impatient():
        for word in words:
            while word not in out.getvalue():
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=impatient)
    thread.start()
    code = supervise(job, os.environ, Console(out, ['a']))
    thread.join()
    return code, out.getvalue()


ENDLESS = {'interrupt_patience': 1e6, 'terminate_patience': 1e6}


def test_a_third_interrupt_does_not_wait():
    job = Job(services=(command('a', DEAF_TO_ALL),), haste=1e6, **ENDLESS)
    code, text = interrupted(job, 'stopping', 'haste')
    assert code == 1
    assert '-- a does not stop: killed' in text


def test_a_second_interrupt_waits_a_little():
    job = Job(services=(command('a', DEAF_TO_ALL),), haste=0.1, **ENDLESS)
    assert interrupted(job, 'stopping')[0] == 1


def test_after_a_second_interrupt_what_is_open_is_closed():
    closing = """
import signal, sys
def stop(*_):
    print('closing', flush=True)
    signal.sigtimedwait([], 0.5)
    print('closed', flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, stop)
print('ready', flush=True)
while True: signal.pause()
"""
    code, text = interrupted(Job(services=(command('a', closing),)), 'closing')
    assert (code, text.count('closed')) == (0, 1)
    assert '-- SIGINT again: making haste; once more to kill' in text


def test_the_environment_is_the_one_given():
    out = io.StringIO()
    show = 'import json, os; print(json.dumps(dict(os.environ)))'
    job = Job(services=(command('a', show),))
    supervise(job, {'DLCV_SEEN': 'yes', 'PATH': os.environ['PATH']}, Console(out, ()))
    line = next(text for text in out.getvalue().splitlines() if '{' in text)
    assert json.loads(line[line.index('{') :])['DLCV_SEEN'] == 'yes'


def test_a_ctrl_c_of_the_terminal_reaches_children_once_only():
    """They are in sessions of their own, so the terminal's signal goes to the supervisor alone."""
    show = f'import os; print("session", os.getsid(0) == os.getpid() != {os.getsid(0)})'
    assert 'session True' in run(command('a', show))[1]


@pytest.mark.skipif(sys.platform != 'linux', reason='only Linux tells a process of this')
def test_no_child_is_left_when_the_supervisor_is_killed():
    code = f"""
import os, sys
from dlcv.bringup import Command, Console, Job, supervise
show = 'import os, time; print(os.getpid(), flush=True); time.sleep(1000)'
job = Job(services=(Command(name='a', argv=({sys.executable!r}, '-S', '-c', show)),))
supervise(job, os.environ, Console(sys.stdout, ()))
"""
    with subprocess.Popen(
        [sys.executable, '-c', code], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline().split()[-1])
        parent.kill()
    deadline = time.monotonic() + 20
    while _runs(child):
        assert time.monotonic() < deadline, 'the child still runs'
        time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != 'Z'


def test_statuses_in_words():
    assert describe(3) == 'exit code 3'
    assert describe(-signal.SIGSEGV) == 'killed by SIGSEGV'
    assert describe(-50) == 'killed by signal 50'


def test_a_job_lists_its_processes():
    a, b = command('a', ''), command('b', '')
    assert replace(Job(services=(a,)), player=b).commands == [a, b]
