"""A bag through running nodes: in lock-step, in real time, and when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from dlcv.data.bags import write_recording
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.evaluation.replay.log import read_log
from dlcv.evaluation.scoring.files import read_json

pytestmark = pytest.mark.ros
FRAMES = 12


@pytest.fixture(scope='module')
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short walk."""
    path = tmp_path_factory.mktemp('replay') / 'walk.mcap'
    camera = ideal_camera(160, 96, 70)
    walk = WorldRecording('room', seed=5, frames=FRAMES, rate_hz=10, camera=camera, workers=1)
    write_recording(walk, path)
    return path


def _start(bag: Path, out: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, '-m', 'dlcv', 'evaluate', str(bag), '-o', str(out), *arguments]
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors='replace'
    )


def _run(bag: Path, out: Path, *arguments: str) -> tuple[int, str]:
    process = _start(bag, out, *arguments)
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


@pytest.mark.timeout(240)
def test_lock_step_gives_what_the_tasks_give_without_ros(
    bag: Path, tmp_path: Path, domain: Any
) -> None:
    nodes = ('--nodes', 'superpoint,visual_odometry,deepvo')
    code, said = _run(bag, tmp_path / 'ros', *nodes)
    assert code == 0, said
    code, said = _run(bag, tmp_path / 'alone', '--mode', 'in-process', *nodes)
    assert code == 0, said
    ours, theirs = ((tmp_path / name / 'outputs.mcap').read_bytes() for name in ('ros', 'alone'))
    assert ours == theirs
    log = list(read_log(tmp_path / 'ros' / 'frames.jsonl'))
    assert len(log) == 3 * FRAMES
    assert {line.outcome.name for line in log} == {'processed'}
    found = read_json(tmp_path / 'ros' / 'evaluation.json')
    assert [node.answered for node in found.nodes] == [FRAMES, FRAMES, FRAMES]
    assert all(node.trained and node.memory_mb and node.cpu is not None for node in found.nodes)
    assert found.metric('odometry', 'ATE (SE3)').value > 0
    alone = read_json(tmp_path / 'alone' / 'evaluation.json')
    assert [s.metrics for s in found.sections] == [s.metrics for s in alone.sections]


@pytest.mark.timeout(240)
def test_in_real_time_ages_and_the_highest_rate_are_told(
    bag: Path, tmp_path: Path, domain: Any
) -> None:
    arguments = ('--mode', 'real-time', '--rate', '0.5', '--nodes', 'deepvo')
    code, said = _run(bag, tmp_path / 'out', *arguments)
    assert code == 0, said
    found = read_json(tmp_path / 'out' / 'evaluation.json')
    (node,) = found.nodes
    assert len(node.age_ms) == 4
    assert sum(node.outcomes.values()) == FRAMES
    hertz = float(found.facts['highest rate'].split()[0])
    assert 0 < hertz < 2e3 / node.inference_ms[0]


@pytest.mark.timeout(240)
@pytest.mark.parametrize('mode', ['lock-step', pytest.param('real-time', marks=pytest.mark.slow)])
def test_a_node_that_dies_is_left_behind_and_told_of(
    bag: Path, tmp_path: Path, domain: Any, mode: str
) -> None:
    out = tmp_path / 'out'
    pace = ('--mode', mode, *(('--rate', '0.3', '--no-peak') if mode == 'real-time' else ()))
    process = _start(bag, out, '--nodes', 'flownet,deepvo', '--patience', '3', *pace)
    victim = _descendant(process.pid, 'dlcv.ros.nodes.flownet')
    _until(lambda: (out / 'frames.jsonl').exists() and list(read_log(out / 'frames.jsonl')))
    os.kill(victim, signal.SIGSTOP)  # or it could answer all images before it dies
    os.kill(victim, signal.SIGKILL)
    said, _ = process.communicate(timeout=200)
    assert process.returncode == 1, said
    assert 'flownet died: killed by SIGKILL' in said
    found = read_json(out / 'evaluation.json')
    flownet, deepvo = found.nodes
    assert deepvo.answered == FRAMES  # the rest went on
    assert 0 < flownet.outcomes['processed'] < FRAMES
    assert flownet.outcomes['lost'] == FRAMES - flownet.outcomes['processed']
    (warning,) = found.warnings
    assert warning.startswith('flownet: its process is gone since image')


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.slow
def test_a_node_that_falls_silent_in_real_time_is_told_of(
    bag: Path, tmp_path: Path, domain: Any
) -> None:
    """Nobody tells of it, as nobody does under ROS's launch of one that was killed."""
    out = tmp_path / 'out'
    pace = ('--mode', 'real-time', '--rate', '0.3', '--no-peak', '--patience', '3')
    process = _start(bag, out, '--nodes', 'flownet,deepvo', *pace)
    victim = _descendant(process.pid, 'dlcv.ros.nodes.flownet')
    _until(lambda: (out / 'frames.jsonl').exists() and list(read_log(out / 'frames.jsonl')))
    os.kill(victim, signal.SIGSTOP)
    assert process.stdout is not None
    assert any('flownet: it does not answer' in line for line in process.stdout)
    os.kill(victim, signal.SIGCONT)  # so that it can be ended
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    found = read_json(out / 'evaluation.json')
    flownet, deepvo = found.nodes
    assert deepvo.answered == FRAMES
    told = flownet.outcomes['processed']
    assert flownet.outcomes['lost'] == FRAMES - told
    assert 'highest rate' not in found.facts
    (warning,) = found.warnings
    assert warning.startswith(f'flownet: it does not answer since image {told + 1};')


@pytest.mark.timeout(240)
def test_a_node_that_does_not_start_ends_the_replay(bag: Path, tmp_path: Path, domain: Any) -> None:
    process = _start(bag, tmp_path / 'out', '--nodes', 'flownet,deepvo')
    os.kill(_descendant(process.pid, 'dlcv.ros.nodes.flownet'), signal.SIGKILL)
    said, _ = process.communicate(timeout=100)
    assert process.returncode == 2, said
    assert 'flownet: its process has died; see above' in said
    assert 'no node answered' in said


def _until(true: Any, seconds: float = 60) -> None:
    end = monotonic() + seconds
    while not true():
        assert monotonic() < end, 'waited in vain'
        sleep(0.02)


def _descendant(parent: int, module: str) -> int:
    """Return the process of a node below another one, once it runs."""
    end = monotonic() + 60
    while monotonic() < end:
        for entry in Path('/proc').iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / 'cmdline').read_bytes().split(b'\0')
                above = int((entry / 'stat').read_text().rpartition(')')[2].split()[1])
            except (OSError, IndexError):
                continue
            if above == parent and module.encode() in words:
                return int(entry.name)
        sleep(0.05)
    raise AssertionError(f'no process of {module}')
