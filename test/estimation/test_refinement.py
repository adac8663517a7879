"""Variational refinement: it comes nearer to the truth; cells are means."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dlcv.estimation.flownet import FlowEstimator, FlowSettings
from dlcv.estimation.refinement import cell_means, refine
from dlcv.types import Frame


@pytest.fixture(scope='module')
def scene():
    """A textured layer that moves over a textured background: pictures and true flow."""
    rng = np.random.default_rng(4)
    height, width, flow = 96, 128, np.empty((96, 128, 2), np.float32)

    def texture(seed):
        noise = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
        smooth = cv2.GaussianBlur(noise, (0, 0), 1.5)
        return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX)

    back, front = texture(1), texture(2)
    first, second = back.copy(), np.roll(back, (1, 2), axis=(0, 1))
    flow[:] = (2, 1)
    first[30:70, 40:90] = front[30:70, 40:90]
    second[28:68, 44:94] = front[30:70, 40:90]
    flow[30:70, 40:90] = (4, -2)
    blur = cv2.GaussianBlur(rng.normal(0, 6, (height, width, 2)), (0, 0), 5)
    start = (cv2.GaussianBlur(flow, (0, 0), 2) + blur).astype(np.float32)
    return first, second, flow, start


class Fixed(nn.Module):
    """A network whose flow is given at a quarter of the size, backward as the negative of it."""

    def __init__(self, flow):
        super().__init__()
        self.multiple = 64
        self.config = type('Config', (), {'div_flow': 1.0})
        height, width = (-(-side // 64) * 16 for side in flow.shape[:2])
        whole = np.pad(flow, [(0, 4 * height - len(flow)), (0, 4 * width - flow.shape[1]), (0, 0)])
        self.flow = torch.from_numpy(cell_means(whole, 4)).permute(2, 0, 1)[None]

    def stack(self, first, second):
        return torch.cat((first, second), 1)

    def pyramid(self, stacked):
        return (torch.cat((self.flow, -self.flow))[: len(stacked)],)


def error(flow, truth):
    return np.linalg.norm(flow - truth, axis=-1)[4:-4, 4:-4].mean()


def run(scene, confidence=False, **settings):
    first, second, _, start = scene
    estimator = FlowEstimator(Fixed(start), FlowSettings(**settings), 'cpu')
    estimator.push(Frame(stamp_ns=0, image=first))
    return estimator.push(Frame(stamp_ns=10**8, image=second), confidence=confidence)


def test_it_comes_nearer_to_the_truth(scene):
    first, second, truth, start = scene
    refined = refine(start, first, second)
    assert refined.dtype == np.float32
    assert error(refined, truth) < 0.6 * error(start, truth)


def test_the_truth_of_a_plain_motion_stays(scene):
    first, _, _, _ = scene
    second = np.roll(first, (1, 2), axis=(0, 1))
    truth = np.broadcast_to(np.float32((2, 1)), (*first.shape[:2], 2))
    assert error(refine(truth, first, second), truth) < 0.01


def test_the_start_is_left_alone(scene):
    first, second, _, start = scene
    before = start.copy()
    refine(start, first, second)
    np.testing.assert_array_equal(start, before)


def test_the_layout_of_the_start_does_not_matter(scene):
    first, second, _, start = scene
    transposed = np.ascontiguousarray(start.transpose(2, 0, 1)).transpose(1, 2, 0)
    np.testing.assert_array_equal(refine(transposed, first, second), refine(start, first, second))


def test_what_is_not_finite_stays_and_does_not_spread(scene):
    first, second, truth, start = scene
    holed = start.copy()
    holed[50, 60, 0] = np.nan
    refined = refine(holed, first, second)
    assert np.isnan(refined[50, 60, 0])
    assert np.isnan(refined).sum() == 1
    known = ~np.isnan(refined).any(-1)
    assert np.abs(refined - truth)[known].mean() < np.abs(start - truth)[known].mean()


def test_tiny_pictures_are_left_as_they_are():
    flow = np.ones((5, 5, 2), np.float32)
    assert refine(flow, *np.zeros((2, 5, 5, 3), np.uint8)) is flow


@pytest.mark.parametrize('stride', [1, 2, 4])
def test_cells_are_means_of_their_pixels(stride):
    flow = np.random.default_rng(0).normal(size=(7, 10, 2)).astype(np.float32)
    found = cell_means(flow, stride)
    assert found.shape == (-(-7 // stride), -(-10 // stride), 2)
    for i in range(found.shape[0]):
        for j in range(found.shape[1]):
            rows = [min(y, 6) for y in range(i * stride, (i + 1) * stride)]
            columns = [min(x, 9) for x in range(j * stride, (j + 1) * stride)]
            want = flow[np.ix_(rows, columns)].mean(axis=(0, 1))
            np.testing.assert_allclose(found[i, j], want, atol=1e-6)


def test_the_estimator_refines_on_demand(scene):
    truth = scene[2]
    plain, refined = run(scene).flow, run(scene, refinement='variational').flow
    assert error(refined, truth) < 0.6 * error(plain, truth)


@pytest.mark.parametrize('stride', [2, 4])
def test_a_stride_samples_the_refined_flow(scene, stride):
    fine = run(scene, refinement='variational')
    coarse = run(scene, refinement='variational', output_stride=stride)
    assert coarse.stride == stride
    np.testing.assert_array_equal(coarse.flow, cell_means(fine.flow, stride))


def test_confidence_is_that_of_the_refined_flow(scene):
    without = run(scene, refinement='variational')
    found = run(scene, confidence=True, refinement='variational')
    np.testing.assert_array_equal(found.flow, without.flow)
    assert without.confidence is None
    assert found.confidence.shape == found.flow.shape[:2]
    rough = run(scene, confidence=True)
    assert np.median(found.confidence) > np.median(rough.confidence)
    assert (found.confidence[:, -1] == 0).all()  # 2 px right leads out of the picture
