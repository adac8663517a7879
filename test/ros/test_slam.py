"""The node `slam`: its transform without gaps, its services, and a map that is saved at the end."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

pytest.importorskip('rclpy', reason='rclpy is not installed')
pytest.importorskip('tf2_msgs', reason='tf2_msgs is not built')

from nav_msgs.msg import Odometry
from rclpy.lifecycle import TransitionCallbackReturn
from std_srvs.srv import SetBool, Trigger
from tf2_msgs.msg import TFMessage

from dlcv.estimation.slam.files import load_place
from dlcv.geometry.frames import BODY_FROM_OPTICAL, TransformBuffer
from dlcv.interface import messages
from dlcv.ros.exchange import Exchange
from dlcv.ros.nodes.slam import SlamNode
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER
from dlcv.types import Camera, Frame, Keypoints

pytestmark = pytest.mark.ros
CAMERA = Camera(width=160, height=120, fx=90.0, fy=90.0, cx=79.5, cy=59.5)
RNG = np.random.default_rng(0)
POINTS = RNG.uniform((2, -6, -3), (6, 6, 3), (900, 3))  # metres before the body
LOOKS = RNG.normal(size=(900, 64)).astype(np.float32)
LOOKS /= np.linalg.norm(LOOKS, axis=1, keepdims=True)
STRIDE = 0.3  # metres aside from image to image


def _body(step: float, begin: float = 0.0) -> Any:
    pose = np.eye(4)
    pose[1, 3] = STRIDE * step - begin
    return pose


def _seen(stamp: int, step: float) -> Keypoints:
    """Return what the camera sees after some steps."""
    pose = _body(step) @ BODY_FROM_OPTICAL
    seen = (POINTS - pose[:3, 3]) @ pose[:3, :3]
    xy = seen[:, :2] / seen[:, 2:] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
    inside = ((xy > 0) & (xy < (159, 119))).all(axis=1)
    return Keypoints(
        stamp_ns=stamp,
        xy=xy[inside].astype(np.float32),
        scores=np.ones(int(inside.sum()), np.float32),
        descriptors=LOOKS[inside],
    )


def _odometry(stamp: int, step: float, begin: float = 0.0) -> Any:
    small, header = 1e-6 * np.eye(6), COMPOSER.header(stamp, 'odom')
    return COMPOSER.odometry(header, 'base_link', _body(step, begin), small, np.zeros(6), small)


class Walk:
    """Shows a node images of a walk aside, each after its odometry."""

    def __init__(self, ros: Any, node: Any, begin: float = 0.0, first: int = 0) -> None:
        self.ros, self.node, self.begin, self.first = ros, node, begin, first
        self.steps: dict[int, float] = {}
        self.odometry = ros.speak(Odometry, 'odometry')
        self.tf = ros.peer.create_publisher(TFMessage, '/tf', profile('tf'))
        node.estimator.answer = self.keypoints
        self.infos = ros.hears(node, '~/info')

    def keypoints(self, frame: Frame) -> Keypoints:
        return _seen(frame.stamp_ns, self.steps[frame.stamp_ns])

    def show(self, *steps: float) -> None:
        for step in steps:
            stamp = self.ros.start_ns + (self.first + len(self.steps)) * 10**8
            self.steps[stamp] = step
            message = _odometry(stamp, step, self.begin)
            odom = COMPOSER.transform(message.header, 'base_link', _body(step, self.begin))
            kept = self.node.task.beside._streams['odometry'].kept
            count = len(kept)
            self.odometry.publish(message)
            self.tf.publish(TFMessage(transforms=[odom]))
            self.ros.until(lambda: len(kept) > count, 'the odometry')  # noqa: B023
            told = len(self.infos)
            self.ros.show(self.first + len(self.steps) - 1, size=(160, 120), camera=CAMERA)
            self.ros.until(lambda: len(self.infos) > told, 'what became of it')  # noqa: B023

    @property
    def told(self) -> dict[str, str]:
        return {pair.key: pair.value for pair in self.infos[-1].values}


def _run(ros: Any, with_fake: Any, **parameters: Any) -> Any:
    given = {'scale_source': 'none', 'keypoints': 'own', 'lockstep': True, **parameters}
    return ros.run(with_fake(SlamNode), **given)


def _asked(ros: Any, name: str, data: bool | None = None) -> Any:
    kind = Trigger if data is None else SetBool
    request = Trigger.Request() if data is None else SetBool.Request(data=data)
    return ros.call(kind, f'/slam/{name}', request)


def test_a_map_is_made_saved_at_the_end_and_a_robot_found_in_it(
    ros: Any, with_fake: Any, tmp_path: Any
) -> None:
    file = str(tmp_path / 'room.safetensors')
    node = _run(ros, with_fake, map_file=file, save_on_exit=True)
    walk = Walk(ros, node)
    walk.show(*range(10))
    assert walk.told['state'] == 'mapping'
    assert int(walk.told['keyframes']) >= 3
    node.trigger_deactivate()
    assert len(load_place(tmp_path / 'room.safetensors')) == int(walk.told['keyframes'])
    ros.end(node)

    node = _run(ros, with_fake, map_file=file, localize_only=True, correction_time=0.0)
    tf = ros.hears(node, '/tf')
    walk = Walk(ros, node, begin=0.5, first=20)
    walk.show(*(4 + 0.1 * k for k in range(5)))  # half a second
    assert walk.told['state'] == 'localizing'
    ros.until(lambda: any(one.header.frame_id == 'map' for m in tf for one in m.transforms))
    buffer = TransformBuffer()
    for message in tf:
        messages.take_transforms(buffer, message, static=False)
    stamp = ros.start_ns + 24 * 10**8
    found = buffer.lookup('map', 'base_link', stamp, nearest=True)
    np.testing.assert_allclose(found, _body(4.4), atol=0.05)

    walk.show(*(4.5 + 0.1 * k for k in range(5)))
    last = ros.start_ns + 29 * 10**8
    ros.until(lambda: any(messages.stamp_ns(one.header.stamp) >= last for one in _of(tf, 'map')))
    for message in tf:
        messages.take_transforms(buffer, message, static=False)
    for stamp, step in list(walk.steps.items())[4:]:  # as a planner asks: at the stamp, or not
        np.testing.assert_allclose(buffer.lookup('map', 'base_link', stamp), _body(step), atol=0.05)
        told = buffer.lookup('odom', 'base_link', stamp)
        np.testing.assert_allclose(told, _body(step, 0.5), atol=1e-9)
    assert len(_of(tf, 'odom')) == len(walk.steps)  # by odometry alone


def _of(tf: list[Any], frame: str) -> list[Any]:
    """Return the transforms among messages from a frame."""
    return [one for message in tf for one in message.transforms if one.header.frame_id == frame]


def test_the_transform_has_no_gap_without_images_and_odometry_is_left_alone(
    ros: Any, with_fake: Any
) -> None:
    node = _run(ros, with_fake, transform_tolerance=0.2)
    tf = ros.hears(node, '/tf')
    walk = Walk(ros, node)
    walk.show(0, 1)
    begin = node.now()

    def steady() -> list[Any]:
        """Return the transforms since that are of no image."""
        moved = [one for message in tf for one in message.transforms]
        return [m for m in moved if begin < messages.stamp_ns(m.header.stamp) not in walk.steps]

    ros.until(lambda: len(steady()) >= 6, 'transforms though no image comes')
    assert {(m.header.frame_id, m.child_frame_id) for m in steady()} == {('map', 'odom')}
    stamps = [messages.stamp_ns(m.header.stamp) for m in steady()]
    assert stamps == sorted(stamps)


def test_odometry_of_the_same_process_comes_by_reference(ros: Any, with_fake: Any) -> None:
    exchange = Exchange()
    exchange.offer('/odometry')
    node = _run(ros, lambda cls: partial(with_fake(cls), exchange=exchange))
    node.estimator.answer = lambda frame: _seen(frame.stamp_ns, 0)
    poses = ros.hears(node, '~/pose')
    exchange.hand('/odometry', _odometry(ros.start_ns, 0))
    ros.show(0, size=(160, 120), camera=CAMERA)
    ros.until(lambda: poses, 'a pose')
    assert ros.peer.count_subscribers('/odometry') == 0


def test_services_pause_load_and_forget(ros: Any, with_fake: Any, tmp_path: Any) -> None:
    file = tmp_path / 'room.safetensors'
    node = _run(ros, with_fake, map_file=str(file))
    assert _asked(ros, 'save').message == 'nothing was mapped so far'
    assert not _asked(ros, 'load').success
    assert 'no map to be localized in' in _asked(ros, 'localize_only', True).message
    walk = Walk(ros, node)
    walk.show(*range(8))
    saved = _asked(ros, 'save')
    assert saved.success
    keyframes = len(load_place(file))
    assert saved.message.startswith(f'{keyframes} keyframes and ')
    assert _asked(ros, 'pause_mapping', True).message == 'nothing is mapped'
    walk.show(*range(8, 16))
    assert walk.told['state'] == 'paused'
    assert walk.told['keyframes'] == str(keyframes)
    assert _asked(ros, 'pause_mapping', False).success
    assert _asked(ros, 'localize_only', True).success
    walk.show(15)
    assert walk.told['state'] == 'localizing'
    assert _asked(ros, 'load').message == f'{keyframes} keyframes of {file}'
    walk.show(2)
    assert walk.told['state'] == 'lost'
    assert _asked(ros, 'localize_only', False).success
    walk.show(2, 2, 2, 2)
    assert walk.told['state'] == 'mapping'
    assert ros.call(Trigger, '/slam/reset').success
    walk.show(3)
    assert walk.told['keyframes'] == '1'
    assert len(load_place(file)) == keyframes


def test_it_saves_now_and_then_if_it_is_asked_to(ros: Any, with_fake: Any, tmp_path: Any) -> None:
    file = tmp_path / 'room.safetensors'
    node = _run(ros, with_fake, map_file=str(file), save_period=0.1)
    walk = Walk(ros, node)
    walk.show(0)
    ros.until(file.exists, 'the file')


def test_a_map_of_another_frame_is_refused(ros: Any, with_fake: Any, tmp_path: Any) -> None:
    file = str(tmp_path / 'none.safetensors')
    node = ros.make(with_fake(SlamNode), map_file=file, localize_only=True)
    assert node.trigger_configure() == TransitionCallbackReturn.FAILURE
    assert 'there is no such map' in node.verdict().text
