"""The task of localization: which messages an image gives, and for whom."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks.localization import LocalizationTask
from dlcv.interface.parameters import LocalizationParameters, ParameterError
from dlcv.networks.fcos import FCOS, FCOSConfig
from dlcv.networks.weights import save_network
from dlcv.types import Detections

ALL = '~/detections', '~/markers', '~/overlay'


@pytest.fixture
def task(tmp_path, host):
    torch.manual_seed(0)
    weights = save_network(FCOS(FCOSConfig(width=1 / 8, channels=8)), tmp_path / 't.safetensors')

    def make(*listeners, **more):
        parameters = LocalizationParameters(weights=str(weights), engine='torch', **more)
        made = LocalizationTask(host(parameters, *listeners), COMPOSER)
        made.estimator = made.load('cpu', 'fp32')
        return made

    return make


def test_an_image_gives_boxes_under_its_header(task, frame):
    made, seen = task(*ALL, detection_threshold=0.0, max_detections=3, kinds='door,sign'), frame()
    header = COMPOSER.header(seen.stamp_ns, 'camera')
    found = made.infer(seen)
    made.publish(seen, header, found)
    sent = dict(made.host.sent)
    assert list(sent) == list(ALL)
    names = {one.results[0].hypothesis.class_id for one in sent['~/detections'].detections}
    assert names <= {'door', 'sign'}
    assert len(found) == len(sent['~/detections'].detections) == 3
    assert len(sent['~/markers'].points) == 24
    assert sent['~/overlay'].encoding == 'rgb8'
    assert all(message.header is header for message in sent.values())


def test_only_what_is_heard_is_made(task, frame):
    made = task('~/markers', detection_threshold=0.0)
    made.publish(frame(), COMPOSER.header(1, ''), made.infer(frame()))
    assert [name for name, _ in made.host.sent] == ['~/markers']
    assert made.due(0)
    assert not task('~/handled').due(0)


def test_settings_follow_the_parameters(task):
    made = task()
    made.host.parameters = replace(made.parameters, kinds='person', nms_overlap=0.25)
    made.retune()
    assert made.estimator.settings.kinds == 'person'
    assert made.estimator.settings.nms_overlap == 0.25


def test_a_picture_that_says_nothing_is_an_error(task, frame, monkeypatch):
    made, nothing = task('~/markers'), np.zeros((0, 4), np.float32)
    found = Detections(
        stamp_ns=1,
        kind=np.zeros(0, np.uint8),
        box=nothing,
        score=nothing[:, 0],
        reason='it is black',
    )
    monkeypatch.setattr(made, 'estimator', SimpleNamespace(push=lambda _frame: found))
    made.publish(frame(), COMPOSER.header(1, ''), made.infer(frame()))
    assert made.host.verdict.text == made.host.complaint == 'no boxes: it is black'
    assert made.host.sent[0][1].points == []
    made.reset()
    assert made.host.verdict is None


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ParameterError, match='kinds: no kind cat; there are person, vehicle'):
        LocalizationParameters(kinds='chair, cat')
    with pytest.raises(ParameterError, match='nms_overlap: 2'):
        LocalizationParameters(nms_overlap=2.0)
    with pytest.raises(ParameterError, match='resize_long_side: 10 is outside'):
        LocalizationParameters(resize_long_side=10)
