"""Frames to labels: whose pixels they are, what they mean, and the masks made of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.classes import CLASSES, NUMBER, UNLABELLED, colours
from dlcv.estimation.pictures import Fit
from dlcv.estimation.segmentation import (
    SegmentationEstimator,
    SegmentationSettings,
    movers,
    traversable,
)
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.types import Frame
from dlcv.view.labels import label_colours

LIGHT = FCNConfig(encoder='light', width=1 / 8, fused=8)


def made(config=LIGHT, **settings):
    torch.manual_seed(0)
    network = fcn(config)
    if config.encoder == 'vgg16':
        torch.nn.init.normal_(network.score_pool3.weight)
    return SegmentationEstimator(network, SegmentationSettings(**settings), 'cpu')


def test_labels_are_the_best_scores_of_each_pixel(frame):
    estimator, seen = made(), replace(frame(), camera=None)
    height, width = seen.image.shape[:2]
    fit = Fit.native((width, height), 32)
    with torch.no_grad():
        padded = torch.from_numpy(fit.image(seen.image)).permute(2, 0, 1)[None].float() / 255
        wanted = estimator.network(padded)[0, :, :height, :width].argmax(0).numpy()
    found = estimator.push(seen)
    assert found.labels.dtype == np.uint8
    assert found.labels.shape == wanted.shape
    assert (found.labels == wanted).mean() > 0.999
    assert found.stamp_ns == seen.stamp_ns


@pytest.mark.parametrize('config', [LIGHT, FCNConfig(width=1 / 32, meaning=(4, 9, 2))])
def test_large_pictures_are_shrunk_and_their_labels_are_of_their_pixels(frame, config):
    seen = frame()
    small, large = (made(config, resize_long_side=side).push(seen) for side in (64, 0))
    assert small.labels.shape == large.labels.shape == seen.image.shape[:2]
    assert set(np.unique(large.labels)) <= set(config.meaning)


def test_scores_lie_where_the_picture_has_them(monkeypatch):
    """Scores that tell a checkerboard of the full size, seen through a shrunk picture."""
    truth = np.kron(np.array([[0, 1], [2, 3]]), np.ones((48, 64))).astype(np.uint8)
    estimator = made(resize_long_side=96)
    one_hot = F.one_hot(torch.from_numpy(truth).long(), 4).permute(2, 0, 1)[None].float()
    cells = F.interpolate(one_hot, size=(18, 24), mode='area')
    cells = F.pad(cells, (0, 0, 0, 6), mode='replicate')  # 72 rows are padded to 96
    monkeypatch.setattr(estimator, '_tensor', lambda _image: None)
    monkeypatch.setattr(estimator, 'runner', lambda _images: (cells,))
    noise = np.random.default_rng(0).integers(0, 255, (12, 16, 3), np.uint8)
    found = estimator.push(Frame(stamp_ns=1, image=noise.repeat(8, 0).repeat(8, 1)))
    assert (found.labels == truth).mean() > 0.97


def test_a_picture_that_says_nothing_has_no_labels():
    found = made().push(Frame(stamp_ns=5, image=np.zeros((64, 96, 3), np.uint8)))
    assert (found.labels == UNLABELLED).all()
    assert 'black' in found.reason
    assert (movers(found.labels, 3) == 255).all()
    assert not traversable(found.labels).any()


def test_masks_are_of_what_moves_and_of_what_carries():
    labels = np.full((20, 30), NUMBER['wall'], np.uint8)
    labels[10, 15] = NUMBER['person']
    labels[15:] = NUMBER['floor']
    rows, columns = np.indices(labels.shape)
    near = np.hypot(rows - 10, columns - 15) <= 3
    assert ((movers(labels, 3) == 0) == near).mean() > 0.99
    assert (movers(labels) == 0).sum() == 1
    assert (traversable(labels) == 255 * (rows >= 15)).all()
    held = [one.name for one in CLASSES if movers(np.uint8([[NUMBER[one.name]]]))[0, 0] == 0]
    assert held == ['person', 'vehicle']


def test_labels_are_shown_over_their_picture():
    labels = np.array([[NUMBER['sky'], UNLABELLED]], np.uint8)
    assert label_colours(labels)[0].tolist() == [list(CLASSES[NUMBER['sky']].colour), [0, 0, 0]]
    over = label_colours(labels, np.full((1, 2), 100, np.uint8))
    assert over[0, 1].tolist() == [45] * 3
    assert over[0, 0, 2] == pytest.approx(0.55 * colours()[NUMBER['sky'], 2] + 45, abs=1)
