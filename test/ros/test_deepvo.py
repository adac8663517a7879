"""Odometry: pose, twist, transform, path; lost and found; poses from elsewhere."""

from __future__ import annotations

from array import array
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseWithCovarianceStamped
from scipy.spatial.transform import Rotation
from std_srvs.srv import Trigger

from dlcv.interface import messages
from dlcv.ros.nodes.deepvo import DeepVONode
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER, message_class
from dlcv.types import Frame, Lost, Motion

pytestmark = pytest.mark.ros
SPREAD = np.diag((1, 2, 3, 4, 5, 6)) * 1e-4


class Drive:
    """An estimator's answers: half a metre ahead for each image, but lost at some of them."""

    def __init__(self, *lost: int) -> None:
        self.lost, self.last, self.index = lost, None, -1

    def __call__(self, frame: Frame) -> Motion | Lost | None:
        last, self.last = self.last, frame.stamp_ns
        self.index += 1
        if last is None:
            return None
        if self.index in self.lost:
            return Lost(
                stamp_ns=frame.stamp_ns,
                previous_stamp_ns=last,
                reason='fog',
                odom_from_camera=np.eye(4),
                pose_covariance=np.eye(6),
            )
        step = np.eye(4)
        step[2, 3] = 0.5
        return Motion(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=last,
            previous_from_current=step,
            odom_from_camera=step,
            covariance=SPREAD,
        )


def _drive(ros: Any, node: Any, images: range) -> list[int]:
    stamps = []
    for index in images:
        count = len(node.estimator.frames)
        stamps.append(ros.show(index))
        ros.until(lambda: len(node.estimator.frames) == count + 1)  # noqa: B023
    return stamps


def _x(message: Any) -> float:
    return float(message.pose.pose.position.x)


def test_odometry_of_a_straight_drive(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    stamps = _drive(ros, node, range(4))
    ros.until(lambda: len(heard) == 4)
    assert [messages.stamp_ns(m.header.stamp) for m in heard] == stamps
    assert [_x(m) for m in heard] == pytest.approx([0, 0.5, 1.0, 1.5])
    last = heard[-1]
    assert (last.header.frame_id, last.child_frame_id) == ('odom', 'base_link')
    assert last.twist.twist.linear.x == pytest.approx(5.0)
    for message in heard:
        for part in (message.pose, message.twist):
            covariance = messages.covariance_matrix(part.covariance)
            assert np.linalg.eigvalsh(covariance)[0] > 0
    grown = [m.pose.covariance[0] for m in heard]
    assert grown == sorted(grown)
    twist = messages.covariance_matrix(last.twist.covariance)
    assert twist[0, 0] == pytest.approx(3e-4 / 0.01)  # camera z is the body's x


def test_transform_follows_the_pose(ros: Any, with_fake: Any) -> None:
    tf2 = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not built')
    node = ros.run(with_fake(DeepVONode, Drive()), odom_frame='o', base_frame='b')
    heard = ros.listen(tf2.TFMessage, '/tf', profile('tf'))
    ros.until(lambda: node.wanted('/tf'))
    stamps = _drive(ros, node, range(3))
    ros.until(lambda: len(heard) == 3)
    (moved,) = heard[-1].transforms
    assert (moved.header.frame_id, moved.child_frame_id) == ('o', 'b')
    assert messages.stamp_ns(moved.header.stamp) == stamps[-1]
    assert moved.transform.translation.x == pytest.approx(1.0)


def test_without_publish_tf_nobody_hears_of_it(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()), publish_tf=False)
    assert '/tf' not in node.outputs


def test_without_tf2_msgs_the_node_goes_on(
    ros: Any, with_fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, 'tf2_msgs.msg', None)
    message_class.cache_clear()
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(2))
    ros.until(lambda: len(heard) == 2)
    assert '/tf' not in node.outputs


def test_the_camera_sits_where_tf_static_says(ros: Any, with_fake: Any) -> None:
    tf2 = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not built')
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    backwards = np.eye(4)
    backwards[:3, :3] = [[0, 0, -1], [1, 0, 0], [0, -1, 0]]
    header = COMPOSER.header_in('base_link', COMPOSER.time(0))
    told = COMPOSER.transform(header, 'camera_optical', backwards)
    ros.speak(tf2.TFMessage, '/tf_static', profile('tf_static')).publish(
        tf2.TFMessage(transforms=[told])
    )
    ros.until(lambda: node.task.frames.knows('camera_optical'))
    _drive(ros, node, range(3))
    ros.until(lambda: len(heard) == 3)
    assert _x(heard[-1]) == pytest.approx(-1.0)


def test_lost_stops_and_goes_on_where_it_was(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive(3, 4)), input_timeout=60.0)
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(5))
    ros.until(lambda: node.verdict().text == 'lost: fog')
    assert node.verdict().level == 2
    ros.spin(0.2)
    assert len(heard) == 3
    _drive(ros, node, range(5, 6))
    ros.until(lambda: len(heard) == 4)
    assert _x(heard[-1]) - _x(heard[-2]) == pytest.approx(0.5)
    assert node.verdict().level == 0


