"""A camera in a process of its own, run by test_processes: shows an image, waits for the answers.

    python kitti_camera.py COUNT NODE:TOPIC:package/msg/Name ...

Prints, as JSON, for each image the topics on which a message of its stamp came back.
"""

from __future__ import annotations

import json
import sys
from time import monotonic
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, Image

from dlcv.estimation.memory import keep_freed_memory
from dlcv.evaluation.replay.job import Answering
from dlcv.evaluation.replay.states import NodeStates
from dlcv.interface import messages
from dlcv.interface.nodes import DIAGNOSTICS
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import COMPOSER, message_class
from dlcv.types import Camera

CAMERA = Camera(width=1241, height=376, fx=718.0, fy=718.0, cx=607.0, cy=185.0)
PATIENCE = 60.0  # seconds, for processes that are just starting


def main(count: int, watched: list[list[str]]) -> None:
    """Show ``count`` images, each when the one before was answered on all topics.

    Args:
        count: Of images.
        watched: Of each node its name, a topic, and the type of that.
    """
    topics = {topic: kind for _, topic, kind in watched}
    nodes = [
        Answering(node=name, handled=f'/{name}/handled', inputs=(), outputs=())
        for name, *_ in watched
    ]
    keep_freed_memory()
    rclpy.init()
    node = Node('kitti_camera')
    answers: dict[str, set[int]] = {topic: set() for topic in topics}

    def listen(topic: str) -> Any:
        def on_message(message: Any) -> None:
            answers[topic].add(messages.stamp_ns(message.header.stamp))

        return node.create_subscription(message_class(topics[topic]), topic, on_message, 10)

    def until(true: Any, seconds: float = PATIENCE) -> bool:
        end = monotonic() + seconds
        while not true():
            if monotonic() > end:
                return False
            rclpy.spin_once(node, timeout_sec=0.05)
        return True

    subscriptions = [listen(topic) for topic in topics]
    images = node.create_publisher(Image, 'image', 10)
    infos = node.create_publisher(CameraInfo, 'camera_info', 10)
    blocks = np.random.default_rng(0).integers(0, 256, (count, 47, 156, 3), np.uint8)
    pictures = blocks.repeat(8, axis=1).repeat(8, axis=2)[:, :, :1241]
    states = NodeStates({one.node for one in nodes})
    node.create_subscription(
        DiagnosticArray, DIAGNOSTICS.name, states.add, profile(DIAGNOSTICS.qos)
    )

    def missing() -> str:
        played = {one.topic_name: one.get_subscription_count() for one in (images, infos)}
        heard = {one.topic_name: one.get_publisher_count() for one in subscriptions}
        return states.unmatched(nodes, played, heard)

    if not until(lambda: not missing()):
        sys.exit(f'after {PATIENCE:g} s there is still {missing()}')
    stamps = []
    for picture in pictures:
        stamp = node.get_clock().now().nanoseconds
        header = COMPOSER.header_in('camera', COMPOSER.time(stamp))
        infos.publish(COMPOSER.camera_info(header, CAMERA))
        images.publish(COMPOSER.image(header, picture))
        stamps.append(stamp)
        until(lambda: all(stamp in heard for heard in answers.values()), 10.0)  # noqa: B023
    print(json.dumps([[t for t in topics if stamp in answers[t]] for stamp in stamps]))
    node.destroy_node()
    rclpy.shutdown()


if __name__ == '__main__':
    main(int(sys.argv[1]), [argument.split(':') for argument in sys.argv[2:]])
