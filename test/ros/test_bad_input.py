"""Bad input between good, in processes: the node lives, and what is recorded stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from dlcv.data.bags import Bag, BagWriter
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, IMAGE
from dlcv.interface.messages import stamp_ns
from dlcv.types import Camera

pytestmark = pytest.mark.ros
PERIOD = 800_000_000
CAMERA = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
DEPTH = '/depth/image_rect'
Moment = tuple[Any, Any]  # a CameraInfo and an Image


def _moment(head: Any, camera: Camera = CAMERA) -> Moment:
    pixels = np.full((camera.height, camera.width, 3), 99, np.uint8)
    size = (camera.height, camera.width)
    return COMPOSER.camera_info(head, camera, size), COMPOSER.image(head, pixels)


def _wrong_encoding(head: Any) -> Moment:
    info, image = _moment(head)
    image.encoding = 'nv24'
    return info, image


def _truncated(head: Any) -> Moment:
    info, image = _moment(head)
    image.data = image.data[:100]
    return info, image


def _of_no_size(head: Any) -> Moment:
    info, image = _moment(head)
    image.width = image.height = image.step = 0
    image.data = image.data[:0]
    return info, image


def _of_nan_intrinsics(head: Any) -> Moment:
    info, image = _moment(head)
    info.k[:] = np.nan
    return info, image


def _of_another_size(head: Any) -> Moment:
    _, image = _moment(head)
    return COMPOSER.camera_info(head, CAMERA.scaled(32, 24), (24, 32)), image


def _smaller(head: Any) -> Moment:
    return _moment(head, CAMERA.scaled(32, 24))


SHOWN: list[Callable[[Any], Moment]] = [
    _moment, _wrong_encoding, _truncated, _of_no_size, _of_nan_intrinsics, _of_another_size,
    _smaller, _moment,
]  # fmt: skip
GOOD = [i for i, make in enumerate(SHOWN) if make in (_moment, _smaller)]


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    path = tmp_path / 'bad.mcap'
    with BagWriter(path) as writer:
        writer.add_topic('/camera_info', CAMERA_INFO)
        writer.add_topic('/image', IMAGE)
        for i, make in enumerate(SHOWN, start=1):
            info, image = make(COMPOSER.header(i * PERIOD, 'camera'))
            writer.write('/camera_info', i * PERIOD, info)
            writer.write('/image', i * PERIOD, image)
    return path


@pytest.fixture
def start(domain: int) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start Python modules in processes of their own, which the end of the test kills."""
    running = []

    def begin(*arguments: object) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, '-m', *map(str, arguments)],
            env={**os.environ, 'OMP_NUM_THREADS': '1'},
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def _ended(process: subprocess.Popen[str]) -> str:
    """Ask a process to end, and return what it said."""
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert process.returncode == 0, said
    assert 'Traceback' not in said
    return said


@pytest.mark.timeout(150)
def test_bad_input_costs_nothing_but_itself(start: Any, bag: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out.mcap'
    given = (
        'autostart:=true', 'allow_random_weights:=true', 'num_threads:=1', 'max_input_age:=0.0',
        'input_timeout:=0.2', 'diagnostic_period:=0.1',
    )  # fmt: skip
    options = [word for parameter in given for word in ('-p', parameter)]
    node = start('dlcv.ros.nodes.monodepth', '--ros-args', *options)
    recorder = start('dlcv.ros.record', out, '--topics', DEPTH, '/diagnostics')
    waiting = ('--wait-for-recorder', '--wait-subscribers', '1', '--linger', '2')
    player = start('dlcv', 'play', bag, *waiting)
    assert player.wait(100) == 0
    assert f'{out}: ' in _ended(recorder)
    assert "image dropped: encoding 'nv24' is not read" in _ended(node)
    with Bag(out) as got:
        assert not got.damage
        depths = [message for _, message in got.read([DEPTH])]
        *_, (_, last) = got.read(['/diagnostics'])
    assert [stamp_ns(d.header.stamp) for d in depths] == [(i + 1) * PERIOD for i in GOOD]
    assert [(d.width, d.height) for d in depths] == [(64, 48), (32, 24), (64, 48)]
    values = {pair.key: pair.value for pair in last.status[0].values}
    counts = [values[f'rejected_{kind}'] for kind in ('encoding', 'invalid', 'camera')]
    assert (values['state'], counts) == ('active', ['1', '2', '2'])
