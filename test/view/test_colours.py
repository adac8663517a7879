"""Colours of flow and depth: known answers and bad values."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.view.depth import confidence_greys, depth_colours, disparity_colours
from dlcv.view.flow import colour_wheel, flow_colours


@pytest.mark.parametrize(
    ('displacement', 'colour'),
    [
        ((5, 0), (255, 0, 0)),  # right: red, as on the Middlebury wheel
        ((0, 0), (255, 255, 255)),
        ((2.5, 0), (255, 128, 128)),
        ((50, 0), (255, 0, 0)),  # beyond the scale
        ((np.nan, 0), (0, 0, 0)),
        ((np.inf, 0), (0, 0, 0)),
    ],
)
def test_flow_by_hand(displacement, colour):
    flow = np.full((2, 3, 2), displacement, np.float32)
    np.testing.assert_allclose(flow_colours(flow, 5.0)[1, 2], colour, atol=1)


def test_opposite_flows_look_different_and_the_sense_is_clockwise():
    right, down, left, up = (
        flow_colours(np.full((1, 1, 2), d, np.float32), 1.0)[0, 0].astype(int)
        for d in ((1, 0), (0, 1), (-1, 0), (0, -1))
    )
    assert right[0] == 255 and right[2] == 0
    assert down[0] > 150 and down[1] > 150 and down[2] < 50  # yellow
    assert left[0] < 50 and left[2] > 150  # cyan to blue
    assert up[2] > 150 and up[1] < 100  # blue to magenta


def test_auto_scale_takes_the_longest_vector():
    flow = np.zeros((1, 2, 2), np.float32)
    flow[0, 1] = (8, 0)
    np.testing.assert_array_equal(flow_colours(flow), flow_colours(flow, 8.0))


def test_flow_without_motion_or_values_is_drawn():
    assert (flow_colours(np.zeros((2, 2, 2), np.float32)) == 255).all()
    assert (flow_colours(np.full((2, 2, 2), np.nan, np.float32)) == 0).all()


def test_the_legend_is_a_disc():
    wheel = colour_wheel(65)
    assert (wheel[0, 0] == 0).all()
    assert (wheel[32, 32] == 255).all()


def test_near_is_warm_and_far_is_cold():
    rgb = depth_colours(np.array([[1.0, 4.0, 60.0]]), near=1.0, far=80.0).astype(int)
    warmth = rgb[0, :, 0] - rgb[0, :, 2]
    assert warmth[0] > warmth[2]
    assert (rgb[0, 0] != rgb[0, 1]).any()


def test_infinite_depths_take_the_ends_and_unknown_is_black():
    depth = np.array([[-np.inf, 1.0, 80.0, np.inf, np.nan]], np.float32)
    rgb = depth_colours(depth, near=1.0, far=80.0)[0]
    np.testing.assert_array_equal(rgb[0], rgb[1])
    np.testing.assert_array_equal(rgb[2], rgb[3])
    assert (rgb[4] == 0).all()


def test_depth_and_disparity_agree_on_warm():
    disparity = np.linspace(0.01, 0.3, 50, dtype=np.float32)[None]
    np.testing.assert_allclose(
        disparity_colours(disparity).astype(int), depth_colours(1 / disparity), atol=16
    )


@pytest.mark.parametrize('draw', [depth_colours, disparity_colours])
def test_pictures_without_any_value_are_black(draw):
    assert (draw(np.full((3, 4), np.nan)) == 0).all()


def test_constant_pictures_are_drawn():
    assert depth_colours(np.full((3, 4), 7.0)).shape == (3, 4, 3)
    assert disparity_colours(np.full((3, 4), 0.1)).shape == (3, 4, 3)


def test_confidence_is_grey():
    np.testing.assert_array_equal(
        confidence_greys(np.array([[0.0, 0.5, 1.0, np.nan, 2.0]])), [[0, 127, 255, 0, 255]]
    )
