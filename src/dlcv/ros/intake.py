"""What an active node takes in: the newest image, its calibration, and what else it listens to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from time import monotonic
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo

from dlcv.estimation.tasks.base import Verdict
from dlcv.interface import messages
from dlcv.interface.nodes import CAMERA_INFO, Topic
from dlcv.interface.parameters import CommonParameters
from dlcv.interface.rectified import is_rectified, note
from dlcv.ros.calibration import Calibration
from dlcv.ros.exchange import Arrived, Exchange, Take
from dlcv.ros.gaps import Missing
from dlcv.ros.health import Health
from dlcv.ros.image_input import ImageInput
from dlcv.ros.losses import Losses
from dlcv.ros.mailbox import Mailbox
from dlcv.ros.qos import profile
from dlcv.ros.vocabulary import message_class

Choose = Callable[[Sequence[int], float], int | None]
WAITING_BYTES = 32_000_000
"""Of images that wait until it is clear which of them is next."""
WAITING = 4, 32
"""The same, how many at least and at most."""


class Intake:
    """The subscriptions of one activation; all but `inbox` and `calibration` is the executor's.

    Attributes:
        inbox: The newest image that nobody has taken, or several.
        calibration: Of its camera.
        losses: What did not arrive.
    """

    def __init__(
        self,
        node: Node,
        health: Health,
        enabled: Callable[[], bool],
        drop: Callable[[Any, str], None],
        depth: int,
        exchange: Exchange,
        choose: Choose | None = None,
    ) -> None:
        """Make an intake that is not open yet.

        Args:
            node: Owner of the subscriptions.
            health: Counts what arrives.
            enabled: Whether images are let through.
            drop: Told of each image that is dropped here: its header and why.
            depth: Length of the queue of images.
            exchange: Where what other nodes of this process answer is to be had.
            choose: Says which image is next, of several that wait: given their stamps (ns), oldest
                first, and the seconds since the last came; None for none yet. Without it the newest
                is, and no other is kept.
        """
        self._node, self._health, self._enabled, self._drop = node, health, enabled, drop
        self._images: ImageInput | None = None
        self._beside: list[ImageInput] = []
        self._others: list[Any] = []
        self._take_info: Take | None = None
        self._exchange = exchange
        self._handed: list[tuple[str, Take]] = []
        self._choose, self._last_came = choose, 0.0
        self.inbox: Mailbox[Arrived] = Mailbox(self._supersede, self._next)
        self.calibration = Calibration()
        self.losses = Losses(node.get_logger().warning, depth)

    def open(self, parameters: CommonParameters, others: Iterable[Any]) -> None:
        """Subscribe to the camera; ``others`` are subscriptions that are closed with it."""
        self._images = ImageInput(self._node, self._health, parameters, self._on_image)
        self._exchange.pictures.expect(self._images.topic, +1)
        self.calibration.rectified = is_rectified(self._images.topic, parameters.rectified)
        if self.calibration.rectified:
            self._node.get_logger().info(note(self._images.topic))
        info = self._node.create_subscription(
            CameraInfo,
            CAMERA_INFO.name,
            self._on_info,
            profile(CAMERA_INFO.qos),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )
        self._camera_info_topic = info.topic_name
        self._others = [info, *others]

    def open_beside(
        self, parameters: CommonParameters, topics: Iterable[Topic], put: Callable[[str, Any], None]
    ) -> None:
        """Subscribe to what arrives beside the camera's images.

        Args:
            parameters: Say how images are subscribed to.
            topics: The inputs.
            put: Called with the name of an input and each of its messages.
        """
        for topic in topics:
            take: Take = partial(self._put, put, topic.name)
            if topic.name == CAMERA_INFO.name:  # there is a subscription already
                self._take_info = take
                continue
            full_name = self._node.resolve_topic_name(topic.name)
            if self._exchange.offers(full_name):
                self._exchange.listen(full_name, take)
                self._handed.append((full_name, take))
                continue
            if topic.qos == 'image':  # what the middleware loses of them is none of the camera's
                self._open_pictures(topic, parameters, take)
                continue
            kind, qos = message_class(topic.type), profile(topic.qos)
            self._others.append(self._node.create_subscription(kind, topic.name, take, qos))

    def _put(self, put: Callable[[str, Any], None], name: str, message: Any) -> None:
        put(name, message)
        self.inbox.look()

    def _open_pictures(self, topic: Topic, parameters: CommonParameters, take: Take) -> None:
        def unpack(arrived: Arrived) -> None:
            take(arrived.message)

        self._beside.append(ImageInput(self._node, Health(), parameters, unpack, topic))

    def close(self) -> None:
        """Drop the subscriptions and what was not taken; let nobody wait any longer."""
        if self._images is not None:
            self._exchange.pictures.expect(self._images.topic, -1)
        for handed in self._handed:
            self._exchange.leave(*handed)
        self._handed = []
        for images in filter(None, (self._images, *self._beside)):
            images.close()
        for subscription in self._others:
            self._node.destroy_subscription(subscription)
        self._images, self._beside, self._others = None, [], []
        self.inbox.close()
        self.calibration.close()

    def drop(self, subscription: Any) -> None:
        """Close one of the others before its time."""
        if subscription in self._others:
            self._others.remove(subscription)
            self._node.destroy_subscription(subscription)

    def follow(self) -> None:
        """Look at what the publishers of images offer; to be called now and then."""
        for images in filter(None, (self._images, *self._beside)):
            images.follow()

    def peers(self) -> dict[str, int]:
        """Return how many publishers each input has found, by its full name."""
        found = {one.topic_name: one.get_publisher_count() for one in self._others}
        found |= {name: self._exchange.publishers(name) for name, _ in self._handed}
        for images in filter(None, (self._images, *self._beside)):
            found[images.topic] = images.publisher_count
        return found

    def source(self) -> str:
        """Say what is known of where images come from, for when they do not."""
        if self._images is None:
            return ''
        count = self._images.publisher_count
        who = f'{count} publisher{"s" * (count > 1)}, silent' if count else 'no publisher'
        return f'{self._images.topic} has {who}'

    def missing(self) -> Missing | None:
        """Look for what is missing among the last images; None where nobody can tell."""
        return self.losses.gaps.missing()

    def verdict(self, missing: Missing | None) -> Verdict | None:
        """Return what is wrong with how images arrive, by what is `missing`; None for nothing."""
        if self._images is None:
            return None
        recent = self._health.recent()
        lost, received = recent['lost_by_middleware'], recent['received']
        return self.losses.verdict(missing, self._images.topic, lost, received)

    def values(self, missing: Missing | None) -> dict[str, str]:
        """Return how images arrive as key-value pairs of a diagnostic status."""
        reliable = self._images is not None and self._images.reliable
        return {
            'image_reliability': 'reliable' if reliable else 'best effort',
            'recent_missing': str(0 if missing is None else missing.images),
        }

    def has_camera_info(self) -> bool:
        """Whether anybody publishes a calibration, in any thread."""
        # by the resolved name: counting does not follow remappings
        return self._node.count_publishers(self._camera_info_topic) > 0

    def _on_info(self, info: CameraInfo) -> None:
        if self._take_info is not None:  # first: an image may wait for the calibration
            self._take_info(info)
        self.calibration.update(info)

    def _on_image(self, arrived: Arrived) -> None:
        message = arrived.message
        message.header.frame_id = messages.frame_of(message)  # all outputs take over this header
        self.losses.gaps.add(messages.stamp_ns(message.header.stamp))
        if not self._enabled():
            self._drop(message.header, 'disabled')
            return
        self._health.count('received')
        self._last_came = monotonic()
        if self._choose is not None:
            self.inbox.kept = int(np.clip(WAITING_BYTES // len(message.data), *WAITING))
        self.inbox.put(arrived)

    def _next(self, waiting: Sequence[Arrived]) -> int | None:
        if self._choose is None:
            return len(waiting) - 1
        return self._choose([_stamp(one) for one in waiting], monotonic() - self._last_came)

    def _supersede(self, older: Arrived) -> None:
        self._health.count('superseded')
        self._drop(older.message.header, 'superseded')


def _stamp(arrived: Arrived) -> int:
    return messages.stamp_ns(arrived.message.header.stamp)
