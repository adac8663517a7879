"""Flow errors: known answers, loops, derivatives."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.flownet import (
    WEIGHTS,
    end_point_error,
    epe,
    matching_loss,
    mean_flow,
    multiscale_epe,
)


def zeros_pyramid(batch=1, height=64, width=128, dtype=torch.float32):
    """Return five scales of zero flow, from 1/4 to 1/64."""
    return [torch.zeros(batch, 2, height // 2**i, width // 2**i, dtype=dtype) for i in range(2, 7)]


def slow_multiscale(pyramid, target, sparse):
    """Cell by cell, for images whose size every scale divides."""
    total = 0.0
    for flow, weight in zip(pyramid, WEIGHTS, strict=True):
        batch, _, rows, columns = flow.shape
        tall, wide = target.shape[2] // rows, target.shape[3] // columns
        for b in range(batch):
            for i in range(rows):
                for j in range(columns):
                    area = target[b, :, i * tall : (i + 1) * tall, j * wide : (j + 1) * wide] / 20
                    area = area.flatten(1)
                    if sparse:
                        area = area.nan_to_num(nan=0.0)
                        truth = area.max(1).values.clamp(min=0) + area.min(1).values.clamp(max=0)
                        if not truth.any():
                            continue
                    else:
                        truth = area.mean(dim=1)
                    total += weight * float((flow[b, :, i, j] - truth).norm()) / batch
    return total


def test_a_constant_error_is_weighted_and_summed():
    target = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1).expand(2, 2, 64, 128)
    cells = [(64 // 2**i) * (128 // 2**i) for i in range(2, 7)]
    expected = sum(w * n * 5 / 20 for w, n in zip(WEIGHTS, cells, strict=True))
    loss = multiscale_epe(zeros_pyramid(batch=2), target)
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_the_truth_itself_costs_nothing():
    target = torch.tensor([-30.0, 7.0]).view(1, 2, 1, 1).expand(1, 2, 64, 128)
    pyramid = [flow + target[:, :, :1, :1] / 20 for flow in zeros_pyramid()]
    assert float(multiscale_epe(pyramid, target)) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize('sparse', [False, True])
def test_equals_the_loop(sparse):
    torch.manual_seed(1)
    target = 10 * torch.randn(2, 2, 64, 64)
    if sparse:
        target[(torch.rand(2, 1, 64, 64) < 0.9).expand_as(target)] = math.nan
        target[0, :, :32, :32] = 0  # a hole in the manner of the public code
    pyramid = [torch.randn_like(flow) for flow in zeros_pyramid(2, 64, 64)]
    loss = multiscale_epe(pyramid, target, sparse=sparse)
    assert float(loss) == pytest.approx(slow_multiscale(pyramid, target, sparse), rel=1e-5)


def test_unknown_pixels_do_not_count_in_the_means_of_dense_truth():
    torch.manual_seed(3)
    target = 10 * torch.randn(2, 2, 64, 64)
    target[0, :, :16, :16] = math.nan  # whole areas of the finest scales
    target[1, :, 5] = math.nan  # a row of the first areas
    pyramid = [torch.randn_like(flow).requires_grad_() for flow in zeros_pyramid(2, 64, 64)]
    total = 0.0
    for flow, weight in zip(pyramid, WEIGHTS, strict=True):
        rows = flow.shape[2]
        side = 64 // rows
        areas = target.unfold(2, side, side).unfold(3, side, side).flatten(4) / 20
        truth = areas.nanmean(dim=4)
        errors = (flow - truth).norm(dim=1)
        total += weight * float(errors.detach().nansum()) / 2
    loss = multiscale_epe(pyramid, target)
    assert float(loss) == pytest.approx(total, rel=1e-5)
    loss.backward()
    assert all(flow.grad.isfinite().all() for flow in pyramid)
    assert torch.count_nonzero(pyramid[0].grad[0, :, :4, :4]) == 0
    assert torch.isnan(mean_flow(target, (16, 16))[0, :, :4, :4]).all()


def test_holes_give_no_gradient():
    target = torch.full((1, 2, 64, 64), math.nan)
    target[:, :, 0, 0] = 5.0
    pyramid = [flow.requires_grad_() for flow in zeros_pyramid(1, 64, 64)]
    multiscale_epe(pyramid, target, sparse=True).backward()
    finest = pyramid[0].grad
    assert finest[:, :, 0, 0].abs().min() > 0
    assert torch.count_nonzero(finest) == 2


@pytest.mark.parametrize('sparse', [False, True])
def test_gradient(sparse):
    torch.manual_seed(2)
    target = torch.randn(1, 2, 8, 8, dtype=torch.float64) * 20
    pyramid = [
        torch.randn(1, 2, n, n, dtype=torch.float64, requires_grad=True) for n in (5, 4, 2, 1, 1)
    ]
    assert torch.autograd.gradcheck(
        lambda *scales: multiscale_epe(scales, target, sparse=sparse), pyramid
    )


def test_a_perfect_flow_has_a_finite_gradient():
    flow = torch.zeros(1, 2, 4, 4, requires_grad=True)
    epe(flow, torch.zeros(1, 2, 4, 4)).backward()
    assert torch.equal(flow.grad, torch.zeros_like(flow))


def test_end_point_error_is_a_length():
    flow = torch.tensor([6.0, 8.0]).view(1, 2, 1, 1).expand(1, 2, 3, 5)
    assert end_point_error(flow, torch.zeros_like(flow)).unique().tolist() == [10]


def test_only_valid_pixels_count():
    flow = torch.zeros(1, 2, 1, 3, requires_grad=True)
    target = torch.tensor([[[[3.0, 100.0, math.nan]], [[4.0, 0.0, 1.0]]]])
    valid = torch.tensor([[[True, False, True]]])
    loss = epe(flow, target, valid)
    loss.backward()
    assert loss.item() == 5
    assert flow.grad[..., 1:].count_nonzero() == 0
    assert flow.grad.isfinite().all()


def test_refusals_name_what_was_asked():
    target = torch.zeros(1, 2, 64, 128)
    with pytest.raises(ShapeError, match='2 scales of flow, but 5 weights'):
        multiscale_epe(zeros_pyramid()[:2], target)
    with pytest.raises(ShapeError, match=r'\(B, 2, H, W\), got \(1, 3, 4, 4\)'):
        multiscale_epe(zeros_pyramid(), torch.zeros(1, 3, 4, 4))
    with pytest.raises(ShapeError, match=r'\(3, 2, h, w\), got \(1, 2, 16, 32\)'):
        multiscale_epe(zeros_pyramid(), target.expand(3, -1, -1, -1))
    with pytest.raises(ShapeError, match=r'no valid pixel in a target of shape \(1, 2, 64, 128\)'):
        epe(target, target * math.nan)
    with pytest.raises(ShapeError, match=r'\(1, 2, 4, 4\) and \(1, 2, 4, 5\)'):
        end_point_error(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 5))


def test_matching_loss_is_the_cross_entropy_of_the_true_displacement():
    """Compare with a loop over the places."""
    torch.manual_seed(0)
    side, step = 5, 16.0
    matches = torch.randn(2, side * side, 4, 6)
    target = F.interpolate(20 * torch.randn(2, 2, 4, 6), scale_factor=8.0)  # constant in each cell
    expected = []
    for b, y, x in product(range(2), range(4), range(6)):
        u, v = target[b, :, 8 * y, 8 * x].tolist()
        to_x, to_y = 8 * x + 3.5 + u, 8 * y + 3.5 + v
        column, row = u / step + 2, v / step + 2
        if not (0 <= to_x <= 47 and 0 <= to_y <= 31 and 0 <= column <= 4 and 0 <= row <= 4):
            continue
        chances = (3 * matches[b, :, y, x]).softmax(0).log().reshape(side, side)
        expected.append(
            -sum(
                max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * chances[i, j].item()
                for i, j in product(range(side), repeat=2)
            )
        )
    assert 5 < len(expected) < 48
    loss = matching_loss(matches, target, step=step, sharpness=3.0)
    assert loss.item() == pytest.approx(np.mean(expected), rel=1e-5)


def test_matching_loss_is_least_for_the_true_displacement_and_ignores_unknown_flow():
    target = torch.full((1, 2, 32, 48), 16.0)
    target[:, 1] = 0.0
    right, wrong = torch.zeros(1, 25, 4, 6), torch.zeros(1, 25, 4, 6)
    right[:, 2 * 5 + 3] = 1.0  # dy = 0, dx = +1
    wrong[:, 3 * 5 + 2] = 1.0
    losses = [matching_loss(matches, target, step=16.0).item() for matches in (right, wrong)]
    assert losses[0] < 1e-3
    assert losses[1] > 10
    unknown = torch.full_like(target, torch.nan)
    assert matching_loss(wrong, unknown, step=16.0).item() == 0.0
