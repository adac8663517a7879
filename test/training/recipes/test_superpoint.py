"""The joint recipe: what it starts from, what it holds, what it tells."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import save_network
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import superpoint as module
from dlcv.training.recipes.superpoint import DescriptorLoss, SuperPointRecipe
from dlcv.types import FlowPair


@pytest.fixture(scope='module')
def recipe():
    return SuperPointRecipe().smoke()


@pytest.fixture(scope='module')
def batch(recipe):
    samples = recipe.samples(0)
    both = [samples[i] for i in range(2)]
    return {name: torch.from_numpy(np.stack([s[name] for s in both])) for name in both[0]}


@pytest.mark.parametrize('kind', ['contrast', 'hinge'])
def test_losses_fall_on_one_batch(recipe, batch, kind):
    torch.manual_seed(0)
    recipe = replace(recipe, descriptors=DescriptorLoss(kind=kind))
    network = recipe.network().train()
    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    seen = []
    for step in range(12):
        found = recipe.loss(network, batch, step)
        optimiser.zero_grad()
        found['loss'].backward()
        optimiser.step()
        seen.append([float(found[name].detach()) for name in ('detector', 'descriptor')])
    assert np.all(np.array(seen[-1]) < seen[0])


def test_hard_wrong_points_are_added_by_their_weight(recipe, batch):
    maps = _maps_of(batch, truth=True)
    plain, hard = (
        float(replace(recipe, descriptors=DescriptorLoss(hard=w))._descriptor_loss(*maps, batch))
        for w in (0.0, 2.0)
    )
    more = float(
        replace(recipe, descriptors=DescriptorLoss(hard=2.0, margin=1.5))._descriptor_loss(
            *maps, batch
        )
    )
    assert plain < hard < more <= hard + 2 * 0.5 + 1e-5
    for change in ({'hard': -1.0}, {'hard': 1.0, 'kind': 'hinge'}):
        with pytest.raises(TrainError, match='hard'):
            DescriptorLoss(**change)


def test_points_that_are_near_in_a_smaller_picture_are_not_told_apart(recipe, batch):
    together = {**batch, 'second_xy': torch.full_like(batch['second_xy'], 30.0)}
    wide = replace(recipe, pairs=replace(recipe.pairs, wide=0.5))
    maps = _maps_of(batch, truth=True)
    assert wide._descriptor_loss(*maps, together) < recipe._descriptor_loss(*maps, together)


class Worlds:
    """Pairs in place of those of worlds: noise that stays where it is."""

    def __init__(self, samples):
        self.size = samples.config.size

    def __getitem__(self, index):
        width, height = self.size
        picture = np.random.default_rng(index).integers(0, 256, (height, width, 3), np.uint8)
        flow = np.zeros((height, width, 2), np.float32)
        hidden = np.zeros((height, width), bool)
        return FlowPair(first=picture, second=picture, flow=flow, backward=flow, occluded=hidden)


def test_worlds_teach_descriptors_alone(recipe, monkeypatch, tmp_path):
    monkeypatch.setattr(module, 'WorldPairs', Worlds)
    mixed = replace(recipe, worlds_every=2, worlds_folder=str(tmp_path), window=1, uses=2)
    samples = mixed.samples(0)
    drawn = [samples[i] for i in range(4)]
    assert [bool(s['first_valid'].any()) for s in drawn] == [False, True, False, True]
    assert list(tmp_path.glob('*.safetensors'))
    torch.manual_seed(0)
    network = mixed.network().train()
    both = {name: torch.from_numpy(np.stack([s[name] for s in drawn])) for name in drawn[0]}
    assert all(value.isfinite() for value in mixed.loss(network, both, 0).values())
    worlds = {name: value[::2] for name, value in both.items()}
    losses = mixed.loss(network, worlds, 0)
    assert float(losses['detector'].detach()) == 0
    assert float(losses['descriptor'].detach()) > 0


def test_settings_of_worlds_that_do_not_fit_are_refused(recipe):
    for change in ({'worlds_every': -1}, {'window': 0}, {'uses': 0}):
        with pytest.raises(TrainError, match='worlds_every >= 0, window and uses >= 1'):
            replace(recipe, **change)
    with pytest.raises(TrainError, match='which worlds have none of'):
        replace(recipe, worlds_every=2, descriptors=DescriptorLoss(kind='hinge'))


def test_wide_pairs_have_figures_of_their_own(recipe):
    torch.manual_seed(0)
    wide = replace(recipe, pairs=replace(recipe.pairs, wide=0.5), validation_pairs=1)
    found = wide.validate(wide.network().eval())
    assert {'nn_map', 'wide_nn_map', 'sift_nn_map'} <= set(found)


def test_descriptors_that_are_right_cost_less(recipe, batch):
    """A network that describes a place by where it is in the first picture is always right."""
    xy = batch['first_xy']
    right = recipe._descriptor_loss(*_maps_of(batch, truth=True), batch)
    wrong = recipe._descriptor_loss(*_maps_of(batch, truth=False), batch)
    assert xy.shape == (2, 48, 2)
    assert right < wrong


def _maps_of(batch, *, truth):
    """Return descriptor maps (2, 16, 8, 10) of random waves over the first picture's plane."""
    from dlcv.networks.losses.superpoint import grid, transform

    generator = torch.Generator().manual_seed(0)
    waves = torch.randn(2, 8, generator=generator) * 0.15
    centres = (8 * grid((8, 10)) + 3.5).expand(2, -1, -1)
    back = torch.linalg.inv(batch['second_from_first'].double()).float()
    maps = []
    for xy in (centres, transform(centres, back) if truth else centres.flip(1)):
        phase = xy @ waves + 7 * torch.arange(2)[:, None, None]  # each pair has its own
        found = torch.cat((phase.sin(), phase.cos()), dim=2)
        maps.append(torch.nn.functional.normalize(found, dim=2).mT.reshape(2, 16, 8, 10))
    return maps


