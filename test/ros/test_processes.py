"""Images of KITTI's size between processes: what a test within one process cannot show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import pytest

from dlcv.interface.nodes import NODES, ODOMETRY_NODES

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytestmark = pytest.mark.ros
PROFILE = Path(__file__).parents[2] / 'config' / 'fastdds_shm.xml'
WATCHED = {
    'superpoint': '~/keypoints', 'monodepth': 'depth/image_rect', 'visual_odometry': '~/odometry',
    'deepvo': '~/odometry',
}  # fmt: skip
IMAGES = 12
PATIENT = (  # on a busy machine images are old and far between, and this is not what is tested
    'max_input_age:=0.0', 'max_frame_interval:=10.0', 'lost_policy:=inflate',
)  # fmt: skip


@pytest.fixture
def environment(domain: int) -> dict[str, str]:
    """The domain of this test, and the shared memory profile as the launch file sets it."""
    profile = {
        name: str(PROFILE)
        for name in ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
    }
    return {**os.environ, **profile, 'OMP_NUM_THREADS': '1'}


@contextmanager
def _node(
    name: str, environment: dict[str, str], *parameters: str, ends_with: int = 0
) -> Iterator[subprocess.Popen]:
    given = ('autostart:=true', 'allow_random_weights:=true', 'num_threads:=1', *parameters)
    options = [word for parameter in given for word in ('-p', parameter)]
    process = subprocess.Popen(
        [sys.executable, '-m', NODES[name].module, '--ros-args', *options],
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            _, errors = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    assert process.returncode == ends_with, errors
    assert 'Traceback' not in errors, errors


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_image_of_kittis_size_is_answered(environment: dict[str, str]) -> None:
    topics, watched = [], []
    for name, output in WATCHED.items():
        kind = next(t.type for t in NODES[name].outputs if t.name == output)
        topics.append(output.replace('~', name))
        watched.append(f'{name}:{topics[-1]}:{kind}')
    camera = [sys.executable, str(Path(__file__).with_name('kitti_camera.py')), str(IMAGES)]
    with ExitStack() as nodes:
        for name in WATCHED:
            nodes.enter_context(_node(name, environment, *PATIENT))
        shown = subprocess.run(
            [*camera, *watched], env=environment, capture_output=True, text=True, timeout=170
        )
    assert shown.returncode == 0, shown.stderr
    answered = json.loads(shown.stdout)
    assert answered == [topics] * IMAGES


@pytest.mark.timeout(60)
def test_a_node_with_a_bad_parameter_lives_and_says_so(environment: dict[str, str]) -> None:
    with _node('superpoint', environment, 'max_keypoint:=5') as process:
        assert process.stderr is not None
        for line in process.stderr:
            if 'cannot configure' in line:
                break
        assert "did you mean 'max_keypoints'" in line
        assert process.poll() is None


@pytest.mark.timeout(60)
@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='no shared memory to look at')
def test_a_node_leaves_no_shared_memory_behind(environment: dict[str, str]) -> None:
    with _node('flownet', environment) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if 'weights' in line:
                break
        assert (segments := _segments(process.pid))
    assert not [path for path in segments if path.exists()]


@pytest.mark.timeout(180)
@pytest.mark.parametrize('name', [spec.name for spec in ODOMETRY_NODES])
def test_a_killed_node_goes_on_from_its_last_pose_when_it_is_respawned(
    ros: Any, environment: dict[str, str], name: str
) -> None:
    from geometry_msgs.msg import PoseWithCovarianceStamped
    from nav_msgs.msg import Odometry

    from dlcv.ros.vocabulary import COMPOSER

    patient = (*PATIENT, 'resume_within:=100.0', 'max_frame_interval:=10.0')
    heard = []
    ros.peer.create_subscription(Odometry, f'/{name}/odometry', heard.append, 10)
    set_pose = ros.peer.create_publisher(PoseWithCovarianceStamped, f'/{name}/set_pose', 10)

    def listeners() -> set[bytes]:
        ends = ros.peer.get_subscriptions_info_by_topic('/image')
        return {bytes(end.endpoint_gid) for end in ends}

    def drive(index: int) -> None:
        """Show images until two answers have come."""
        heard.clear()
        end = monotonic() + 60
        while len(heard) < 2:
            assert monotonic() < end, 'the node does not answer'
            ros.show(index)
            ros.spin(0.1)
            index += 1

    with _node(name, environment, *patient, ends_with=-signal.SIGKILL) as process:
        ros.until(listeners, 'the node', seconds=60)
        ros.until(lambda: set_pose.get_subscription_count() > 0)
        start = np.eye(4)
        start[:2, 3] = 100, 200
        header = COMPOSER.header_in('odom', COMPOSER.time(0))
        set_pose.publish(COMPOSER.pose_with_covariance(header, start, np.eye(6) * 0.01))
        drive(0)
        killed = listeners()
        process.kill()
        process.wait()
        ros.spin(0.2)  # its last words
    last = heard[-1]
    with _node(name, environment, *patient):
        # a killed node's subscriptions are believed to be there for another 20 s
        ros.until(lambda: listeners() - killed, 'the node again', seconds=60)
        drive(500)
    first = heard[0]
    assert (last.pose.pose.position.x, last.pose.pose.position.y) == pytest.approx(
        (100, 200), abs=20
    )
    gone = np.subtract(
        [getattr(first.pose.pose.position, axis) for axis in 'xyz'],
        [getattr(last.pose.pose.position, axis) for axis in 'xyz'],
    )
    assert np.linalg.norm(gone) < 1e-6
    assert first.pose.covariance[0] > last.pose.covariance[0]


@pytest.mark.timeout(60)
@pytest.mark.skipif(not Path('/dev/shm').is_dir(), reason='no shared memory to look at')
@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_signals_while_a_node_configures_leave_nothing_behind(
    environment: dict[str, str], number: signal.Signals
) -> None:
    with _node('monodepth', environment) as process:
        while not (segments := _segments(process.pid)):  # it is there, and imports torch
            assert process.poll() is None
        for _ in range(3):
            process.send_signal(number)
    assert not [path for path in segments if path.exists()]


@pytest.mark.timeout(60)
def test_a_parameter_file_that_ros_cannot_read_is_said_in_a_line(
    environment: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / 'mixed.yaml'
    path.write_text('/**: {ros__parameters: {row: [0.1, 1]}}')
    command = [
        sys.executable,
        '-m',
        NODES['superpoint'].module,
        '--ros-args',
        '--params-file',
        path,
    ]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert 'Sequence should be of same type' in done.stderr
    assert 'Traceback' not in done.stderr


def _segments(pid: int) -> set[Path]:
    """Return the files of shared memory that a process has made for itself."""
    lines = Path(f'/proc/{pid}/maps').read_text().splitlines()
    paths = {Path(line.split()[-1]) for line in lines if '/dev/shm/fastrtps_' in line}
    return {path for path in paths if 'port' not in path.name}
