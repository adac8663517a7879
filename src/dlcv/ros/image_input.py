"""A subscription to images, which follows what their publishers offer."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from time import monotonic
from typing import Any

from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node
from rclpy.qos import QoSPolicyKind, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CompressedImage, Image

from dlcv.interface.nodes import COMPRESSED, IMAGE, Topic
from dlcv.interface.parameters import CommonParameters
from dlcv.ros.exchange import Arrived
from dlcv.ros.faults import QUIET
from dlcv.ros.health import Health
from dlcv.ros.qos import image_profile

OVERLAP = 5.0  # seconds for which two subscriptions live at most while one takes over
DRAINED = 2  # looks after which the old one has brought what it had when the new one began
POLICIES = (QoSPolicyKind.HISTORY, QoSPolicyKind.DEPTH, QoSPolicyKind.RELIABILITY)
REMEMBERED = 256  # images by which a second arrival of one is known


class ImageInput:
    """One subscription, or two while one takes over from the other.

    With `image_qos` ``auto`` it is reliable while every publisher of the topic is, else best
    effort, which hears all of them. When that changes a new subscription is made beside the old
    one, which goes once the new one has brought an image: none is lost between the two, and one
    that both bring is taken once.
    """

    def __init__(
        self,
        node: Node,
        health: Health,
        parameters: CommonParameters,
        take: Callable[[Arrived], None],
        topic: Topic | None = None,
    ) -> None:
        """Subscribe.

        Args:
            node: Owner of the subscription.
            health: Counts what the middleware reports.
            parameters: Say what is subscribed to, and how.
            take: Called with each image, in the executor's thread.
            topic: Of the images; None for those of the camera.
        """
        self._node, self._health, self._parameters = node, health, parameters
        self._take = take
        compressed = topic is None and parameters.image_transport == 'compressed'
        self._kind = CompressedImage if compressed else Image
        self._topic = topic or (COMPRESSED if compressed else IMAGE)
        self.topic = node.resolve_topic_name(self._topic.name)
        self._seen: deque[Any] = deque(maxlen=REMEMBERED)
        self._old: Any = None  # the subscription that is taken over from
        self._old_until = 0.0
        self._brought = False  # whether the new one has brought an image
        self._looks = 0  # at that since
        self._follows = (
            parameters.image_qos == 'auto' and QoSPolicyKind.RELIABILITY not in self._overridden()
        )
        self._current = self._subscribe(self._offered() or ReliabilityPolicy.BEST_EFFORT)

    @property
    def publisher_count(self) -> int:
        """How many publishers it has found."""
        both = filter(None, (self._old, self._current))
        return max(int(subscription.get_publisher_count()) for subscription in both)

    @property
    def reliable(self) -> bool:
        """Whether images are asked for again that were lost."""
        return bool(self._current.qos_profile.reliability == ReliabilityPolicy.RELIABLE)

    def close(self) -> None:
        """Unsubscribe."""
        for subscription in filter(None, (self._old, self._current)):
            self._node.destroy_subscription(subscription)
        self._old = None

    def follow(self) -> None:
        """Take over what is to be taken over; to be called now and then."""
        if self._old is not None:
            self._looks += self._brought
            if self._looks > DRAINED or monotonic() > self._old_until:
                self._node.destroy_subscription(self._old)
                self._old = None
            return
        offered = self._offered() if self._follows else None
        if offered in (None, self._current.qos_profile.reliability):
            return
        self._old, self._old_until = self._current, monotonic() + OVERLAP
        self._brought, self._looks = False, 0
        self._current = self._subscribe(offered)
        word = 'reliable' if self.reliable else 'best effort'
        self._node.get_logger().info(f'{self.topic} is {word} now, as its publishers offer it')

    def _overridden(self) -> list[QoSPolicyKind]:
        """Return the policies that were given as ``qos_overrides`` parameters.

        No others are declared as such: a declared one would keep its first value for ever.
        """
        given = self._node._parameter_overrides  # noqa: SLF001 - rclpy offers no other way
        name = f'qos_overrides.{self.topic}.subscription'
        return [kind for kind in POLICIES if f'{name}.{kind.name.lower()}' in given]

    def _offered(self) -> ReliabilityPolicy | None:
        """Return what all publishers of the topic offer; None while there are none."""
        ends = self._node.get_publishers_info_by_topic(self.topic)
        offers = [end.qos_profile.reliability for end in ends if end.topic_type == self._topic.type]
        if not offers:
            return None
        reliable = all(offer == ReliabilityPolicy.RELIABLE for offer in offers)
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT

    def _subscribe(self, offered: ReliabilityPolicy | None) -> Any:
        profile = image_profile(self._parameters)
        if self._follows:
            profile.reliability = offered
        created: list[Any] = []

        def on_image(message: Any, info: dict[str, Any]) -> None:
            self._on_image(created[0], message, info)

        created.append(
            self._node.create_subscription(
                self._kind,
                self._topic.name,  # the full name would be remapped a second time
                on_image,
                profile,
                event_callbacks=SubscriptionEventCallbacks(
                    message_lost=lambda event: self._on_lost(created, event),
                    incompatible_qos=self._on_incompatible_qos,
                ),
                qos_overriding_options=QoSOverridingOptions(self._overridden()),
            )
        )
        return created[0]

    def _on_image(self, by: Any, message: Any, info: dict[str, Any]) -> None:
        if by is self._current:
            self._brought = True
        stamp, sent = message.header.stamp, info.get('source_timestamp')
        sample = sent or (stamp.sec, stamp.nanosec)
        if sample in self._seen:
            return
        self._seen.append(sample)
        self._take(Arrived(message, (self.topic, sent) if sent else None))

    def _on_lost(self, by: list[Any], event: Any) -> None:
        if by and by[0] is self._current:  # what an old subscription lacks the new one may bring
            self._health.count('lost_by_middleware', event.total_count_change)

    def _on_incompatible_qos(self, event: Any) -> None:
        if self._follows and event.last_policy_kind == QoSPolicyKind.RELIABILITY:
            return  # it is about to follow
        self._health.count('incompatible_qos', event.total_count_change)
        self._node.get_logger().warning(
            f'a publisher of {self.topic} offers an incompatible QoS ({event.last_policy_kind}); '
            'set image_qos to auto, or to match',
            throttle_duration_sec=QUIET,
        )
