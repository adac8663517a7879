"""MatchWeigher: what it is given, what it answers, and the second look at good matches."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from dlcv.estimation.deep_fundamental import (
    MatchWeigher,
    MatchWeigherSettings,
    descriptor_distance,
    normal,
    refit,
)
from dlcv.geometry.epipolar import epipolar_errors, fundamental_of
from dlcv.networks.deep_fundamental import DeepFundamental, DeepFundamentalConfig
from dlcv.types import Camera

CAMERA = Camera(width=400, height=300, fx=300, fy=300, cx=199.5, cy=149.5)


def scene(right=60, wrong=20, seed=0):
    """Matches, the first ones right to half a pixel, and the true matrix."""
    rng = np.random.default_rng(seed)
    points = rng.uniform((-3, -2, 4), (3, 2, 12), (right, 3))
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array([0.0, 0.1, 0.03]))[0]
    pose[:3, 3] = 0.5, 0.05, 0.3
    pixels = [p @ CAMERA.matrix.T for p in (points, (points - pose[:3, 3]) @ pose[:3, :3])]
    first, second = (p[:, :2] / p[:, 2:] for p in pixels)
    second += rng.normal(0, 0.1, second.shape)
    wild = [rng.uniform((0, 0), (400, 300), (wrong, 2)) for _ in range(2)]
    first, second = (np.concatenate(pair) for pair in zip((first, second), wild, strict=True))
    return first, second, fundamental_of(CAMERA, CAMERA, pose)


def weigher(side=1, settings=None):
    torch.manual_seed(1)
    config = DeepFundamentalConfig(widths=(8, 8), side_channels=side)
    return MatchWeigher(DeepFundamental(config), settings, device='cpu')


class Knowing(torch.nn.Module):
    """Gives the weights that it was told, and the matrix that they lead to."""

    def __init__(self, weights):
        super().__init__()
        self.config = DeepFundamentalConfig(side_channels=1)
        self._weights = torch.as_tensor(weights)

    def forward(self, matches, side):
        from dlcv.networks.deep_fundamental import FundamentalEstimate
        from dlcv.networks.layers.epipolar import weighted_eight_point

        weights = self._weights[None] / self._weights.sum()
        found = weighted_eight_point(*matches.split(2, 2), weights)
        same = torch.eye(3, dtype=found.dtype)[None]
        return FundamentalEstimate(found[None], weights[None], same, same)


def test_weights_and_matrix_have_a_scale():
    first, second, _ = scene()
    found = weigher().weigh(first, second, np.linspace(0.5, 1, len(first)))
    assert found.weights.shape == (80,)
    assert found.weights.min() >= 0
    assert found.weights.sum() == pytest.approx(1, abs=1e-5)
    assert np.linalg.norm(found.fundamental) == pytest.approx(1)
    again = weigher().weigh(first, second, np.linspace(0.5, 1, len(first)))
    np.testing.assert_array_equal(found.weights, again.weights)


def test_the_matrix_has_the_previous_picture_on_its_left():
    first, second, _ = scene()
    weights = np.r_[np.ones(60), np.zeros(20)]
    found = MatchWeigher(Knowing(weights), device='cpu').weigh(first, second, np.ones(80))
    assert np.median(epipolar_errors(first[:60], second[:60], found.fundamental)) < 0.3
    assert np.median(epipolar_errors(first[:60], second[:60], found.fundamental.T)) > 1


@pytest.mark.parametrize('count', [0, 1, 7])
def test_few_matches_share_the_weight(count):
    first, second, _ = scene(count, 0)
    found = weigher().weigh(first, second, np.ones(count))
    np.testing.assert_allclose(found.weights, np.full(count, 1 / max(1, count)), rtol=1e-6)
    assert not found.fundamental.any()


def test_what_is_not_finite_has_no_weight():
    first, second, _ = scene()
    scores = np.ones(80)
    plain = weigher().weigh(first[3:], second[3:], scores[3:])
    first[0, 0], second[1, 1], scores[2] = np.nan, np.inf, np.nan
    found = weigher().weigh(first, second, scores)
    assert not found.weights[:3].any()
    np.testing.assert_allclose(found.weights[3:], plain.weights, atol=1e-6)


@pytest.mark.parametrize('kind', ['standing', 'one point', 'line'])
def test_matches_that_decide_nothing_give_finite_answers(kind):
    first = scene()[0]
    if kind == 'one point':
        first = np.ones_like(first)
    if kind == 'line':
        first[:, 1] = first[:, 0]
    for settings in (None, MatchWeigherSettings(refit=True)):
        found = weigher(settings=settings).weigh(first, first, np.ones(80))
        assert np.isfinite(found.weights).all()
        assert np.isfinite(found.fundamental).all()


def test_side_information_is_zero_where_it_is_not_given():
    first, second, _ = scene()
    three = weigher(3)
    found = three.weigh(first, second, np.ones(80))
    same = three.weigh(first, second, np.ones(80), np.zeros((80, 2)))
    other = three.weigh(first, second, np.ones(80), np.random.default_rng(0).random((80, 2)))
    np.testing.assert_array_equal(found.weights, same.weights)
    assert not np.allclose(found.weights, other.weights, atol=1e-6)


def test_wrong_lengths_are_refused():
    first, second, _ = scene()
    with pytest.raises(ValueError, match='got 80, 79 and 80'):
        weigher().weigh(first, second[1:], np.ones(80))
    with pytest.raises(ValueError, match='3 values of a match: its score and 2 others, got 1'):
        weigher(3).weigh(first, second, np.ones(80), np.ones(80))


def test_side_information_is_over_its_largest_value():
    np.testing.assert_allclose(descriptor_distance(np.array([1.0, 0.5, -1])), [0, 1, 2], atol=1e-6)
    found = normal(np.array([[1.0, 0], [4, 0]], np.float32))
    np.testing.assert_allclose(found, [[0.25, 0], [1, 0]])


def test_a_second_look_at_good_matches_finds_a_better_matrix():
    first, second, true = scene(60, 60)
    weights = np.r_[np.full(60, 2.0), np.ones(60)] + np.linspace(0, 0.1, 120)
    bad = np.eye(3) / np.sqrt(3)
    found = refit(first, second, weights, bad)
    assert np.median(epipolar_errors(first[:60], second[:60], found)) < 0.5
    kept = refit(first, second, weights, true)
    agreeing = [(epipolar_errors(first, second, f) <= 1).sum() for f in (kept, true)]
    assert agreeing[0] >= agreeing[1]
    learned = MatchWeigher(Knowing(weights), MatchWeigherSettings(refit=True), device='cpu')
    answer = learned.weigh(first, second, np.ones(120)).fundamental
    assert np.median(epipolar_errors(first[:60], second[:60], answer)) < 0.5
