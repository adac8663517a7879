"""Key-point decoding against slow references and known answers."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.keypoints import (
    KeypointError,
    detect_dense,
    detect_greedy,
    heatmap,
    match_mutual,
    refine_peaks,
    sample_descriptors,
)
from dlcv.networks.layers.shapes import ShapeError


def greedy_slowly(heat, threshold, radius, border):
    """Accept points from the strongest down unless one accepted before is too near."""
    height, width = heat.shape
    points = [(-heat[y, x], y, x) for y, x in np.argwhere(heat >= threshold)]
    accepted = []
    for _, y, x in sorted(points):
        if all(max(abs(y - v), abs(x - u)) > radius for v, u in accepted):
            accepted.append((y, x))
    return [
        (x, y)
        for y, x in accepted
        if border <= x < width - border and border <= y < height - border
    ]


def dense_slowly(heat, threshold, radius, border):
    """Three rounds of max-pooling, as in the paper's descendants."""

    def pool(x):
        return F.max_pool2d(x[None], 2 * radius + 1, 1, radius)[0]

    scores = torch.from_numpy(heat)
    kept = scores == pool(scores)
    for _ in range(2):
        near = pool(kept.float()) > 0
        rest = scores.masked_fill(near, 0)
        kept = kept | ((rest == pool(rest)) & ~near)
    inside = torch.zeros_like(kept)
    height, width = heat.shape
    inside[border : height - border, border : width - border] = True
    return {(int(x), int(y)) for y, x in (kept & inside & (scores > threshold)).nonzero()}


def random_heat(seed, *, levels=None, size=(45, 61)):
    """Return smooth noise in [0, 1]; with ``levels`` it has plateaus and ties."""
    noise = np.random.default_rng(seed).random(size, np.float32)
    heat = cv2.GaussianBlur(noise, (0, 0), 1.0)
    heat = (heat - heat.min()) / (heat.max() - heat.min())
    return np.float32(np.round(heat * levels) / levels) if levels else heat


@pytest.mark.parametrize('levels', [None, 6])
@pytest.mark.parametrize(('radius', 'border'), [(4, 4), (1, 0), (0, 2), (9, 7)])
@pytest.mark.parametrize('seed', range(3))
def test_both_pipelines_equal_their_slow_references(seed, radius, border, levels):
    heat = random_heat(seed, levels=levels)
    settings = {'threshold': 0.4, 'radius': radius, 'border': border}
    greedy, _ = detect_greedy(heat, **settings)
    dense, _ = detect_dense(heat, **settings)
    assert [tuple(p) for p in greedy.astype(int).tolist()] == greedy_slowly(
        heat, 0.4, radius, border
    )
    assert {tuple(p) for p in dense.astype(int).tolist()} == dense_slowly(heat, 0.4, radius, border)
    assert len(greedy) > 3


@pytest.mark.parametrize('detect', [detect_greedy, detect_dense])
def test_points_come_strongest_first_and_the_limit_keeps_the_strongest(detect):
    heat = random_heat(5)
    xy, scores = detect(heat, threshold=0.2)
    assert (np.diff(scores) <= 0).all()
    assert np.array_equal(scores, heat[xy[:, 1].astype(int), xy[:, 0].astype(int)])
    few, few_scores = detect(heat, threshold=0.2, limit=5)
    assert np.array_equal(few, xy[:5])
    assert np.array_equal(few_scores, scores[:5])
    assert xy.dtype == scores.dtype == np.float32


def test_equal_neighbours_all_survive_in_one_pipeline_only():
    heat = np.zeros((20, 20), np.float32)
    heat[10, 9:11] = 0.5
    assert detect_dense(heat)[0].tolist() == [[9, 10], [10, 10]]
    assert detect_greedy(heat)[0].tolist() == [[9, 10]]


def test_the_two_pipelines_differ_at_their_thresholds():
    heat = np.zeros((20, 20), np.float32)
    heat[10, 10] = 0.25
    assert len(detect_greedy(heat, threshold=0.25)[0]) == 1
    assert len(detect_dense(heat, threshold=0.25)[0]) == 0


