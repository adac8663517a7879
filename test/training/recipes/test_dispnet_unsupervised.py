"""Stereo from pairs alone: the true disparities of both pictures cost less than others."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from dlcv.data.augment.photometric import OFF
from dlcv.networks.dispnet import DispNetConfig
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.dispnet_unsupervised import UnsupervisedDispNetRecipe
from dlcv.training.stereo_samples import StereoChanges

SHIFT = 8
PLAIN = StereoChanges(crop=(128, 64), mirror=0, light=OFF, apart=OFF, speechless=0)
RECIPE = UnsupervisedDispNetRecipe(
    dispnet=DispNetConfig(width=1 / 16, max_disparity=32, refines=True), changes=PLAIN
)


class Saying(nn.Module):
    """Answers with one disparity for the pictures and another for the mirrored ones."""

    def __init__(self, left: float, right: float) -> None:
        super().__init__()
        self.values = torch.tensor([left, right])

    def forward(self, pictures: torch.Tensor, _others: torch.Tensor) -> list[torch.Tensor]:
        count, _, height, width = pictures.shape
        each = self.values.repeat_interleave(count // 2)[:, None, None, None]
        return [each.expand(count, 1, height >> i, width >> i) for i in range(1, 7)]


@pytest.fixture(scope='module')
def batch() -> dict[str, torch.Tensor]:
    noise = np.random.default_rng(0).integers(0, 256, (16, 34, 3), np.uint8)
    wide = cv2.resize(noise, (128 + SHIFT, 64))
    pictures = [wide[:, :128], wide[:, SHIFT:]]
    shown = [
        torch.from_numpy(p.transpose(2, 0, 1).copy())[None].repeat(2, 1, 1, 1) for p in pictures
    ]
    return {'left': shown[0], 'right': shown[1], 'speaks': torch.tensor([True, True])}


def test_the_true_disparity_of_both_pictures_costs_least(batch):
    costs = {
        at: float(RECIPE.loss(Saying(*at), batch, 0)['image'])
        for at in ((8, 8), (8, 0), (0, 8), (0, 0), (14, 14))
    }
    assert costs[8, 8] == min(costs.values())
    assert costs[8, 8] < 0.5 * costs[0, 0]
    assert costs[8, 0] == pytest.approx(costs[0, 8], rel=0.05)
    assert costs[8, 8] < costs[8, 0] < costs[0, 0]


def test_pictures_that_say_nothing_teach_nothing(batch):
    torch.manual_seed(0)
    network = RECIPE.network()
    silent = {**batch, 'speaks': torch.tensor([False, False])}
    loss = RECIPE.loss(network, silent, 0)['loss']
    loss.backward()
    assert float(loss.detach()) == 0
    half = {**batch, 'speaks': torch.tensor([True, False])}
    alone = {key: value[:1] for key, value in batch.items()}
    found = (float(RECIPE.loss(Saying(3, 3), one, 0)['loss']) for one in (half, alone))
    assert next(found) == pytest.approx(next(found))


def test_what_needs_the_truth_is_refused():
    for change in (
        {'dispnet': replace(RECIPE.dispnet, spread=True)},
        {'matching': 1.0},
    ):
        with pytest.raises(TrainError, match='no truth to learn a spread or matching from'):
            replace(RECIPE, **change)
