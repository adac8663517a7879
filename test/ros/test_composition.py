"""Nodes that share a process: who is given what, what goes by reference, whose fault is whose."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dlcv.types import DepthMap, Keypoints

pytest.importorskip('rclpy', reason='rclpy is not installed')

from lifecycle_msgs.srv import GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import parameter_value_to_python
from sensor_msgs.msg import Image, PointCloud2
from std_srvs.srv import Trigger

from dlcv.ros.composition import CompositionError, Home, Member, parsed
from dlcv.ros.exchange import Exchange
from dlcv.ros.nodes.monodepth import MonodepthNode
from dlcv.ros.nodes.superpoint import SuperPointNode
from dlcv.ros.nodes.visual_odometry import VisualOdometryNode

pytestmark = pytest.mark.ros
TOGETHER = (
    '-r', 'keypoints:=superpoint/keypoints', '-r', 'depth/camera_info:=depth/camera_info',
    '-r', 'depth/image:=depth/image_rect',
)  # fmt: skip


def test_what_is_closed_is_for_one_node_and_the_rest_for_all() -> None:
    line = 'superpoint --ros-args -p a:=1 -- monodepth visual_odometry --ros-args -r b:=c --'
    for_all = ['--ros-args', '-r', '__ns:=/robot']
    members, rest = parsed([*line.split(), *for_all])
    assert members == [
        Member('superpoint', ('--ros-args', '-p', 'a:=1')),
        Member('monodepth'),
        Member('visual_odometry', ('--ros-args', '-r', 'b:=c')),
    ]
    assert rest == for_all
    assert parsed(['deepvo']) == ([Member('deepvo')], [])


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('', 'no node is named; there are superpoint'),
        ('orb', "no node 'orb'; there are superpoint"),
        ('deepvo deepvo', 'deepvo: named twice'),
        ('--ros-args -p a:=1 -- deepvo', 'has no node before it'),
    ],
)
def test_a_line_that_names_no_nodes_is_refused(line: str, message: str) -> None:
    with pytest.raises(CompositionError, match=message):
        parsed(line.split())


def _points(frame: Any) -> Keypoints:
    return Keypoints(
        stamp_ns=frame.stamp_ns,
        xy=np.array([[1, 2]], np.float32),
        scores=np.ones(1, np.float32),
        descriptors=np.eye(1, 256, dtype=np.float32),
    )


def _depth(frame: Any) -> DepthMap:
    metres = np.full((frame.height, frame.width), 2, np.float32)
    return DepthMap(stamp_ns=frame.stamp_ns, disparity=metres, depth=metres, camera=frame.camera)


@pytest.fixture
def odometry(drive: Any) -> Any:
    class Faked(VisualOdometryNode):
        def load(self, device: str, precision: str) -> Any:
            return drive()

    return Faked


@pytest.fixture
def graph(ros: Any, with_fake: Callable[..., Any], odometry: Any) -> list[Any]:
    """superpoint, monodepth and visual_odometry, active in one exchange."""
    exchange = Exchange()
    makers = (
        partial(with_fake(SuperPointNode, _points), exchange=exchange),
        partial(with_fake(MonodepthNode, _depth), exchange=exchange),
    )
    patient = {'network_patience': 5.0, 'sync_patience': 0.0, 'depth_source': 'network'}
    found = [ros.make(maker) for maker in makers]
    found.append(ros.make(partial(odometry, exchange=exchange), *TOGETHER, **patient))
    for node in found:  # visual_odometry last: who is there already does not matter to it
        node.trigger_configure()
    for node in reversed(found):
        node.trigger_activate()
    return found


def test_features_and_depth_are_handed_to_odometry_as_they_are(ros: Any, graph: list[Any]) -> None:
    superpoint, _, odometry = graph
    for count, index in enumerate((0, 10), 1):  # what came once is waited for the next time
        stamp = ros.show(index)
        ros.until(lambda: all(len(n.estimator.frames) == count for n in graph))  # noqa: B023
    aids = odometry.estimator.aids[-1]
    assert aids.keypoints.stamp_ns == aids.depth.stamp_ns == stamp
    assert aids.keypoints.descriptors.dtype == np.float32
    assert aids.depth.disparity is aids.depth.depth  # a message would have lost this
    decoded = [node.estimator.frames[-1].image for node in graph]
    assert decoded[0] is decoded[1] is decoded[2]
    # and no message between them: no subscription either
    topics = ('/superpoint/keypoints', '/depth/image_rect')
    assert [ros.peer.count_subscribers(topic) for topic in topics] == [0, 0]
    ends = ros.peer.get_subscriptions_info_by_topic('/image')
    assert {end.node_name for end in ends} == {node.get_name() for node in graph}
    assert odometry.intake.peers()['/superpoint/keypoints'] == 1
    assert superpoint.outputs.peers()['/superpoint/keypoints'] == 1


def test_others_hear_what_is_handed_on_too(ros: Any, graph: list[Any]) -> None:
    superpoint, _, odometry = graph
    clouds = ros.hears(superpoint, '~/keypoints')
    depths = ros.listen(Image, '/depth/image_rect')
    stamp = ros.show(0)
    ros.until(lambda: clouds and depths and odometry.estimator.frames)
    assert isinstance(clouds[0], PointCloud2)
    assert clouds[0].header.stamp.nanosec == depths[0].header.stamp.nanosec == stamp % 10**9
    odometry.trigger_deactivate()
    ros.show(1)
    ros.until(lambda: len(clouds) == 2)
    assert superpoint.outputs.peers()['/superpoint/keypoints'] == 1  # the peer alone


@pytest.fixture
def homes(ros: Any, plain: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """Return a function that gives a node a thread of its own, in the test's context."""
    monkeypatch.setattr('dlcv.ros.composition.rclpy.ok', ros.context.ok)
    monkeypatch.setattr(
        'dlcv.ros.composition.SingleThreadedExecutor',
        partial(SingleThreadedExecutor, context=ros.context),
    )
    made: list[Home] = []

    def make(name: str, cls: Any = plain) -> Home:
        arguments = ['--ros-args', '-r', f'__ns:=/{name}', '-p', 'autostart:=true']
        made.append(Home(partial(cls, context=ros.context), arguments, Exchange()))
        made[-1].begin()
        return made[-1]

    yield make
    for home in made:
        home.end()
    for home in made:
        home.join(20)


