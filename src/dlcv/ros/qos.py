"""The QoS profiles that the contract names."""

from __future__ import annotations

from rclpy.qos import (
    DurabilityPolicy,
    HistoryPolicy,
    QoSProfile,
    ReliabilityPolicy,
    qos_profile_system_default,
)

from dlcv.interface.nodes import Qos
from dlcv.interface.parameters import CommonParameters


def profile(name: Qos) -> QoSProfile:
    """Return the profile of a key of `dlcv.interface.nodes.QOS_TEXT` (all but ``image``)."""
    match name:
        case 'sensor':
            return _make(1, ReliabilityPolicy.BEST_EFFORT)
        case 'stream':  # hundreds a second, of which none is to be missed while a thread is busy
            return _make(100, ReliabilityPolicy.BEST_EFFORT)
        case 'R1':
            return _make(1)
        case 'R10':
            return _make(10)
        case 'tf':
            return _make(100)
        case 'latched':
            return _make(1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        case 'tf_static':  # several broadcasters, each with its own latched message
            return _make(100, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        case _:
            raise ValueError(f'QoS {name!r} is made from parameters: call image_profile')


def image_profile(parameters: CommonParameters) -> QoSProfile:
    """Return the profile of the image subscription that the parameters ask for.

    With ``auto`` the reliability is that of a subscription that hears every publisher.
    """
    depth = parameters.image_qos_depth
    match parameters.image_qos:
        case 'auto' | 'sensor_data':
            return _make(depth, ReliabilityPolicy.BEST_EFFORT)
        case 'reliable' | 'default':
            return _make(depth)
        case _:
            return QoSProfile(
                depth=depth,
                history=HistoryPolicy.KEEP_LAST,
                reliability=qos_profile_system_default.reliability,
                durability=qos_profile_system_default.durability,
            )


def _make(
    depth: int,
    reliability: ReliabilityPolicy = ReliabilityPolicy.RELIABLE,
    durability: DurabilityPolicy = DurabilityPolicy.VOLATILE,
) -> QoSProfile:
    return QoSProfile(
        depth=depth,
        history=HistoryPolicy.KEEP_LAST,
        reliability=reliability,
        durability=durability,
    )
