"""Average precision, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.metrics import detection
from dlcv.metrics.detection import (
    OVERLAPS,
    DetectionMetricError,
    DetectionTally,
    average_precision,
    countable,
    verdicts,
)

THING = np.array([[0, 0, 10, 10]], np.float32)


def moved(*shifts):
    """Boxes like THING, so far to its right."""
    return np.concatenate([THING + np.array([[s, 0, s, 0]], np.float32) for s in shifts])


def picture(boxes, scores, things):
    found = boxes, np.zeros(len(boxes), np.uint8), np.array(scores, np.float32)
    return found, (things, np.zeros(len(things), np.uint8), np.ones(len(things), np.bool_))


def test_precision_is_read_at_101_recalls():
    """Right, wrong, right, of four things: 1 up to a recall of 1/4, then 2/3 up to 1/2."""
    right = np.array([1, 0, 1], np.int8)
    assert average_precision(right, 4) == pytest.approx((26 * 1 + 25 * 2 / 3) / 101)
    assert average_precision(np.array([1, 1], np.int8), 2) == 1
    assert average_precision(right[:0], 3) == 0


def test_a_box_is_right_up_to_how_much_it_overlaps():
    """Moved by 2 of 10 pixels, two boxes have 8 of 12 in common."""
    verdict = verdicts(moved(2, 0), THING, np.array([True]))
    assert verdict[:, 0].tolist() == (OVERLAPS < 8 / 12).astype(int).tolist()
    assert verdict[:, 1].tolist() == (OVERLAPS >= 8 / 12).astype(int).tolist()  # taken before


def test_what_cannot_be_asked_for_is_neither_right_nor_wrong():
    things = np.concatenate((THING, THING + 100))
    verdict = verdicts(np.concatenate((things[::-1], things)), things, np.array([True, False]))
    assert verdict[0].tolist() == [-1, 1, 0, 0]
    better = verdicts(THING, moved(0, 1), np.array([False, True]))
    assert better[0].tolist() == [1]  # the one that counts, though the other fits better
    assert better[-1].tolist() == [-1]


def test_pictures_of_several_kinds_are_tallied():
    tally = DetectionTally()
    tally.add(*picture(moved(0, 50), [0.9, 0.8], moved(0)))
    tally.add(*picture(moved(0), [0.85], moved(0)))
    kind = np.array([1], np.uint8)
    nothing = np.zeros((0, 4), np.float32), kind[:0], np.zeros(0, np.float32)
    tally.add(nothing, (THING, kind, np.array([True])))
    tally.add((THING, kind + 1, np.array([0.9], np.float32)), (THING[:0], kind[:0], kind[:0] > 0))
    scores = tally.scores()
    assert scores.things.tolist()[:3] == [2, 1, 0]
    assert scores.precision[0] == pytest.approx(1.0)
    assert scores.precision[1] == pytest.approx(0.0)
    assert np.isnan(scores.precision[2:]).all()
    assert (scores.map_half, scores.map_all, scores.recall_half) == pytest.approx((0.5, 0.5, 0.5))
    assert np.isnan(DetectionTally().scores().map_half)


def test_only_the_best_hundred_are_looked_at(monkeypatch):
    monkeypatch.setattr(detection, 'MOST', 1)
    tally = DetectionTally()
    tally.add(*picture(moved(50, 0), [0.9, 0.8], THING))
    assert tally.scores().recall_half == 0


def test_small_and_hidden_things_do_not_count():
    box = np.array([[0, 0, 10, 10], [0, 0, 5, 40], [0, 0, 10, 10], [0, 0, 10, 10]], np.float32)
    counts = countable(box, np.array([60, 60, 30, 60]), np.array([0.3, 1.0, 1.0, 0.2]))
    assert counts.tolist() == [True, False, False, False]
    assert len(countable(box[:0], np.zeros(0), np.zeros(0))) == 0


def test_what_does_not_fit_is_refused():
    found, truth = picture(moved(0), [0.5, 0.4], THING)
    with pytest.raises(DetectionMetricError, match=r'got \(1, 4\), \(1,\) and \(2,\)'):
        DetectionTally().add(found, truth)
    found, truth = picture(moved(0), [0.5], THING)
    with pytest.raises(DetectionMetricError, match='kinds must be below 10, got 12'):
        DetectionTally().add((found[0], found[1] + 12, found[2]), truth)
