"""What goes wrong with images and networks, in words for people."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from dlcv.ros.health import Health

QUIET = 5.0  # seconds between two log lines from one place


class Rejections:
    """Images that are dropped: counted, remembered, and spoken of now and then.

    Attributes:
        last: Why the last one was dropped; empty while none was.
    """

    def __init__(self, health: Health, say: Callable[[str], object]) -> None:
        self._health, self._say = health, say
        self._said: dict[str, float] = {}  # when a kind of dropped image was last spoken of
        self.last = ''

    def forget(self) -> None:
        """Forget the last reason."""
        self.last = ''

    def add(self, counter: str, reason: str) -> str:
        """Take note of an image that is dropped, and return the counter's name as what became."""
        self._health.count(counter, why=reason)
        self.last = reason
        now = monotonic()
        if now - self._said.get(counter, -QUIET) >= QUIET:  # each kind of fault gets its word in
            self._said[counter] = now
            self._say(f'image dropped: {reason}')
        return counter


def explained(err: Exception) -> str:
    """Return why a node could not be configured."""
    reason = str(err) or type(err).__name__
    if type(err).__name__ != 'WeightsError':
        return reason
    return f'{reason} (parameters weights, weights_sha256, allow_random_weights)'


def is_gpu_error(err: Exception) -> bool:
    """Whether an error means that the GPU cannot be trusted any longer."""
    return type(err).__name__ in ('OutOfMemoryError', 'AcceleratorError') or 'CUDA' in str(err)
