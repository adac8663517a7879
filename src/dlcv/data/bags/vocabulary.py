"""Messages as rosbags' classes, for the composer; no ROS needed.

``rosbags`` makes a dataclass of each message type at run time, so the messages here are ``Any``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.interface.messages import Composer
from dlcv.interface.messages.boxes import DEFINITIONS

IMAGE = 'sensor_msgs/msg/Image'
COMPRESSED_IMAGE = 'sensor_msgs/msg/CompressedImage'
CAMERA_INFO = 'sensor_msgs/msg/CameraInfo'
ODOMETRY = 'nav_msgs/msg/Odometry'
TF = 'tf2_msgs/msg/TFMessage'


@cache
def typestore() -> Any:
    """Return the message definitions of ROS 2 Jazzy, and those of vision_msgs."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.ROS2_JAZZY)
    for name, text in DEFINITIONS.items():
        store.register(get_types_from_msg(text, name))
    return store


class BagVocabulary:
    """The classes of rosbags."""

    def type(self, name: str) -> Callable[..., Any]:
        """Return the class of ``package/msg/Name``."""
        made: Callable[..., Any] = typestore().types[name]
        return made

    def octets(self, values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """Return the memory of values; copies only what is not contiguous."""
        return np.ascontiguousarray(values).reshape(-1).view(np.uint8)

    def octet(self, value: int) -> int:
        """Return a number of one byte."""
        return int(value)

    def doubles(self, values: Iterable[float]) -> npt.NDArray[np.float64]:
        """Return numbers as an array."""
        return np.array(list(values), np.float64)

    def signed(self, values: npt.NDArray[np.int8]) -> npt.NDArray[np.int8]:
        """Return numbers as an array."""
        return np.ascontiguousarray(values, np.int8)

    def singles(self, values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return numbers as an array."""
        return np.asarray(values, np.float32)


COMPOSER = Composer(BagVocabulary())
