"""Depth off by a factor and flow off by a shift, whose errors are known by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcv.evaluation.scoring.dense import Depth, Flow
from dlcv.metrics.depth import DepthCaps

RNG = np.random.default_rng(5)
DEPTH = RNG.uniform(2, 20, (12, 16)).astype(np.float32)
BEFORE = {2: 1, 3: 2, 4: 3}


def values(part):
    return {metric.name: metric.value for metric in part.section().metrics}


def test_depth_with_a_constant_factor():
    depth = Depth(DepthCaps())
    for stamp, factor in enumerate((1.2, 1.4)):
        depth.add(stamp, factor * DEPTH, DEPTH)
    found, mean = values(depth), float(DEPTH.mean())
    square = float(np.mean(DEPTH.astype(float) ** 2))
    assert found['Abs Rel'] == pytest.approx(0.3, rel=1e-5)  # mean of the pictures
    assert found['Sq Rel'] == pytest.approx((0.2**2 + 0.4**2) / 2 * mean, rel=1e-5)
    assert found['RMSE'] == pytest.approx(0.3 * math.sqrt(square), rel=1e-5)
    assert found['RMSE log'] == pytest.approx((math.log(1.2) + math.log(1.4)) / 2, rel=1e-5)
    assert (found['<1.25'], found['<1.25^2'], found['<1.25^3']) == (0.5, 1, 1)
    assert found['scale'] == pytest.approx((1 / 1.2 + 1 / 1.4) / 2, rel=1e-5)
    for name in ('Abs Rel', 'Sq Rel', 'RMSE', 'RMSE log'):
        assert found[f'{name} (median-scaled)'] == pytest.approx(0, abs=1e-5)
    assert found['<1.25 (median-scaled)'] == 1
    assert depth.worst.frames()[0] == (pytest.approx(0.4, rel=1e-5), 1)
    assert depth.section().notes[0].startswith('2 of 2 pictures have truth')


def test_depth_counts_within_the_caps_where_both_are_known():
    truth = np.array([[1.0, 10, 60, np.nan, 5, 5]], np.float32)
    found = np.array([[2.0, 11, 60, 7, np.nan, 5.5]], np.float32)
    depth = Depth(DepthCaps(nearest=2, farthest=50))
    depth.add(0, found, truth)
    assert values(depth)['Abs Rel'] == pytest.approx(0.1, rel=1e-5)  # of 10 and the last 5


def test_pictures_without_truth_are_told_and_not_counted():
    depth = Depth(DepthCaps())
    depth.add(0, 1.1 * DEPTH, DEPTH)
    depth.add(1, 9 * DEPTH, None)
    assert values(depth)['Abs Rel'] == pytest.approx(0.1, rel=1e-4)
    assert depth.section().notes[0].startswith('1 of 2 pictures have truth')


@pytest.mark.parametrize(
    ('truth', 'why'),
    [
        (None, 'no truth'),
        (DEPTH[:6, :8], 'the truth is of another size: 8x6, the estimate 16x12'),
        (np.full_like(DEPTH, np.nan), 'no truth where there is an estimate, within the caps and'),
    ],
)
def test_depth_without_truth_has_no_numbers(truth, why):
    depth = Depth(DepthCaps())
    depth.add(0, DEPTH, truth)
    section = depth.section()
    assert len(section.metrics) == 15
    for metric in section.metrics:
        assert metric.value is None
        assert metric.text.startswith(why)
    assert section.plots == ()
    assert depth.worst.frames() == []


FLOW = RNG.uniform(-6, 6, (24, 32, 2)).astype(np.float32)


def test_flow_with_a_constant_offset():
    flow = Flow(BEFORE)
    flow.add(2, np.zeros((8, 8, 2), np.float32) + np.array((3, 4)), np.zeros((8, 8, 2), np.float32))
    found = values(flow)
    assert found['EPE'] == 5
    assert found['AE'] == pytest.approx(math.degrees(math.atan(5)))  # of (3, 4, 1) and (0, 0, 1)
    assert found['Fl-all'] == 100
    assert flow.worst.frames() == [(5.0, 2)]
    flow.add(3, FLOW + np.array((1, 0)), FLOW)
    assert values(flow)['EPE'] == pytest.approx(3, rel=1e-5)
    assert values(flow)['Fl-all'] == 50


def cells(flow, stride):
    """Return the means of cells, one after the other."""
    height, width = flow.shape[0] // stride, flow.shape[1] // stride
    found = np.zeros((height, width, 2), np.float32)
    for y in range(height):
        for x in range(width):
            cell = flow[y * stride : (y + 1) * stride, x * stride : (x + 1) * stride]
            found[y, x] = cell.reshape(-1, 2).astype(float).mean(axis=0)
    return found


@pytest.mark.parametrize('stride', [1, 2, 4])
def test_coarse_flow_is_compared_with_the_means_of_its_cells(stride):
    flow = Flow(BEFORE)
    flow.add(2, cells(FLOW, stride) + np.array((0, 2)), FLOW)
    assert values(flow)['EPE'] == pytest.approx(2, rel=1e-5)


def test_the_last_cells_of_an_odd_picture_reach_beyond_it():
    flow, truth = Flow(BEFORE), np.full((13, 18, 2), 7.0, np.float32)
    flow.add(2, np.full((4, 5, 2), 6.0, np.float32), truth)
    assert values(flow)['EPE'] == pytest.approx(math.sqrt(2))


def test_flow_over_an_image_that_was_left_out_does_not_count():
    flow = Flow(BEFORE)
    flow.add(2, FLOW + np.array((1, 0)), FLOW)
    flow.add_interval(2, 1)
    flow.add_interval(4, 2)
    flow.add(4, FLOW + np.array((9, 0)), FLOW)  # the truth leads from 3
    section = flow.section()
    assert values(flow)['EPE'] == pytest.approx(1, rel=1e-5)
    assert flow.worst.frames() == [(pytest.approx(1, rel=1e-5), 2)]
    assert section.notes[0].startswith('1 of 2 fields have truth')
    assert section.notes[1].startswith('1 lead over images that were left out')
    assert list(section.plots[0].series[0].x) == [0]


def test_only_flow_over_images_that_were_left_out():
    flow = Flow(BEFORE)
    flow.add(4, FLOW, FLOW)
    flow.add_interval(4, 2)
    assert flow.section().metrics[0].text == 'all lead over images that were left out'


@pytest.mark.parametrize(
    ('truth', 'why'),
    [
        (None, 'no truth'),
        (FLOW[:5], 'the truth is of another size: 32x5, the estimate 32x24'),
        (FLOW[:, :9], 'the truth is of another size: 9x24, the estimate 32x24'),
        (np.full_like(FLOW, np.nan), 'no truth where there is an estimate'),
    ],
)
def test_flow_without_truth_has_no_numbers(truth, why):
    flow = Flow(BEFORE)
    flow.add(2, FLOW, truth)
    section = flow.section()
    assert [metric.value for metric in section.metrics] == [None] * 3
    assert {metric.text for metric in section.metrics} == {why}
    assert section.plots == ()


def test_a_picture_that_is_mostly_out_of_range_is_not_scaled():
    """Depth beyond the node's range is published as infinite (REP 117)."""
    far = np.where(np.arange(DEPTH.size).reshape(DEPTH.shape) % 3, np.inf, DEPTH)
    depth = Depth(DepthCaps())
    depth.add(0, far, DEPTH)
    metrics = {metric.name: metric for metric in depth.section().metrics}
    assert metrics['Abs Rel'].value is not None
    assert metrics['Abs Rel (median-scaled)'].text == 'the median of the estimate is no depth'
    depth.add(1, 2 * DEPTH, DEPTH)
    assert values(depth)['scale'] == pytest.approx(0.5)
    assert values(depth)['Abs Rel (median-scaled)'] == pytest.approx(0, abs=1e-6)
    assert depth.section().notes[1].startswith('1 of them can be scaled')