@pytest.mark.parametrize('detect', [detect_greedy, detect_dense])
def test_a_point_in_the_border_still_silences_its_neighbour(detect):
    heat = np.zeros((20, 20), np.float32)
    heat[10, 2], heat[10, 5] = 0.9, 0.5
    assert len(detect(heat, border=4)[0]) == 0


@pytest.mark.parametrize('detect', [detect_greedy, detect_dense])
def test_an_empty_map_has_no_points(detect):
    xy, scores = detect(np.zeros((16, 24), np.float32))
    assert xy.shape == (0, 2)
    assert scores.shape == (0,)


def test_peaks_are_refined_to_a_part_of_their_pixel():
    rng = np.random.default_rng(3)
    true = np.stack(np.meshgrid(range(10, 90, 16), range(10, 60, 16)), -1).reshape(-1, 2)
    true = true + rng.uniform(-0.5, 0.5, true.shape)
    at = np.stack(np.meshgrid(np.arange(100), np.arange(70)), -1)
    heat = np.exp(-np.square(at[:, :, None] - true).sum(-1) / (2 * 0.9**2)).max(2)
    refined = refine_peaks(heat, np.round(true).astype(np.float32))
    assert np.abs(refined - true).max() < 0.1
    assert np.abs(np.round(true) - true).max() > 0.4
    assert refined.dtype == np.float32


def test_refined_peaks_stay_near_them_at_the_border_and_without_heat():
    heat = np.random.default_rng(0).uniform(size=(9, 8))
    corners = np.array([(0, 0), (7, 0), (0, 8), (7, 8)], np.float32)
    assert np.abs(refine_peaks(heat, corners) - corners).max() <= 2
    np.testing.assert_array_equal(refine_peaks(heat, corners, 0), corners)
    np.testing.assert_array_equal(refine_peaks(0 * heat, corners), corners)
    assert refine_peaks(heat, corners[:0]).shape == (0, 2)


def test_the_heat_map_puts_each_channel_at_its_pixel():
    logits = torch.full((2, 65, 3, 4), -9.0)
    logits[0, 8 * 5 + 2, 1, 3] = 9.0  # row 5, column 2 of the cell in row 1, column 3
    heat = heatmap(logits)
    assert heat.shape == (2, 24, 32)
    assert divmod(int(heat[0].argmax()), 32) == (8 + 5, 24 + 2)
    assert heat[0, 13, 26] > 0.99


def test_probabilities_of_a_cell_and_its_dustbin_sum_to_one():
    logits = torch.randn(1, 65, 2, 2)
    cell = heatmap(logits)[0, 8:, :8]
    dustbin = logits.softmax(dim=1)[0, 64, 1, 0]
    torch.testing.assert_close(cell.sum() + dustbin, torch.tensor(1.0))


@pytest.mark.parametrize(
    ('sampling', 'normalised', 'align'),
    [
        ('half_pixel', lambda x, n: 2 * (x + 0.5) / (8 * n) - 1, False),
        ('matching', lambda x, n: 2 * (x - 3.5) / (8 * n - 4.5) - 1, True),
        ('demo', lambda x, n: 2 * x / (8 * n) - 1, True),
        ('demo_unaligned', lambda x, n: 2 * x / (8 * n) - 1, False),
    ],
)
def test_each_sampling_equals_its_published_grid(sampling, normalised, align):
    torch.manual_seed(6)
    coarse = torch.randn(2, 5, 4, 7)
    xy = torch.rand(2, 30, 2) * torch.tensor([60.0, 36.0]) - 2  # some outside the 56 x 32 image
    grid = torch.stack((normalised(xy[..., 0], 7), normalised(xy[..., 1], 4)), dim=-1)
    sampled = F.grid_sample(coarse, grid[:, None], align_corners=align)[:, :, 0]
    expected = F.normalize(sampled.transpose(1, 2), dim=2)
    torch.testing.assert_close(
        sample_descriptors(coarse, xy, sampling), expected, atol=1e-5, rtol=1e-5
    )


