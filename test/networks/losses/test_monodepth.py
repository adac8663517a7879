"""Monodepth's loss terms: NumPy references, known answers, gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from dlcv.networks.layers.sampling import sample_row
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.monodepth import (
    MonodepthLossConfig,
    dissimilarity,
    monodepth_loss,
    pyramid,
    scale_terms,
    smoothness,
    ssim,
)


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def maps(height: int, width: int, value: float | None = None) -> list[torch.Tensor]:
    shapes = [(1, 2, height // 2**i, width // 2**i) for i in range(4)]
    if value is not None:
        return [torch.full(s, value, dtype=torch.float64) for s in shapes]
    return [0.1 * draw(*s, seed=i) for i, s in enumerate(shapes)]


def ssim_by_scipy(a, b):
    def mean(x):
        return uniform_filter(x, (1, 1, 3, 3))[..., 1:-1, 1:-1]

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma * ma, mean(b * b) - mb * mb, mean(a * b) - ma * mb
    c1, c2 = 0.0001, 0.0009
    return (2 * ma * mb + c1) * (2 * cov + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))


def test_ssim_agrees_with_scipy():
    a, b = draw(2, 3, 8, 9), draw(2, 3, 8, 9, seed=1)
    expected = ssim_by_scipy(a.numpy(), b.numpy())
    np.testing.assert_allclose(ssim(a, b).numpy(), expected, atol=1e-12)
    mean = np.clip((1 - expected) / 2, 0, 1).mean()
    assert dissimilarity(a, b).item() == pytest.approx(mean)


def test_smoothness_agrees_with_loops():
    d, image = draw(1, 1, 4, 5), draw(1, 3, 4, 5, seed=1)
    x_terms, y_terms = [], []
    for y in range(4):
        for x in range(5):
            for terms, y2, x2 in ((x_terms, y, x + 1), (y_terms, y + 1, x)):
                if y2 < 4 and x2 < 5:
                    edge = (image[0, :, y, x] - image[0, :, y2, x2]).abs().mean()
                    terms.append(abs((d[0, 0, y, x] - d[0, 0, y2, x2]) * torch.exp(-edge)).item())
    original = np.mean(x_terms)
    assert smoothness(d, image).item() == pytest.approx(original)
    assert smoothness(d, image, 'paper').item() == pytest.approx(original + np.mean(y_terms))


def test_vertical_steps_cost_nothing_in_the_original_only():
    rows = torch.arange(4.0)[None, None, :, None].expand(1, 1, 4, 6)
    image = torch.zeros(1, 3, 4, 6)
    assert smoothness(rows, image, 'original') == 0
    assert smoothness(rows, image, 'paper') == 1


def test_pyramid_takes_means_over_areas():
    image = draw(1, 2, 8, 16)
    levels = pyramid(image)
    assert [tuple(x.shape[2:]) for x in levels] == [(8, 16), (4, 8), (2, 4), (1, 2)]
    blocks = image.reshape(1, 2, 4, 2, 8, 2).mean((3, 5))
    torch.testing.assert_close(levels[1], blocks)


def test_flat_world_at_infinity_costs_nothing():
    image = draw(1, 3, 32, 64)
    loss = monodepth_loss(maps(32, 64, 0.0), image, image)
    for term in (loss.total, loss.image, loss.smooth, loss.left_right):
        assert term.item() == pytest.approx(0, abs=1e-12)


def test_right_disparity_rebuilds_both_views():
    """A wall whose right image is the left one moved by exactly 4 of 64 pixels."""
    wide = draw(1, 3, 32, 72)
    left, right = wide[..., 4:68], wide[..., 8:72]  # the right camera sees things further left
    d = torch.full((1, 2, 32, 64), 4 / 64, dtype=torch.float64)
    of_left, of_right = d[:, :1], d[:, 1:]
    torch.testing.assert_close(sample_row(right, -of_left)[..., 4:], left[..., 4:])
    torch.testing.assert_close(sample_row(left, of_right)[..., :60], right[..., :60])
    good = scale_terms(d, left, right, MonodepthLossConfig(outside='edge'))
    bad = scale_terms(2 * d, left, right, MonodepthLossConfig(outside='edge'))
    assert (good.l1 < 0.2 * bad.l1).all()


def test_total_is_the_weighted_sum_of_the_scales():
    left, right = draw(1, 3, 32, 64, seed=7), draw(1, 3, 32, 64, seed=8)
    config = MonodepthLossConfig(ssim=0.7, smooth=0.3, left_right=2.0, smoothness='paper')
    loss = monodepth_loss(maps(32, 64), left, right, config)
    expected = 0.0
    for i, terms in enumerate(loss.scales):
        expected += (0.7 * terms.ssim + 0.3 * terms.l1).sum().item()
        expected += (0.3 * terms.smooth / 2**i + 2 * terms.left_right).sum().item()
    assert loss.total.item() == pytest.approx(expected)


def test_left_right_term_compares_each_view_with_the_other():
    d = torch.stack((torch.full((1, 4, 16), 0.1), torch.full((1, 4, 16), 0.15)), dim=1)
    image = torch.zeros(1, 3, 4, 16)
    terms = scale_terms(d, image, image, MonodepthLossConfig(outside='edge'))
    torch.testing.assert_close(terms.left_right, torch.tensor([0.05, 0.05]))


def test_gradients():
    left, right = draw(1, 3, 16, 16), draw(1, 3, 16, 16, seed=5)
    disparities = [d.requires_grad_() for d in maps(16, 16)[:2]]
    assert torch.autograd.gradcheck(
        lambda *d: monodepth_loss(d, left, right).total, disparities, eps=1e-7, atol=1e-4
    )


def test_misfits_are_named():
    image = torch.zeros(1, 3, 32, 64)
    with pytest.raises(ShapeError, match='left and right'):
        monodepth_loss(maps(32, 64, 0.0), image, image[..., :32])
    with pytest.raises(ShapeError, match=r'1, 2, 32, 64.*\(1, 2, 16, 32\)'):
        monodepth_loss(maps(32, 64, 0.0)[1:], image, image)
