"""Average precision of corners: known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcv.metrics.corners import corner_average_precision

CORNERS = np.array([[10.0, 10.0], [30.0, 10.0], [30.0, 40.0]])


def found(xy, scores):
    return np.array(xy, float).reshape(-1, 2), np.array(scores, float)


def test_all_found_and_nothing_else_is_one():
    detections = [found(CORNERS + 1, [0.1, 0.5, 0.3])]
    assert corner_average_precision(detections, [CORNERS]) == 1


def test_nothing_found_is_zero():
    assert corner_average_precision([found([], [])], [CORNERS]) == 0
    assert corner_average_precision([found(CORNERS + 5, [1, 2, 3])], [CORNERS]) == 0


def test_a_wrong_one_hurts_what_is_ranked_below_it():
    last = found([*CORNERS, [80, 80]], [0.9, 0.8, 0.7, 0.1])
    second = found([*CORNERS, [80, 80]], [0.9, 0.8, 0.7, 0.85])
    assert corner_average_precision([last], [CORNERS]) == 1
    expected = (1 + 2 / 3 + 3 / 4) / 3
    assert corner_average_precision([second], [CORNERS]) == pytest.approx(expected)


def test_a_corner_is_found_once():
    twice = found([[10, 10], [11, 10], [30, 10], [30, 40]], [0.9, 0.8, 0.7, 0.6])
    expected = (1 + 2 / 3 + 3 / 4) / 3
    assert corner_average_precision([twice], [CORNERS]) == pytest.approx(expected)


def test_pictures_share_one_ranking():
    empty = np.empty((0, 2))
    detections = [found(CORNERS, [0.9, 0.8, 0.1]), found([[5, 5]], [0.5])]
    expected = (1 + 1 + 3 / 4) / 3
    assert corner_average_precision(detections, [CORNERS, empty]) == pytest.approx(expected)


def test_reach_is_inclusive_and_counted_in_pixels():
    off = [found(CORNERS + np.array([3.0, 0.0]), [1, 1, 1])]
    assert corner_average_precision(off, [CORNERS]) == 1
    assert corner_average_precision(off, [CORNERS], within=2.9) == 0


def test_without_corners_there_is_nothing_to_measure():
    assert math.isnan(corner_average_precision([found([[1, 1]], [1])], [np.empty((0, 2))]))
