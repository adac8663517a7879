"""The node `visual_odometry`: what it says found and lost, and what arrives beside its images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseWithCovarianceStamped, Vector3
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, Imu, PointCloud2
from std_srvs.srv import Trigger

from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.interface import messages
from dlcv.ros.nodes.visual_odometry import VisualOdometryNode
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Camera, Keypoints

pytestmark = pytest.mark.ros
CAMERA = Camera(width=64, height=48, fx=50.0, fy=50.0, cx=32, cy=24)
MOMENT = 10**8


@pytest.fixture
def faked(drive: Any) -> Callable[..., Any]:
    """Return a function that makes the node's class with an estimator that needs no pictures."""

    def make(*lost: int, state: str = 'tracking') -> Any:
        class Faked(VisualOdometryNode):
            def load(self, device: str, precision: str) -> Any:
                return drive(*lost, state=state)

        return Faked

    return make


def _drive(ros: Any, node: Any, images: range) -> list[int]:
    stamps = []
    for index in images:
        count = len(node.estimator.frames)
        stamps.append(ros.show(index))
        ros.until(lambda: len(node.estimator.frames) == count + 1)  # noqa: B023
    return stamps


def _header(stamp: int, frame: str = 'camera_optical') -> Any:
    return COMPOSER.header(stamp, frame)


def _told(message: Any) -> dict[str, str]:
    return {pair.key: pair.value for pair in message.values}


def _state(message: Any) -> str:
    return _told(message)['state']


def _keypoints(stamp: int) -> Any:
    points = Keypoints(
        stamp_ns=stamp,
        xy=np.array([[1, 2], [30, 40]], np.float32),
        scores=np.ones(2, np.float32),
        descriptors=np.eye(2, 256, dtype=np.float32),
    )
    return COMPOSER.keypoint_cloud(_header(stamp), points, 'int8')


def _depth(stamp: int) -> Any:
    return COMPOSER.image(_header(stamp), np.full((48, 64), 2.5, np.float32))


def _mask(stamp: int) -> Any:
    pixels = np.ones((48, 64), np.uint8)
    pixels[:10] = 0
    return COMPOSER.image(_header(stamp), pixels)


def _right_info(stamp: int) -> Any:
    info = COMPOSER.camera_info(_header(stamp), CAMERA)
    info.p[3] = -CAMERA.fx * 0.1
    return info


def _right(stamp: int) -> Any:
    return COMPOSER.image(_header(stamp), np.full((48, 64, 3), 7, np.uint8))


def _wheels(stamp: int, metres: float = 0.0) -> Any:
    pose = np.eye(4)
    pose[0, 3] = metres
    return COMPOSER.odometry(
        _header(stamp, 'wheel_odom'), 'base_link', pose, np.eye(6), np.zeros(6), np.eye(6)
    )


def _imu(stamp: int) -> Any:
    return Imu(header=_header(stamp, 'camera_optical'), angular_velocity=Vector3(y=0.5))


BESIDE = {
    'keypoints': (PointCloud2, _keypoints),
    'depth/image': (Image, _depth),
    'mask': (Image, _mask),
    'right/image': (Image, _right),
    'wheel/odometry': (Odometry, _wheels),
    'imu': (Imu, _imu),
}
AID = {
    'keypoints': 'keypoints',
    'depth/image': 'depth',
    'mask': 'mask',
    'right/image': 'right',
    'wheel/odometry': 'wheels',
    'imu': 'turn',
}


def _put(ros: Any, node: Any, name: str, message: Any) -> None:
    """Publish a message beside the images, and wait until the node has it."""
    kind = type(message)
    if name not in ros.cameras:
        ros.cameras[name] = ros.speak(kind, f'/{name}')
    stream = node.task.beside._streams[name]
    before = list(stream.kept)
    ros.cameras[name].publish(message)
    ros.until(lambda: stream.kept != before, f'{name} to arrive')


def _placed(node: Any) -> int:
    """Return the last moment of which the node knows where its camera sits."""
    frames = node.task.frames
    known = frames.knows('camera_optical')
    return int(frames.newest('base_link', 'camera_optical')) if known else 0


