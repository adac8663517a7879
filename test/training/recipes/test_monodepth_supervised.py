"""Monodepth with the truth: its pairs and their unit, its loss, pictures that say nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlcv.data.augment.photometric import OFF
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.weights import save_network
from dlcv.training.depth_pairs import DepthSamples, PairChanges
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.monodepth_supervised import SupervisedMonodepthRecipe

PLAIN = PairChanges(mirror=0, light=OFF, speechless=0)


@pytest.fixture(scope='module')
def recipe() -> SupervisedMonodepthRecipe:
    return SupervisedMonodepthRecipe(
        monodepth=MonodepthConfig(width=1 / 16, input_size=(128, 256), baseline=0.2, spread=True),
        worlds=SampleConfig(
            frames=1, stereo=True, size=(256, 128), scenes=('room',), aspect=(0.6, 1.65),
            per_world=4,
        ),
        validation_pictures=2,
    )  # fmt: skip


def batch_of(recipe: SupervisedMonodepthRecipe, count: int = 2) -> dict[str, Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


class Saying(nn.Module):
    """Answers with given disparities and a spread, whatever it is shown."""

    def __init__(self, full: Tensor, spread: float) -> None:
        super().__init__()
        maps = [full[..., 2**i // 2 :: 2**i, 2**i // 2 :: 2**i] for i in range(4)]
        maps[0] = torch.cat((maps[0], torch.full_like(maps[0][:, :1], spread)), 1)
        self.maps = maps

    def forward(self, _images: Tensor) -> list[Tensor]:
        return self.maps


def true_disparities(recipe: SupervisedMonodepthRecipe, count: int) -> Tensor:
    maps = []
    for index in range(count):
        (view,) = WorldSamples(recipe.worlds, 0)[index]
        assert view.frame.camera is not None
        assert view.depth is not None
        assert view.right_depth is not None
        unit = view.frame.camera.fx / 256 * recipe.monodepth.baseline
        maps.append(np.stack([unit / view.depth, unit / view.right_depth]))
    return torch.from_numpy(np.stack(maps).astype(np.float32))


def test_the_truth_is_the_disparity_of_the_network_s_baseline(
    recipe: SupervisedMonodepthRecipe,
) -> None:
    recipe = replace(recipe, changes=PLAIN)
    batch, truth = batch_of(recipe, 3), true_disparities(recipe, 3)
    costs = {f: recipe.loss(Saying(f * truth, -3), batch, 0) for f in (0.8, 1.0, 1.25)}
    assert float(costs[1.0]['value']) < 2e-3  # 16 bits
    assert float(costs[0.8]['value']) == pytest.approx(np.log(1.25), rel=0.02)
    assert float(costs[1.0]['loss']) < min(float(costs[f]['loss']) for f in (0.8, 1.25))


def test_a_mirrored_pair_is_still_one(recipe: SupervisedMonodepthRecipe) -> None:
    mirrored = replace(recipe, changes=replace(PLAIN, mirror=1))
    one, other = replace(recipe, changes=PLAIN).samples(0)[1], mirrored.samples(0)[1]
    assert np.array_equal(one['left'], other['right'][:, :, ::-1])
    assert np.array_equal(one['inverse'][0], other['inverse'][1][:, ::-1])


def test_pictures_that_say_nothing_teach_doubt_alone(recipe: SupervisedMonodepthRecipe) -> None:
    recipe = replace(recipe, changes=replace(PLAIN, speechless=0.999))
    batch = batch_of(recipe)
    assert not batch['speaks'].any()
    torch.manual_seed(0)
    network = recipe.network()
    recipe.loss(network, batch, 0)['loss'].backward()
    level = network.decoder.levels[-1]
    assert level.spread.weight.grad.any()
    assert not level.disparity.weight.grad.any()
    doubting, sure = (recipe.loss(Saying(torch.rand(2, 2, 128, 256), s), batch, 0) for s in (1, -3))
    assert float(doubting['loss']) == 0
    assert float(sure['mute']) == pytest.approx(4)


def test_pairs_are_kept_for_the_runs_after(
    recipe: SupervisedMonodepthRecipe, tmp_path: Path
) -> None:
    kept = replace(recipe, shards_folder=str(tmp_path), window=1, uses=1, changes=PLAIN)
    samples = kept.samples(0)
    assert isinstance(samples, DepthSamples)
    first = samples[0]
    assert [path.name for path in tmp_path.iterdir()] == ['000000.safetensors']
    assert np.array_equal(kept.samples(0)[0]['left'], first['left'])
    assert first['inverse'].dtype == np.float16


def test_it_goes_on_from_weights_of_before(
    recipe: SupervisedMonodepthRecipe, tmp_path: Path
) -> None:
    before = Monodepth(replace(recipe.monodepth, spread=False))
    path = save_network(before.eval(), tmp_path / 'a.safetensors', half=False)
    network = replace(recipe, start=path).network()
    images = torch.rand(1, 3, 128, 256)
    with torch.no_grad():
        assert torch.equal(network(images)[0][:, :2], before(images)[0])
    again = save_network(network.eval(), tmp_path / 'b.safetensors', half=False)
    same = replace(recipe, start=again).network()
    for a, b in zip(same.parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)


def test_figures_tell_how_the_spread_ranks(recipe: SupervisedMonodepthRecipe) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        figures = recipe.validate(recipe.network().eval())
    assert 0 < figures['ause'] < 2
    assert np.isfinite(figures['abs_rel'])


@pytest.mark.parametrize(
    'change',
    [{'monodepth': MonodepthConfig(input_size=(128, 256))}, {'value': 0.0}, {'stereo': -1.0}],
    ids=['no spread', 'no truth', 'negative'],
)
def test_settings_that_do_not_fit_are_refused(
    recipe: SupervisedMonodepthRecipe, change: dict
) -> None:
    with pytest.raises(TrainError, match='monodepth_supervised needs'):
        replace(recipe, **change)