def test_a_fault_in_one_nodes_callback_is_its_own(ros: Any, plain: Any, homes: Any) -> None:
    class Faulty(plain):  # type: ignore[misc]
        def _on_reset(self, _: Any, response: Any) -> Any:
            raise RuntimeError('a broken callback')

    sick, well = homes('sick', Faulty).node, homes('well').node
    ros.until(lambda: sick.active and well.active)
    client = ros.peer.create_client(Trigger, '/sick/superpoint/reset')
    ros.until(client.service_is_ready)
    client.call_async(Trigger.Request())
    ros.until(lambda: sick.state == 'inactive')
    assert (sick.verdict().level, sick.verdict().text) == (2, 'RuntimeError: a broken callback')
    assert ros.call(Trigger, '/well/superpoint/reset').success
    assert well.active
    answer = ros.call(GetState, '/sick/superpoint/get_state')  # its callbacks go on
    assert answer.current_state.label == 'inactive'


@pytest.mark.timeout(120)
def test_one_process_runs_nodes_with_their_own_sections_and_ends_cleanly(
    ros: Any, domain: int, tmp_path: Path
) -> None:
    path = tmp_path / 'two.yaml'
    path.write_text(
        '/**: {ros__parameters: {num_threads: 1}}\n'
        '/**/superpoint: {ros__parameters: {max_keypoints: 77}}\n'
        '/**/monodepth: {ros__parameters: {diagnostic_period: 0.25}}\n'
    )
    command = [
        *(sys.executable, '-m', 'dlcv.ros.nodes.composed', 'superpoint'),
        *('--ros-args', '-p', 'match_ratio:=0.5', '--', 'monodepth'),
        *('--ros-args', '--params-file', path, '-r', '__ns:=/robot'),
    ]
    environment = {**os.environ, 'ROS_DOMAIN_ID': str(domain)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            given = {
                node: _parameters(ros, f'/robot/{node}', names)
                for node, names in (
                    ('superpoint', ['max_keypoints', 'match_ratio', 'num_threads']),
                    ('monodepth', ['diagnostic_period', 'num_threads']),
                )
            }
            process.send_signal(signal.SIGTERM)
            said, _ = process.communicate(timeout=60)
        except BaseException:
            process.kill()
            raise
    assert given == {'superpoint': [77, 0.5, 1], 'monodepth': [0.25, 1]}
    assert process.returncode == 0, said
    assert 'Traceback' not in said


def _parameters(ros: Any, node: str, names: list[str]) -> list[Any]:
    answer = ros.call(
        GetParameters, f'{node}/get_parameters', GetParameters.Request(names=names), seconds=60
    )
    return [parameter_value_to_python(value) for value in answer.values]
