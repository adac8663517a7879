"""LIFT's losses by hand-computed cases."""

from __future__ import annotations

import math

import pytest
import torch

from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.lift import (
    class_losses,
    descriptor_losses,
    distances,
    hardest,
    overlap_losses,
)


def test_a_right_pair_pays_for_its_distance_and_a_wrong_one_for_being_near():
    distance = distances(torch.tensor([[3.0, 0], [3, 0], [5, 0]]), torch.tensor([[0.0, 4]] * 3))
    assert distance.tolist() == pytest.approx([5, 5, math.sqrt(41)])
    near = torch.tensor([5.0, 5.0, 1.0, 1.0])
    same = torch.tensor([True, False, True, False])
    assert descriptor_losses(near, same).tolist() == [25, 0, 1, 9]


def test_equal_descriptors_have_a_gradient():
    first = torch.ones(1, 3, requires_grad=True)
    distances(first, torch.ones(1, 3)).sum().backward()
    assert torch.all(torch.isfinite(first.grad))


def test_patches_that_overlap_less_cost_more():
    here = torch.zeros(4, 2)
    there = torch.tensor([[0.0, 0], [1, 0], [1, 1], [10, 0]])
    found = overlap_losses(here, there, side=2.0).tolist()
    # shared 4, 2, 1 and 0 of a union of 4, 6, 7 and 8; the last is 6 beyond twice the side
    assert found == pytest.approx([0, 1 - 2 / 6, 1 - 1 / 7, 1 + 6 / math.sqrt(8)])


def test_a_flat_map_has_its_score_and_a_peak_nearly_that_of_the_peak():
    flat = torch.full((2, 4, 4), 0.5)
    shows = torch.tensor([True, False])
    assert class_losses(flat, shows).tolist() == pytest.approx([0.25, 2.25])
    peak = torch.zeros(1, 4, 4)
    peak[0, 1, 2] = 3.0
    highest = math.log((math.exp(30) + 15) / 16) / 10
    assert float(class_losses(peak, torch.tensor([False]))) == pytest.approx((1 + highest) ** 2)
    assert float(class_losses(peak, torch.tensor([True]))) == 0


def test_the_hardest_are_those_of_the_highest_loss():
    losses = torch.tensor([1.0, 5, 2, 4])
    assert hardest(losses, 2).tolist() == [1, 3]
    assert sorted(hardest(losses, 9).tolist()) == [0, 1, 2, 3]


def test_shapes_that_do_not_fit_are_named():
    with pytest.raises(ShapeError, match='first and second descriptors'):
        distances(torch.zeros(2, 3), torch.zeros(2, 4))
    with pytest.raises(ShapeError, match='score maps and kinds'):
        class_losses(torch.zeros(2, 3, 3), torch.ones(3, dtype=torch.bool))
