"""Relocalization: on demand, all the time, and the transform from map to odometry."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from geometry_msgs.msg import PoseWithCovarianceStamped
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from scipy.spatial.transform import Rotation
from std_srvs.srv import Trigger

from dlcv.geometry.frames import BODY_FROM_OPTICAL, TransformBuffer, inverse
from dlcv.interface import messages
from dlcv.ros.nodes.dsac import Anchor, DsacNode
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Frame, Localization

pytestmark = pytest.mark.ros
MOMENT = 10**8


def _pose(x: float = 0, y: float = 0, yaw: float = 0) -> Any:
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler('z', yaw).as_matrix()
    pose[:2, 3] = x, y
    return pose


def _found(base: Any, accepted: bool = True) -> Callable[[Frame], Localization]:
    """Return answers that put the body at ``base``, the camera at its default place on it."""
    camera = base @ BODY_FROM_OPTICAL

    def answer(frame: Frame) -> Localization:
        return Localization(
            stamp_ns=frame.stamp_ns,
            accepted=accepted,
            reason='312 inliers' if accepted else '3 inliers; 100 are needed',
            map_from_camera=camera,
            covariance=np.diag((1, 2, 3, 4, 5, 6)) * 1e-4,
            inliers=312 if accepted else 3,
            inlier_ratio=0.4,
            scene_coordinates=np.zeros((2, 2, 3), np.float32),
            hypotheses=np.stack((camera, np.full((4, 4), np.nan))),
            scores=np.array((1.0, -np.inf)),
            tries=5,
        )

    return answer


def _trigger(ros: Any) -> Any:
    client = ros.peer.create_client(Trigger, '/dsac/trigger')
    ros.until(client.service_is_ready)
    return client.call_async(Trigger.Request())


def _answered(ros: Any, future: Any) -> Any:
    ros.until(future.done, 'an answer to the trigger')
    return future.result()


def test_a_trigger_is_answered_by_the_next_image(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode, _found(_pose(3, 4, 0.5))))
    poses, hypotheses = ros.hears(node, '~/pose'), ros.hears(node, '~/hypotheses')
    ros.show(0)
    ros.until(lambda: node.health.values()['received'] == '1')
    ros.spin(0.1)
    assert node.estimator.frames == []  # nobody asked
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    stamp = ros.show(1)
    answer = _answered(ros, future)
    assert (answer.success, answer.message) == (True, 'accepted: 312 inliers')
    ros.until(lambda: poses and hypotheses)
    assert messages.stamp_ns(poses[0].header.stamp) == stamp
    assert poses[0].header.frame_id == 'map'
    np.testing.assert_allclose(
        messages.pose_matrix(poses[0].pose.pose), _pose(3, 4, 0.5), atol=1e-9
    )
    assert np.linalg.eigvalsh(messages.covariance_matrix(poses[0].pose.covariance))[0] > 0
    assert len(hypotheses[0].poses) == 1  # what is not a pose is not published
    ros.show(2)
    ros.spin(0.2)
    assert len(node.estimator.frames) == 1


def test_a_rejected_image_says_why(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode, _found(_pose(), accepted=False)), input_timeout=60.0)
    poses, hypotheses = ros.hears(node, '~/pose'), ros.hears(node, '~/hypotheses')
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0)
    answer = _answered(ros, future)
    assert not answer.success
    assert answer.message == 'rejected: 3 inliers; 100 are needed'
    ros.until(lambda: hypotheses)
    assert poses == []
    assert node.verdict().level == 1
    assert '3 inliers' in node.verdict().text


def test_images_of_another_camera_are_refused_and_counted(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode, _found(_pose())), mode='continuous', input_timeout=0.2)
    node.estimator.problem = 'the camera has a focal length of 3 heights'
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0)
    answer = _answered(ros, future)
    assert answer.message == 'rejected: the camera has a focal length of 3 heights'
    assert node.health.values()['rejected_camera'] == '1'
    assert node.estimator.frames == []


def _map_of(frame: str, folder: Any) -> str:
    from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
    from dlcv.networks.place import Place
    from dlcv.networks.weights import save_network

    place = Place(frame=frame, focal=(0.5, 2), low=(0, 0, 0), high=(1, 1, 1), pictures=9)
    config = DsacConfig(variant='ace', width=1 / 16, input_height=32, place=place)
    return str(save_network(SceneCoordinateNet(config), folder / f'{frame}.safetensors'))


def test_a_map_of_another_frame_is_refused(ros: Any, tmp_path: Any) -> None:
    kitchen = _map_of('kitchen', tmp_path)
    node = ros.make(DsacNode, weights=kitchen)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    wanted = "the map is in frame 'kitchen', asked for is 'map' (parameter map_frame)"
    assert wanted in node.verdict().text
    assert ros.run(DsacNode, weights=kitchen, map_frame='kitchen').estimator.place.pictures == 9


def test_a_map_of_landmarks_of_another_frame_is_refused(ros: Any, tmp_path: Any) -> None:
    node = ros.make(DsacNode, weights=_landmarks(tmp_path))
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert "the map is in frame 'kitchen', asked for is 'map'" in node.verdict().text


def _landmarks(folder: Any) -> str:
    """Write a map of landmarks of one keyframe; return its path."""
    from dlcv.estimation.slam.files import save_place
    from dlcv.estimation.slam.place import Keyframe, PlaceMap, encoded
    from dlcv.estimation.slam.places import HashedVlad
    from dlcv.types import Camera, Keypoints

    rng = np.random.default_rng(0)
    xy, looks = rng.uniform(0, 60, (80, 2)), rng.normal(size=(80, 256))
    looks = (looks / np.linalg.norm(looks, axis=1, keepdims=True)).astype(np.float32)
    points = Keypoints(stamp_ns=0, xy=xy, scores=np.ones(80, np.float32), descriptors=looks)
    frame = Frame(stamp_ns=0, image=np.zeros((48, 64, 3), np.uint8))
    one = Keyframe(
        stamp_ns=0,
        session=0,
        camera=Camera(width=64, height=48, fx=60.0, fy=60.0, cx=31.5, cy=23.5),
        odom_from_camera=np.eye(4),
        xy=xy.astype(np.float32),
        codes=encoded(looks),
        inverse_depth=np.full(80, 0.5, np.float32),
        inverse_stddev=np.full(80, 0.01, np.float32),
        landmark=np.arange(80),
        place=HashedVlad().describe(frame, points),
    )
    place = PlaceMap(frame='kitchen', described=HashedVlad.name, named=80)
    place.add(one, np.eye(4))
    save_place(place, folder / 'landmarks.safetensors')
    return str(folder / 'landmarks.safetensors')


def test_a_map_of_landmarks_is_read_and_says_why_it_refuses(ros: Any, tmp_path: Any) -> None:
    node = ros.run(DsacNode, weights=_landmarks(tmp_path), map_frame='kitchen')
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(1)
    answer = _answered(ros, future)
    assert not answer.success
    assert answer.message == 'rejected: no keyframe of the map looks like it'
    assert answer.message.removeprefix('rejected: ') in node.verdict().text


def test_without_images_the_trigger_gives_up(ros: Any, with_fake: Any) -> None:
    ros.run(with_fake(DsacNode), input_timeout=0.1)
    answer = _answered(ros, _trigger(ros))
    assert (answer.success, answer.message) == (False, 'rejected: no image arrived')


def test_bad_images_are_named_in_the_answer(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode), input_timeout=1.0)
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0, encoding='nv24')
    answer = _answered(ros, future)
    assert "encoding 'nv24' is not read" in answer.message


def test_a_failure_is_an_answer(ros: Any, with_fake: Any) -> None:
    def fail(frame: Frame) -> Any:
        raise ValueError('a strange image')

    node = ros.run(with_fake(DsacNode, fail))
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0)
    assert 'ValueError: a strange image' in _answered(ros, future).message


def test_an_inactive_or_disabled_node_answers_at_once(ros: Any, with_fake: Any) -> None:
    node = ros.make(with_fake(DsacNode))
    assert 'not active' in _answered(ros, _trigger(ros)).message
    node.trigger_configure()
    node.trigger_activate()
    node.enabled = False
    assert 'disabled' in _answered(ros, _trigger(ros)).message


def test_the_executor_is_free_while_a_trigger_waits(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode))
    release = threading.Event()
    found = _found(_pose())

    def slow(frame: Frame) -> Localization:
        release.wait(60)
        return found(frame)

    node.estimator.answer = slow
    first, second = _trigger(ros), _trigger(ros)
    ros.until(lambda: len(node._asked) == 2)
    ros.show(0)
    ros.until(lambda: node._computing)
    assert node.set_parameters([Parameter('rate', value=2.0)])[0].successful
    assert ros.call(Trigger, '/dsac/reset').success
    assert not first.done()
    release.set()
    assert _answered(ros, first).success
    assert _answered(ros, second).success


def test_deactivating_answers_who_waits(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode))
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    node.trigger_deactivate()
    assert 'deactivated' in _answered(ros, future).message


def test_continuous_mode_keeps_its_rate(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode, _found(_pose())), mode='continuous', rate=5.0)
    poses = ros.hears(node, '~/pose')
    for index in range(8):  # at 10 Hz
        ros.show(index)
        ros.until(lambda: int(node.health.values()['received']) == index + 1)  # noqa: B023
        ros.until(lambda: len(poses) == index // 2 + 1)  # noqa: B023
    assert len(node.estimator.frames) == 4


def test_the_prior_is_the_cameras(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode, _found(_pose())), mode='continuous')
    speak = ros.speak(PoseWithCovarianceStamped, 'initial_pose')
    header = COMPOSER.header_in('map', COMPOSER.time(0))
    speak.publish(COMPOSER.pose_with_covariance(header, _pose(7, 8, 1), np.eye(6)))
    ros.until(lambda: node.task.prior is not None)
    ros.show(0)
    ros.until(lambda: node.estimator.wants)
    np.testing.assert_allclose(
        node.estimator.wants[0]['prior'], _pose(7, 8, 1) @ BODY_FROM_OPTICAL, atol=1e-12
    )


class Tour:
    """Answers that put the body at one pose after the other, and at the last one for ever."""

    def __init__(self, *poses: Any) -> None:
        self.poses = list(poses)

    def __call__(self, frame: Frame) -> Localization:
        pose = self.poses.pop(0) if len(self.poses) > 1 else self.poses[0]
        return _found(pose)(frame)


def _relocalize(ros: Any, node: Any, poses: list[Any], images: range) -> None:
    for index in images:
        count = len(poses)
        ros.show(index)
        ros.until(lambda: len(poses) == count + 1)  # noqa: B023


def test_initialpose_follows_the_first_pose_and_those_that_are_far(
    ros: Any, with_fake: Any
) -> None:
    tour = Tour(*(_pose(x) for x in (1, 1.3, 1.6, 2.1, 2.2)), _pose(2.2, yaw=0.4), _pose(2.2, 0, 2))
    node = ros.run(
        with_fake(DsacNode, tour), mode='continuous', rate=1000.0, publish_initialpose=True
    )
    poses, heard = ros.hears(node, '~/pose'), ros.hears(node, 'initialpose')
    _relocalize(ros, node, poses, range(20))
    ros.until(lambda: len(heard) >= 3)
    ros.spin(0.2)
    assert [m.pose.pose.position.x for m in heard] == pytest.approx([1, 2.1, 2.2])
    assert heard[-1].header.frame_id == 'map'


def test_initialpose_follows_whoever_asks(ros: Any, with_fake: Any) -> None:
    node = ros.run(
        with_fake(DsacNode, _found(_pose(1, 2))),
        mode='continuous', rate=1000.0, publish_initialpose=True,
    )  # fmt: skip
    poses, heard = ros.hears(node, '~/pose'), ros.hears(node, 'initialpose')
    _relocalize(ros, node, poses, range(5))
    ros.until(lambda: len(heard) == 1)
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    _relocalize(ros, node, poses, range(5, 8))
    assert _answered(ros, future).success
    ros.until(lambda: len(heard) == 2)
    assert ros.call(Trigger, '/dsac/reset').success
    _relocalize(ros, node, poses, range(8, 10))
    ros.until(lambda: len(heard) == 3)  # after a reset it is the first again
    ros.spin(0.2)
    assert len(heard) == 3


def test_initialpose_waits_for_who_listens(ros: Any, with_fake: Any) -> None:
    node = ros.run(
        with_fake(DsacNode, _found(_pose(1, 2))),
        mode='continuous', rate=1000.0, publish_initialpose=True,
    )  # fmt: skip
    poses = ros.hears(node, '~/pose')
    _relocalize(ros, node, poses, range(3))
    heard = ros.hears(node, 'initialpose')  # AMCL starts later
    _relocalize(ros, node, poses, range(3, 6))
    ros.until(lambda: len(heard) == 1)


def test_every_pose_may_be_an_initialpose(ros: Any, with_fake: Any) -> None:
    node = ros.run(
        with_fake(DsacNode, _found(_pose(1, 2))),
        mode='continuous', rate=1000.0, publish_initialpose=True, initialpose_min_distance=0.0,
    )  # fmt: skip
    poses, heard = ros.hears(node, '~/pose'), ros.hears(node, 'initialpose')
    _relocalize(ros, node, poses, range(3))
    ros.until(lambda: len(heard) == 3)


def test_map_to_odom_is_placed_after_its_confirmations(ros: Any, with_fake: Any) -> None:
    tf2 = pytest.importorskip('tf2_msgs.msg', reason='tf2_msgs is not built')
    base, odom = _pose(5, 1, 0.3), _pose(2, 0, 0.1)
    node = ros.run(
        with_fake(DsacNode, _found(base)),
        mode='continuous', rate=30.0, publish_tf=True, confirmations=2, transform_tolerance=0.5,
    )  # fmt: skip
    poses = ros.hears(node, '~/pose')
    speak = ros.speak(tf2.TFMessage, '/tf', profile('tf'))

    def odometry(index: int) -> None:
        stamp = COMPOSER.time(ros.start_ns + index * MOMENT)
        moved = COMPOSER.transform(COMPOSER.header_in('odom', stamp), 'base_link', odom)
        speak.publish(tf2.TFMessage(transforms=[moved]))

    heard: list[Any] = ros.hears(node, '/tf')

    def placed() -> list[Any]:
        return [t for m in heard for t in m.transforms if t.header.frame_id == 'map']

    odometry(-1)
    ros.show(0)
    ros.until(lambda: len(poses) == 1)
    odometry(1)  # the odometry of an image may come after its pose
    ros.spin(0.3)
    assert placed() == []
    ros.show(1)
    ros.until(placed)
    ahead = messages.stamp_ns(placed()[0].header.stamp) - node.get_clock().now().nanoseconds
    assert 0 < ahead <= 5 * MOMENT
    assert placed()[0].child_frame_id == 'odom'
    np.testing.assert_allclose(
        messages.transform_matrix(placed()[0].transform), base @ inverse(odom), atol=1e-9
    )


def test_poses_that_disagree_do_not_move_the_map() -> None:
    frames = TransformBuffer()
    frames.add('odom', 'base', np.eye(4))
    anchor = Anchor(frames)
    for stamp, x in enumerate((0.0, 10.0, 0.1, 20.0)):
        anchor.add(stamp, _pose(x))
        assert anchor.settle('odom', 'base', 2, 0) == ''
    assert anchor.map_from_odom is None
    anchor.add(9, _pose(20.2))
    anchor.settle('odom', 'base', 2, 0)
    assert anchor.map_from_odom is not None
    assert anchor.map_from_odom[0, 3] == pytest.approx(20.2)
    anchor.clear()
    assert anchor.map_from_odom is None


def test_a_pose_whose_odometry_never_comes_is_given_up_with_a_reason() -> None:
    anchor = Anchor(TransformBuffer())
    anchor.add(0, _pose())
    assert anchor.settle('odom', 'base', 1, 10**9) == ''
    assert "'odom' and 'base'" in anchor.settle('odom', 'base', 1, 5 * 10**9)
    assert anchor.settle('odom', 'base', 1, 6 * 10**9) == ''


def test_the_real_estimator_answers(ros: Any) -> None:
    node = ros.run(DsacNode)
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0, size=(128, 96))
    answer = _answered(ros, future)
    assert not answer.success  # an untrained map knows no place
    assert answer.message.startswith('rejected: ')


def test_a_pose_that_comes_too_late_is_an_answer(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(DsacNode), max_input_age=0.5, max_output_age=0.6)
    found = _found(_pose())

    def slow(frame: Frame) -> Localization:
        ros_now = node.now()
        while node.now() < frame.stamp_ns + 7 * MOMENT or node.now() == ros_now:
            pass
        return found(frame)

    node.estimator.answer = slow
    poses = ros.hears(node, '~/pose')
    future = _trigger(ros)
    ros.until(lambda: node._asked)
    ros.show(0)
    answer = _answered(ros, future)
    assert not answer.success
    assert 'max_output_age is 0.6' in answer.message
    assert poses == []
