"""What stereo networks compare with, against loops over pixels."""

from __future__ import annotations

import pytest
import torch

from dlcv.networks.layers.disparity import (
    correlation_along_rows,
    correlation_near,
    expected_disparity,
    paired_volume,
)
from dlcv.networks.layers.shapes import ShapeError


def features():
    draw = torch.Generator().manual_seed(0)
    return torch.randn(2, 3, 2, 6, generator=draw), torch.randn(2, 3, 2, 6, generator=draw)


@pytest.mark.parametrize('disparities', [1, 4, 9])
def test_each_position_meets_those_to_its_left(disparities):
    left, right = features()
    matches = correlation_along_rows(left, right, disparities)
    volume = paired_volume(left, right, disparities)
    assert matches.shape == (2, disparities, 2, 6)
    assert volume.shape == (2, 6, disparities, 2, 6)
    for d in range(disparities):
        for x in range(6):
            there = torch.zeros(2, 3, 2) if x < d else right[..., x - d]
            here = torch.zeros(2, 3, 2) if x < d else left[..., x]
            torch.testing.assert_close(matches[:, d, :, x], (here * there).mean(1))
            torch.testing.assert_close(volume[:, :, d, :, x], torch.cat((here, there), 1))


def test_what_is_near_a_disparity_is_between_two_columns():
    left, right = features()
    disparity = torch.full((2, 1, 2, 6), 1.25)
    near = correlation_near(left, right, disparity, 1)
    padded = torch.nn.functional.pad(right, (3, 3))
    for place, shift in enumerate((0.25, 1.25, 2.25)):
        for x in range(6):
            to_the_right, to_the_left = (
                padded[..., x + 3 - int(shift)],
                padded[..., x + 2 - int(shift)],
            )
            there = 0.75 * to_the_right + 0.25 * to_the_left
            torch.testing.assert_close(near[:, place, :, x], (left[..., x] * there).mean(1))


def test_the_expectation_is_between_the_disparities():
    scores = torch.full((1, 5, 1, 2), -1e4)
    scores[0, 3, 0, 0] = 0
    scores[0, [1, 2], 0, 1] = 0
    torch.testing.assert_close(expected_disparity(scores)[0, 0, 0], torch.tensor([3.0, 1.5]))


def test_no_disparity_is_refused():
    with pytest.raises(ShapeError, match='one disparity or more, got 0'):
        correlation_along_rows(*features(), 0)
