"""A bag goes through ROS and back: every message of it, none before all are ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dlcv.cli.main import main
from dlcv.data.bags import Bag, BagError, write_recording
from dlcv.types import Camera, Frame, Snapshot

pytestmark = pytest.mark.ros
CAMERA = Camera(width=640, height=480, fx=500.0, fy=500.0, cx=319.5, cy=239.5)
TOPICS = ('/camera/image_raw', '/camera/camera_info', '/ground_truth/odometry', '/tf_static')


@pytest.fixture
def drive(tmp_path):
    """Thirty VGA pictures at 30 Hz."""

    class Drive(list):
        name, camera, baseline = 'drive', CAMERA, 0.0

    snapshots = [
        Snapshot(
            frame=Frame(
                stamp_ns=10**18 + i * 33_333_333,
                image=np.full((480, 640, 3), i, np.uint8),
                camera=CAMERA,
            ),
            world_from_camera=np.eye(4),
        )
        for i in range(30)
    ]
    write_recording(Drive(snapshots), tmp_path / 'drive.mcap')
    return tmp_path / 'drive.mcap'


@pytest.fixture
def start(domain):
    """Start a module of the suite in its own process, killed at the end of the test."""
    profile = str(Path('config/fastdds_shm.xml').resolve())
    environment = dict(os.environ, FASTRTPS_DEFAULT_PROFILES_FILE=profile)
    running = []

    def begin(*arguments):
        process = subprocess.Popen(
            [sys.executable, '-m', *map(str, arguments)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait()


def test_every_message_comes_back(start, drive, tmp_path):
    out = tmp_path / 'back.mcap'
    recorder = start('dlcv.ros.record', out, '--use-sim-time', '--topics', *TOPICS)
    player = start('dlcv', 'play', drive, '--clock', '--wait-for-recorder', '--linger', '0.5')
    assert player.wait(60) == 0, player.stderr.read()
    recorder.send_signal(signal.SIGINT)
    assert recorder.wait(30) == 0, recorder.stderr.read()
    with Bag(drive) as sent, Bag(out) as got:
        for topic in TOPICS:
            before = [bytes(message.data) for message in sent.raw([topic])]
            after = [bytes(message.data) for message in got.raw([topic])]
            # the middleware may pad the end of a message to four bytes
            assert [a[: len(b)] for a, b in zip(after, before, strict=True)] == before, topic
            assert all(len(a) - len(b) < 4 for a, b in zip(after, before, strict=True)), topic
        assert got.start_ns >= sent.start_ns  # dated by /clock, not by the wall
        assert got.topic('/tf_static').latched


def test_a_player_gives_up_by_name(start, drive):
    player = start('dlcv', 'play', drive, '--wait-subscribers', '3', '--patience', '0.5')
    assert player.wait(60) == 2
    assert 'no image topic with 3 subscribers' in player.stderr.read()


def test_a_broken_bag_is_refused_before_ros_is_started(start, tmp_path):
    (tmp_path / 'broken.mcap').write_bytes(b'no bag at all')
    player = start('dlcv', 'play', tmp_path / 'broken.mcap')
    assert player.wait(60) == 2
    message = player.stderr.read()
    assert 'broken.mcap' in message
    assert 'Traceback' not in message


@pytest.mark.parametrize(
    ('option', 'value', 'message'),
    [
        ('--rate', '0', 'rate must be positive and finite, got 0.0'),
        ('--rate', 'inf', 'rate must be positive and finite, got inf'),
        ('--linger', '-1', 'linger must not be negative, got -1.0'),
        ('--wait-subscribers', '-1', 'wait_subscribers must not be negative, got -1'),
        ('--topics', '/nowhere', 'no topic /nowhere; there are'),
    ],
)
def test_what_cannot_be_played_is_said(drive, capsys, option, value, message):
    assert main(['play', str(drive), option, value]) == 2
    assert message in capsys.readouterr().err


def test_of_a_damaged_bag_the_readable_part_is_played_on_request(start, drive, tmp_path):
    cut = tmp_path / 'cut.mcap'
    cut.write_bytes(drive.read_bytes()[: drive.stat().st_size // 2])
    refused = start('dlcv', 'play', cut)
    assert refused.wait(60) == 2
    assert 'before the damage' in refused.stderr.read()
    player = start('dlcv', 'play', cut, '--damaged', '--rate', '100')
    assert player.wait(60) == 0
    with Bag(cut, keep_damaged=True) as bag:
        assert f'{bag.message_count} messages published' in player.stderr.read()


def test_two_interrupts_leave_a_whole_bag(start, drive, tmp_path):
    out = tmp_path / 'whole.mcap'
    recorder = start('dlcv.ros.record', out, '--topics', '/camera/image_raw')
    player = start('dlcv', 'play', drive, '--wait-for-recorder', '--loop')
    growing = out.with_name(f'{out.name}.partial')
    while not any(path.stat().st_size > 2_000_000 for path in growing.glob('*.mcap')):
        assert recorder.poll() is None, recorder.stderr.read()
        assert player.poll() is None, player.stderr.read()
    for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        recorder.send_signal(number)
    assert recorder.wait(30) == 0
    assert 'Traceback' not in recorder.stderr.read()
    with Bag(out) as bag:
        assert not bag.damage
        assert bag.message_count > 0
    player.send_signal(signal.SIGINT)
    player.send_signal(signal.SIGINT)
    assert player.wait(30) == 130
    assert 'Traceback' not in player.stderr.read()


def test_a_recording_is_never_overwritten_unasked(start, tmp_path):
    (tmp_path / 'there.mcap').write_bytes(b'precious')
    recorder = start('dlcv.ros.record', tmp_path / 'there.mcap', '--topics', '/x')
    assert recorder.wait(60) == 1
    assert 'exists already' in recorder.stderr.read()
    assert (tmp_path / 'there.mcap').read_bytes() == b'precious'


@pytest.mark.slow
def test_the_recorder_goes_on_without_a_topic_that_nobody_publishes(start, drive, tmp_path):
    out = tmp_path / 'part.mcap'
    arguments = ('--topics', '/camera/image_raw', '/nobody', '--patience', '8')
    recorder = start('dlcv.ros.record', out, *arguments)
    player = start('dlcv', 'play', drive, '--wait-for-recorder', '--linger', '1')
    assert player.wait(60) == 0
    recorder.send_signal(signal.SIGTERM)
    assert recorder.wait(30) == 0
    assert 'nobody publishes /nobody' in recorder.stderr.read()
    with Bag(out) as got:
        assert got.topic('/camera/image_raw').count == 30


def test_a_full_disk_ends_the_recording_and_keeps_what_is_there(start, drive, tmp_path):
    """A file size limit stands in for the full disk: the write fails in the same place."""
    out = tmp_path / 'full.mcap'
    limit = (
        'import resource, sys, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);'
        'resource.setrlimit(resource.RLIMIT_FSIZE, (9_000_000, 9_000_000));'
        'from dlcv.ros.record import main; sys.exit(main(sys.argv[1:]))'
    )
    recorder = subprocess.Popen(
        [sys.executable, '-c', limit, str(out), '--topics', '/camera/image_raw'],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        player = start('dlcv', 'play', drive, '--wait-for-recorder')
        assert player.wait(60) == 0
        assert recorder.wait(30) == 1
    finally:
        recorder.kill()
    assert 'File too large' in recorder.stderr.read()
    left = out if out.exists() else out.with_name('full.mcap.partial')
    with pytest.raises(BagError, match='before the damage'):
        Bag(left)
    with Bag(left, keep_damaged=True) as got:
        assert got.message_count >= 5
