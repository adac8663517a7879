"""What the nodes of pictures publish: types, stamps, frames, units."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')

from dlcv.estimation.flownet import grid_camera
from dlcv.interface import messages
from dlcv.interface.nodes import DIAGNOSTICS, HANDLED
from dlcv.ros.nodes.flownet import FlowNetNode
from dlcv.ros.nodes.localization import LocalizationNode
from dlcv.ros.nodes.monodepth import MonodepthNode
from dlcv.ros.nodes.segmentation import SegmentationNode
from dlcv.ros.nodes.stereo import StereoNode
from dlcv.ros.nodes.superpoint import SuperPointNode
from dlcv.ros.vocabulary import COMPOSER
from dlcv.things import KINDS
from dlcv.types import (
    Camera,
    DepthMap,
    Detections,
    FlowField,
    Frame,
    Keypoints,
    Labels,
    Matches,
)

pytestmark = pytest.mark.ros
SIZE = 66, 48  # a width that 4 does not divide


def _outputs(ros: Any, node: Any) -> dict[str, list[Any]]:
    names = [t.name for t in node.spec.outputs if t not in (DIAGNOSTICS, HANDLED)]
    return {name: ros.hears(node, name) for name in names}


def _show_until_heard(ros: Any, node: Any, heard: dict[str, list[Any]]) -> list[int]:
    stamps = []
    for index in range(2):  # a second image has a first one to be compared with
        stamps.append(ros.show(index, size=SIZE))
        ros.until(lambda: len(node.estimator.frames) == index + 1)  # noqa: B023
    ros.until(lambda: all(heard.values()), f'all of {list(heard)}')
    return stamps


def _pixels(message: Any, dtype: str, channels: int = 1) -> Any:
    shape = (message.height, message.width, channels)[: 2 if channels == 1 else 3]
    return np.frombuffer(message.data, dtype).reshape(shape)


def _two_keypoints(frame: Frame) -> Keypoints:
    descriptors = np.zeros((2, 256), np.float32)
    descriptors[:, 0], descriptors[:, 1] = (0.6, -1), (0.8, 0)
    return Keypoints(
        stamp_ns=frame.stamp_ns,
        xy=np.array([[10.5, 20.25], [30, 40]], np.float32),
        scores=np.array([0.75, 0.5], np.float32),
        descriptors=descriptors,
        rays=None if frame.camera is None else np.full((2, 3), 1, np.float32),
    )


def _match(previous: Keypoints, current: Keypoints) -> Matches:
    return Matches(
        stamp_ns=current.stamp_ns,
        previous_stamp_ns=previous.stamp_ns,
        previous_xy=previous.xy - 1,
        xy=current.xy,
        scores=np.array([1, 0.5], np.float32),
    )


def test_superpoint(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(SuperPointNode, _two_keypoints))
    node.estimator.match = _match
    heard = _outputs(ros, node)
    stamps = _show_until_heard(ros, node, heard)
    for name, arrived in heard.items():
        stamp = messages.stamp_ns(arrived[-1].header.stamp)
        assert stamp in stamps, name
        assert arrived[-1].header.frame_id == 'camera_optical'
    points = messages.points_of(heard['~/keypoints'][-1])
    assert points['u'].tolist() == [10.5, 30]
    assert points['score'].tolist() == [0.75, 0.5]
    assert points['z'].tolist() == [1, 1]
    assert points['descriptor'][:, :2].tolist() == [[76, 102], [-127, 0]]
    assert messages.points_of(heard['~/matches'][-1])['u0'].tolist() == [9.5, 29]
    assert [p.y for p in heard['~/markers'][-1].points] == [20.25, 40]
    overlay = heard['~/overlay'][-1]
    assert (overlay.encoding, overlay.width, overlay.height) == ('rgb8', *SIZE)


def test_superpoint_matches_only_on_demand(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(SuperPointNode, _two_keypoints))
    node.estimator.match = lambda *_: pytest.fail('nobody listens to matches')
    heard = ros.hears(node, '~/keypoints')
    for index in range(3):
        ros.show(index, camera=None)
        ros.until(lambda: len(heard) == index + 1)  # noqa: B023
    assert np.isnan(messages.points_of(heard[0])['x']).all()  # no calibration, no rays
    assert node.health.values()['failed'] == '0'


def test_flownet(ros: Any, with_fake: Any) -> None:
    grid = np.arange(12 * 17 * 2, dtype=np.float32).reshape(12, 17, 2)
    grid[0, 0] = np.nan
    first: list[int] = []

    def answer(frame: Frame) -> FlowField | None:
        first.append(frame.stamp_ns)
        if len(first) == 1:
            return None
        return FlowField(
            stamp_ns=frame.stamp_ns,
            previous_stamp_ns=first[0],
            flow=grid,
            stride=4,
            confidence=np.full((12, 17), 0.5, np.float32),
        )

    node = ros.run(with_fake(FlowNetNode, answer))
    heard = _outputs(ros, node)
    stamps = _show_until_heard(ros, node, heard)
    for arrived in heard.values():
        (message,) = arrived
        assert messages.stamp_ns(message.header.stamp) == stamps[1]
        assert message.header.frame_id == 'camera_optical'
    flow = heard['~/flow'][0]
    assert flow.encoding == '32FC2'
    np.testing.assert_array_equal(_pixels(flow, 'f4', 2), grid)
    assert messages.stamp_ns(heard['~/flow_interval'][0].time_ref) == stamps[0]
    assert heard['~/confidence'][0].encoding == '32FC1'
    assert heard['~/color'][0].encoding == 'rgb8'
    assert node.estimator.wants[-1] == {'confidence': True}
    binned = messages.camera(heard['~/camera_info'][0])
    assert binned is not None
    assert (binned.width, binned.height) == (17, 12)  # those of the flow
    assert binned == grid_camera(node.estimator.frames[-1].camera, 4)


def test_flownet_checks_only_on_demand(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(FlowNetNode, lambda frame: None))
    ros.hears(node, '~/flow')
    ros.show(0)
    ros.until(lambda: node.estimator.wants)
    assert node.estimator.wants == [{'confidence': False}]


def test_monodepth(ros: Any, with_fake: Any) -> None:
    depth = np.full(SIZE[::-1], 2.5, np.float32)
    depth[0, :3] = np.nan, np.inf, -np.inf

    def answer(frame: Frame) -> DepthMap:
        return DepthMap(
            stamp_ns=frame.stamp_ns,
            disparity=np.full(depth.shape, 0.1, np.float32),
            depth=depth,
            confidence=np.full(depth.shape, 0.25, np.float32),
            camera=frame.camera,
        )

    node = ros.run(with_fake(MonodepthNode, answer))
    heard = _outputs(ros, node)
    stamps = _show_until_heard(ros, node, heard)
    for arrived in heard.values():
        assert messages.stamp_ns(arrived[-1].header.stamp) in stamps
        assert arrived[-1].header.frame_id == 'camera_optical'
    rect = heard['depth/image_rect'][-1]
    assert rect.encoding == '32FC1'
    np.testing.assert_array_equal(_pixels(rect, 'f4'), depth)
    raw = heard['depth/image_raw'][-1]
    assert raw.encoding == '16UC1'
    assert _pixels(raw, 'u2')[0, :4].tolist() == [0, 0, 0, 2500]
    info = heard['depth/camera_info'][-1]
    assert messages.camera(info).matrix.tolist() == node.estimator.frames[-1].camera.matrix.tolist()
    assert info.width == SIZE[0]
    assert _pixels(heard['depth/confidence'][-1], 'f4')[0, 0] == 0.25
    assert heard['depth/color'][-1].encoding == 'rgb8'


def test_monodepth_needs_a_camera(ros: Any, with_fake: Any) -> None:
    node = ros.run(with_fake(MonodepthNode), input_timeout=0.1)
    ros.hears(node, 'depth/image_rect')
    ros.show(0, camera=None)
    ros.until(lambda: node.health.values()['rejected_camera'] == '1')


@pytest.mark.parametrize(
    ('cls', 'output', 'changed'),
    [
        (SuperPointNode, '~/keypoints', {'max_keypoints': 7}),
        (FlowNetNode, '~/flow', {'max_interval': 9.0}),
        (MonodepthNode, 'depth/image_rect', {'max_depth': 33.0}),
    ],
)
def test_the_real_estimator_runs_and_follows_its_parameters(
    ros: Any, cls: Any, output: str, changed: dict[str, Any]
) -> None:
    from rclpy.parameter import Parameter

    node = ros.run(cls)
    heard = ros.hears(node, output)
    ((name, value),) = changed.items()
    assert node.set_parameters([Parameter(name, value=value)])[0].successful
    assert getattr(node.estimator.settings, name) == value
    for index in range(2):
        ros.show(index, size=(128, 96))
        ros.until(
            lambda: int(node.health.values()['processed']) == index + 1,  # noqa: B023
            'an answer of the network',
        )
    ros.until(lambda: heard)
    if cls is SuperPointNode:
        assert heard[-1].width <= 7


def test_segmentation_masks_what_moves(ros: Any, with_fake: Any) -> None:
    from dlcv.classes import NUMBER, table_text

    labels = np.full(SIZE[::-1], NUMBER['road'], np.uint8)
    labels[:, 30:] = NUMBER['person']

    def answer(frame: Frame) -> Labels:
        return Labels(stamp_ns=frame.stamp_ns, labels=labels)

    node = ros.run(with_fake(SegmentationNode, answer), movers_margin=0)
    heard = _outputs(ros, node)
    stamps = _show_until_heard(ros, node, heard)
    pictures = '~/labels', '~/movers', '~/traversable', '~/color'

    def come(name: str) -> bool:
        return messages.stamp_ns(heard[name][-1].header.stamp) == stamps[-1]

    ros.until(lambda: all(come(name) for name in pictures))
    assert [message.data for message in heard['~/classes']] == [table_text()]  # once
    for name in pictures:
        message = heard[name][-1]
        assert message.encoding == ('rgb8' if name == '~/color' else 'mono8')
    assert (_pixels(heard['~/labels'][-1], 'u1') == labels).all()
    assert (_pixels(heard['~/movers'][-1], 'u1') == np.where(labels == 0, 255, 0)).all()
    assert (_pixels(heard['~/traversable'][-1], 'u1') == np.where(labels == 0, 255, 0)).all()


def test_localization_marks_what_it_finds(ros: Any, with_fake: Any) -> None:
    box = np.array([[9.5, 9.5, 29.5, 39.5]], np.float32)

    def answer(frame: Frame) -> Detections:
        return Detections(
            stamp_ns=frame.stamp_ns,
            kind=np.array([0], np.uint8),
            box=box,
            score=np.array([0.9], np.float32),
        )

    node = ros.run(with_fake(LocalizationNode, answer))
    there = [name for name in ('~/detections', '~/markers', '~/overlay') if name in node.outputs]
    heard = {name: ros.hears(node, name) for name in there}
    assert there[-2:] == ['~/markers', '~/overlay']  # the first where vision_msgs is installed
    stamps = _show_until_heard(ros, node, heard)

    def come(name: str) -> bool:
        return bool(messages.stamp_ns(heard[name][-1].header.stamp) == stamps[-1])

    ros.until(lambda: all(come(name) for name in there))
    assert len(heard['~/markers'][-1].points) == 8
    overlay = _pixels(heard['~/overlay'][-1], 'u1', 3)
    assert tuple(overlay[20, 10]) == KINDS[0].colour


def test_stereo_joins_two_cameras(ros: Any) -> None:
    from sensor_msgs.msg import CameraInfo, Image

    node = ros.run(StereoNode, sync_patience=2.0)
    heard = _outputs(ros, node)
    right, info = ros.speak(Image, 'right/image'), ros.speak(CameraInfo, 'right/camera_info')
    size = 128, 64
    camera = Camera(width=128, height=64, fx=50.0, fy=50.0, cx=64.0, cy=32.0)
    noise = np.random.default_rng(0).integers(0, 256, (8, 16, 3), np.uint8)
    soft = np.asarray(cv2.resize(noise, size), np.uint8)
    for index in range(2):
        header = COMPOSER.header(ros.start_ns + index * 10**8, 'right_optical')
        info.publish(COMPOSER.camera_info(header, camera, baseline=0.1))
        right.publish(COMPOSER.image(header, soft))
        stamp = ros.show(index, size=size, data=COMPOSER.image(header, soft).data)
        ros.until(lambda: int(node.health.values()['processed']) == index + 1)  # noqa: B023
    ros.until(lambda: all(len(of_both) == 2 for of_both in heard.values()), f'all of {list(heard)}')
    made = heard['~/disparity'][-1]
    assert messages.stamp_ns(made.header.stamp) == stamp
    assert made.header.frame_id == 'camera_optical'
    assert (made.f, made.image.encoding) == (50, '32FC1')
    assert made.t == pytest.approx(0.1)
    pixels, depth = _pixels(made.image, 'f4'), _pixels(heard['depth/image_rect'][-1], 'f4')
    near = np.isfinite(depth)
    np.testing.assert_allclose(depth[near], 50 * 0.1 / pixels[near], rtol=1e-4)
    assert node.task.beside.values()['right/image used'] == '2'
