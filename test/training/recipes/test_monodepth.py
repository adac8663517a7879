"""Monodepth's recipe: its pairs, their unit, its loss, what it is judged by."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlcv.data.augment.stereo import StereoChanges
from dlcv.data.world import SampleConfig, WorldSamples
from dlcv.geometry.camera import back_project
from dlcv.networks.losses.monodepth import monodepth_loss
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.monodepth import MonodepthRecipe

SIZE = (256, 128)
STILL = StereoChanges(mirror=0, light=0)


@pytest.fixture(scope='module')
def recipe() -> MonodepthRecipe:
    return MonodepthRecipe(
        monodepth=MonodepthConfig(width=1 / 16, input_size=(128, 256), baseline=0.2),
        worlds=SampleConfig(
            frames=1, stereo=True, size=SIZE, scenes=('room',), aspect=(0.6, 1.65), per_world=8
        ),
        validation_pictures=2,
    )


def batch_of(recipe: MonodepthRecipe, count: int = 2) -> dict[str, Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


class Knowing(nn.Module):
    """Answers with the true disparity of the first pairs, in the unit of the recipe."""

    def __init__(self, recipe: MonodepthRecipe, count: int, factor: float = 1.0) -> None:
        super().__init__()
        samples = WorldSamples(recipe.worlds, 0)
        maps = []
        for index in range(count):
            (view,) = samples[index]
            assert view.frame.camera is not None
            assert view.depth is not None
            assert view.right_depth is not None
            unit = view.frame.camera.fx / SIZE[0] * recipe.monodepth.baseline
            maps.append(np.stack([unit / view.depth, unit / view.right_depth]))
        full = torch.from_numpy(np.stack(maps).astype(np.float32)) * factor
        self.pyramid = [nn.functional.avg_pool2d(full, 2**i) for i in range(4)]

    def forward(self, _images: Tensor) -> list[Tensor]:
        return self.pyramid


def test_the_truth_is_cheaper_than_other_depths(recipe: MonodepthRecipe) -> None:
    """Whatever the baselines of the pairs: the unit is right."""
    recipe = replace(recipe, changes=STILL)
    batch = batch_of(recipe, 6)
    assert len(set(batch['baseline'].tolist())) > 1
    cost = {f: float(recipe.loss(Knowing(recipe, 6, f), batch, 0)['image']) for f in (0.7, 1, 1.4)}
    assert cost[1] < 0.9 * min(cost[0.7], cost[1.4])


def test_a_pair_shows_the_disparity_of_its_baseline(recipe: MonodepthRecipe) -> None:
    samples = WorldSamples(recipe.worlds, 0)
    recording = samples.recording(1)
    (view,) = recording
    assert view.frame.camera is not None
    assert view.depth is not None
    points = back_project(view.frame.camera, view.depth)[60, 100]
    shifted = points - np.array([recording.baseline, 0, 0])
    focal = view.frame.camera.fx
    disparity = focal * (points[0] / points[2] - shifted[0] / shifted[2])
    assert disparity == pytest.approx(focal * recording.baseline / view.depth[60, 100], rel=1e-6)
    assert replace(recipe, changes=STILL).samples(0)[1]['baseline'] == np.float32(
        recording.baseline
    )


def test_a_sample_is_a_function_of_seed_and_number(recipe: MonodepthRecipe) -> None:
    one, same, other = recipe.samples(1)[3], recipe.samples(1)[3], recipe.samples(2)[3]
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one['left'], other['left'])
    assert set(one) == {'left', 'right', 'baseline'}  # no truth
    assert one['left'].shape == (3, 128, 256)
    assert one['left'].dtype == np.uint8


def test_kept_pairs_are_the_rendered_ones(recipe: MonodepthRecipe, tmp_path: Path) -> None:
    stored = replace(recipe, pairs=8, pairs_folder=str(tmp_path))
    for a, b in zip(
        (stored.samples(1)[i] for i in range(2)), (recipe.samples(1)[i] for i in range(2)),
        strict=True,
    ):  # fmt: skip
        assert all(np.array_equal(a[key], b[key]) for key in b)
    again = stored.samples(1)[8 + 3]  # the second time round: changed anew
    assert again['left'].shape == (3, 128, 256)
    with pytest.raises(TrainError, match='made in another way'):
        stored.samples(2)[0]


def test_the_loss_is_the_papers_for_the_common_baseline(recipe: MonodepthRecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network(), batch_of(recipe)
    batch['baseline'] = torch.full((2,), recipe.monodepth.baseline)
    left, right = batch['left'].float() / 255, batch['right'].float() / 255
    wanted = float(monodepth_loss(network(left), left, right, recipe.terms).total.detach())
    got = recipe.loss(network, batch, 0)
    assert float(got['loss'].detach()) == pytest.approx(wanted, rel=1e-6)
    got['loss'].backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


def test_it_starts_with_a_small_disparity(recipe: MonodepthRecipe) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        disparity = recipe.network()(torch.rand(1, 3, 128, 256))[0]
    assert 0.005 < float(disparity.mean()) < 0.05


def test_figures_are_those_of_metric_depth(recipe: MonodepthRecipe) -> None:
    torch.manual_seed(0)
    network = recipe.network().eval()
    with torch.no_grad():
        figures = recipe.validate(network)
    kinds = ('', '_scaled', '_of_mean')
    assert set(figures) == {f'{name}{kind}' for name in ('abs_rel', 'rmse', 'a1') for kind in kinds}
    assert all(np.isfinite(value) for value in figures.values())
    twice = replace(recipe, monodepth=replace(recipe.monodepth, baseline=0.4))
    with torch.no_grad():
        other = twice.validate(network)
    assert other['abs_rel'] != figures['abs_rel']  # a farther camera: everything twice as far
    assert other['abs_rel_scaled'] == pytest.approx(figures['abs_rel_scaled'], rel=1e-4)


def test_pictures_show_both_views_and_the_disparity(recipe: MonodepthRecipe) -> None:
    batch = batch_of(recipe)
    picture = recipe.pictures(recipe.network().eval(), batch)['pairs']
    assert picture.shape == (2 * 128, 3 * 256, 3)
    assert np.array_equal(picture[:128, :256], batch['left'][0].permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    'change', [{'frames': 2}, {'stereo': False}, {'size': (128, 128)}], ids=lambda c: next(iter(c))
)
def test_worlds_that_do_not_fit_are_refused(recipe: MonodepthRecipe, change: dict) -> None:
    with pytest.raises(TrainError, match=r'size \[256, 128\], got'):
        replace(recipe, worlds=replace(recipe.worlds, **change))


def test_it_goes_on_from_weights(recipe: MonodepthRecipe, tmp_path: Path) -> None:
    from dlcv.networks.weights import save_network

    before = Monodepth(recipe.monodepth)
    path = save_network(before.eval(), tmp_path / 'a.safetensors')
    network = replace(recipe, start=path).network()
    for a, b in zip(network.parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b)
