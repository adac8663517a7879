"""`dlcv up`: its options are the launch arguments, its errors come before anything is started."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dlcv.cli.main import main
from dlcv.cli.up import ONLY_LAUNCH
from dlcv.interface.arguments import ARGUMENTS
from dlcv.interface.launch import environment
from dlcv.interface.nodes import NODES

CONFIG = Path(__file__).parents[2] / 'config'


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch):
    for name in environment({}, 'any', colour=False):
        monkeypatch.delenv(name, raising=False)


def printed(capsys, *args: str) -> list[list[str]]:
    assert main(['up', '--print', *args]) == 0
    return [shlex.split(line) for line in capsys.readouterr().out.splitlines()]


def commands(capsys, *args: str) -> dict[str, list[str]]:
    lines = (line for line in printed(capsys, *args) if line[0] != 'export')
    return {line[2].rpartition('.')[2]: line[3:] for line in lines}


def test_print_shows_what_would_run(capsys):
    lines = printed(capsys, str(CONFIG / 'demo.yaml'), '--nodes', 'flownet', '--camera', '/front')
    assert any(line[1].startswith('FASTRTPS_DEFAULT_PROFILES_FILE=') for line in lines)
    assert lines[-1][:3] == [sys.executable, '-m', 'dlcv.ros.nodes.flownet']
    assert str(CONFIG / 'demo.yaml') in lines[-1]
    assert 'image:=/front/image_raw' in lines[-1]


@pytest.mark.parametrize('without', ['monodepth', 'stereo'])  # both publish the depth
def test_every_node_can_be_started(capsys, without):
    names = [name for name in NODES if name != without]
    assert list(commands(capsys, '--nodes', ','.join(names))) == names


def test_composed_is_one_process_in_which_each_node_has_its_own_arguments(capsys):
    asked = ('--camera', '/front', '--namespace', 'robot', '--nodes', 'superpoint,deepvo')
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from dlcv.ros.composition import parsed

    separate = commands(capsys, *asked)
    (composed,) = commands(capsys, '--composed', *asked).values()
    members, for_all = parsed(composed)
    assert [member.name for member in members] == ['superpoint', 'deepvo']
    assert for_all == ['--ros-args', '-r', '__ns:=/robot', '--log-level', 'info']
    for member in members:
        alone = separate[member.name]
        namespace = alone.index('__ns:=/robot')
        assert list(member.arguments) == [*alone[: namespace - 1], *alone[namespace + 1 : -2]]


def test_switches_have_two_forms(capsys):
    on = commands(capsys, '--publish-tf', '--nodes', 'deepvo')['deepvo']
    off = commands(capsys, '--no-publish-tf', '--nodes', 'deepvo')['deepvo']
    neither = commands(capsys, '--nodes', 'deepvo')['deepvo']
    assert 'publish_tf:=true' in on
    assert 'publish_tf:=false' in off
    assert not [part for part in neither if part.startswith('publish_tf')]


def test_every_launch_argument_is_an_option_but_for_those_of_cpp_nodes(capsys):
    with pytest.raises(SystemExit):
        main(['up', '--help'])
    text = capsys.readouterr().out
    missing = [a.name for a in ARGUMENTS if f'--{a.name.replace("_", "-")}' not in text]
    assert missing == list(ONLY_LAUNCH)


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['--nodes', 'orb'], "no node 'orb'; there are superpoint"),
        (['nix.yaml'], 'nix.yaml: no such parameter file'),
        (['--bag', 'nix'], 'nix: no such bag'),
        (['--device', 'gpu'], "device: 'gpu' is none of auto"),
    ],
)
def test_usage_errors_are_one_line_and_code_2(capsys, args, message):
    assert main(['up', *args]) == 2
    out, err = capsys.readouterr()
    assert out == ''
    assert err.startswith('dlcv up: ')
    assert message in err
    assert err.count('\n') == 1


def test_help_needs_neither_torch_nor_ros():
    code = (
        'import sys; from dlcv.cli.main import main\n'
        'try: main(["up", "--help"])\n'
        'except SystemExit: pass\n'
        'print([m for m in ("torch", "rclpy", "cv2") if m in sys.modules])'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == '[]'


@pytest.mark.ros
def test_a_node_runs_and_stops(tmp_path):
    """One real node, from the command line to its exit code."""
    if os.environ.get('DLCV_REQUIRE_ROS') != '1':
        pytest.importorskip('rclpy', reason='rclpy is not installed')
    command = [sys.executable, '-m', 'dlcv', 'up', '--nodes', 'deepvo', '--namespace', 'test_up']
    alone = {**os.environ, 'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=alone
    ) as up:
        assert up.stdout is not None
        lines = []
        for line in up.stdout:
            lines.append(line)
            if 'weights: ' in line:
                up.send_signal(2)
        text = ''.join(lines)
    assert up.returncode == 0, text
    assert 'deepvo | ' in text
    assert 'SIGINT: stopping' in text
