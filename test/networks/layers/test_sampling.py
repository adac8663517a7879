"""Samplers against loops over pixels, against grid_sample, and against known shifts."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.sampling import pixel_grid, sample_at, sample_row, warp
from dlcv.networks.layers.shapes import ShapeError


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def row_by_loops(image, shift, outside):
    """Look up one pixel after the other."""
    result = torch.zeros_like(image)
    batch, channels, height, width = image.shape
    for b in range(batch):
        for y in range(height):
            for x in range(width):
                at = x + float(shift[b, 0, y, x]) * width
                if outside == 'edge':
                    at = min(max(at, 0.0), width - 1.0)
                first = math.floor(at)
                for c in range(channels):
                    for column, weight in ((first, 1 - (at - first)), (first + 1, at - first)):
                        inside = 0 <= column < width
                        value = float(image[b, c, y, column]) if inside else 0.0
                        result[b, c, y, x] += weight * value
    return result


@pytest.mark.parametrize('outside', ['border', 'edge'])
def test_row_sampler_agrees_with_loops(outside):
    image, shift = draw(2, 3, 4, 9), 1.6 * draw(2, 1, 4, 9, seed=1) - 0.8
    expected = row_by_loops(image, shift, outside)
    torch.testing.assert_close(sample_row(image, shift, outside), expected, rtol=0, atol=1e-5)


def test_border_mode_is_zero_padded_grid_sample():
    image, shift = draw(1, 2, 5, 8), 1.2 * draw(1, 1, 5, 8, seed=1) - 0.6
    y, x = torch.meshgrid(torch.arange(5.0), torch.arange(8.0), indexing='ij')
    x = x + shift[:, 0] * 8
    grid = torch.stack((2 * x / 7 - 1, (2 * y / 4 - 1)[None]), dim=-1)
    expected = F.grid_sample(image, grid, padding_mode='zeros', align_corners=True)
    torch.testing.assert_close(sample_row(image, shift), expected, rtol=0, atol=1e-5)


def test_border_fades_over_one_pixel_and_edge_repeats():
    image = torch.ones(1, 1, 1, 4)
    half_a_pixel = torch.full((1, 1, 1, 4), 0.5 / 4)
    assert sample_row(image, half_a_pixel, 'border')[0, 0, 0].tolist() == [1, 1, 1, 0.5]
    assert sample_row(image, half_a_pixel, 'edge')[0, 0, 0].tolist() == [1, 1, 1, 1]


def test_disparity_is_a_fraction_of_the_whole_width():
    image = torch.arange(8.0).expand(1, 1, 1, 8)
    moved = sample_row(image, torch.full((1, 1, 1, 8), -0.25))
    assert moved[0, 0, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]  # two of eight pixels to the left


@pytest.mark.parametrize('outside', ['border', 'edge'])
def test_row_sampler_gradients(outside):
    image = draw(1, 2, 2, 6, dtype=torch.float64).requires_grad_()
    shift = (0.3 * draw(1, 1, 2, 6, seed=3, dtype=torch.float64) - 0.15).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: sample_row(a, b, outside), (image, shift))


def test_sampling_at_pixel_centres_is_the_image():
    image = draw(2, 3, 5, 7)
    grid = pixel_grid(5, 7, image).expand(2, 2, 5, 7)
    torch.testing.assert_close(sample_at(image, grid), image, rtol=0, atol=1e-5)
    assert pixel_grid(5, 7, image)[:, 1, 4].tolist() == [4, 1]  # x, y


def test_warping_back_a_moved_picture_gives_the_first():
    first = draw(1, 1, 6, 8)
    second = first.roll((1, 2), dims=(2, 3))  # all moves 2 right and 1 down
    flow = torch.tensor([2.0, 1.0])[None, :, None, None].expand(1, 2, 6, 8)
    again = warp(second, flow)
    torch.testing.assert_close(again[..., :5, :6], first[..., :5, :6], rtol=0, atol=1e-5)
    assert not again[..., 5:, :].any()  # the flow leaves the picture


def test_wrong_shapes_are_named():
    image = torch.zeros(1, 3, 4, 5)
    with pytest.raises(ShapeError, match=r'shift.*1, 1, 4, 5.*\(1, 1, 4, 6\)'):
        sample_row(image, torch.zeros(1, 1, 4, 6))
    with pytest.raises(ShapeError, match=r'flow.*1, 2, 4, 5.*\(1, 3, 4, 5\)'):
        warp(image, torch.zeros(1, 3, 4, 5))
