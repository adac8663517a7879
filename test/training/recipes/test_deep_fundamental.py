"""The deep fundamental matrix's recipe: what it learns from, its loss, what it is judged by."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.world import SampleConfig
from dlcv.networks.deep_fundamental import DeepFundamentalConfig, FundamentalEstimate
from dlcv.networks.layers.epipolar import epipolar_distance, normalisation, weighted_eight_point
from dlcv.networks.weights import save_network
from dlcv.training.match_pairs import DrawConfig, MatchConfig
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.deep_fundamental import DeepFundamentalRecipe

CONFIG = DeepFundamentalConfig(widths=(8, 8), side_channels=1)


@pytest.fixture(scope='module')
def recipe():
    return DeepFundamentalRecipe(
        deep_fundamental=CONFIG,
        worlds=SampleConfig(
            size=(160, 128), frames=3, scenes=('room',), motions=('walk',), traffic=False,
            flyers=0, per_world=4, rate_hz=(4.0, 4.0),
        ),
        pairs=MatchConfig(points=200, pairs=1),
        draws=DrawConfig(matches=128),
        step=0.1,
        validation_clips=2,
    )  # fmt: skip


@pytest.fixture(scope='module')
def batch(recipe):
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(2)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


class Knowing(torch.nn.Module):
    """Gives all weight to what agrees with the truth, or to what does not."""

    def __init__(self, true, *, wrong=False):
        super().__init__()
        self._true, self._wrong = true, wrong

    def forward(self, matches, side, present=None):
        first, second = matches.double().chunk(2, 2)
        there = torch.ones_like(first[..., 0])
        rescale = [normalisation(xy, there, 1.0) for xy in (first, second)]
        a, b = (
            xy @ r[:, :2, :2].mT + r[:, None, :2, 2]
            for xy, r in zip((first, second), rescale, strict=True)
        )
        agreeing = epipolar_distance(first, second, self._true) <= 1
        weights = (~agreeing if self._wrong else agreeing).double() + 1e-6
        weights = weights / weights.sum(1, keepdim=True)
        found = weighted_eight_point(a, b, weights)
        return FundamentalEstimate(found[None], weights.float()[None], *rescale)


def test_weights_on_what_agrees_cost_least(recipe, batch):
    right, wrong = (
        recipe.loss(Knowing(batch['fundamental'], wrong=w), batch, 0) for w in (False, True)
    )
    for name in ('loss', 'epipolar', 'agreement'):
        assert right[name] < 0.7 * wrong[name], name
    assert right['right'] > 0.99
    assert wrong['right'] < 0.01
    paper = replace(recipe, agreement=0.0).loss(Knowing(batch['fundamental']), batch, 0)
    assert paper['loss'] == paper['epipolar']


def test_pairs_without_truth_or_matches_teach_nothing(recipe, batch):
    network = recipe.network()
    nothing = {**batch, 'fundamental': torch.zeros_like(batch['fundamental'])}
    nothing['present'] = torch.zeros_like(batch['present'])
    found = recipe.loss(network, nothing, 0)
    found['loss'].backward()
    assert found['loss'].item() == 0
    assert all(p.grad is None or not p.grad.any() for p in network.parameters())


def test_matches_are_kept_and_taken_again(recipe, tmp_path):
    keeping = replace(recipe, matches_folder=str(tmp_path), samples_kept=2)
    first = keeping.samples(0)[0]
    files = sorted(tmp_path.iterdir())
    assert len(files) == 1
    before = files[0].stat().st_mtime_ns
    again = keeping.samples(0)
    assert np.array_equal(again[0]['matches'], first['matches'])
    assert len(again[7]['matches']) == 128  # past the end they begin anew
    assert files[0].stat().st_mtime_ns == before
    other = replace(keeping, pairs=replace(keeping.pairs, points=100))
    with pytest.raises(TrainError, match=r'pairs was .* and is now'):
        other.samples(0)[0]


def test_it_is_judged_in_other_worlds_beside_ransac(recipe):
    torch.manual_seed(0)
    network = recipe.network().eval()
    figures = recipe.validate(network)
    assert set(figures) == {
        f'{name}_{test}{method}'
        for name in ('inliers', 'f_score', 'median_px')
        for test in ('none', 'ratio')
        for method in ('', '_ransac')
    }
    assert figures['f_score_ratio_ransac'] > 30
    assert recipe.validate(network) == figures


def test_a_picture_shows_the_weights(recipe, batch):
    (picture,) = recipe.pictures(recipe.network().eval(), batch).values()
    assert picture.shape == (256, 320, 3)
    assert picture.max() == 255


def test_a_run_may_start_from_weights(recipe, tmp_path):
    network = recipe.network()
    path = save_network(network, tmp_path / 'start.safetensors')
    begun = replace(recipe, start=path).network()
    for key, value in network.state_dict().items():
        assert torch.equal(begun.state_dict()[key], value)
    with pytest.raises(TrainError):
        replace(recipe, start=path, deep_fundamental=replace(CONFIG, widths=(8, 9))).network()


@pytest.mark.parametrize(
    ('wrong', 'said'),
    [
        ({'deep_fundamental': DeepFundamentalConfig(side_channels=4)}, 'side_channels 4'),
        ({'step': 0.0}, 'step in'),
        ({'agreement': -1.0}, 'got 0.05, -1.0 and 1.0'),
        ({'samples_kept': 0}, 'got 0 and 6'),
    ],
)
def test_wrong_settings_are_refused(wrong, said):
    with pytest.raises(TrainError, match=said):
        DeepFundamentalRecipe(**wrong)
