"""How processes of ours begin: manners of threads, and Ctrl-C before anything is there to close."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dlcv import process
from dlcv.interface.nodes import NODES

LIBRARIES = ('numpy', 'torch', 'cv2', 'scipy', 'rclpy')
SCRIPTS = Path(sys.executable).parent
TELL = """
import os
names = 'OMP_WAIT_POLICY', 'GOMP_SPINCOUNT', 'OPENBLAS_NUM_THREADS'
print('first', __name__, *map(os.environ.get, names))
os.sys.stdout.flush()
os._exit(7)
"""
INTERRUPT = """
import os, signal
os.kill(os.getpid(), signal.SIGINT)
os.kill(os.getpid(), signal.SIGINT)
"""
NODE_MODULES = [spec.module for spec in NODES.values()]
MODULES = {
    **{module: (sys.executable, '-m', module) for module in NODE_MODULES},
    'record': (sys.executable, '-m', 'dlcv.ros.record', 'out', '--topics', '/x'),
    'replay': (sys.executable, '-m', 'dlcv.ros.replay', 'job.json'),
    'infer': (sys.executable, '-m', 'dlcv', 'infer', 'superpoint', 'x.png', '-o', 'o.npz'),
    'map': (sys.executable, '-m', 'dlcv', 'map', 'x.mcap', '-o', 'o.safetensors'),
    'play': (sys.executable, '-m', 'dlcv', 'play', 'x.mcap'),
    'dlcv': (str(SCRIPTS / 'dlcv'), 'world', 'x.mcap'),
    **{name: (str(SCRIPTS / f'{name}_node'),) for name in NODES},
}


@pytest.fixture
def ends(tmp_path):
    """Return how a command ends that imports something else for each large library."""

    def run(command, library, **variables):
        if not Path(command[0]).exists():
            pytest.skip(f'{command[0]} is not installed')
        for name in LIBRARIES:
            (tmp_path / f'{name}.py').write_text(library)
        decided = *process.WAITING, *process.COUNTING
        plain = {k: v for k, v in os.environ.items() if k not in decided}
        return subprocess.run(
            command,
            env={**plain, 'PYTHONPATH': str(tmp_path), **variables},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )

    return run


@pytest.mark.parametrize('command', MODULES.values(), ids=list(MODULES))
def test_waiting_threads_sleep_before_any_library_is_loaded(ends, command):
    done = ends(command, TELL)
    assert (done.returncode, done.stdout.split()[2:]) == (7, ['PASSIVE', 'None', '1']), done.stderr


@pytest.mark.parametrize(
    ('variables', 'seen'),
    [
        ({'OMP_WAIT_POLICY': 'ACTIVE'}, ['ACTIVE', 'None', '1']),
        ({'GOMP_SPINCOUNT': '5'}, ['None', '5', '1']),
        ({'KMP_BLOCKTIME': '200'}, ['None', 'None', '1']),
        ({'OPENBLAS_NUM_THREADS': '4'}, ['PASSIVE', 'None', '4']),
        ({'OMP_NUM_THREADS': '2'}, ['PASSIVE', 'None', 'None']),
    ],
)
def test_what_the_user_says_of_threads_is_left(ends, variables, seen):
    assert ends(MODULES['infer'], TELL, **variables).stdout.split()[2:] == seen


def test_a_program_of_someone_elses_is_left_as_it_is(ends, tmp_path):
    program = tmp_path / 'robot_node'
    program.write_text(
        'import signal, dlcv, dlcv.ros\n'
        'assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n'
        'import numpy\n'
    )
    assert ends((sys.executable, str(program)), TELL).stdout.split()[2:] == ['None'] * 3


@pytest.mark.parametrize('command', MODULES.values(), ids=list(MODULES))
def test_ctrl_c_while_something_is_imported_ends_in_silence(ends, command):
    done = ends(command, INTERRUPT)
    name = process.os.path.basename(command[-1])
    node = command[-1] in NODE_MODULES or name.endswith('_node')
    assert done.returncode == (0 if node else 130)
    assert 'Traceback' not in done.stderr


def interrupted(code):
    """Return what a node's process prints that sends itself interrupts where the code says so."""
    setup = f"""
import os, signal, sys
sys.argv[0] = 'superpoint_node'
from dlcv import process
def interrupt(count=1):
    for _ in range(count):
        os.kill(os.getpid(), signal.SIGINT)
{code}
print('end')
"""
    return subprocess.run([sys.executable, '-c', setup], capture_output=True, text=True, timeout=60)


def test_an_interrupt_waits_for_what_is_being_made():
    done = interrupted("""
assert process.hold()
interrupt(2)
print('made')
try:
    process.run()
except KeyboardInterrupt:
    print('interrupted')
interrupt()  # an echo of the first
""")
    assert done.stdout.split() == ['made', 'interrupted', 'end'], done.stderr


def test_an_interrupt_later_is_another():
    done = interrupted("""
process.run()
for _ in range(2):
    try:
        interrupt()
    except KeyboardInterrupt:
        print('interrupted')
    process._INTERRUPTS.last -= process.ANEW
""")
    assert done.stdout.split() == ['interrupted', 'interrupted', 'end'], done.stderr


def test_nothing_breaks_off_what_is_being_closed():
    done = interrupted("""
process.hold()
process.end()
interrupt(3)
os.kill(os.getpid(), signal.SIGTERM)
""")
    assert (done.returncode, done.stdout.split()) == (0, ['end']), done.stderr


def test_an_interrupt_that_was_held_back_arrives_at_the_begin():
    """As `dlcv up` starts its processes."""
    code = """
import os, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
os.kill(os.getpid(), signal.SIGINT)
sys.argv[0] = 'superpoint_node'
import dlcv
print('never')
"""
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')
