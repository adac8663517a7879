"""Which images are taken: newer ones, at most so many a second."""

from __future__ import annotations

import pytest

from dlcv.estimation.tasks.order import Order


@pytest.mark.parametrize(
    ('stamps', 'rate', 'said'),
    [
        ((0, 1, 2), 0, ['', '', '']),
        ((0, 0, 1), 0, ['', 'rejected_order', '']),
        ((5, 4.5, 4.7, 5.1), 0, ['', 'rejected_order', 'rejected_order', '']),
        ((5, 3, 3.5), 0, ['', 'time_jumps', '']),
        ((0, 0.04, 0.1, 0.196), 10, ['', 'skipped_rate', '', '']),  # a little early is in time
        ((0, 0.04, 0.08, 0.12), 10, ['', 'skipped_rate', 'skipped_rate', '']),
    ],
)
def test_images_are_taken_in_order_and_not_too_often(stamps, rate, said):
    order = Order()
    assert [order.judge(round(s * 1e9), 1.0, rate) for s in stamps] == said
