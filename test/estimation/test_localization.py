"""Frames to boxes: on whose pixels they lie, and which of them are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.estimation import localization
from dlcv.estimation.localization import LocalizationEstimator, LocalizationSettings, chosen
from dlcv.networks.fcos import FCOS, FCOSConfig, points
from dlcv.things import KINDS
from dlcv.types import Frame
from dlcv.view.boxes import draw_boxes

MEANING = tuple(range(len(KINDS)))


def made(**settings):
    torch.manual_seed(0)
    network = FCOS(FCOSConfig(width=1 / 8, channels=8))
    return LocalizationEstimator(network, LocalizationSettings(**settings), 'cpu')


def answers(*boxes):
    """What points say: ``(kind, score, box)`` each."""
    scores, place = np.zeros((84, len(KINDS)), np.float32), np.zeros((84, 4), np.float32)
    for i, (kind, score, box) in enumerate(boxes):
        scores[i, kind], place[i] = score, box
    return scores, place


def test_boxes_lie_on_the_pixels_of_the_frame(frame, monkeypatch):
    """A picture of 128 x 96 shrunk to half, whose 48 rows are padded to 64."""
    estimator = made(resize_long_side=64, detection_threshold=0.5)
    seen = replace(frame(), camera=None)
    blocks = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    image = blocks.repeat(8, 0).repeat(8, 1)
    scores, place = answers((2, 0.9, (-0.5, 3.5, 9.5, 60)), (4, 0.6, (50, 10, 63.5, 20)))
    monkeypatch.setattr(estimator, '_tensor', lambda _image: None)
    monkeypatch.setattr(
        estimator, 'runner', lambda _x: (torch.tensor(scores)[None], torch.tensor(place)[None])
    )
    found = estimator.push(Frame(stamp_ns=seen.stamp_ns, image=image))
    assert found.stamp_ns == seen.stamp_ns
    assert found.kind.tolist() == [2, 4]
    assert found.box.tolist() == [[-0.5, 7.5, 19.5, 95.5], [100.5, 20.5, 127.5, 40.5]]
    assert found.score == pytest.approx([0.9, 0.6])


def test_the_network_answers_pictures_of_any_size(frame):
    for side in (0, 64):
        found = made(resize_long_side=side, detection_threshold=0.0, max_detections=7).push(frame())
        height, width = frame().image.shape[:2]
        assert len(found) == len(found.box) == len(found.score) == 7
        assert (np.diff(found.score) <= 0).all()
        assert found.box.min() >= -0.5
        assert (found.box[:, 2:] <= (width - 0.5, height - 0.5)).all()


def test_settings_say_what_is_told(monkeypatch):
    scores, place = answers(
        (0, 0.9, (0, 0, 10, 10)), (0, 0.8, (0, 0, 10, 9)), (1, 0.7, (0, 0, 10, 10)),
        (0, 0.6, (20, 0, 30, 10)), (3, 0.2, (40, 0, 50, 10)),
    )  # fmt: skip

    def told(**settings):
        return chosen(scores, place, MEANING, LocalizationSettings(**settings))[2].tolist()

    assert told() == pytest.approx([0.9, 0.7, 0.6])
    assert told(nms_overlap=0.95) == pytest.approx([0.9, 0.8, 0.7, 0.6])
    assert told(detection_threshold=0.1, max_detections=2) == pytest.approx([0.9, 0.7])
    assert told(kinds='vehicle, table', detection_threshold=0.1) == pytest.approx([0.7, 0.2])
    monkeypatch.setattr(localization, '_CANDIDATES', 2)
    assert told() == pytest.approx([0.9])
    with pytest.raises(ValueError, match='no kind cat; there are person, vehicle'):
        LocalizationSettings(kinds='person,cat')


def test_nothing_is_found_in_a_picture_that_says_nothing():
    found = made().push(Frame(stamp_ns=3, image=np.zeros((48, 64, 3), np.uint8)))
    assert len(found) == 0
    assert found.box.shape == (0, 4)
    assert found.reason
    assert len(points(48 + 16, 64)) == 84


def test_boxes_are_drawn_in_the_colour_of_their_kind():
    grey = np.full((40, 60), 9, np.uint8)
    box = np.array([[9.5, 9.5, 29.5, 34.5]], np.float32)
    drawn = draw_boxes(grey, np.array([1], np.uint8), box, np.array([0.5], np.float32))
    assert drawn.shape == (40, 60, 3)
    for row, column in ((34, 10), (34, 29), (20, 10), (20, 29)):
        assert tuple(drawn[row, column]) == KINDS[1].colour
    assert (drawn[36:] == 9).all()
    assert (grey == 9).all()
