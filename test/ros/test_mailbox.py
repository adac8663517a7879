"""The slot between the receiving and the working thread."""

import threading

from dlcv.ros.mailbox import Mailbox


def test_the_newest_item_takes_the_place_of_the_older() -> None:
    box: Mailbox[int] = Mailbox()
    assert [box.put(1), box.put(2), box.put(3)] == [None, 1, 2]
    assert box.take(0) == 3
    assert box.take(0) is None
    assert box.put(4) is None


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
    assert box.put('too late') is None
    assert box.take(0) is None
    assert box.closed
