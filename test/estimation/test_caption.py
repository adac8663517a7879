"""Sentences of frames: words, what is said of nothing, and of what the network is unsure."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.caption import CaptionEstimator, CaptionSettings
from dlcv.networks.caption import CaptionConfig, ShowAndTell
from dlcv.types import Caption, Frame

CONFIG = CaptionConfig(
    size=(64, 32), width=1 / 16, reduced=4, grid=(2, 1), embedding=6, memory=5,
    words=('.', ',', 'a', 'room'),
)  # fmt: skip


@pytest.fixture(scope='module')
def estimator():
    torch.manual_seed(0)
    return CaptionEstimator(ShowAndTell(CONFIG), device='cpu')


def _frame(size=(160, 120)):
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    picture = cv2.resize(noise, size, interpolation=cv2.INTER_NEAREST)
    return Frame(stamp_ns=5, image=np.asarray(picture, np.uint8))


def test_words_are_those_of_the_network_whatever_the_pictures_size(estimator):
    said = estimator.push(_frame())
    assert said.stamp_ns == 5
    assert set(said.words) <= set(CONFIG.words)
    assert 0 < said.confidence < 1
    assert said == estimator.push(_frame())
    grey = replace(_frame(), image=_frame().image[..., 0])
    for frame in (_frame(size=(33, 200)), grey):
        assert estimator.push(frame).confidence < 1


def test_a_black_picture_says_nothing_and_why(estimator):
    said = estimator.push(Frame(stamp_ns=1, image=np.zeros((120, 160, 3), np.uint8)))
    assert (said.words, said.text) == ((), '')
    assert 'black' in said.reason
    assert np.isnan(said.confidence)


def test_what_is_unsure_is_not_said(estimator):
    free = estimator.settings
    estimator.settings = CaptionSettings(min_confidence=0.999)
    said = estimator.push(_frame())
    estimator.settings = free
    assert not said.words
    assert 0 < said.confidence < 0.999
    assert 'is unsure' in said.reason


def test_words_become_sentences():
    said = Caption(stamp_ns=0, words=('a', 'room', '.', 'close', 'by', ',', 'a', 'box', '.'))
    assert said.text == 'A room. Close by, a box.'
    assert Caption(stamp_ns=0, words=('a', 'room')).text == 'A room.'
