"""The front of the command line: quick, helpful, one line for an error."""

from __future__ import annotations

import argparse
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

from dlcv import __version__
from dlcv.cli.main import COMMANDS, main


def test_overview_names_every_command(capsys):
    assert main(['--help']) == 0
    out = capsys.readouterr().out
    assert all(f'  {name}' in out for name in COMMANDS)
    assert main([]) == 2


def test_version(capsys):
    assert main(['--version']) == 0
    assert capsys.readouterr().out == f'dlcv {__version__}\n'


def test_an_unknown_command_is_answered_with_the_known(capsys):
    assert main(['inferr']) == 2
    assert "no command 'inferr'; did you mean 'infer'? there are infer" in capsys.readouterr().err


@pytest.mark.parametrize('name', COMMANDS)
def test_every_command_has_help(name, capsys):
    module = import_module(f'dlcv.cli.{name}')
    with pytest.raises(SystemExit) as end:
        main([name, '--help'])
    assert end.value.code == 0
    assert module.SUMMARY.split()[0] in capsys.readouterr().out


@pytest.mark.parametrize('name', COMMANDS)
def test_help_needs_neither_torch_nor_ros_nor_opencv(name):
    code = (
        'import sys\nfrom dlcv.cli.main import main\n'
        f'try: main([{name!r}, "--help"])\nexcept SystemExit: pass\n'
        'heavy = [m for m in ("torch", "rclpy", "cv2") if m in sys.modules]\n'
        'sys.exit(", ".join(heavy) or 0)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_door_error_is_one_line(capsys):
    assert main(['evaluate', 'no/such.mcap']) == 2
    err = capsys.readouterr().err
    assert err.startswith('dlcv evaluate: ')
    assert 'no/such.mcap' in err
    assert 'Traceback' not in err


def test_a_programmers_traceback_is_there_on_request(monkeypatch):
    monkeypatch.setenv('DLCV_TRACEBACK', '1')
    with pytest.raises(ValueError, match='no/such'):
        main(['evaluate', 'no/such.mcap'])


@pytest.mark.parametrize(
    ('error', 'code', 'words'),
    [
        (FileNotFoundError(2, 'No such file or directory', 'x/y'), 2, 'x/y: No such file or dir'),
        (MemoryError(), 1, 'not enough memory'),
        (RuntimeError("can't allocate memory: 9 bytes\nmore"), 1, "not enough memory: can't alloc"),
        (ImportError("no module 'memory'"), 1, "unexpected ImportError: no module 'memory' ("),
        (KeyError('a\nb'), 1, "unexpected KeyError: 'a\\nb' (a mistake of ours"),
        (KeyboardInterrupt(), 130, 'interrupted'),
    ],
)
def test_whatever_goes_wrong_is_one_line(monkeypatch, capsys, error, code, words):
    def fail(args):
        raise error

    monkeypatch.setattr('dlcv.cli.nodes.run', fail)
    assert main(['nodes']) == code
    err = capsys.readouterr().err
    assert err.startswith(f'dlcv nodes: {words}')
    assert err.count('\n') == 1


def test_a_reader_that_leaves_early_is_no_error():
    command = f'{sys.executable} -m dlcv nodes | head -n 1'
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.stdout.startswith('#')
    assert done.stderr == ''


@pytest.mark.parametrize(
    ('argv', 'absent', 'words'),
    [
        (['world', 'w.mcap'], 'rosbags', 'rosbags needed but not installed: pip install ".[bags]"'),
        (['convert', 'images', '.', 'w.mcap'], 'rosbags', 'pip install ".[bags]"'),
        (['play', 'w.mcap'], 'rclpy', 'rclpy needed but not installed: source ROS 2, or pip'),
        (['up'], 'rclpy', 'source ROS 2, or pip install ".[ros]"'),
        (['up', '--bag', 'w.mcap'], 'rosbags', 'pip install ".[bags]"'),
        (['evaluate', 'w.mcap'], 'jinja2', 'pip install ".[eval]"'),
        (['demo', '-o', 'no/demo'], 'jinja2', 'pip install ".[eval]"'),
        (['evaluate', 'w.mcap'], 'matplotlib', 'pip install ".[eval]"'),
        (['demo', '-o', 'no/demo'], 'matplotlib', 'pip install ".[eval]"'),
        (['up', '--record', 'w.mcap', '--evaluate', '/t'], 'matplotlib', 'pip install ".[eval]"'),
        (
            ['infer', 'deepvo', 'a.png', '-o', 'a.npz', '--view', 'a.png'],
            'matplotlib',
            'matplotlib needed but not installed',
        ),
    ],
)
def test_what_is_not_installed_is_said_before_any_work(
    monkeypatch, tmp_path, capsys, argv, absent, words
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        'dlcv.cli.extras.find_spec', lambda name: None if name == absent else find_spec(name)
    )
    assert main(argv) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('name', COMMANDS)
def test_every_path_of_every_command_takes_a_tilde(name, monkeypatch):
    """bash expands no ~ behind = or within quotes; `Path` alone would not either."""
    from dlcv.files import expanded

    module = import_module(f'dlcv.cli.{name}')
    parsers = [argparse.ArgumentParser()]
    module.add_arguments(parsers[0])
    for parser in parsers:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                parsers += action.choices.values()
            assert action.type is not Path, f'{parser.prog}: {action.dest}'
    monkeypatch.setenv('HOME', '/home/anna')
    assert expanded('~/a') == Path('/home/anna/a')
