"""LIFT on whole pictures: points follow what moves, and blank pictures have none."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.lift import LiftEstimator, LiftSettings
from dlcv.networks.lift import LIFT, LIFTConfig
from dlcv.types import Frame

TINY = {'width': 1 / 16, 'orientation_width': 0.1}


@pytest.fixture(scope='module')
def estimator():
    """LIFT whose detector is one round blob, which it finds at the scale of its own size."""
    torch.manual_seed(0)
    network = LIFT(LIFTConfig(**TINY))
    steps = torch.arange(25) - 12.0
    far = (steps**2 + steps[:, None] ** 2).sqrt()
    blob = torch.where(far < 6, 1 / 113, 0.0) - torch.where((far >= 6) & (far < 8.49), 1 / 112, 0.0)
    with torch.no_grad():
        network.detector.conv.weight.zero_()
        network.detector.conv.bias.zero_()
        network.detector.conv.weight[:4] = blob - blob.mean()
    return LiftEstimator(network, LiftSettings(octaves=(0.0, 2.4), edge=0), device='cpu')


def discs(*tops, size=(96, 128)):
    picture = np.full(size, 60, np.uint8)
    for x, y, radius in tops:
        cv2.circle(picture, (x, y), radius, 220, -1, cv2.LINE_AA)
    return cv2.GaussianBlur(picture, (0, 0), 0.7)


def test_points_stand_on_discs_at_their_scale(estimator):
    found = estimator.look(discs((40, 48, 6), (90, 50, 11)))
    assert found.xy[:2][np.argsort(found.xy[:2, 0])] == pytest.approx(
        np.array([[40, 48], [90, 50]]), abs=1.0
    )
    one, other = found.sigmas[np.argsort(found.xy[:2, 0])]
    assert other / one == pytest.approx(11 / 6, rel=0.25)
    assert found.descriptors.shape == (len(found.xy), 8)
    assert np.all(np.abs(found.angles) <= np.pi + 1e-6)
    assert np.all(np.diff(found.scores) <= 0)


def test_the_strongest_are_kept_and_descriptors_are_those_of_the_patch(estimator):
    picture = discs((40, 48, 6), (90, 50, 11))
    every = estimator.look(picture)
    frame = Frame(stamp_ns=5, image=np.repeat(picture[..., None], 3, axis=2))
    plain, estimator.settings = (
        estimator.settings,
        LiftSettings(octaves=(0.0, 2.4), edge=0, max_keypoints=1),
    )
    try:
        (only,) = (found := estimator.push(frame)).xy
    finally:
        estimator.settings = plain
    assert only == pytest.approx(every.xy[0])
    assert found.stamp_ns == 5
    assert found.descriptors[0] == pytest.approx(every.descriptors[0], abs=1e-4)


@pytest.mark.parametrize('size', [(96, 128), (20, 30)])
def test_a_blank_or_tiny_picture_has_no_points(estimator, size):
    found = estimator.look(np.full(size, 90, np.uint8))
    assert found.xy.shape == (0, 2)
    assert found.descriptors.shape == (0, 8)
    assert found.angles.shape == (0,)


def test_the_descriptor_alone_finds_nothing():
    with pytest.raises(ValueError, match='the descriptor alone'):
        LiftEstimator(LIFT(LIFTConfig(**TINY, descriptor_only=True)), device='cpu')
    with pytest.raises(ValueError, match='octaves that rise'):
        LiftSettings(octaves=(2.0, 2.0))
