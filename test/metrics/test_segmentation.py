from __future__ import annotations

import numpy as np
import pytest

from dlcv.classes import UNLABELLED
from dlcv.metrics.segmentation import SegmentationMetricError, confusion, scores


def test_figures_by_hand():
    truth = np.array([[0, 0, 0, 1], [1, 1, UNLABELLED, 0]], np.uint8)
    labels = np.array([[0, 0, 1, 1], [1, 2, 2, 0]], np.uint8)
    counts = confusion(labels, truth, 3)
    assert counts.tolist() == [[3, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0]]
    found = scores(counts)
    assert found.iou[:2] == pytest.approx([3 / 4, 2 / 4])  # 2 is nowhere in the truth
    assert np.isnan(found.iou[2])
    assert found.mean_iou == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found.accuracy == pytest.approx(5 / 7)
    assert found.mean_accuracy == pytest.approx((3 / 4 + 2 / 3) / 2)


def test_pictures_add_up_and_nothing_says_nothing():
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 4, (2, 6, 10, 10), np.uint8)
    parts = sum(confusion(a, b, 4) for a, b in zip(labels, truth, strict=True))
    assert (parts == confusion(labels, truth, 4)).all()
    nothing = scores(confusion(labels, np.full_like(truth, UNLABELLED), 4))
    assert np.isnan([nothing.mean_iou, nothing.accuracy, nothing.mean_accuracy]).all()


def test_no_answer_is_a_wrong_one():
    truth = np.array([0, 0, 1, 1], np.uint8)
    found = scores(confusion(np.array([0, UNLABELLED, 1, 1], np.uint8), truth, 2))
    assert found.iou.tolist() == [0.5, 1.0]
    assert found.accuracy == 0.75


def test_what_does_not_fit_is_refused():
    with pytest.raises(SegmentationMetricError, match=r'got \(1, 2\) and \(2, 1\)'):
        confusion(np.zeros((1, 2), np.uint8), np.zeros((2, 1), np.uint8))
    with pytest.raises(SegmentationMetricError, match='must be below 16'):
        confusion(np.array([200], np.uint8), np.array([1], np.uint8))
