"""The front of the command line: quick, helpful, one line for an error."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

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
    assert "no command 'inferr'; there are infer" in capsys.readouterr().err


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
    assert main(['report', 'no/such.mcap']) == 2
    err = capsys.readouterr().err
    assert err.startswith('dlcv report: ')
    assert 'no/such.mcap' in err
    assert 'Traceback' not in err


def test_a_programmers_traceback_is_there_on_request(monkeypatch):
    monkeypatch.setenv('DLCV_TRACEBACK', '1')
    with pytest.raises(ValueError, match='no/such'):
        main(['report', 'no/such.mcap'])
