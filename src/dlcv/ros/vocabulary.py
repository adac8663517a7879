"""ROS's own message classes, for the composer.

Bulk data always goes in as ``array.array('B')``: rclpy takes it as it is, while it looks at every
single element of ``bytes`` or a list.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.interface.messages import Composer


@cache
def message_class(name: str) -> Any:
    """Return the message or service class of ``package/msg/Name``."""
    package, kind, cls = name.split('/')
    return getattr(import_module(f'{package}.{kind}'), cls)


def installed(name: str) -> bool:
    """Whether there is the class of ``package/msg/Name``: not each output's package need be."""
    try:
        message_class(name)
    except ImportError:
        return False
    return True


class RosVocabulary:
    """The classes of the ROS installation."""

    def type(self, name: str) -> Any:
        """Return the class of ``package/msg/Name``."""
        return message_class(name)

    def octets(self, values: npt.NDArray[Any]) -> array[int]:
        """Return the memory of values."""
        data: array[int] = array('B')
        data.frombytes(np.ascontiguousarray(values).data.cast('B') if values.size else b'')
        return data

    def octet(self, value: int) -> bytes:
        """Return a byte."""
        return bytes([value])

    def doubles(self, values: Iterable[float]) -> list[float]:
        """Return numbers as a list."""
        return [float(value) for value in values]

    def signed(self, values: npt.NDArray[np.int8]) -> array[int]:
        """Return numbers as an array, which rclpy takes as it is."""
        return array('b', np.ascontiguousarray(values, np.int8).tobytes())

    def singles(self, values: npt.NDArray[Any]) -> array[float]:
        """Return numbers as an array, which rclpy takes as it is."""
        return array('f', np.asarray(values, np.float32).tobytes())


COMPOSER = Composer(RosVocabulary())
