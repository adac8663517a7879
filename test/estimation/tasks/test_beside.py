"""Messages beside pictures: found by stamp, waited for only while on their way, and counted."""

from __future__ import annotations

import threading
from time import monotonic
from types import SimpleNamespace

import pytest

from dlcv.estimation.tasks.beside import KEPT, SILENT_NS, VAIN, Beside
from dlcv.interface.nodes import IMAGE, Topic

MS = 10**6
FRAME = 100 * MS
START = 10**9


def _topic(name, beside):
    return Topic(name=name, type='a/msg/B', qos='R1', doc='.', beside=beside)


@pytest.fixture
def beside():
    return Beside(
        [IMAGE, _topic('depth', 'moment'), _topic('imu', 'span'), _topic('info', 'latest')]
    )


def _message(stamp, **more):
    stamp = SimpleNamespace(sec=stamp // 10**9, nanosec=stamp % 10**9)
    return SimpleNamespace(header=SimpleNamespace(stamp=stamp), **more)


def _fill(beside, name, stamps):
    for stamp in stamps:
        beside.put(name, _message(stamp, at=stamp))


def _now(beside, at, within=20 * MS, name='depth'):
    """Ask with no patience."""
    found = beside.moment(name, at, within, FRAME, monotonic())
    return None if found is None else found.at


def test_only_inputs_that_belong_to_images_are_kept(beside):
    assert list(beside.topics) == ['depth', 'imu', 'info']


@pytest.mark.parametrize(
    ('off', 'found'), [(0, True), (19, True), (-19, True), (21, False), (-21, False)]
)
def test_the_nearest_within_the_tolerance_is_found(beside, off, found):
    _fill(beside, 'depth', [START - FRAME, START + off * MS, START + FRAME])
    assert _now(beside, START) == (START + off * MS if found else None)


def test_order_of_arrival_does_not_matter(beside):
    _fill(beside, 'depth', [START + FRAME, START, START - FRAME])
    assert [_now(beside, START + k * FRAME) for k in (-1, 0, 1)] == [
        START + k * FRAME for k in (-1, 0, 1)
    ]


def test_what_is_kept_is_bounded(beside):
    _fill(beside, 'depth', range(START, START + 100 * FRAME, FRAME))
    assert _now(beside, START) is None
    assert _now(beside, START + (100 - KEPT['moment']) * FRAME) is not None


def test_nothing_is_waited_for_that_never_came(beside):
    begin = monotonic()
    assert beside.moment('depth', START, MS, FRAME, begin + 60) is None
    assert beside.span('imu', START, START + FRAME, begin + 60) == []
    assert monotonic() - begin < 30
    assert beside.values() == {}


def test_what_is_on_its_way_is_waited_for(beside):
    _fill(beside, 'depth', [START - 2 * FRAME, START - FRAME])
    threading.Timer(0.05, _fill, (beside, 'depth', [START])).start()
    found = beside.moment('depth', START, MS, FRAME, monotonic() + 60)
    assert found.at == START
    assert beside.values() == {'depth received': '3'}


def test_the_first_may_be_hoped_for(beside):
    threading.Timer(0.05, lambda: _fill(beside, 'depth', [START])).start()
    found = beside.moment('depth', START, 20 * MS, FRAME, monotonic() + 30, hoped=True)
    assert found.at == START
    begin = monotonic()
    assert beside.moment('depth', START - FRAME, 20 * MS, FRAME, begin + 30, hoped=True) is None
    assert monotonic() - begin < 20  # hope is for topics that have never spoken


def test_what_is_not_due_is_not_waited_for(beside):
    """Depth at a third of the pictures' rate: two of three pictures have none, at once."""
    _fill(beside, 'depth', [START - 3 * FRAME, START])
    begin = monotonic()
    assert beside.moment('depth', START + FRAME, MS, FRAME, begin + 60) is None
    assert monotonic() - begin < 30
    assert beside.values() == {'depth received': '2'}  # nothing is wrong with that


def test_a_topic_that_fell_silent_is_not_waited_for(beside):
    _fill(beside, 'depth', [START - FRAME, START])
    begin = monotonic()
    assert beside.moment('depth', START + SILENT_NS + 1, MS, FRAME, begin + 60) is None
    assert monotonic() - begin < 30


def test_a_topic_that_is_always_late_is_given_up(beside):
    waits = []
    for k in range(VAIN + 3):
        _fill(beside, 'depth', [START + (k - 3) * FRAME, START + (k - 2) * FRAME])
        begin = monotonic()
        assert beside.moment('depth', START + k * FRAME, MS, FRAME, begin + 0.02) is None
        waits.append(monotonic() - begin)
    assert min(waits[:VAIN]) >= 0.02
    assert max(waits[VAIN:]) < 0.02


def test_who_does_not_wait_gives_nothing_up(beside):
    """Depth of a network is waited for now and then; in between nothing is lost."""
    for k in range(2 * VAIN):
        _fill(beside, 'depth', [START + (k - 3) * FRAME, START + (k - 2) * FRAME])
        assert _now(beside, START + k * FRAME) is None
    at = START + 2 * VAIN * FRAME
    threading.Timer(0.05, _fill, (beside, 'depth', [at])).start()
    assert beside.moment('depth', at, MS, FRAME, monotonic() + 60).at == at


def test_without_patience_nobody_waits(beside):
    beside.patient = False
    _fill(beside, 'depth', [START - 2 * FRAME, START - FRAME])
    begin = monotonic()
    assert beside.moment('depth', START, MS, FRAME, begin + 60) is None
    assert monotonic() - begin < 30


def test_closing_ends_every_wait(beside):
    _fill(beside, 'depth', [START - 2 * FRAME, START - FRAME])
    threading.Timer(0.05, beside.close).start()
    begin = monotonic()
    assert beside.moment('depth', START, MS, FRAME, begin + 60) is None
    assert monotonic() - begin < 30


def test_what_lies_apart_is_counted_as_unsynchronised(beside):
    for k in range(4):
        _fill(beside, 'depth', [START + k * FRAME + 40 * MS])
    assert _now(beside, START + 2 * FRAME) is None
    assert beside.values() == {'depth received': '4', 'depth unsynchronised': '1'}


def test_a_span_reaches_from_just_before_to_just_after(beside):
    _fill(beside, 'imu', range(START - 10 * MS, START + FRAME + 30 * MS, 10 * MS))
    found = beside.span('imu', START + 5 * MS, START + 25 * MS, monotonic())
    assert [stamp - START for stamp, _ in found] == [0, 10 * MS, 20 * MS, 30 * MS]


def test_a_span_waits_for_its_end(beside):
    _fill(beside, 'imu', [START, START + 10 * MS])
    threading.Timer(0.05, _fill, (beside, 'imu', [START + 20 * MS])).start()
    found = beside.span('imu', START, START + 15 * MS, monotonic() + 60)
    assert [stamp - START for stamp, _ in found] == [0, 10 * MS, 20 * MS]


def test_the_latest_holds(beside):
    assert beside.latest('info') is None
    _fill(beside, 'info', [START, START + FRAME])
    assert beside.latest('info').at == START + FRAME


def test_another_round_of_a_bag_begins_anew(beside):
    _fill(beside, 'depth', [START + k * FRAME for k in range(30, 34)])
    _fill(beside, 'depth', [START])
    assert _now(beside, START) == START
    assert _now(beside, START + 33 * FRAME) is None


def test_opening_forgets(beside):
    _fill(beside, 'depth', [START])
    assert _now(beside, START) == START
    beside.close()
    beside.open()
    assert _now(beside, START) is None
    assert beside.values() == {}