def test_lost_may_inflate_instead(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive(3, 4)), lost_policy='inflate', input_timeout=60.0)
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(5))
    ros.until(lambda: len(heard) == 5)
    assert [_x(m) for m in heard[2:]] == pytest.approx([1.0] * 3)
    variances = [m.pose.covariance[0] for m in heard[2:]]
    assert variances[0] < variances[1] < variances[2]
    assert heard[-1].twist.covariance[0] == pytest.approx(40.0**2)
    assert node.verdict().level == 2


def test_a_failed_image_leaves_the_pose_and_costs_trust(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(3))
    drive = node.estimator.answer

    def fail(frame: Frame) -> Any:
        raise ValueError('a strange image')

    node.estimator.answer = fail
    _drive(ros, node, range(3, 4))
    node.estimator.answer, drive.last = drive, None  # as a reset estimator
    _drive(ros, node, range(4, 6))
    ros.until(lambda: len(heard) == 4)
    assert _x(heard[-1]) == pytest.approx(1.5)
    before, after = heard[-2].pose.covariance[0], heard[-1].pose.covariance[0]
    assert np.sqrt(after) - np.sqrt(before) == pytest.approx(5 * 0.2, rel=0.05)  # 5 m/s, 0.2 s


def test_reset_returns_to_the_origin(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(3))
    assert ros.call(Trigger, '/deepvo/reset').success
    _drive(ros, node, range(3, 4))
    ros.until(lambda: len(heard) == 4)
    assert _x(heard[-1]) == pytest.approx(0.5)


def test_set_pose_is_taken(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    speak = ros.speak(PoseWithCovarianceStamped, '/deepvo/set_pose')
    start = np.eye(4)
    start[:3, :3] = Rotation.from_euler('z', np.pi / 2).as_matrix()
    start[:3, 3] = 10, 20, 0
    for frame in ('elsewhere', 'odom'):
        header = COMPOSER.header_in(frame, COMPOSER.time(0))
        if frame == 'elsewhere':
            speak.publish(COMPOSER.pose_with_covariance(header, np.eye(4), np.eye(6)))
        else:
            speak.publish(COMPOSER.pose_with_covariance(header, start, np.eye(6) * 0.25))
    ros.until(lambda: node.task._given is not None)
    _drive(ros, node, range(2))
    ros.until(lambda: len(heard) == 2)
    position = heard[-1].pose.pose.position
    assert (position.x, position.y) == pytest.approx((10, 20.5))
    assert heard[-1].pose.covariance[0] > 0.25


def test_the_path_is_latched_and_bounded(
    ros: Any, with_fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('dlcv.estimation.tasks.odometry.PATH_PERIOD_NS', 0)
    node = ros.run(with_fake(DeepVONode, Drive()), path_max_size=3)
    odometry = ros.hears(node, '~/odometry')
    _drive(ros, node, range(5))
    ros.until(lambda: len(odometry) == 5)
    heard = ros.hears(node, '~/path')  # who comes late still hears the last one
    ros.until(lambda: heard)
    assert heard[-1].header.frame_id == 'odom'
    assert [p.pose.position.x for p in heard[-1].poses] == pytest.approx([1.0, 1.5, 2.0])


def test_two_images_in_half_a_second_make_one_path(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    odometry, paths = ros.hears(node, '~/odometry'), ros.hears(node, '~/path')
    _drive(ros, node, range(3))
    ros.until(lambda: len(odometry) == 3)
    ros.until(lambda: paths)
    assert len(paths) < 3


def test_twist_floors_are_given_in_camera_axes(ros: Any) -> None:
    floors = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    node = ros.run(DeepVONode, twist_stddev=floors, scale=2.0)
    settings = node.estimator.settings
    assert settings.twist_stddev == (0.2, 0.3, 0.1, 0.5, 0.6, 0.4)
    assert settings.scale == 2.0


def test_the_real_estimator_moves(ros: Any) -> None:
    node = ros.run(DeepVONode)
    heard = ros.hears(node, '~/odometry')
    for index in range(3):
        noise = np.random.default_rng(index).integers(0, 256, (96, 128, 3), np.uint8)
        pixels = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 2), None, 0, 255, cv2.NORM_MINMAX)
        ros.show(index, size=(128, 96), data=array('B', pixels.tobytes()))
        ros.until(lambda: len(heard) == index + 1)  # noqa: B023
    assert np.isfinite(heard[-1].pose.covariance).all()


def _variance(message: Any) -> float:
    return float(message.pose.covariance[0])


@pytest.mark.parametrize('again', ['process', 'activation', 'configuration'])
def test_a_node_that_starts_again_goes_on_from_its_last_pose(
    ros: Any, with_fake: Any, again: str
) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(4))
    ros.until(lambda: len(heard) == 4)
    if again == 'process':
        ros.end(node)
        node = ros.run(with_fake(DeepVONode, Drive()))
    else:
        node.trigger_deactivate()
        if again == 'configuration':
            node.trigger_cleanup()
            node.trigger_configure()
        node.estimator.answer = Drive()
        node.trigger_activate()
    heard_again = ros.hears(node, '~/odometry')
    _drive(ros, node, range(10, 12))  # 0.7 s later
    ros.until(lambda: len(heard_again) >= 2)
    assert [_x(m) for m in heard_again[-2:]] == pytest.approx([1.5, 2.0])
    before, after = _variance(heard[3]), _variance(heard_again[-2])
    assert np.sqrt(after) - np.sqrt(before) == pytest.approx(5 * 0.7, rel=0.05)  # 5 m/s, 0.7 s


