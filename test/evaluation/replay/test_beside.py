"""A replay without ROS hands visual odometry what a bag has beside its images."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.bringup.replay import ReplayOptions, plan_replay
from dlcv.data.bags import Bag, BagWriter
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, IMAGE, ODOMETRY, TF
from dlcv.evaluation.replay.local import replay_local
from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.types import Camera

COUNT, STEP, START = 4, 10**8, 10**9
CAMERA = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=31.5, cy=23.5)
LATE = 30_000_000  # what belongs to an image was recorded so much later


def _header(index, frame='camera'):
    return COMPOSER.header(START + index * STEP, frame)


def _pose(x):
    pose = np.eye(4)
    pose[0, 3] = x
    return pose


def _written(path, index):
    """Give the messages of a moment: topic, type, when they were recorded, message."""
    at = START + index * STEP
    picture = COMPOSER.image(_header(index), np.full((48, 64, 3), index, np.uint8))
    info = COMPOSER.camera_info(_header(index), CAMERA)
    right = COMPOSER.camera_info(_header(index), CAMERA)
    right.p[3] = -CAMERA.fx * 0.2
    yield '/left/camera_info', CAMERA_INFO, at, info
    yield '/left/image_raw', IMAGE, at, picture
    yield '/right/camera_info', CAMERA_INFO, at + LATE, right
    yield '/right/image_raw', IMAGE, at + LATE, picture
    depth = COMPOSER.image(_header(index), np.full((48, 64), 3.0, np.float32))
    yield '/cam/depth', IMAGE, at + LATE, depth
    wheels = COMPOSER.odometry(
        _header(index, 'wheels'), 'base_link', _pose(index), np.eye(6), np.zeros(6), np.eye(6)
    )
    yield '/wheels', ODOMETRY, at + LATE, wheels
    seat = BODY_FROM_OPTICAL.copy()
    seat[2, 3] = 1.0 + index  # a mast that rises
    told = COMPOSER.transform(_header(index, 'base_link'), 'camera', seat)
    yield '/tf', TF, at + LATE, COMPOSER.tf(told)


@pytest.fixture
def bag(tmp_path):
    path = tmp_path / 'robot.mcap'
    with BagWriter(path) as writer:
        rows = [row for index in range(COUNT) for row in _written(path, index)]
        for topic, kind in dict(row[:2] for row in rows).items():
            writer.add_topic(topic, kind)
        for topic, _, stamp, message in rows:
            writer.write(topic, stamp, message)
    return path


@pytest.fixture
def replayed(bag, drive, tmp_path, monkeypatch):
    """Replay the bag to visual odometry; return its estimator, what was said and the folder."""

    def go(publish_tf=False, **arguments):
        made = drive()
        monkeypatch.setattr('dlcv.estimation.load.load_visual_odometry', lambda **_: made)
        asked = ReplayOptions(
            bag=bag, folder=tmp_path / 'out', mode='in-process', images='/left/image_raw'
        )
        params = tmp_path / 'params.yaml'
        params.write_text(f'/**: {{ros__parameters: {{publish_tf: {str(publish_tf).lower()}}}}}')
        given = {
            'nodes': 'visual_odometry', 'wheel_topic': '/wheels', 'params_file': str(params),
        } | arguments  # fmt: skip
        planned = plan_replay(asked, given, {}, colour=False)
        said = []
        replay_local(planned.job.shown, planned.plan.nodes, tmp_path / 'out', said.append)
        return made, said, planned

    return go


def test_the_right_camera_is_found_by_itself(replayed):
    estimator, _, planned = replayed(depth_topic='/cam/depth')
    assert planned.plan.nodes[0].resolve('right/image') == '/right/image_raw'
    assert [aids.baseline for aids in estimator.aids] == pytest.approx([0.2] * COUNT)
    assert [int(aids.right.image[0, 0, 0]) for aids in estimator.aids] == list(range(COUNT))


def test_depth_that_is_named_is_a_cameras(replayed):
    estimator, _, _ = replayed(depth_topic='/cam/depth')
    assert {aids.depth_source for aids in estimator.aids} == {'camera'}
    assert [float(aids.depth.depth[0, 0]) for aids in estimator.aids] == [3.0] * COUNT


def test_wheels_and_the_joint_of_the_camera_come_in_time(replayed):
    estimator, _, _ = replayed(depth_topic='/cam/depth')
    assert estimator.aids[0].wheels is None
    for aids in estimator.aids[1:]:  # a metre ahead (z), and the mast a metre up (-y)
        np.testing.assert_allclose(aids.wheels[:3, 3], [0, -1, 1], atol=1e-9)


def test_transforms_of_the_bag_are_not_shown_to_who_publishes_its_own(replayed):
    """As over ROS, where both would be on one topic."""
    estimator, said, _ = replayed(publish_tf=True, depth_topic='/cam/depth')
    for aids in estimator.aids[1:]:
        np.testing.assert_allclose(aids.wheels[:3, 3], [0, 0, 1], atol=1e-9)
    assert any('the camera is taken to sit in base_link' in text for text in said)


def test_a_replay_does_not_depend_on_other_nodes(replayed):
    _, _, planned = replayed(depth_topic='/cam/depth')
    settings = planned.plan.nodes[0].settings
    assert (settings.keypoints, settings.lockstep, settings.resume_within) == ('own', True, 0.0)


def test_odometry_and_info_are_kept(replayed, tmp_path):
    replayed(depth_topic='/cam/depth')
    with Bag(tmp_path / 'out' / 'outputs.mcap') as answers:
        counts = {topic.name: topic.count for topic in answers.topics}
        states = [
            {pair.key: pair.value for pair in message.values}['used']
            for _, message in answers.read(['/visual_odometry/info'])
        ]
    for name in ('odometry', 'info', 'tracks', 'landmarks'):
        assert counts[f'/visual_odometry/{name}'] == COUNT
    assert states == ['depth/image right/image'] + ['depth/image right/image wheel/odometry'] * (
        COUNT - 1
    )
