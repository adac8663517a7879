"""Detectors without a network, on pictures that a few gradients tell."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dlcv.metrics.baselines.detection import gradients_lda, people
from dlcv.metrics.detection import DetectionTally
from dlcv.things import KIND_NUMBER
from dlcv.types import BoxedPicture, Objects

DOOR, SIGN = KIND_NUMBER['door'], KIND_NUMBER['sign']


def picture(seed):
    """A striped door and a round sign before grey noise."""
    rng = np.random.default_rng(seed)
    image = rng.integers(100, 120, (96, 128, 3), np.uint8)
    x, y = rng.integers(4, 30), rng.integers(4, 40)
    image[y : y + 48, x : x + 24] = 30
    image[y : y + 48, x + 4 : x + 24 : 8] = 230
    u, v = rng.integers(80, 108), rng.integers(20, 76)
    cv2.circle(image, (int(u), int(v)), 12, (240, 240, 240), 3)
    box = np.array([[x, y, x + 24, y + 48], [u - 13, v - 13, u + 14, v + 14]], np.float32) - 0.5
    seen = Objects(
        kind=np.array([DOOR, SIGN], np.uint8),
        box=box,
        pixels=np.array([1152, 500]),
        share=np.ones(2, np.float32),
        distance=np.ones(2, np.float32),
        speed=np.zeros(2, np.float32),
        thing=np.arange(2),
    )
    return BoxedPicture(image=image, objects=seen)


def test_windows_are_told_by_their_gradients():
    find, tally = gradients_lda([picture(seed) for seed in range(6)]), DetectionTally()
    for seed in range(20, 24):
        shown = picture(seed)
        box, kind, score = find(shown.image)
        assert box.shape == (len(kind), 4)
        assert set(kind) == {DOOR, SIGN}
        best = box[kind == DOOR][score[kind == DOOR].argmax()]
        assert np.abs(best - shown.objects.box[0]).max() < 24
        tally.add((box, kind, score), (shown.objects.box, shown.objects.kind, np.ones(2, np.bool_)))
    scores = tally.scores()
    assert scores.precision[[DOOR, SIGN], 0] == pytest.approx(1, abs=0.5)
    assert scores.recall_half > 0.6


def test_people_are_found_where_they_stand(monkeypatch):
    """OpenCV answers with windows of the enlarged picture, somebody in the middle of each."""

    class Hog:
        def setSVMDetector(self, weights):
            assert len(weights) == 3781

        def detectMultiScale(self, image, **how):
            assert image.shape[:2] == (480, 640)
            return np.array([[100, 50, 100, 200]]), np.array([0.7])

        getDefaultPeopleDetector = cv2.HOGDescriptor.getDefaultPeopleDetector  # noqa: N815

    monkeypatch.setattr(cv2, 'HOGDescriptor', Hog)
    box, kind, score = people()(np.zeros((240, 320, 3), np.uint8))
    assert box[0] == pytest.approx([57.5, 30.5, 91.5, 118.5])
    assert kind.tolist() == [KIND_NUMBER['person']]
    assert score == pytest.approx([0.7])


def test_nobody_is_found_in_nothing():
    box, kind, score = people()(np.full((240, 320, 3), 90, np.uint8))
    assert box.shape == (0, 4)
    assert len(kind) == len(score) == 0
