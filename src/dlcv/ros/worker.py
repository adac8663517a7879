"""The one thread of an active node that computes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

from dlcv.ros.mailbox import Mailbox

LOOK = 0.5  # seconds between two looks at whether to end


class Worker:
    """Takes what arrives out of a mailbox until that is closed.

    Attributes:
        abandoned: Whether nobody waits for it any longer: what it still finds is not published.
    """

    def __init__(
        self,
        name: str,
        inbox: Mailbox[Any],
        handle: Callable[[Any, Worker], None],
        prepare: Callable[[], object] = lambda: None,
    ) -> None:
        """Make a worker that does not run yet.

        Args:
            name: Of its thread.
            inbox: Where it takes from.
            handle: Called with each item and the worker; must not raise.
            prepare: Called first in its thread: PyTorch's number of threads is one thread's own.
        """
        self._inbox, self._handle, self._prepare = inbox, handle, prepare
        self._thread = threading.Thread(target=self._run, name=f'{name} worker', daemon=True)
        self._busy_since: float | None = None
        self.abandoned = False

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    @property
    def ending(self) -> bool:
        """Whether it ends after what it has in hand."""
        return self._inbox.closed

    @property
    def busy_for(self) -> float:
        """Seconds since the network was given an image; 0 while it has none."""
        since = self._busy_since
        return 0.0 if since is None else perf_counter() - since

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self, patience: float) -> None:
        """Wait so many seconds for its end, the mailbox being closed.

        A computation cannot be stopped: one that goes on is abandoned, and ends when it returns.
        """
        if self._thread.ident is None:  # a Ctrl-C came before it was started
            return
        if not self.abandoned:
            self._thread.join(timeout=patience)
        self.abandoned = self.abandoned or self._thread.is_alive()

    def trouble(self, limit: float) -> str:
        """Return why nothing more is to be expected of it, once started; empty while all is well.

        Args:
            limit: Seconds for which it may compute; then it is abandoned.
        """
        if not self.alive:
            return 'its worker has died of an exception; see the log'
        if self.busy_for <= limit:
            return ''
        self.abandoned = True
        return f'a frame took over {limit:g} s'

    def begin_computing(self) -> None:
        """Let `busy_for` count until the image is dealt with."""
        self._busy_since = perf_counter()

    def _run(self) -> None:
        self._prepare()
        while not self._inbox.closed:
            item = self._inbox.take(timeout=LOOK)
            if item is None:
                continue
            try:
                self._handle(item, self)
            finally:
                self._busy_since = None
