from __future__ import annotations

import numpy as np
import pytest

from dlcv.geometry.boxes import areas, common_areas, overlaps, strongest


def greedy(boxes, scores, kinds, most):
    """Non-maximum suppression as it is told: one box after the other."""
    left = []
    for i in np.argsort(-scores, kind='stable'):
        alike = [j for j in left if kinds[j] == kinds[i]]
        if all(overlaps(boxes[[i]], boxes[[j]])[0, 0] <= most for j in alike):
            left.append(i)
    return left


def test_overlaps_are_those_of_the_areas():
    first = np.array([[0, 0, 4, 4], [0, 0, 0, 0], [9, 9, 7, 8]], np.float32)
    second = np.array([[2, 0, 6, 4], [10, 10, 12, 12]], np.float32)
    assert areas(first).tolist() == [16, 0, 0]
    assert common_areas(first, second)[0].tolist() == [8, 0]
    assert overlaps(first, second)[0] == pytest.approx([8 / 24, 0])
    assert (overlaps(first, first)[1:] == 0).all()


@pytest.mark.parametrize('most', [0.0, 0.3, 0.7])
def test_the_strongest_are_those_of_one_after_the_other(most):
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 30, (150, 2))
    boxes = np.concatenate((corner, corner + rng.uniform(2, 20, (150, 2))), 1).astype(np.float32)
    scores, kinds = rng.random(150).round(1).astype(np.float32), rng.integers(0, 3, 150)
    assert strongest(boxes, scores, kinds, most).tolist() == greedy(boxes, scores, kinds, most)


def test_a_chain_of_boxes_is_judged_from_its_best():
    """Each overlaps the next: the second goes, so the third stays, so the fourth goes."""
    left = np.arange(0.0, 20, 4)[:, None]
    boxes = np.concatenate((left, 0 * left, left + 8, 0 * left + 8), 1).astype(np.float32)
    scores = np.linspace(0.9, 0.5, 5, dtype=np.float32)
    assert strongest(boxes, scores, np.zeros(5, int), 0.2).tolist() == [0, 2, 4]
    assert len(strongest(boxes[:0], scores[:0], np.zeros(0, int), 0.2)) == 0
