"""The task of segmentation: which messages an image gives, and what is computed for whom."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from dlcv.classes import CLASSES, NUMBER, table_text
from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.estimation.tasks import segmentation
from dlcv.estimation.tasks.segmentation import SegmentationTask
from dlcv.interface.messages.read import decode as read_image
from dlcv.interface.parameters import ParameterError, SegmentationParameters
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.weights import save_network
from dlcv.types import Labels


@pytest.fixture
def task(tmp_path, host):
    torch.manual_seed(0)
    network = fcn(FCNConfig(encoder='light', width=1 / 8, fused=8))
    weights = save_network(network, tmp_path / 'tiny.safetensors')

    def make(*listeners, **parameters):
        parameters = SegmentationParameters(weights=str(weights), engine='torch', **parameters)
        made = SegmentationTask(host(parameters, *listeners), COMPOSER)
        made.estimator = made.load('cpu', 'fp32')
        made.configure()
        return made

    return make


def test_an_image_gives_labels_and_masks_under_its_header(task, frame):
    made, seen = task('~/labels', '~/movers', '~/traversable', '~/color'), frame()
    found = made.infer(seen)
    header = COMPOSER.header(seen.stamp_ns, 'camera')
    labels = np.full(seen.image.shape[:2], NUMBER['road'], np.uint8)
    labels[:, 20:] = NUMBER['vehicle']
    made.publish(seen, header, Labels(stamp_ns=1, labels=labels))
    sent = dict(made.host.sent)
    assert found.labels.shape == seen.image.shape[:2]
    assert [sent[f'~/{name}'].encoding for name in ('labels', 'movers', 'traversable')] == [
        'mono8'
    ] * 3
    assert (read_image(sent['~/labels']) == labels).all()
    still = read_image(sent['~/movers'])
    assert (still[:, :16] == 255).all()
    assert not still[:, 16:].any()  # the margin is 4 pixels
    assert (read_image(sent['~/traversable']) == np.where(labels == 0, 255, 0)).all()
    assert sent['~/color'].encoding == 'rgb8'
    assert sent['~/labels'].header is header


def test_what_the_numbers_mean_is_told_once(task, frame):
    made, seen = task('~/classes'), frame()
    for _ in range(2):
        due = made.due(seen.stamp_ns)
        if due:
            made.publish(seen, COMPOSER.header(1, ''), made.infer(seen))
    assert not due
    ((name, message),) = made.host.sent
    assert (name, message.data) == ('~/classes', table_text())
    assert len(message.data.splitlines()) == len(CLASSES) + 1
    made.host.listeners.add('~/movers')
    assert made.due(seen.stamp_ns)


def test_nobody_is_answered_for_nothing(task):
    assert not task().due(0)
    assert not task('~/handled').due(0)
    assert task('~/labels').due(0)


def test_a_picture_that_says_nothing_is_an_error(task, frame, monkeypatch):
    made = task('~/labels')
    nothing = Labels(stamp_ns=1, labels=np.full((4, 4), 255, np.uint8), reason='it is black')
    monkeypatch.setattr(made, 'estimator', SimpleNamespace(push=lambda _frame: nothing))
    made.infer(frame())
    assert made.host.verdict.text == made.host.complaint == 'no labels: it is black'
    made.reset()
    assert made.host.verdict is None
    assert segmentation.CLASSES == '~/classes'


def test_parameters_out_of_range_are_refused():
    with pytest.raises(ParameterError, match='movers_margin: 500 is outside'):
        SegmentationParameters(movers_margin=500)
    with pytest.raises(ParameterError, match='resize_long_side: 10 is outside'):
        SegmentationParameters(resize_long_side=10)
