"""Virtual matches beside OpenCV's corrected ones, and the loss on them."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
import torch

from dlcv.geometry.epipolar import epipolar_errors, fundamental_of
from dlcv.networks.layers.shapes import ShapeError
from dlcv.networks.losses.deep_fundamental import (
    agreement_loss,
    deep_fundamental_loss,
    virtual_matches,
)
from dlcv.types import Camera

CAMERA = Camera(width=400, height=300, fx=300, fy=300, cx=199.5, cy=149.5)
SIZE = torch.tensor([[400.0, 300.0]])


def matrix_of(moved, turned=(0.02, -0.05, 0.01)):
    pose = np.eye(4)
    pose[:3, :3] = cv2.Rodrigues(np.array(turned))[0]
    pose[:3, 3] = moved
    return fundamental_of(CAMERA, CAMERA, pose)


TRUE = {
    'sideways': matrix_of((1, 0.1, 0)),
    'ahead': matrix_of((0.05, 0, 1)),
    'around': matrix_of((0.5, -0.2, 0.5), (0.1, 0.4, -0.3)),
}


@pytest.mark.parametrize('true', TRUE.values(), ids=TRUE)
def test_virtual_matches_lie_on_the_matrix_nearest_to_the_grid(true):
    found, there = virtual_matches(torch.from_numpy(true)[None], SIZE, step=0.1)
    assert found.shape == (1, 100, 4)
    assert there.float().mean() > 0.9
    first, second = (x[0][there[0]].numpy() for x in found.chunk(2, 2))
    assert epipolar_errors(first, second, true).max() < 1e-5
    x, y = np.meshgrid(np.arange(0, 1, 0.1) * 400, np.arange(0, 1, 0.1) * 300, indexing='ij')
    grid = np.stack((x, y), -1).reshape(1, -1, 2)
    theirs = np.concatenate(cv2.correctMatches(true.T, grid, grid), 2)[0][there[0].numpy()]
    ours = np.concatenate((first, second), 1)
    ways = [
        np.linalg.norm(x - np.tile(grid[0][there[0].numpy()], 2), axis=1) for x in (ours, theirs)
    ]
    assert np.mean(ways[0] <= 1.01 * ways[1] + 1e-3) > 0.95


def test_the_papers_grid_has_ten_thousand():
    found, _ = virtual_matches(torch.from_numpy(TRUE['sideways'])[None], SIZE)
    assert found.shape == (1, 10_000, 4)


def test_no_matrix_has_no_virtual_matches():
    found, there = virtual_matches(torch.zeros(1, 3, 3), SIZE, step=0.2)
    assert not there.any()
    assert not found.any()
    same = torch.eye(3)[None]
    loss = deep_fundamental_loss(torch.zeros(2, 1, 3, 3), found, there, (same, same))
    assert float(loss) == 0


def rescaling():
    made = torch.tensor([[0.01, 0, -2.0], [0, 0.01, -1.5], [0, 0, 1]], dtype=torch.float64)
    return made[None]


def rescaled(true):
    inverse = torch.linalg.inv(rescaling())
    return inverse.mT @ torch.from_numpy(true)[None] @ inverse


def test_the_true_matrix_has_no_loss_and_a_bad_one_is_clamped():
    true = TRUE['sideways']
    virtual, there = virtual_matches(torch.from_numpy(true)[None], SIZE, step=0.1)
    same = (rescaling(), rescaling())
    exact = rescaled(true)
    assert deep_fundamental_loss(exact[None], virtual, there, same) < 1e-6
    wrong = rescaled(matrix_of((0, 1, 0.1), (0, 0.5, 0)))
    once = deep_fundamental_loss(wrong[None], virtual, there, same)
    assert 0.1 < once <= 0.5
    both = deep_fundamental_loss(torch.stack((exact, wrong)), virtual, there, same)
    torch.testing.assert_close(both, once, rtol=0, atol=1e-6)
    assert deep_fundamental_loss(wrong[None], virtual, there, same, gamma=0.01) <= 0.01


def test_pairs_without_truth_do_not_count():
    true = torch.stack((torch.from_numpy(TRUE['ahead']), torch.zeros(3, 3).double()))
    virtual, there = virtual_matches(true, SIZE.expand(2, 2), step=0.1)
    wrong = rescaled(TRUE['sideways']).expand(2, 3, 3)
    same = (rescaling().expand(2, 3, 3),) * 2
    both = deep_fundamental_loss(wrong[None], virtual, there, same)
    alone = deep_fundamental_loss(
        wrong[None, :1], virtual[:1], there[:1], (rescaling(), rescaling())
    )
    torch.testing.assert_close(both, alone)


def test_weight_on_what_agrees_is_worth_the_logarithm():
    agreeing = torch.tensor([[True, True, False, False], [False] * 4])
    even = torch.full((1, 2, 4), 0.25)
    right = torch.tensor([[[0.5, 0.5, 0, 0], [0.25] * 4]])
    assert float(agreement_loss(even, agreeing)) == pytest.approx(math.log(4))
    assert float(agreement_loss(right, agreeing)) == pytest.approx(math.log(2))
    wrong = torch.tensor([[[0, 0, 0.5, 0.5], [0.25] * 4]])
    assert agreement_loss(wrong, agreeing).isfinite()


def test_other_shapes_are_refused():
    with pytest.raises(ShapeError, match='fundamental'):
        virtual_matches(torch.eye(3), SIZE)
    with pytest.raises(ShapeError, match='size'):
        virtual_matches(torch.eye(3)[None], SIZE[0])
    with pytest.raises(ShapeError, match='weights'):
        agreement_loss(torch.rand(1, 2, 5), torch.ones(2, 4, dtype=torch.bool))
