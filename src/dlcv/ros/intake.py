"""What an active node takes in: the newest image, its calibration, and what else it listens to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from dlcv.interface.nodes import CAMERA_INFO, COMPRESSED, IMAGE
from dlcv.interface.parameters import CommonParameters
from dlcv.ros.calibration import Calibration
from dlcv.ros.faults import QUIET
from dlcv.ros.health import Health
from dlcv.ros.mailbox import Mailbox
from dlcv.ros.qos import image_profile, profile


class Intake:
    """The subscriptions of one activation; all but `inbox` and `calibration` is the executor's.

    Attributes:
        inbox: The newest image that nobody has taken.
        calibration: Of its camera.
    """

    def __init__(
        self,
        node: Node,
        health: Health,
        enabled: Callable[[], bool],
        drop: Callable[[Any, str], None],
    ) -> None:
        """Make an intake that is not open yet.

        Args:
            node: Owner of the subscriptions.
            health: Counts what arrives.
            enabled: Whether images are let through.
            drop: Told of each image that is dropped here: its header and why.
        """
        self._node, self._health, self._enabled, self._drop = node, health, enabled, drop
        self._subscriptions: list[Any] = []
        self.inbox: Mailbox[Any] = Mailbox()
        self.calibration = Calibration()

    def open(self, parameters: CommonParameters, others: Iterable[Any]) -> None:
        """Subscribe to the camera; ``others`` are subscriptions that are closed with it."""
        compressed = parameters.image_transport == 'compressed'
        image = (CompressedImage, COMPRESSED.name) if compressed else (Image, IMAGE.name)
        events = SubscriptionEventCallbacks(
            message_lost=lambda e: self._health.count('lost_by_middleware', e.total_count_change),
            incompatible_qos=self._on_incompatible_qos,
        )
        overrides = QoSOverridingOptions.with_default_policies()
        self._subscriptions = [
            self._node.create_subscription(
                CameraInfo,
                CAMERA_INFO.name,
                self.calibration.update,
                profile(CAMERA_INFO.qos),
                qos_overriding_options=overrides,
            ),
            self._node.create_subscription(
                *image,
                self._on_image,
                image_profile(parameters),
                event_callbacks=events,
                qos_overriding_options=overrides,
            ),
            *others,
        ]
        self.camera_info_topic = self._subscriptions[0].topic_name

    def close(self) -> None:
        """Drop the subscriptions and what was not taken; let nobody wait any longer."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []
        self.inbox.close()
        self.calibration.close()

    def peers(self) -> dict[str, int]:
        """Return how many publishers each input has found, by its full name."""
        return {one.topic_name: one.get_publisher_count() for one in self._subscriptions}

    def source(self) -> str:
        """Say what is known of where images come from, for when they do not."""
        _, images, *_ = self._subscriptions
        count = images.get_publisher_count()
        who = f'{count} publisher{"s" * (count > 1)}, silent' if count else 'no publisher'
        return f'{images.topic_name} has {who}'

    def has_camera_info(self) -> bool:
        """Whether anybody publishes a calibration, in any thread."""
        # by the resolved name: counting does not follow remappings
        return self._node.count_publishers(self.camera_info_topic) > 0

    def _on_image(self, message: Any) -> None:
        if not self._enabled():
            self._drop(message.header, 'disabled')
            return
        self._health.count('received')
        if (older := self.inbox.put(message)) is not None:
            self._health.count('superseded')
            self._drop(older.header, 'superseded')

    def _on_incompatible_qos(self, event: Any) -> None:
        self._health.count('incompatible_qos', event.total_count_change)
        self._node.get_logger().warning(
            f'a publisher of {IMAGE.name} offers an incompatible QoS ({event.last_policy_kind}); '
            'set image_qos to match',
            throttle_duration_sec=QUIET,
        )
