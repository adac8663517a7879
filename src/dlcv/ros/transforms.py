"""The subscriptions that fill a buffer of transforms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rclpy.node import Node

from dlcv.geometry.frames import TransformBuffer
from dlcv.interface.messages import take_transforms
from dlcv.interface.nodes import Topic
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import message_class


def subscribe(node: Node, topic: Topic, buffer: TransformBuffer) -> Iterator[Any]:
    """Fill a buffer from ``/tf_static`` or ``/tf``; yields the subscription.

    There is none, and a warning, where tf2_msgs is not installed.
    """
    static = topic.qos == 'tf_static'

    def on_message(message: Any) -> None:
        for complaint in take_transforms(buffer, message, static=static):
            node.get_logger().error(f'{topic.name}: {complaint}', throttle_duration_sec=5.0)

    try:
        kind = message_class(topic.type)
    except ImportError:
        reason = f'{topic.type} is not installed'
        node.get_logger().warning(f'{topic.name} is not listened to: {reason}')
        return
    yield node.create_subscription(kind, topic.name, on_message, profile(topic.qos))