def test_frozen_stages_stay_as_they_are(recipe, batch):
    recipe = replace(recipe, frozen=2)
    torch.manual_seed(0)
    network = recipe.network().train()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    optimiser = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    recipe.loss(network.train(), batch, 0)['loss'].backward()
    optimiser.step()
    for key, value in network.state_dict().items():
        held = key.partition('.')[0][-2] in '12' and key[-2:] != 'Pa'
        assert torch.equal(value, before[key]) == held, key


def test_starts_from_a_run_and_from_a_file(recipe, tmp_path):
    torch.manual_seed(3)
    known = SuperPoint(recipe.network_config)
    run, file = tmp_path / 'checkpoint.pt', tmp_path / 'w.safetensors'
    torch.save({'average': None, 'network': known.state_dict(), 'step': 1}, run)
    save_network(known, file)
    for path in (run, file):
        started = replace(recipe, start=str(path)).network()
        assert torch.equal(started.conv1a.weight, known.conv1a.weight)


def test_other_variants_and_missing_weights_are_refused(recipe, tmp_path):
    file = tmp_path / 'w.safetensors'
    save_network(SuperPoint(SuperPointConfig(width=0.125)), file)
    with pytest.raises(TrainError, match='another variant'):
        replace(recipe, start=str(file)).network()
    with pytest.raises(TrainError, match='no weights'):
        replace(recipe, start=str(tmp_path / 'none.pt')).network()


def test_labels_are_made_once_for_a_folder(recipe, tmp_path):
    kept = replace(recipe, labels_folder=str(tmp_path))
    first = kept.samples(0)[0]
    assert list(tmp_path.glob('*.safetensors'))
    again = kept.samples(0)[0]
    np.testing.assert_array_equal(first['first'], again['first'])


def test_figures_are_the_same_at_each_call_and_stand_beside_sift_and_orb(recipe):
    torch.manual_seed(0)
    network = recipe.network().eval()
    found = recipe.validate(network)
    assert found == pytest.approx(recipe.validate(network), nan_ok=True)
    for name in ('repeatability', 'nn_map', 'homography_3px'):
        assert {name, f'sift_{name}', f'orb_{name}'} <= set(found)


def test_pictures_show_labels_and_matches(recipe, batch):
    pictures = recipe.pictures(recipe.network().eval(), batch)
    assert {name: picture.shape for name, picture in pictures.items()} == {
        'labels': (64, 80, 3),
        'found': (64, 80, 3),
        'matches': (64, 160, 3),
    }


def test_export_is_the_papers_network(recipe):
    torch.manual_seed(0)
    network = recipe.network().eval()
    exported = recipe.export(network)
    assert exported.config.variant == 'vgg'
    images = torch.rand(1, 1, 64, 80)
    with torch.no_grad():
        for one, other in zip(network(images), exported(images), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)
