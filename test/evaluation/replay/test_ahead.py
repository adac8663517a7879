"""What was recorded after its image is given before it."""

from __future__ import annotations

from itertools import chain

import pytest

from dlcv.evaluation.replay.ahead import LEAD_NS, Ahead


def test_all_is_given_once_and_in_order():
    ahead = Ahead(iter(range(0, 10 * LEAD_NS, LEAD_NS // 2)), int)
    given = [list(ahead.before(stamp)) for stamp in range(0, 10 * LEAD_NS, LEAD_NS)]
    assert [len(some) for some in given] == [3, *[2] * 8, 1]
    assert [*chain.from_iterable(given)] == list(range(0, 10 * LEAD_NS, LEAD_NS // 2))


@pytest.mark.parametrize(('late', 'count'), [(0, 1), (LEAD_NS, 1), (LEAD_NS + 1, 0)])
def test_so_much_later_it_may_be(late, count):
    assert len(list(Ahead(iter([late]), int).before(0))) == count


def test_of_nothing_nothing_is_given():
    assert list(Ahead(iter([]), int).before(10**9)) == []