def test_odometry_and_info_of_a_straight_drive(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    odometry, info = ros.hears(node, '~/odometry'), ros.hears(node, '~/info')
    stamps = _drive(ros, node, range(4))
    ros.until(lambda: len(odometry) == 4)
    ros.until(lambda: len(info) == 4)
    assert [messages.stamp_ns(m.header.stamp) for m in odometry] == stamps
    assert [m.pose.pose.position.x for m in odometry] == pytest.approx([0, 0.5, 1.0, 1.5])
    assert [_state(m) for m in info] == ['starting'] + ['tracking'] * 3
    assert [float(_told(m)['stamp']) for m in info] == pytest.approx([s / 1e9 for s in stamps])
    assert {m.level for m in info} == {b'\0'}


def test_landmarks_and_tracks_are_for_who_listens(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    landmarks, tracks = ros.hears(node, '~/landmarks'), ros.hears(node, '~/tracks')
    _drive(ros, node, range(2))
    ros.until(lambda: landmarks and tracks)
    assert landmarks[-1].header.frame_id == 'odom'
    assert [f.name for f in landmarks[-1].fields] == ['x', 'y', 'z', 'stddev']
    assert (tracks[-1].encoding, tracks[-1].header.frame_id) == ('rgb8', 'camera_optical')


def test_lost_is_said_at_once_and_it_comes_back_where_it_was(ros: Any, faked: Any) -> None:
    node = ros.run(faked(2, 3), input_timeout=60.0)
    odometry, info = ros.hears(node, '~/odometry'), ros.hears(node, '~/info')
    _drive(ros, node, range(4))
    ros.until(lambda: len(info) == 4)
    assert (_state(info[-1]), _told(info[-1])['reason'], info[-1].level) == ('lost', 'fog', b'\2')
    assert (node.verdict().level, node.verdict().text) == (2, 'lost: fog')
    ros.spin(0.2)
    assert len(odometry) == 2
    _drive(ros, node, range(4, 5))
    ros.until(lambda: len(odometry) == 3)
    assert [m.pose.pose.position.x for m in odometry] == pytest.approx([0, 0.5, 1.0])
    assert node.verdict().level == 0


def test_lost_may_inflate_instead(ros: Any, faked: Any) -> None:
    node = ros.run(faked(2), lost_policy='inflate', input_timeout=60.0)
    odometry = ros.hears(node, '~/odometry')
    _drive(ros, node, range(3))
    ros.until(lambda: len(odometry) == 3)
    assert odometry[-1].pose.pose.position.x == pytest.approx(0.5)
    assert odometry[-1].pose.covariance[0] > 1
    assert odometry[-1].twist.covariance[0] == pytest.approx(40.0**2)


@pytest.mark.parametrize('name', BESIDE)
def test_what_arrives_beside_an_image_is_an_aid(ros: Any, faked: Any, name: str) -> None:
    node = ros.run(faked(), depth_source='camera')
    _, made = BESIDE[name]
    if name == 'right/image':
        _put(ros, node, 'right/camera_info', _right_info(ros.start_ns))
    for index in range(2):
        _put(ros, node, name, made(ros.start_ns + index * MOMENT))
    info = ros.hears(node, '~/info')
    _drive(ros, node, range(2))
    ros.until(lambda: len(info) == 2)
    assert getattr(node.estimator.aids[-1], AID[name]) is not None
    assert _told(info[-1])['used'] == name
    others = set(AID) - {name}
    assert all(getattr(node.estimator.aids[-1], AID[other]) is None for other in others)
    if name == 'right/image':
        assert node.estimator.aids[-1].baseline == pytest.approx(0.1)


def test_wheels_are_measured_over_images_that_were_dropped(ros: Any, faked: Any) -> None:
    """From the last image that was looked at, not from the last one that was taken."""
    node = ros.run(faked())
    for index in range(4):
        _put(ros, node, 'wheel/odometry', _wheels(ros.start_ns + index * MOMENT, 0.25 * index))
    _drive(ros, node, range(1))
    _drive(ros, node, range(3, 4))
    expected = np.eye(4)
    expected[2, 3] = 0.75  # ahead, seen by the camera
    np.testing.assert_allclose(node.estimator.aids[-1].wheels, expected, atol=1e-9)


def test_an_image_waits_for_what_is_on_its_way(ros: Any, faked: Any) -> None:
    node = ros.run(faked(), depth_source='camera', sync_patience=5.0)
    for index in range(-2, 0):
        _put(ros, node, 'depth/image', _depth(ros.start_ns + index * MOMENT))
    ros.show(0)
    ros.spin(0.1)
    assert not node.estimator.frames
    _put(ros, node, 'depth/image', _depth(ros.start_ns))
    ros.until(lambda: node.estimator.frames)
    assert node.estimator.aids[0].depth is not None


def test_what_does_not_come_is_not_needed(ros: Any, faked: Any) -> None:
    node = ros.run(faked(), depth_source='camera', sync_patience=0.05)
    for index in range(-2, 0):
        _put(ros, node, 'depth/image', _depth(ros.start_ns + index * MOMENT + 4 * MOMENT // 10))
    _drive(ros, node, range(2))
    assert [aids.depth for aids in node.estimator.aids] == [None, None]
    assert node.task.values()['depth/image unsynchronised'] == '2'


def test_deactivation_does_not_wait_for_what_does_not_come(ros: Any, faked: Any) -> None:
    node = ros.run(faked(), depth_source='camera', sync_patience=5.0, inference_timeout=20.0)
    for index in range(-2, 0):
        _put(ros, node, 'depth/image', _depth(ros.start_ns + index * MOMENT))
    ros.show(0)
    ros.spin(0.1)
    node.trigger_deactivate()
    assert node.state == 'inactive'
    node.trigger_activate()
    _drive(ros, node, range(1, 2))


BROKEN = {
    'keypoints': {'width': 10**6},
    'depth/image': {'encoding': 'rgb8'},
    'mask': {'step': 1},
    'right/image': {'encoding': 'nv24'},
    'wheel/odometry': {},
    'imu': {},
}


@pytest.mark.parametrize('name', BROKEN)
def test_bad_input_beside_is_survived_and_counted(ros: Any, faked: Any, name: str) -> None:
    node = ros.run(faked(), depth_source='camera')
    if name == 'right/image':
        _put(ros, node, 'right/camera_info', _right_info(ros.start_ns))
    for index in range(2):
        message = BESIDE[name][1](ros.start_ns + index * MOMENT)
        for field, value in BROKEN[name].items():
            setattr(message, field, value)
        if name == 'wheel/odometry':
            message.pose.pose.orientation.w = float('nan')
        if name == 'imu':
            message.angular_velocity.x = float('inf')
        _put(ros, node, name, message)
    odometry = ros.hears(node, '~/odometry')
    _drive(ros, node, range(2))
    ros.until(lambda: len(odometry) == 2)
    assert int(node.task.values()[f'{name} unusable']) >= 1
    assert getattr(node.estimator.aids[-1], AID[name]) is None


@pytest.mark.parametrize('p3', [0.0, 5.0, float('nan')])
def test_a_right_camera_without_a_baseline_is_not_used(ros: Any, faked: Any, p3: float) -> None:
    node = ros.run(faked())
    info = _right_info(ros.start_ns)
    info.p[3] = p3
    _put(ros, node, 'right/camera_info', info)
    _put(ros, node, 'right/image', _right(ros.start_ns))
    _drive(ros, node, range(1))
    assert node.estimator.aids[0].right is None


def test_without_use_for_it_nothing_is_subscribed_to(ros: Any, faked: Any) -> None:
    node = ros.run(faked(), keypoints='own', scale_source='none')
    names = node.intake.peers()
    assert {'/imu', '/mask'} <= set(names)
    assert not {'/keypoints', '/depth/image', '/right/image', '/wheel/odometry'} & set(names)


def test_a_mask_that_is_not_there_makes_configure_fail(ros: Any, faked: Any) -> None:
    node = ros.make(faked(), mask='/nowhere/mask.png')
    node.trigger_configure()
    assert node.state == 'unconfigured'
    assert 'mask: /nowhere/mask.png: no such file' in node.fault


def test_a_respawned_node_goes_on_from_its_last_pose(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    first = ros.hears(node, '~/odometry')
    _drive(ros, node, range(4))
    ros.until(lambda: len(first) == 4)
    ros.end(node)
    node = ros.run(faked())
    again = ros.hears(node, '~/odometry')
    _drive(ros, node, range(10, 12))  # 0.7 s later
    ros.until(lambda: len(again) == 2)
    assert [m.pose.pose.position.x for m in again] == pytest.approx([1.5, 2.0])
    before, after = first[3].pose.covariance[0], again[0].pose.covariance[0]
    assert np.sqrt(after) - np.sqrt(before) == pytest.approx(5 * 0.7, rel=0.05)  # 5 m/s, 0.7 s
    assert again[1].pose.covariance[0] >= after  # the estimator goes on from it too


def test_reset_leads_to_the_origin(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(3))
    assert ros.call(Trigger, '/visual_odometry/reset').success
    _drive(ros, node, range(3, 5))
    ros.until(lambda: len(heard) == 5)
    assert [m.pose.pose.position.x for m in heard[-2:]] == pytest.approx([0, 0.5])


def test_a_camera_on_a_joint_is_followed_by_tf(ros: Any, faked: Any) -> None:
    tf2 = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not built')
    node = ros.run(faked(), publish_tf=False)
    heard = ros.hears(node, '~/odometry')
    speak = ros.speak(tf2.TFMessage, '/tf', profile('tf'))
    for index in range(3):  # the joint carries the camera ahead as fast as it sees itself go
        seat = BODY_FROM_OPTICAL.copy()
        seat[0, 3] = 0.5 * index
        header = _header(ros.start_ns + index * MOMENT, 'base_link')
        told = COMPOSER.transform(header, 'camera_optical', seat)
        speak.publish(tf2.TFMessage(transforms=[told]))
        ros.until(lambda: _placed(node) == ros.start_ns + index * MOMENT)  # noqa: B023
        _drive(ros, node, range(index, index + 1))
    ros.until(lambda: len(heard) == 3)
    assert [m.pose.pose.position.x for m in heard] == pytest.approx([0, 0, 0])
    assert speak.get_subscription_count() == 1  # it goes on listening: the camera moves


def test_diagnostics_tell_of_what_arrives_beside(ros: Any, faked: Any) -> None:
    from diagnostic_msgs.msg import DiagnosticArray

    node = ros.run(faked(), depth_source='camera', diagnostic_period=0.1)
    _put(ros, node, 'depth/image', _depth(ros.start_ns))
    _drive(ros, node, range(1))
    heard = ros.listen(DiagnosticArray, '/diagnostics')

    def told() -> dict[str, str]:
        return {pair.key: pair.value for pair in heard[-1].status[0].values} if heard else {}

    ros.until(lambda: told().get('depth/image used') == '1')
    assert told()['tracking'] == 'starting'


def test_calibration_of_the_right_camera_needs_no_image_of_its_own(ros: Any, faked: Any) -> None:
    """A camera_info that comes once, and before, serves all images."""
    node = ros.run(faked())
    _put(ros, node, 'right/camera_info', _right_info(ros.start_ns - 10 * MOMENT))
    assert isinstance(node.task.beside.latest('right/camera_info'), CameraInfo)
    for index in range(3):
        _put(ros, node, 'right/image', _right(ros.start_ns + index * MOMENT))
    _drive(ros, node, range(3))
    assert [aids.baseline for aids in node.estimator.aids] == pytest.approx([0.1] * 3)


def test_set_pose_is_taken(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    heard = ros.hears(node, '~/odometry')
    given = np.eye(4)
    given[:3, 3] = 10, 20, 0
    header = COMPOSER.header_in('odom', COMPOSER.time(0))
    ros.speak(PoseWithCovarianceStamped, '/visual_odometry/set_pose').publish(
        COMPOSER.pose_with_covariance(header, given, np.eye(6) * 0.25)
    )
    ros.until(lambda: node.task._given is not None)
    _drive(ros, node, range(2))
    ros.until(lambda: len(heard) == 2)
    position = heard[-1].pose.pose.position
    assert (position.x, position.y) == pytest.approx((10.5, 20))
    assert heard[-1].pose.covariance[0] >= 0.25


def test_a_failed_image_leaves_the_pose_and_costs_trust(ros: Any, faked: Any) -> None:
    node = ros.run(faked(), input_timeout=60.0)
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(3))
    ros.until(lambda: len(heard) == 3)
    push, broken = node.estimator.push, []

    def fail(frame: Any, aids: Any) -> Any:
        broken.append(frame)
        raise ValueError('a strange image')

    node.estimator.push = fail
    ros.show(3)
    ros.until(lambda: broken)
    node.estimator.push = push
    _drive(ros, node, range(4, 6))
    ros.until(lambda: len(heard) == 4)
    assert heard[-1].pose.pose.position.x == pytest.approx(1.5)
    before, after = heard[-2].pose.covariance[0], heard[-1].pose.covariance[0]
    assert np.sqrt(after) - np.sqrt(before) == pytest.approx(5 * 0.2, rel=0.05)  # 5 m/s, 0.2 s


def test_another_round_of_a_bag_begins_anew(ros: Any, faked: Any) -> None:
    node = ros.run(faked())
    heard = ros.hears(node, '~/odometry')
    for index in (0, 1, 2, -50, -49):
        _put(ros, node, 'wheel/odometry', _wheels(ros.start_ns + index * MOMENT, 0.25 * index))
        _drive(ros, node, range(index, index + 1))
    ros.until(lambda: len(heard) == 5)
    assert [m.pose.pose.position.x for m in heard] == pytest.approx([0, 0.5, 1, 0, 0.5])
    wheels = [aids.wheels is not None for aids in node.estimator.aids]
    assert wheels == [False, True, True, False, True]
