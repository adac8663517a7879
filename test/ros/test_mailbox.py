"""The slot between the receiving and the working thread."""

import threading

from dlcv.ros.mailbox import Mailbox


def test_the_newest_item_takes_the_place_of_the_older() -> None:
    superseded: list[int] = []
    box: Mailbox[int] = Mailbox(superseded.append)
    for item in (1, 2, 3):
        box.put(item)
    assert superseded == [1, 2]
    assert box.take(0) == 3
    assert box.take(0) is None
    box.put(4)
    assert superseded == [1, 2]


def test_which_is_next_may_hang_on_something_else() -> None:
    superseded: list[int] = []
    ready: set[int] = set()
    box: Mailbox[int] = Mailbox(
        superseded.append,
        lambda items: next((i for i, item in enumerate(items) if item in ready), None),
    )
    box.kept = 3
    for item in (1, 2, 3, 4):
        box.put(item)
    assert superseded == [1]
    assert box.take(0) is None
    taken: list[int | None] = []
    worker = threading.Thread(target=lambda: taken.append(box.take(20)))
    worker.start()
    ready.add(3)
    box.look()
    worker.join(20)
    assert taken == [3]
    assert superseded == [1, 2]
    ready.add(4)
    assert box.take(0) == 4


def test_take_waits_for_put() -> None:
    box: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(box.take(20)))
    worker.start()
    box.put('late')
    worker.join(20)
    assert taken == ['late']


def test_close_wakes_who_waits_and_takes_nothing_more() -> None:
    box: Mailbox[str] = Mailbox()
    taken: list[str | None] = []
    worker = threading.Thread(target=lambda: taken.append(box.take(60)))
    worker.start()
    box.close()
    worker.join(20)
    assert not worker.is_alive()
    assert taken == [None]
    box.put('too late')
    assert box.take(0) is None
    assert box.closed
