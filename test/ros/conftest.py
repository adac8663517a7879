"""A ROS graph of its own for each test: its domain, its context, its executor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from time import monotonic
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
MOMENT = 10**8  # nanoseconds between two images


@pytest.fixture
def ros(domain: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """An executor with a peer node, which plays the camera and listens."""
    monkeypatch.setattr('dlcv.ros.last_pose.SHARED_MEMORY', tmp_path)  # no other test's poses
    rclpy = pytest.importorskip('rclpy', reason='rclpy is not installed')
    from rclpy.executors import SingleThreadedExecutor

    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain)
    rig = Rig(context, SingleThreadedExecutor(context=context))
    try:
        yield rig
    finally:
        rig.close()
        rclpy.try_shutdown(context=context)


@dataclass
class Rig:
    """Nodes under test and their peer, all spun by the test itself."""

    context: Any
    executor: Any
    nodes: list[Any] = field(default_factory=list)
    cameras: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        from rclpy.node import Node

        self.peer = Node('peer', context=self.context)
        self.executor.add_node(self.peer)

    @cached_property
    def start_ns(self) -> int:
        """When image number 0 was taken: when it is first asked for."""
        return int(self.peer.get_clock().now().nanoseconds)

    def close(self) -> None:
        for node in (*self.nodes, self.peer):
            self.executor.remove_node(node)
            node.destroy_node()
        self.executor.shutdown()

    def make(self, cls: Any, *arguments: str, **parameters: Any) -> Any:
        """Return an unconfigured node; it takes images of any age unless told otherwise."""
        from rclpy.parameter import Parameter

        common = {'allow_random_weights': True, 'num_threads': 1, 'max_input_age': 0.0}
        parameters = common | parameters
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        cli = ['--ros-args', *arguments] if arguments else None
        node = cls(context=self.context, parameter_overrides=overrides, cli_args=cli)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def end(self, node: Any) -> None:
        """Take a node away before the end of the test."""
        self.nodes.remove(node)
        self.executor.remove_node(node)
        node.destroy_node()

    def run(self, cls: Any, *arguments: str, **parameters: Any) -> Any:
        """Return an active node."""
        from rclpy.lifecycle import TransitionCallbackReturn

        node = self.make(cls, *arguments, **parameters)
        assert node.trigger_configure() == TransitionCallbackReturn.SUCCESS
        assert node.trigger_activate() == TransitionCallbackReturn.SUCCESS
        return node

    def until(self, true: Callable[[], Any], what: str = '', seconds: float = 20.0) -> Any:
        """Spin until something holds; fail after a while. Returns what held."""
        end = monotonic() + seconds
        while not (value := true()):
            assert monotonic() < end, f'waited {seconds} s in vain: {what or true}'
            self.executor.spin_once(timeout_sec=0.02)
        return value

    def spin(self, seconds: float) -> None:
        """Spin for a time in which nothing is to happen."""
        end = monotonic() + seconds
        while monotonic() < end:
            self.executor.spin_once(timeout_sec=0.02)

    def listen(self, kind: Any, topic: str, qos: Any = 10) -> list[Any]:
        """Return the list that messages of a topic are put into, once somebody publishes it."""
        heard: list[Any] = []
        subscription = self.peer.create_subscription(kind, topic, heard.append, qos)
        self.until(lambda: subscription.get_publisher_count() > 0, f'a publisher of {topic}')
        return heard

    def speak(self, kind: Any, topic: str, qos: Any = 10) -> Any:
        """Return a publisher that somebody listens to."""
        publisher = self.peer.create_publisher(kind, topic, qos)
        self.until(lambda: publisher.get_subscription_count() > 0, f'a listener to {topic}')
        return publisher

    def hears(self, node: Any, name: str) -> list[Any]:
        """Return the list of messages of an output of a node, once it knows of its listener."""
        from dlcv.ros.qos import profile
        from dlcv.ros.vocabulary import message_class

        spec = next(topic for topic in node.spec.outputs if topic.name == name)
        resolved = node.resolve_topic_name(name)
        heard = self.listen(message_class(spec.type), resolved, profile(spec.qos))
        if name in node.outputs:
            self.until(lambda: node.wanted(name), f'{node.get_name()} to see its listener')
        return heard

    def call(self, kind: Any, name: str, request: Any = None, seconds: float = 20.0) -> Any:
        """Call a service and return its response."""
        client = self.peer.create_client(kind, name)
        self.until(client.service_is_ready, f'service {name}')
        future = client.call_async(request or kind.Request())
        self.until(future.done, f'an answer of {name}', seconds)
        return future.result()

    def show(
        self,
        index: int = 0,
        *,
        size: tuple[int, int] = (64, 48),
        camera: Any = ...,
        encoding: str = 'rgb8',
        frame_id: str = 'camera_optical',
        **changes: Any,
    ) -> int:
        """Publish image number ``index``, and before it its camera_info; returns its stamp.

        Args:
            index: Images are `MOMENT` apart.
            size: Width and height.
            camera: Calibration; None for no camera_info at all.
            encoding: Of the image; its pixels are random.
            frame_id: Of both messages.
            changes: Fields of the image message that are to be otherwise.
        """
        from sensor_msgs.msg import CameraInfo, Image

        from dlcv.ros.vocabulary import COMPOSER
        from dlcv.types import Camera

        width, height = size
        stamp = self.start_ns + index * MOMENT
        header = COMPOSER.header_in(frame_id, COMPOSER.time(stamp))
        if camera is ...:
            camera = Camera(
                width=width, height=height, fx=50.0, fy=50.0, cx=width / 2, cy=height / 2
            )
        if camera is not None:
            self._camera('camera_info', CameraInfo).publish(COMPOSER.camera_info(header, camera))
        pixels = np.random.default_rng(abs(index)).integers(0, 256, (height, width, 3), np.uint8)
        message = COMPOSER.image(header, pixels)
        message.encoding = encoding
        for name, value in changes.items():
            setattr(message, name, value)
        self._camera('image', Image).publish(message)
        return stamp

    def _camera(self, topic: str, kind: Any) -> Any:
        if topic not in self.cameras:
            self.cameras[topic] = self.speak(kind, topic)
        publisher = self.cameras[topic]
        self.until(lambda: publisher.get_subscription_count() > 0, f'a listener to {topic}')
        return publisher


@pytest.fixture
def fake() -> Any:
    """Return a class of estimators that do what they are told and remember what they were given."""

    class Fake:
        device = 'cpu'

        def __init__(self, answer: Callable[..., Any] = lambda frame: frame) -> None:
            self.answer = answer
            self.origin = SimpleNamespace(path=None, sha256='ab' * 32, trained=True)
            self.settings = Settings()
            self.frames: list[Any] = []
            self.wants: list[dict[str, Any]] = []
            self.resets = 0
            self.problem = ''

        def misfit(self, camera: Any) -> str:
            return self.problem

        def push(self, frame: Any, **wants: Any) -> Any:
            self.frames.append(frame)
            self.wants.append(wants)
            return self.answer(frame)

        def reset(self) -> None:
            self.resets += 1

        def warm_up(self, width: int, height: int) -> None:
            pass

    @dataclass(frozen=True, kw_only=True)
    class Settings:
        match_ratio: float = 0.9

    return Fake


@pytest.fixture
def with_fake(fake: Any) -> Callable[..., Any]:
    """Return a function that makes a node class whose estimator is a fake."""

    def make(cls: Any, answer: Callable[..., Any] = lambda frame: frame) -> Any:
        class Faked(cls):  # type: ignore[misc]
            def load(self, device: str, precision: str) -> Any:
                made = fake(answer)
                made.device = 'cpu' if device == 'auto' else device
                return made

        return Faked

    return make


@pytest.fixture
def plain(with_fake: Any) -> Any:
    """Return the smallest node class: superpoint's contract, and frames as results."""
    pytest.importorskip('rclpy', reason='rclpy is not installed')
    from dlcv.estimation.tasks.superpoint import FeatureTask
    from dlcv.ros.node import VisionNode

    class Plain(VisionNode):  # type: ignore[type-arg]
        task_class = FeatureTask

        def __init__(self, **node_args: Any) -> None:
            self.results: list[Any] = []
            self.retuned = 0
            super().__init__(**node_args)

        def due(self, stamp_ns: int) -> bool:
            return True

        def retune(self) -> None:
            self.retuned += 1

        def infer(self, frame: Any) -> Any:
            return self.estimator.push(frame)

        def publish(self, frame: Any, header: Any, result: Any) -> None:
            self.results.append(result)

    return with_fake(Plain)
