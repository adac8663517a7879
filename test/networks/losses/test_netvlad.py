"""The ranking loss against loops in plain Python, and the choice of hard negatives."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.netvlad import hardest, ranking_loss


def unit(*shape, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=draw), dim=-1)


def test_only_the_nearest_of_what_is_near_counts():
    query, near, far = unit(3, 8), unit(3, 4, 8, seed=1), unit(3, 5, 8, seed=2)
    near_there = torch.tensor([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]], dtype=torch.bool)
    far_there = torch.tensor([[1] * 5, [1, 1, 1, 0, 0], [1] * 5], dtype=torch.bool)
    found = ranking_loss(query, near, far, near_there, far_there, margin=0.3)
    total = 0.0
    for b in (0, 1):  # the third has nothing near
        best = min(float((query[b] - n).square().sum()) for n in near[b][near_there[b]])
        for n in far[b][far_there[b]]:
            total += max(0.0, best + 0.3 - float((query[b] - n).square().sum()))
    assert float(found) == pytest.approx(total / 2, rel=1e-5)


def test_a_step_against_the_gradient_brings_the_same_place_nearer():
    query = unit(2, 8).requires_grad_()
    near, far = unit(2, 1, 8, seed=1), unit(2, 3, 8, seed=2)
    loss = ranking_loss(query, near, far, margin=4.0)
    loss.backward()
    moved = F.normalize((query - 0.1 * query.grad).detach(), dim=1)
    assert float(ranking_loss(moved, near, far, margin=4.0)) < float(loss.detach())


def test_no_query_with_anything_near_is_no_loss():
    none = torch.zeros(2, 1, dtype=torch.bool)
    loss = ranking_loss(unit(2, 8).requires_grad_(), unit(2, 1, 8), unit(2, 1, 8), none)
    loss.backward()
    assert float(loss.detach()) == 0


def test_the_hardest_are_the_nearest_that_are_allowed():
    distance = torch.tensor([[0.1, 0.5, 0.2, 0.3], [0.4, 0.3, 0.2, 0.1]])
    allowed = torch.tensor([[0, 1, 1, 1], [1, 0, 0, 0]], dtype=torch.bool)
    assert np.array_equal(hardest(distance, allowed, 2), [[2, 3], [0, -1]])


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match='far: expected a tensor'):
        ranking_loss(unit(2, 8), unit(2, 1, 8), unit(2, 1, 7))