@pytest.mark.parametrize(
    ('parameters', 'images'),
    [
        ({'resume_within': 0.0}, range(10, 12)),
        ({'resume_within': 0.5}, range(10, 12)),  # it is 0.7 s old
        ({'odom_frame': 'other_odom'}, range(10, 12)),
        ({'base_frame': 'other_base'}, range(10, 12)),
        ({}, range(-50, -48)),  # before it, as another round of a bag
    ],
)
def test_a_last_pose_that_does_not_fit_is_not_gone_on_from(
    ros: Any, with_fake: Any, parameters: dict[str, Any], images: range
) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(4))
    ros.until(lambda: len(heard) == 4)
    ros.end(node)
    node = ros.run(with_fake(DeepVONode, Drive()), **parameters)
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, images)
    ros.until(lambda: len(heard) == 2)
    assert [_x(m) for m in heard] == pytest.approx([0.0, 0.5])


def test_a_pose_that_nobody_goes_on_from_is_not_kept(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()), resume_within=0.0)
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(4))
    ros.until(lambda: len(heard) == 4)
    ros.end(node)
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(10, 12))
    ros.until(lambda: len(heard) == 2)
    assert [_x(m) for m in heard] == pytest.approx([0.0, 0.5])


def test_a_reset_is_not_undone_by_what_was_before(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    _drive(ros, node, range(4))
    assert ros.call(Trigger, '/deepvo/reset').success
    node.estimator.answer = Drive()
    _drive(ros, node, range(4, 6))
    ros.until(lambda: len(heard) == 6)
    assert [_x(m) for m in heard[-2:]] == pytest.approx([0.0, 0.5])


def test_set_pose_goes_before_the_last_pose(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    _drive(ros, node, range(3))
    ros.end(node)
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    given = np.eye(4)
    given[0, 3] = 7
    node.task.continue_from(given, np.eye(6) * 0.01)
    _drive(ros, node, range(3, 5))
    ros.until(lambda: len(heard) == 2)
    assert [_x(m) for m in heard] == pytest.approx([7.0, 7.5])


def test_a_pose_on_tf_is_gone_on_from_where_no_other_is_known(
    ros: Any, with_fake: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr('dlcv.ros.odometry.TF_PATIENCE', 0.2)
    tf2 = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not built')
    node = ros.run(with_fake(DeepVONode, Drive()), publish_tf=False)
    heard = ros.hears(node, '~/odometry')
    speak = ros.speak(tf2.TFMessage, '/tf', profile('tf'))
    foot, base = np.eye(4), np.eye(4)
    foot[:2, 3], base[2, 3] = (3, 4), 0.1
    header = COMPOSER.header_in('odom', COMPOSER.time(ros.start_ns - 5 * 10**8))
    on_foot = COMPOSER.header_in('footprint', header.stamp)
    told = [
        COMPOSER.transform(header, 'footprint', foot),
        COMPOSER.transform(on_foot, 'base_link', base),
    ]
    speak.publish(tf2.TFMessage(transforms=told))
    ros.until(lambda: node.task.frames.knows('base_link'))
    _drive(ros, node, range(2))
    ros.until(lambda: len(heard) == 2)
    position = heard[0].pose.pose.position
    assert (position.x, position.y, position.z) == pytest.approx((3, 4, 0.1))
    assert np.sqrt(_variance(heard[0])) == pytest.approx(0.1 * np.sqrt(3) * 0.5, rel=0.05)
    assert _x(heard[1]) == pytest.approx(3.5)
    ros.until(lambda: speak.get_subscription_count() == 0, 'the node to stop listening to /tf')


def test_a_pose_that_cannot_be_kept_is_survived(ros: Any, with_fake: Any, tmp_path: Any) -> None:
    node = ros.run(with_fake(DeepVONode, Drive()))
    heard = ros.hears(node, '~/odometry')
    (folder,) = tmp_path.glob('dlcv-*')
    folder.rmdir()
    _drive(ros, node, range(3))
    ros.until(lambda: len(heard) == 3)
