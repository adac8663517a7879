"""The image subscription takes what its publishers offer, and tells of what does not arrive."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image

from dlcv.estimation.tasks.base import Level, Verdict
from dlcv.ros.losses import mend
from dlcv.ros.vocabulary import COMPOSER

pytestmark = pytest.mark.ros
MOMENT = 10**8
RELIABLE, BEST_EFFORT = ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT


@pytest.fixture(autouse=True)
def _brief(monkeypatch: Any) -> None:
    """Where a camera is silent, a subscription that was taken over from goes after a second."""
    monkeypatch.setattr('dlcv.ros.image_input.OVERLAP', 1.0)


def _offer(ros: Any, reliability: Any) -> Any:
    return ros.peer.create_publisher(Image, 'image', QoSProfile(depth=20, reliability=reliability))


def _asked(ros: Any) -> set[Any]:
    return {
        end.qos_profile.reliability for end in ros.peer.get_subscriptions_info_by_topic('/image')
    }


def _settled(ros: Any, wanted: Any) -> None:
    ros.until(lambda: _asked(ros) == {wanted}, f'a subscription of {wanted}')


class Camera:
    """Publishes images of ascending stamps, by whichever publisher."""

    def __init__(self, ros: Any, node: Any) -> None:
        self.ros, self.node, self.sent = ros, node, 0

    def show(self, publisher: Any) -> None:
        stamp = self.ros.start_ns + self.sent * MOMENT
        header = COMPOSER.header_in('camera', COMPOSER.time(stamp))
        publisher.publish(COMPOSER.image(header, np.zeros((48, 64, 3), np.uint8)))
        self.sent += 1

    def received(self) -> int:
        return int(self.node.health.values()['received'])

    def all_arrived(self) -> None:
        self.ros.until(lambda: self.received() >= self.sent, f'{self.sent} images')
        self.ros.spin(0.3)
        assert self.received() == self.sent
        assert self.node.health.values()['rejected_order'] == '0'


def test_what_every_publisher_offers_is_taken(ros: Any, plain: Any) -> None:
    node = ros.run(plain, image_qos_depth=20, input_timeout=60.0)
    camera = Camera(ros, node)
    _settled(ros, BEST_EFFORT)  # hears whoever comes
    reliable = _offer(ros, RELIABLE)
    _settled(ros, RELIABLE)
    ros.until(lambda: reliable.get_subscription_count() == 1)
    for _ in range(5):
        camera.show(reliable)
    camera.all_arrived()
    assert node.intake.values(node.intake.missing())['image_reliability'] == 'reliable'
    other = _offer(ros, BEST_EFFORT)
    ros.until(lambda: other.get_subscription_count() == 1)
    camera.show(other)
    camera.show(reliable)
    _settled(ros, BEST_EFFORT)
    camera.all_arrived()
    assert node.health.values()['incompatible_qos'] == '0'
    ros.peer.destroy_publisher(other)
    camera.show(reliable)
    _settled(ros, RELIABLE)
    camera.all_arrived()


def test_no_image_is_lost_or_taken_twice_while_one_takes_over(
    ros: Any, plain: Any, monkeypatch: Any
) -> None:
    node = ros.run(plain, image_qos_depth=100, input_timeout=60.0)
    camera = Camera(ros, node)
    reliable = _offer(ros, RELIABLE)
    _settled(ros, RELIABLE)
    ros.until(lambda: reliable.get_subscription_count() == 1)
    monkeypatch.setattr('dlcv.ros.image_input.OVERLAP', 60.0)
    other: Any = None
    while other is None or _asked(ros) != {BEST_EFFORT}:
        camera.show(reliable)
        if camera.sent == 10:
            other = _offer(ros, BEST_EFFORT)
        ros.until(lambda: camera.received() >= camera.sent)
    for _ in range(5):
        camera.show(reliable)
    camera.all_arrived()


def test_without_images_the_old_subscription_goes_too(ros: Any, plain: Any) -> None:
    ros.run(plain)
    _offer(ros, RELIABLE)
    ros.until(lambda: len(ros.peer.get_subscriptions_info_by_topic('/image')) == 2)
    _settled(ros, RELIABLE)
    ros.until(lambda: len(ros.peer.get_subscriptions_info_by_topic('/image')) == 1)


@pytest.mark.parametrize(
    ('image_qos', 'wanted'),
    [('sensor_data', BEST_EFFORT), ('reliable', RELIABLE), ('default', RELIABLE)],
)
def test_what_is_asked_for_stays(ros: Any, plain: Any, image_qos: str, wanted: Any) -> None:
    node = ros.run(plain, image_qos=image_qos)
    for offered in (RELIABLE, BEST_EFFORT):
        publisher = _offer(ros, offered)
        ros.until(lambda: ros.peer.count_publishers('/image') == 1)
        ros.until(lambda: node.count_publishers('/image') == 1)
        for _ in range(3):
            node.intake.follow()
        _settled(ros, wanted)
        ros.peer.destroy_publisher(publisher)
        ros.until(lambda: node.count_publishers('/image') == 0)


def test_an_override_goes_before_auto(ros: Any, plain: Any) -> None:
    node = ros.run(plain, **{'qos_overrides./image.subscription.reliability': 'best_effort'})
    _offer(ros, RELIABLE)
    ros.until(lambda: node.intake.peers()['/image'] == 1)
    node.intake.follow()
    _settled(ros, BEST_EFFORT)


def test_a_remapped_topic_is_followed(ros: Any, plain: Any) -> None:
    node = ros.run(plain, '-r', 'image:=/front/image', '-r', '/image:=/elsewhere')
    ros.peer.create_publisher(Image, '/front/image', QoSProfile(depth=1, reliability=RELIABLE))
    ros.until(lambda: node.intake.values(node.intake.missing())['image_reliability'] == 'reliable')
    assert list(node.intake.peers()) == ['/camera_info', '/front/image']


def test_a_compressed_topic_is_followed(ros: Any, plain: Any) -> None:
    node = ros.run(plain, image_transport='compressed')
    _offer(ros, BEST_EFFORT)  # of the raw ones, which are none of its business
    qos = QoSProfile(depth=1, reliability=RELIABLE)
    ros.peer.create_publisher(CompressedImage, '/image/compressed', qos)
    ros.until(lambda: node.intake.values(node.intake.missing())['image_reliability'] == 'reliable')


def test_auto_follows_again_after_the_next_activation(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    reliable = _offer(ros, RELIABLE)
    _settled(ros, RELIABLE)
    node.trigger_deactivate()
    ros.peer.destroy_publisher(reliable)
    ros.until(lambda: node.count_publishers('/image') == 0)
    _offer(ros, BEST_EFFORT)
    ros.until(lambda: node.count_publishers('/image') == 1)
    node.trigger_activate()
    _settled(ros, BEST_EFFORT)


def test_missing_images_are_told_once_with_the_mend(ros: Any, plain: Any, monkeypatch: Any) -> None:
    node = ros.run(plain, input_timeout=60.0)
    said: list[str] = []
    monkeypatch.setattr(node.intake.losses, '_warn', said.append)
    camera = Camera(ros, node)
    publisher = _offer(ros, RELIABLE)
    _settled(ros, RELIABLE)
    ros.until(lambda: publisher.get_subscription_count() == 1)
    for index in range(30):
        if index % 3 == 0:
            camera.sent += 1
        before = camera.received()
        camera.show(publisher)
        ros.until(lambda: camera.received() > before)  # noqa: B023
    for _ in range(3):
        verdict = node.verdict()
        assert verdict.level == 1
        assert 'images of /image (10 Hz) are missing' in verdict.text
    (line,) = said
    assert "the driver's shell" in line
    assert 'fastdds_shm.xml' in line
    assert int(node.intake.values(node.intake.missing())['recent_missing']) >= 8


def test_losses_that_the_middleware_reports_are_told(
    ros: Any, plain: Any, monkeypatch: Any
) -> None:
    node = ros.run(plain, input_timeout=60.0)
    said: list[str] = []
    monkeypatch.setattr(node.intake.losses, '_warn', said.append)
    node.health.count('received', 20)
    node.health.count('lost_by_middleware', 20)
    assert 'the middleware lost 20 of 40 images of /image' in node.verdict().text
    assert len(said) == 1


def test_losses_are_named_beside_what_they_may_have_caused(ros: Any, plain: Any) -> None:
    node = ros.run(plain, input_timeout=60.0)
    node.health.count('received', 20)
    node.health.count('lost_by_middleware', 20)
    node.judge(Verdict(Level.ERROR, 'lost: no frame for 2.4 s'))
    verdict = node.verdict()
    assert verdict.level is Level.ERROR
    assert verdict.text.startswith('lost: no frame for 2.4 s; the middleware lost 20 of 40')


def test_the_mend_is_that_of_the_middleware() -> None:
    here = {'FASTRTPS_DEFAULT_PROFILES_FILE': '/my/profile.xml'}
    text = mend(here, 'rmw_fastrtps_cpp', 5)
    assert 'FASTRTPS_DEFAULT_PROFILES_FILE=/my/profile.xml' in text
    assert 'that of this node' not in text
    assert 'image_qos_depth' not in text
    assert 'image_qos_depth is 1' in mend(here, 'rmw_fastrtps_cpp', 1)
    assert 'that of this node' in mend({}, 'rmw_fastrtps_cpp', 5)
    assert 'fastdds_shm.xml' in mend({}, 'rmw_fastrtps_cpp', 5)
    assert 'FASTRTPS' not in mend({}, 'rmw_cyclonedds_cpp', 5)


def test_another_configuration_may_have_another_qos(ros: Any, plain: Any) -> None:
    node = ros.run(plain, image_qos='reliable', image_qos_depth=3)
    _settled(ros, RELIABLE)
    for image_qos, wanted in (('sensor_data', BEST_EFFORT), ('default', RELIABLE)):
        node.trigger_deactivate()
        node.trigger_cleanup()
        assert node.set_parameters([Parameter('image_qos', value=image_qos)])[0].successful
        node.trigger_configure()
        node.trigger_activate()
        _settled(ros, wanted)


def test_image_qos_may_be_set_while_unconfigured_only(ros: Any, plain: Any) -> None:
    node = ros.run(plain)
    assert not node.set_parameters([Parameter('image_qos', value='reliable')])[0].successful
