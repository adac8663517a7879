"""What happens to images on their way to the estimator: good, bad, late, too many."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from std_srvs.srv import SetBool, Trigger

from dlcv.estimation.tasks.superpoint import FeatureTask
from dlcv.interface import messages
from dlcv.interface.parameters import CommonParameters
from dlcv.ros.nodes.superpoint import SuperPointNode
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Camera

pytestmark = pytest.mark.ros
MOMENT = 10**8


class _NeedsCamera(FeatureTask):
    needs_camera = True


def _count(node: Any, name: str) -> int:
    return int(node.health.values()[name])


def test_an_image_arrives_with_its_camera(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    stamp = ros.show(0)
    ros.until(lambda: node.results)
    (frame,) = node.results
    assert (frame.stamp_ns, frame.frame_id) == (stamp, 'camera_optical')
    assert frame.image.shape == (48, 64, 3)
    assert frame.camera.fx == 50
    expected = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    np.testing.assert_array_equal(frame.image, expected)


@pytest.mark.parametrize('choice', ['auto', 'always', 'never'])
def test_images_that_are_rectified_are_not_distorted(ros: Any, plain: Any, choice: str) -> None:
    node = ros.run(plain, '-r', 'image:=/left/image_rect', rectified=choice)
    lens = Camera(width=64, height=48, fx=50, fy=50, cx=32, cy=24, distortion=(0.1,) * 5)
    ros.cameras['image'] = ros.speak(Image, '/left/image_rect')
    ros.until(lambda: ros.cameras['image'].get_subscription_count())
    ros.show(0, camera=lens, frame_id='/camera_optical')
    ros.until(lambda: node.results)
    (frame,) = node.results
    assert frame.camera.distorted == (choice == 'never')
    assert frame.frame_id == 'camera_optical'


@pytest.mark.parametrize(
    ('changes', 'counter', 'words'),
    [
        ({'encoding': 'nv24'}, 'rejected_encoding', "encoding 'nv24' is not read"),
        ({'encoding': '32FC1'}, 'rejected_encoding', "encoding '32FC1' is not read"),
        ({'height': 0, 'width': 0}, 'rejected_invalid', '0x0'),
        ({'height': 4800}, 'rejected_invalid', 'bytes of data'),
        ({'step': 3}, 'rejected_invalid', 'step 3 is shorter'),
        ({'encoding': 'rgba8'}, 'rejected_invalid', 'is shorter than a row'),
    ],
)
def test_bad_images_are_counted_and_survived(
    ros: Any, plain: Any, changes: dict[str, Any], counter: str, words: str
) -> None:
    node = ros.run(plain)
    ros.show(0, **changes)
    ros.until(lambda: _count(node, counter) == 1)
    assert words in node.complaint
    ros.show(1)
    ros.until(lambda: node.results)
    assert len(node.results) == 1


@pytest.mark.parametrize(
    ('camera', 'words'),
    [
        (None, 'no camera_info has arrived'),
        (Camera(width=32, height=24, fx=20, fy=20, cx=16, cy=12), 'of 32x24 pixels'),
    ],
)
def test_without_its_camera_an_image_is_dropped_where_one_is_needed(
    ros: Any, plain: Any, camera: Any, words: str
) -> None:
    plain.task_class = _NeedsCamera
    node = ros.run(plain, input_timeout=0.2)
    ros.show(0, camera=camera)
    ros.until(lambda: _count(node, 'rejected_camera') == 1)
    assert words in node.complaint
    ros.show(1)
    ros.until(lambda: node.results)
    assert node.results[0].camera is not None


def test_nan_intrinsics_are_named(ros: Any, plain: Any) -> None:
    from sensor_msgs.msg import CameraInfo

    plain.task_class = _NeedsCamera
    node = ros.run(plain, input_timeout=0.2)
    info = CameraInfo(width=64, height=48, k=[float('nan')] * 9)
    info.header.stamp = COMPOSER.time(ros.start_ns)
    ros.speak(CameraInfo, 'camera_info').publish(info)
    ros.show(0, camera=None)
    ros.until(lambda: _count(node, 'rejected_camera') == 1)
    assert 'finite' in node.complaint


def test_where_none_is_needed_an_image_goes_without(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    ros.show(0, camera=None)
    ros.until(lambda: node.results)
    assert node.results[0].camera is None


def test_the_size_may_change(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    for index, size in enumerate([(64, 48), (32, 16), (64, 48)]):
        ros.show(index, size=size)
        ros.until(lambda: len(node.results) == index + 1)  # noqa: B023
        frame = node.results[-1]
        assert (frame.width, frame.height) == size
        assert (frame.camera.width, frame.camera.height) == size


def test_a_remapped_camera_is_waited_for(ros: Any, plain: Any) -> None:
    arguments = ('-r', 'image:=/front/image', '-r', 'camera_info:=/front/camera_info')
    node = ros.run(plain, *arguments)
    from sensor_msgs.msg import CameraInfo, Image

    images = ros.speak(Image, '/front/image')
    infos = ros.speak(CameraInfo, '/front/camera_info')
    header = COMPOSER.header_in('front', COMPOSER.time(ros.start_ns))
    images.publish(COMPOSER.image(header, np.zeros((48, 64, 3), np.uint8)))
    ros.until(lambda: _count(node, 'received') == 1)
    camera = Camera(width=64, height=48, fx=50, fy=50, cx=32, cy=24, distortion=(0.0,) * 5)
    infos.publish(COMPOSER.camera_info(header, camera))
    ros.until(lambda: node.results)
    assert node.results[0].camera == camera


def test_the_newest_image_wins(ros: Any, plain: Any) -> None:
    node = ros.run(plain, image_qos='default')
    begun, release = threading.Event(), threading.Event()

    def slow(frame: Any) -> Any:
        begun.set()
        release.wait(60)
        return frame

    node.estimator.answer = slow
    stamps = [ros.show(0)]
    ros.until(begun.is_set)
    for index in range(1, 6):
        stamps.append(ros.show(index))
        ros.until(lambda: _count(node, 'received') == index + 1)  # noqa: B023
    release.set()
    ros.until(lambda: len(node.results) == 2)
    assert [frame.stamp_ns for frame in node.results] == [stamps[0], stamps[-1]]
    assert _count(node, 'superseded') == 4


def test_old_images_are_dropped(ros: Any, plain: Any) -> None:
    node = ros.run(plain, max_input_age=0.5)
    ros.show(-100)  # ten seconds ago
    ros.until(lambda: _count(node, 'rejected_age') == 1)
    assert 'max_input_age is 0.5' in node.complaint
    node.set_parameters([Parameter('max_input_age', value=60.0)])
    ros.show(-99)
    ros.until(lambda: node.results)


def test_an_hour_late_hints_at_simulated_time(ros: Any, plain: Any) -> None:
    node = ros.run(plain, max_input_age=0.5)
    ros.show(-10 * 7200)
    ros.until(lambda: _count(node, 'rejected_age') == 1)
    assert 'use_sim_time' in node.complaint


def test_images_out_of_order_are_dropped(ros: Any, plain: Any) -> None:
    node = ros.run(plain, time_jump_back_threshold=1.0)
    for shown, index in enumerate((5, 5, 3, 6), start=1):
        ros.show(index)
        ros.until(
            lambda: len(node.results) + _count(node, 'rejected_order') == shown  # noqa: B023
        )
    assert len(node.results) == 2
    assert _count(node, 'rejected_order') == 2
    assert _count(node, 'time_jumps') == 0


def test_a_looped_bag_starts_history_anew(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    before = node.estimator.resets
    ros.show(50)
    ros.until(lambda: len(node.results) == 1)
    assert node.estimator.resets == before
    ros.show(0)
    ros.until(lambda: len(node.results) == 2)
    assert node.estimator.resets == before + 1
    assert _count(node, 'time_jumps') == 1


def test_simulated_time_that_jumps_back_counts_once(ros: Any, plain: Any) -> None:
    node = ros.run(plain, use_sim_time=True)
    clock = ros.speak(Clock, '/clock')

    def tell(index: int) -> None:
        stamp = ros.start_ns + index * MOMENT
        clock.publish(Clock(clock=COMPOSER.time(stamp)))
        ros.until(lambda: node.get_clock().now().nanoseconds == stamp)

    tell(50)
    ros.show(50)
    ros.until(lambda: len(node.results) == 1)
    resets = node.estimator.resets
    tell(0)
    ros.show(0)
    ros.until(lambda: len(node.results) == 2)
    assert _count(node, 'time_jumps') == 1
    assert node.estimator.resets == resets + 1


def test_max_rate_thins_out(ros: Any, plain: Any) -> None:
    node = ros.run(plain, max_rate=5.0)
    for index in range(8):  # at 10 Hz
        ros.show(index)
        ros.until(
            lambda: len(node.results) + _count(node, 'skipped_rate') == index + 1  # noqa: B023
        )
    assert len(node.results) == 4


def test_a_failed_image_breaks_history_only(ros: Any, plain: Any) -> None:
    node = ros.run(plain)

    def fail(frame: Any) -> Any:
        raise ValueError('a strange image')

    node.estimator.answer = fail
    ros.show(0)
    ros.until(lambda: _count(node, 'failed') == 1)
    resets = node.estimator.resets
    node.estimator.answer = lambda frame: frame
    ros.show(1)
    ros.until(lambda: node.results)
    assert node.estimator.resets == resets + 1


def test_reset_forgets_history_and_counters(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    ros.show(0)
    ros.until(lambda: node.results)
    resets = node.estimator.resets
    answer = ros.call(Trigger, f'/{node.get_name()}/reset')
    assert answer.success
    assert _count(node, 'received') == 0
    ros.show(1)
    ros.until(lambda: len(node.results) == 2)
    assert node.estimator.resets == resets + 1


def test_set_enabled_pauses(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    ros.show(0)
    ros.until(lambda: node.results)
    name = f'/{node.get_name()}/set_enabled'
    assert ros.call(SetBool, name, SetBool.Request(data=False)).success
    ros.show(1)
    ros.spin(0.3)
    assert _count(node, 'received') == 1
    assert node.verdict().text == 'disabled'
    assert ros.call(SetBool, name, SetBool.Request(data=True)).success
    ros.show(2)
    ros.until(lambda: len(node.results) == 2)


def test_what_became_of_each_image_is_told(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    told = ros.hears(node, '~/handled')
    entered, leave = threading.Event(), threading.Event()

    def slow(frame: Any) -> Any:
        entered.set()
        leave.wait(20)
        return frame

    node.estimator.answer = slow
    first = ros.show(0)
    ros.until(entered.is_set)
    second = ros.show(1)
    ros.until(lambda: _count(node, 'received') == 2)
    ros.show(2)
    ros.until(lambda: told)
    leave.set()
    ros.until(lambda: len(told) == 3)
    stamps = [messages.stamp_ns(m.header.stamp) for m in told]
    assert stamps[:2] == [second, first]
    assert told[0].source == 'superseded'
    assert told[1].source.startswith('processed inference_ms=')
    ros.show(3, encoding='martian')
    ros.until(lambda: told[3:])
    ros.show(3)
    ros.until(lambda: told[4:])
    assert [m.source for m in told[3:]] == ['rejected_encoding', 'rejected_order']
    assert ros.call(SetBool, '/superpoint/set_enabled', SetBool.Request(data=False)).success
    ros.show(4)
    ros.until(lambda: told[5:])
    assert told[5].source == 'disabled'


def test_nothing_is_computed_while_nobody_listens(ros: Any, with_fake: Any) -> None:
    from dlcv.types import Keypoints

    def none_found(frame: Any) -> Keypoints:
        empty = np.zeros((0, 2), np.float32)
        return Keypoints(
            stamp_ns=frame.stamp_ns,
            xy=empty,
            scores=empty[:, 0],
            descriptors=np.zeros((0, 256), np.float32),
        )

    node = ros.run(with_fake(SuperPointNode, none_found))
    ros.show(0)
    ros.until(lambda: _count(node, 'received') == 1)
    ros.spin(0.3)
    assert node.estimator.frames == []
    heard = ros.hears(node, '~/keypoints')
    ros.show(1)
    ros.until(lambda: heard)
    assert len(node.estimator.frames) == 1


def test_compressed_images_are_read(ros: Any, plain: Any) -> None:
    import cv2

    node = ros.run(plain, image_transport='compressed')
    picture = np.full((48, 64, 3), (10, 200, 90), np.uint8)
    data = cv2.imencode('.png', picture[..., ::-1])[1].tobytes()
    message = CompressedImage(format='png', data=data)
    message.header.stamp = COMPOSER.time(ros.start_ns)
    publisher = ros.speak(CompressedImage, 'image/compressed')
    publisher.publish(message)
    ros.until(lambda: node.results)
    np.testing.assert_array_equal(node.results[0].image, picture)
    message.data = data[:20]
    message.header.stamp = COMPOSER.time(ros.start_ns + MOMENT)
    publisher.publish(message)
    ros.until(lambda: _count(node, 'rejected_invalid') == 1)


def test_an_incompatible_publisher_is_reported(ros: Any, plain: Any) -> None:
    from rclpy.qos import QoSProfile, ReliabilityPolicy
    from sensor_msgs.msg import Image

    node = ros.run(plain, image_qos='default')
    ros.peer.create_publisher(
        Image, 'image', QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
    )
    ros.until(lambda: _count(node, 'incompatible_qos') >= 1)


@pytest.mark.parametrize('simulated', [False, True])
def test_a_result_that_is_too_old_by_then_is_not_published(
    ros: Any, plain: Any, simulated: bool
) -> None:
    limits = {'max_input_age': 0.5, 'max_output_age': 1.0, 'input_timeout': 60.0}
    node = ros.run(plain, use_sim_time=simulated, **limits)
    told = ros.hears(node, '~/handled')
    clock = ros.speak(Clock, '/clock') if simulated else None

    def tell(stamp: int) -> None:
        if clock is not None:
            clock.publish(Clock(clock=COMPOSER.time(stamp)))
            ros.until(lambda: node.now() == stamp)

    if simulated:
        tell(ros.start_ns)
    entered, leave = threading.Event(), threading.Event()

    def slow(frame: Any) -> Any:
        entered.set()
        leave.wait(20)
        return frame

    node.estimator.answer = slow
    stamp = ros.show(0)
    ros.until(entered.is_set)
    tell(stamp + 11 * MOMENT)
    ros.until(lambda: node.now() > stamp + 10 * MOMENT)
    leave.set()
    ros.until(lambda: _count(node, 'late') == 1)
    assert node.results == []
    assert 'max_output_age is 1.0' in node.complaint
    assert node.verdict().level == 2
    assert '1 of 1 images dropped in 10 s (1 late): late: a result is 1.' in node.verdict().text
    ros.until(lambda: told)
    assert told[0].source == 'late'
    node.set_parameters([Parameter('max_input_age', value=60.0)])  # then no result is too old
    ros.show(1)
    ros.until(lambda: len(node.results) == 1)
    assert node.verdict().level == 1


@pytest.mark.parametrize(
    ('given', 'limit'), [((0.5, 2.0), 2.0), ((5.0, 2.0), 5.0), ((0.0, 2.0), 0.0), ((0.5, 0.0), 0.0)]
)
def test_results_may_be_as_old_as_images(given: tuple[float, float], limit: float) -> None:
    parameters = CommonParameters(max_input_age=given[0], max_output_age=given[1])
    assert parameters.output_age_limit == limit


def test_images_from_the_future_are_named(ros: Any, plain: Any, monkeypatch: Any) -> None:
    node = ros.run(plain, max_input_age=0.5, input_timeout=60.0)
    said: list[str] = []
    monkeypatch.setattr(node._handling._screening, '_warn', said.append)
    ros.show(0)
    ros.until(lambda: node.results)
    assert _count(node, 'from_future') == 0
    for shown in (1, 2):
        ros.show(50 * shown)  # five and ten seconds ahead
        ros.until(lambda: len(node.results) == shown + 1)  # noqa: B023
    assert _count(node, 'from_future') == 2
    verdict = node.verdict()
    assert verdict.level == 1
    assert verdict.text.startswith('2 of 3 images from the future: a stamp is ')
    assert 'synchronise the clocks' in verdict.text
    (line,) = said  # once is enough
    assert 'synchronise the clocks' in line