def test_half_pixel_sampling_is_exact_at_the_centre_of_a_cell():
    coarse = F.normalize(torch.randn(1, 6, 3, 3), dim=1)
    centre = torch.tensor([[[8 + 3.5, 16 + 3.5]]])
    torch.testing.assert_close(sample_descriptors(coarse, centre)[0, 0], coarse[0, :, 2, 1])


def test_sampling_is_differentiable():
    torch.manual_seed(7)
    coarse = torch.randn(1, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    xy = (torch.rand(1, 5, 2, dtype=torch.float64) * 20 + 5).requires_grad_()
    assert torch.autograd.gradcheck(sample_descriptors, (coarse, xy))


def match_slowly(first, second, max_distance, ratio):
    """Compare every pair of descriptors, one at a time."""
    distance = np.linalg.norm(first[:, None] - second[None], axis=2)
    found = []
    for i, row in enumerate(distance):
        j = int(row.argmin())
        column = distance[:, j]
        lowe = all(v.size < 2 or np.sort(v)[0] <= ratio * np.sort(v)[1] for v in (row, column))
        if column.argmin() == i and row[j] <= max_distance and lowe:
            found.append([i, j])
    return found


@pytest.mark.parametrize('sizes', [(30, 40), (40, 25), (1, 5), (6, 1), (1, 1)])
@pytest.mark.parametrize(('max_distance', 'ratio'), [(9.0, 1.0), (0.7, 1.0), (9.0, 0.9)])
def test_matches_equal_the_slow_reference(sizes, max_distance, ratio):
    torch.manual_seed(8)
    first, second = (F.normalize(torch.randn(n, 4, dtype=torch.float64), dim=1) for n in sizes)
    pairs, scores = match_mutual(first, second, max_distance=max_distance, ratio=ratio)
    assert pairs.tolist() == match_slowly(first.numpy(), second.numpy(), max_distance, ratio)
    torch.testing.assert_close(scores, (first[pairs[:, 0]] * second[pairs[:, 1]]).sum(dim=1))


def test_a_shuffled_copy_is_matched_back():
    first = F.normalize(torch.randn(50, 16), dim=1)
    order = torch.randperm(50)
    pairs, scores = match_mutual(first[order], first, max_distance=0.7, ratio=0.9)
    assert pairs[:, 1].tolist() == order.tolist()
    torch.testing.assert_close(scores, torch.ones(50))


@pytest.mark.parametrize('sizes', [(0, 3), (3, 0), (0, 0)])
def test_nothing_matches_nothing(sizes):
    pairs, scores = match_mutual(torch.rand(sizes[0], 8), torch.rand(sizes[1], 8))
    assert pairs.shape == (0, 2)
    assert scores.shape == (0,)


def test_refusals_name_what_was_asked():
    heat = np.zeros((16, 16), np.float32)
    with pytest.raises(KeypointError, match='got -1, 4 and None'):
        detect_dense(heat, radius=-1)
    with pytest.raises(ShapeError, match=r'\(1, 16, 16\)'):
        detect_greedy(heat[None])
    with pytest.raises(ShapeError, match=r'\(B, 65, h, w\), got \(1, 64, 2, 2\)'):
        heatmap(torch.rand(1, 64, 2, 2))
    with pytest.raises(KeypointError, match=r"'nearest' is none of \['half_pixel'"):
        sample_descriptors(torch.rand(1, 2, 2, 2), torch.rand(1, 1, 2), 'nearest')
    with pytest.raises(ShapeError, match=r'\(1, N, 2\), got \(2, 4, 2\)'):
        sample_descriptors(torch.rand(1, 2, 2, 2), torch.rand(2, 4, 2))
    with pytest.raises(ShapeError, match=r'\(M, 8\), got \(3, 7\)'):
        match_mutual(torch.rand(2, 8), torch.rand(3, 7))
    with pytest.raises(KeypointError, match=r'ratio must not be negative, got -0.5'):
        match_mutual(torch.rand(2, 8), torch.rand(3, 8), ratio=-0.5)
