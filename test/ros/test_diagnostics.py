"""What the node says about itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image, TimeReference

from dlcv.estimation.tasks.base import Level, Verdict
from dlcv.estimation.tasks.superpoint import FeatureTask
from dlcv.ros.nodes.monodepth import MonodepthNode
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Camera

pytestmark = pytest.mark.ros
SMALL = Camera(width=32, height=24, fx=20, fy=20, cx=16, cy=12)
KEYS = """
state device precision weights_sha256 input_hz output_hz received processed superseded
rejected_encoding rejected_age lost_by_middleware incompatible_qos time_jumps inference_ms_p50
inference_ms_p95 inference_ms_max latency_ms_p50 latency_ms_p95 latency_ms_max gpu_mem_mb publishers
subscribers
"""


def _next(ros: Any, heard: list[Any]) -> tuple[int, str, dict[str, str]]:
    heard.clear()
    ros.until(lambda: heard, 'diagnostics')
    (status,) = heard[-1].status
    return status.level[0], status.message, {pair.key: pair.value for pair in status.values}


def test_keys_values_and_levels_through_a_life(ros: Any, plain: Any) -> None:
    node = ros.make(plain, diagnostic_period=0.1, input_timeout=0.3)
    heard = ros.listen(DiagnosticArray, '/diagnostics')
    level, message, values = _next(ros, heard)
    assert (level, message, values['state']) == (0, 'unconfigured', 'unconfigured')
    assert set(values) >= set(KEYS.split())
    node.trigger_configure()
    assert _next(ros, heard)[1] == 'inactive'
    node.trigger_activate()
    ros.show(0)
    ros.until(lambda: node.results)
    _, _, values = _next(ros, heard)
    assert values['state'] == 'active'
    assert (values['received'], values['processed']) == ('1', '1')
    assert values['weights_sha256'] == 'ab' * 32
    assert values['device'] == 'cpu'
    assert float(values['inference_ms_p50']) >= 0
    ros.until(lambda: _next(ros, heard)[0] == 2, 'the silence to be noticed')
    text = _next(ros, heard)[1]
    assert text.startswith('no image for')
    assert text.endswith('/image has 1 publisher, silent')


def test_whom_the_node_has_found_is_told_at_once(ros: Any, plain: Any) -> None:
    ros.run(plain, diagnostic_period=10.0, input_timeout=0.1)
    heard = ros.listen(DiagnosticArray, '/diagnostics')

    def told() -> dict[str, str]:
        statuses = [status for array in heard for status in array.status]
        return {p.key: p.value for p in statuses[-1].values} if statuses else {}

    image = ros.peer.create_publisher(Image, 'image', 10)
    ros.until(lambda: told().get('publishers', '').startswith('/camera_info 0, /image 1'))
    assert '/superpoint/handled 0' in told()['subscribers']
    listener = ros.peer.create_subscription(TimeReference, 'superpoint/handled', print, 10)
    ros.until(lambda: '/superpoint/handled 1' in told()['subscribers'])
    ros.peer.destroy_subscription(listener)
    ros.peer.destroy_publisher(image)
    ros.until(lambda: heard[-1].status[0].message.endswith(': /image has no publisher'))
    assert '/superpoint/handled 0' in told()['subscribers']


@pytest.mark.parametrize('namespace', ['', '/robot', '/fleet/robot_2'])
def test_one_status_names_the_node_and_its_robot(ros: Any, plain: Any, namespace: str) -> None:
    ros.make(plain, *(('-r', f'__ns:={namespace}') if namespace else ()), diagnostic_period=0.1)
    heard = ros.listen(DiagnosticArray, '/diagnostics')
    _next(ros, heard)
    (status,) = heard[-1].status
    assert status.name.startswith(f'{namespace}/superpoint: '.lstrip('/'))
    assert status.hardware_id == f'{namespace}/superpoint'
    assert heard[-1].header.stamp.sec > 0


def test_a_refused_configuration_is_an_error_with_its_reason(ros: Any, plain: Any) -> None:
    node = ros.make(plain, diagnostic_period=0.1, nms_radius=-1)
    heard = ros.listen(DiagnosticArray, '/diagnostics')
    node.trigger_configure()
    level, message, _ = _next(ros, heard)
    assert level == 2
    assert 'nms_radius' in message


def test_untrained_weights_are_a_warning(ros: Any, plain: Any) -> None:
    node = ros.run(plain, diagnostic_period=0.1, input_timeout=60.0)
    node.estimator.origin.trained = False
    heard = ros.listen(DiagnosticArray, '/diagnostics')
    level, message, _ = _next(ros, heard)
    assert (level, message) == (1, 'the network is untrained')


def test_the_worst_verdict_is_the_one(ros: Any, plain: Any) -> None:
    node = ros.run(plain, input_timeout=60.0)
    node.estimator.origin.trained = False
    node.judge(Verdict(Level.ERROR, 'lost: a reason'))
    assert node.verdict() == Verdict(Level.ERROR, 'lost: a reason')
    node.judge(None)
    assert node.verdict().level is Level.WARN


def test_the_period_follows_the_parameter(ros: Any, plain: Any) -> None:
    node = ros.make(plain, diagnostic_period=10.0)
    heard = ros.listen(DiagnosticArray, '/diagnostics')
    node.set_parameters([Parameter('diagnostic_period', value=0.1)])
    node.trigger_configure()
    ros.until(lambda: len(heard) >= 3, 'three reports', seconds=5)


def _verdict_of_images(ros: Any, node: Any, counter: str, count: int, **changes: Any) -> Verdict:
    first = int(node.health.values()['received'])
    for index in range(first, first + count):
        before = int(node.health.values()[counter])
        ros.show(index, **changes)
        ros.until(lambda: int(node.health.values()[counter]) > before)  # noqa: B023
    return node.verdict()


@pytest.mark.parametrize(
    ('changes', 'counter', 'words'),
    [
        ({'encoding': 'nv24'}, 'rejected_encoding', "encoding 'nv24' is not read"),
        ({'height': 4800}, 'rejected_invalid', 'bytes of data'),
        ({'camera': SMALL}, 'rejected_camera', 'of 32x24 pixels'),
    ],
)
def test_refused_images_are_an_error_with_its_reason(
    ros: Any, plain: Any, changes: dict[str, Any], counter: str, words: str
) -> None:
    class Needs(FeatureTask):
        needs_camera = True

    plain.task_class = Needs
    node = ros.run(plain, input_timeout=1.0)
    refused = _verdict_of_images(ros, node, counter, 2, **changes)
    assert refused.level is Level.ERROR
    assert f'2 of 2 images dropped in 10 s (2 {counter})' in refused.text
    assert words in refused.text
    node.set_parameters([Parameter('input_timeout', value=60.0)])
    mended = _verdict_of_images(ros, node, 'processed', 1)
    assert mended.level is Level.WARN
    assert words in mended.text


def test_a_camera_whose_k_is_zero_is_an_error(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(MonodepthNode), input_timeout=60.0)
    ros.hears(node, 'depth/image_rect')
    info = ros.speak(CameraInfo, 'camera_info')
    images = ros.speak(Image, 'image')
    for index in range(3):
        stamp = COMPOSER.time(ros.start_ns + index * 10**8)
        header = COMPOSER.header_in('camera', stamp)
        info.publish(CameraInfo(header=header, width=64, height=48))
        images.publish(COMPOSER.image(header, np.zeros((48, 64, 3), np.uint8)))
        ros.until(lambda: int(node.health.values()['rejected_camera']) == index + 1)  # noqa: B023
    assert node.verdict().level is Level.ERROR
    assert 'K is zero' in node.verdict().text
    assert '3 rejected_camera' in node.verdict().text
