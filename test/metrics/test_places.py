"""Recall and precision of recognised places, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.metrics.places import precision_recall, recalls

SIMILARITY = np.array(
    [
        [0.9, 0.1, 0.2, 0.0, 0.0, 0.3, 0.0],
        [0.3, 0.8, 0.4, 0.5, 0.6, 0.7, 0.1],
        [0.1, 0.2, 0.6, 0.3, 0.4, 0.5, 0.5],
        [0.7, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
    ]
)
NEAR = np.zeros((4, 7), bool)
NEAR[0, 0] = NEAR[1, 3] = NEAR[2, 2] = True  # the fourth is of no known place


def test_recall_counts_queries_whose_place_is_known():
    assert recalls(SIMILARITY, NEAR) == pytest.approx((2 / 3, 1, 1))
    assert recalls(SIMILARITY[1:2], NEAR[1:2]) == (0, 1, 1)


def test_the_surest_answers_are_accepted_first():
    curve = precision_recall(SIMILARITY, NEAR)  # .9 right, .8 wrong, .7 wrong, .6 right
    assert curve.precision == pytest.approx([1, 1 / 2, 1 / 3, 2 / 4])
    assert curve.recall == pytest.approx([1 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert curve.average_precision == pytest.approx(1 / 3 + 1 / 3 * 2 / 4)
    assert curve.sure == pytest.approx(1 / 3)


def test_a_first_wrong_answer_leaves_nothing_sure():
    assert precision_recall(SIMILARITY[1:], NEAR[1:]).sure == 0


def test_queries_of_nowhere_alone_are_refused():
    with pytest.raises(ValueError, match='none of the 1 queries'):
        recalls(SIMILARITY[3:], NEAR[3:])
    with pytest.raises(ValueError, match=r'got \(4, 7\) and \(3, 7\)'):
        recalls(SIMILARITY, NEAR[:3])
