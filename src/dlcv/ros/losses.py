"""Images that the middleware lost on their way: noticed, and told with the cause and the mend."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from rclpy.utilities import get_rmw_implementation_identifier

from dlcv.estimation.tasks.base import Level, Verdict
from dlcv.interface.launch import PROFILE_VARIABLES
from dlcv.interface.share import share_file
from dlcv.ros.gaps import Gaps, Missing
from dlcv.ros.health import MAX_DROPPED

ENOUGH = 3  # images in a queue that a node can be busy for
FEWEST = 3  # gaps or lost images that are worth a word


class Losses:
    """Watches over the images of one activation.

    Attributes:
        gaps: What the stamps tell.
    """

    def __init__(self, warn: Callable[[str], Any], depth: int) -> None:
        """Watch over a subscription.

        Args:
            warn: Called once, with what people should know.
            depth: Length of its queue.
        """
        self._warn, self._depth = warn, depth
        self._warned = False
        self.gaps = Gaps()

    def verdict(
        self, missing: Missing | None, topic: str, lost: int, received: int
    ) -> Verdict | None:
        """Judge the last images; None while nothing is wrong.

        Args:
            missing: What the stamps tell of them.
            topic: Of the images.
            lost: How many of them the middleware has reported as lost.
            received: How many have arrived.
        """
        if missing and missing.gaps >= FEWEST and missing.images > MAX_DROPPED * missing.of:
            share = f'{missing.images} of {missing.of}'
            seen = f'about {share} images of {topic} ({1 / missing.period:.3g} Hz) are missing'
        elif lost >= FEWEST and lost > MAX_DROPPED * (lost + received):
            seen = f'the middleware lost {lost} of {lost + received} images of {topic}'
        else:
            return None
        if not self._warned:
            self._warned = True
            middleware = get_rmw_implementation_identifier()
            self._warn(f'{seen}: {mend(os.environ, middleware, self._depth)}')
        return Verdict(Level.WARN, f'{seen}, see the log for the mend')


def mend(environment: Mapping[str, str], middleware: str, depth: int) -> str:
    """Return why large images are lost between processes, and what to do about it.

    Args:
        environment: Of this process.
        middleware: Name of the RMW implementation.
        depth: Length of the subscription's queue.
    """
    cause = 'the middleware, or the driver itself, drops large images'
    if depth < ENOUGH:
        cause = f'{cause}, or a busy node those that arrive together (image_qos_depth is {depth})'
    if 'fastrtps' not in middleware:
        return f'{cause}; give {middleware} larger buffers, on both sides'
    here = any(name in environment for name in PROFILE_VARIABLES)
    shells = "the driver's shell" if here else "the driver's shell and that of this node"
    profile = environment.get(PROFILE_VARIABLES[0]) or share_file('config/fastdds_shm.xml')
    return (
        f'{cause}; stock Fast DDS sends them in pieces through small buffers. Set the shared '
        f'memory profile in {shells}, before they start: export {PROFILE_VARIABLES[0]}={profile} '
        '(or FASTDDS_BUILTIN_TRANSPORTS=LARGE_DATA), or let the driver publish reliably'
    )
