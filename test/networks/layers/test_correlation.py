"""The correlation layer against loops, known shifts and its own derivative."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers import correlation as module
from dlcv.networks.layers.correlation import correlation
from dlcv.networks.layers.shapes import ShapeError


def slow_correlation(first, second, max_displacement, stride):
    """One displacement after the other, from the definition."""
    reach = max_displacement // stride
    margin = reach * stride
    height, width = first.shape[2:]
    padded = F.pad(second, (margin,) * 4)
    planes = []
    for dy in range(-margin, margin + 1, stride):
        for dx in range(-margin, margin + 1, stride):
            top, left = margin + dy, margin + dx
            moved = padded[:, :, top : top + height, left : left + width]
            planes.append((first * moved).mean(dim=1))
    return torch.stack(planes, dim=1)


@pytest.mark.parametrize(
    ('shape', 'max_displacement', 'stride'),
    [
        ((1, 16, 12, 18), 20, 2),
        ((2, 3, 7, 9), 4, 2),
        ((1, 4, 5, 8), 3, 1),
        ((2, 2, 8, 7), 6, 3),
        ((1, 2, 9, 4), 5, 3),
        ((1, 1, 1, 1), 4, 2),
        ((1, 5, 6, 6), 0, 1),
        ((1, 2, 6, 5), 2, 4),
    ],
)
@pytest.mark.parametrize('chunk', [1, 17, 1024])
def test_equals_the_loop(shape, max_displacement, stride, chunk, monkeypatch):
    monkeypatch.setattr(module, '_CHUNK', chunk)
    torch.manual_seed(1)
    first, second = torch.randn(2, *shape)
    fast = correlation(first, second, max_displacement=max_displacement, stride=stride)
    slow = slow_correlation(first, second, max_displacement, stride)
    torch.testing.assert_close(fast, slow, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('dy', 'dx'), [(0, 0), (2, -4), (-4, 4)])
def test_a_shift_lights_up_its_channel(dy, dx):
    torch.manual_seed(2)
    first = F.normalize(torch.randn(1, 64, 16, 16), dim=1)
    second = first.roll((dy, dx), (2, 3))
    best = correlation(first, second, max_displacement=4, stride=2).argmax(dim=1)
    expected = (dy // 2 + 2) * 5 + dx // 2 + 2
    assert (best[:, 4:-4, 4:-4] == expected).all()


def test_the_value_is_a_mean_over_channels():
    ones = torch.ones(1, 8, 3, 3)
    assert correlation(ones, 3 * ones, max_displacement=0).unique().item() == 3


@pytest.mark.parametrize('stride', [1, 2])
def test_gradient(stride):
    torch.manual_seed(3)
    maps = [torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    assert torch.autograd.gradcheck(
        lambda a, b: correlation(a, b, max_displacement=2, stride=stride), maps
    )


def test_gradient_equals_that_of_the_loop():
    torch.manual_seed(4)
    first, second = torch.randn(2, 1, 6, 9, 11).requires_grad_()
    weights = torch.randn(1, 25, 9, 11)
    fast = correlation(first, second, max_displacement=4)
    slow = slow_correlation(first, second, 4, 2)
    for ours, theirs in zip(
        torch.autograd.grad((fast * weights).sum(), (first, second), retain_graph=True),
        torch.autograd.grad((slow * weights).sum(), (first, second)),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


def test_maps_of_two_sizes_are_refused_with_both():
    with pytest.raises(ShapeError, match=r'\(1, 2, 4, 4\) and \(1, 2, 4, 5\)'):
        correlation(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 4, 5))


@pytest.mark.parametrize(('displacement', 'stride'), [(-1, 1), (4, 0)])
def test_an_impossible_window_is_refused(displacement, stride):
    x = torch.rand(1, 2, 4, 4)
    with pytest.raises(ShapeError, match=f'got {displacement} and {stride}'):
        correlation(x, x, max_displacement=displacement, stride=stride)
