"""LIFT against hand-computed cases and a slow reference that goes pixel by pixel."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.lift import (
    LIFT,
    LIFTConfig,
    crop,
    ghh,
    l2_pool,
    softargmax,
    subtract_mean,
)
from dlcv.networks.weights.recognise import blueprint

TINY = LIFTConfig(width=1 / 16, orientation_width=0.1)


def slow_conv(x, weight, bias):
    """Return the valid cross-correlation of ``(C, H, W)``: no kernel is flipped."""
    side = weight.shape[2]
    height, width = (n - side + 1 for n in x.shape[1:])
    out = np.zeros((len(weight), height, width))
    for r, c in itertools.product(range(height), range(width)):
        window = x[:, r : r + side, c : c + side]
        out[:, r, c] = (weight * window).sum((1, 2, 3)) + bias
    return out


def slow_pool(x, side):
    rows, columns = x.shape[1] // side, x.shape[2] // side
    out = np.zeros((len(x), rows, columns))
    for r, c in itertools.product(range(rows), range(columns)):
        block = x[:, side * r : side * (r + 1), side * c : side * (c + 1)]
        out[:, r, c] = np.sqrt((block**2).sum((1, 2)))
    return out


def slow_subtract(x, kernel):
    out, (_, height, width) = x.copy(), x.shape
    for r, c in itertools.product(range(height), range(width)):
        total = weight = 0.0
        for i, j in itertools.product(range(-2, 3), repeat=2):
            if 0 <= r + i < height and 0 <= c + j < width:
                total += kernel[i + 2, j + 2] * x[:, r + i, c + j].mean()
                weight += kernel[i + 2, j + 2]
        out[:, r, c] -= total / weight
    return out


def test_the_descriptor_is_that_of_a_slow_reference():
    torch.manual_seed(0)
    network = LIFT(TINY).eval().descriptor
    network.kernel1.mul_(3)  # its sum does not count
    patch = torch.rand(1, 1, 64, 64)
    w = {key: value.numpy().astype(float) for key, value in network.state_dict().items()}
    x = (patch[0].numpy() - 110.7539 / 255) / (61.5369 / 255)
    x = slow_pool(np.tanh(slow_conv(x, w['conv1.weight'], w['conv1.bias'])), 2)
    assert x.shape[1:] == (29, 29)
    x = slow_subtract(x, w['kernel1'])
    x = slow_pool(np.tanh(slow_conv(x, w['conv2.weight'], w['conv2.bias'])), 3)
    assert x.shape[1:] == (8, 8)
    x = slow_subtract(x, w['kernel2'])
    x = slow_pool(np.tanh(slow_conv(x, w['conv3.weight'], w['conv3.bias'])), 4)
    assert network(patch)[0].detach().numpy() == pytest.approx(x.ravel(), abs=1e-5)


def test_hinging_hyperplanes_add_and_take_maxima_by_turns():
    values = torch.tensor([[1, 9, 2, 3, 4, 5, 0, 1, 7, 7, 7, 7, -1, -2, -3, -4.0]])
    assert ghh(values).tolist() == [[9 - 5 + 7 + 1]]
    maps = values[..., None, None].repeat(1, 2, 3, 2)  # two units on a map
    assert ghh(maps).shape == (1, 2, 3, 2)
    assert torch.all(ghh(maps) == 12)


def test_pooling_takes_lengths_and_drops_a_rest():
    x = torch.tensor([[[[3.0, 0, 9], [0, -4, 9], [9, 9, 9]]]])
    assert l2_pool(x, 2).tolist() == [[[[5.0]]]]
    silent = torch.zeros(1, 1, 2, 2, requires_grad=True)
    l2_pool(silent, 2).sum().backward()
    assert torch.all(torch.isfinite(silent.grad))


def test_what_is_the_same_everywhere_is_taken_away_up_to_the_border():
    x = torch.tensor([2.0, 4.0])[None, :, None, None].expand(1, 2, 6, 7)
    left = subtract_mean(x, torch.rand(5, 5) + 0.1)
    assert torch.allclose(left[0, 0], torch.tensor(-1.0), atol=1e-5)
    assert torch.allclose(left[0, 1], torch.tensor(1.0), atol=1e-5)


def test_a_sharp_peak_is_where_the_softargmax_is():
    scores = torch.zeros(2, 14, 14)
    scores[0, 3, 8] = 20
    column, row = softargmax(scores)[0]
    # pixel 8 of what is left is pixel 8 + 5 of the map, whose pixel 0 is pixel 12 of 48
    assert float(column) == pytest.approx((8 + 17 + 0.5) * 128 / 48 - 0.5, abs=1e-3)
    assert float(row) == pytest.approx((3 + 17 + 0.5) * 128 / 48 - 0.5, abs=1e-3)
    assert softargmax(scores)[1].tolist() == pytest.approx([63.5, 63.5], abs=1e-4)


def test_a_crop_of_the_middle_is_the_middle_and_turns_with_its_angle():
    image = torch.arange(100.0).reshape(1, 1, 10, 10)
    middle, half = torch.tensor([[[4.5, 4.5]]]), torch.full((1, 1), 2.0)
    plain = crop(image, middle, half, torch.zeros(1, 1), side=4)
    assert torch.allclose(plain, image[:, :, 3:7, 3:7], atol=1e-4)
    # x of the patch points down in the picture: its first row runs down the last column
    turned = crop(image, middle, half, torch.full((1, 1), math.pi / 2), side=4)
    assert torch.allclose(turned[0, 0, 0], image[0, 0, 3:7, 6], atol=1e-4)
    small = crop(image, middle, half / 2, torch.zeros(1, 1), side=4)
    assert float(small.std()) == pytest.approx(float(plain.std()) / 2, rel=1e-4)
    corner = crop(image, torch.zeros(1, 1, 2) - 9, half, torch.zeros(1, 1), side=4)
    assert torch.allclose(corner, torch.zeros(1, 1, 4, 4), atol=1e-5)


def test_an_angle_comes_of_sine_and_cosine():
    network = LIFT(TINY).eval().orientation
    with torch.no_grad():
        network.fc2.weight.zero_()
        network.fc2.bias.zero_()
        network.fc2.bias[0], network.fc2.bias[16] = 1.0, 2.0  # in the first sum of each
    assert float(network(torch.rand(1, 1, 64, 64)).detach()) == pytest.approx(math.atan2(1, 2))


def test_one_loss_reaches_all_three_networks():
    torch.manual_seed(0)
    network = LIFT(TINY)
    found = network(torch.rand(2, 1, 128, 128))
    assert [tuple(one.shape) for one in found] == [(2, 14, 14), (2, 2), (2,), (2, 8)]
    found.descriptors.square().sum().backward()
    for key, value in network.named_parameters():
        assert value.grad is not None, key
        assert float(value.grad.abs().max()) > 0, key


def test_the_published_sizes():
    network = blueprint(LIFTConfig())
    counts = {name: sum(p.numel() for p in m.parameters()) for name, m in network.named_children()}
    assert counts['detector'] == 16 * (25 * 25 + 1)
    assert counts['descriptor'] == 32 * 50 + 64 * (32 * 36 + 1) + 128 * (64 * 25 + 1)
    assert counts['orientation'] == 10 * 26 + 20 * 251 + 50 * 181 + 1600 * 6051 + 32 * 101


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r'width > 0 and orientation_width > 0, got 0 and 1'):
        LIFTConfig(width=0)
    network = LIFT(TINY)
    with pytest.raises(ShapeError, match='128'):
        network(torch.zeros(1, 1, 64, 64))
    with pytest.raises(ShapeError, match='half sides'):
        crop(torch.zeros(1, 1, 8, 8), torch.zeros(1, 2, 2), torch.ones(1, 1), torch.zeros(1, 2))
