"""The thread that computes: begins, is busy, ends, or is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from dlcv.ros.mailbox import Mailbox
from dlcv.ros.worker import Worker


def _worker(handle: Callable[[Any, Worker], None]) -> tuple[Worker, Mailbox[int]]:
    inbox: Mailbox[int] = Mailbox()
    return Worker('test', inbox, handle), inbox


def test_it_handles_what_arrives_until_the_mailbox_is_closed() -> None:
    handled: list[int] = []
    done = threading.Event()

    def handle(item: int, by: Worker) -> None:
        handled.append(item)
        done.set()

    worker, inbox = _worker(handle)
    worker.start()
    for item in (1, 2):
        done.clear()
        inbox.put(item)
        assert done.wait(10)
    assert not worker.ending
    inbox.close()
    worker.join(10)
    assert (handled, worker.alive, worker.abandoned) == ([1, 2], False, False)
    assert worker.ending


def test_it_tells_how_long_it_computes() -> None:
    begun, release, done = threading.Event(), threading.Event(), threading.Event()

    def handle(item: int, by: Worker) -> None:
        if item == 2:
            done.set()
            return
        assert by.busy_for == 0
        by.begin_computing()
        begun.set()
        release.wait(10)

    worker, inbox = _worker(handle)
    worker.start()
    inbox.put(1)
    assert begun.wait(10)
    first = worker.busy_for
    assert 0 < first < worker.busy_for
    release.set()
    inbox.put(2)
    assert done.wait(10)
    inbox.close()
    worker.join(10)
    assert worker.busy_for == 0


def test_one_that_does_not_end_is_abandoned() -> None:
    begun, release = threading.Event(), threading.Event()

    def handle(item: int, by: Worker) -> None:
        begun.set()
        release.wait(10)

    worker, inbox = _worker(handle)
    worker.start()
    inbox.put(1)
    assert begun.wait(10)
    inbox.close()
    worker.join(0)
    assert worker.abandoned
    assert worker.alive
    release.set()


def test_one_that_was_never_started_has_ended() -> None:
    worker, inbox = _worker(lambda item, by: None)
    inbox.close()
    worker.join(10)
    assert not worker.abandoned
