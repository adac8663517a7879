"""NetVLAD's recipe: what learns, what it learns from, whitening, the encoder it begins with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import load_network, save_network, shipped
from dlcv.training.places import pool_of
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import netvlad
from dlcv.training.recipes.netvlad import NetVLADRecipe, Queries

TINY = NetVLADConfig(encoder='superpoint', width=1 / 16, reduced=4, clusters=3, whitened=4)
VGG = NetVLADConfig(width=1 / 32, clusters=3, whitened=4)


def worlds() -> list[dict]:
    """Two worlds of three places each, seen twice in another light."""
    found = []
    for seed in (0, 1):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 200, (3, 6, 8, 3))
        place = coarse.repeat(8, 1).repeat(8, 2)
        images = np.concatenate((place, place + rng.integers(0, 55, (3, 1, 1, 1))))
        shown = np.tile(np.eye(3, dtype=np.float32), (2, 2))
        visit = np.repeat([0, 1], 3)
        found.append({'images': images.astype(np.uint8), 'shown': shown, 'visit': visit})
    return found


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> NetVLADRecipe:
    pools = {}

    def pool(recipe: NetVLADRecipe, seed: int, count: int):
        key = (recipe, seed)
        if key not in pools:
            pools[key] = pool_of(worlds(), 2, recipe.near, recipe.far)
        return pools[key]

    monkeypatch.setattr(netvlad, '_pool', pool)
    return NetVLADRecipe(netvlad=TINY, encoder='drawn', positives=2, negatives=3)


def batch_of(recipe: NetVLADRecipe, count: int = 4) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_all_queries_come_round_before_any_comes_again(recipe: NetVLADRecipe) -> None:
    samples = Queries(netvlad._pool(recipe, 3, 2), 3)
    first, second = ([int(samples[i]['query']) for i in range(a, a + 12)] for a in (0, 12))
    assert sorted(first) == sorted(second) == list(range(12))
    assert first != second
    assert int(samples[5]['seed']) == 3


def test_steps_lower_the_loss_and_leave_the_encoder_alone(recipe: NetVLADRecipe) -> None:
    torch.manual_seed(0)
    learner, batch = recipe.network(), batch_of(recipe)
    encoder = {k: v.clone() for k, v in learner.inner.encoder.state_dict().items()}
    wide = replace(recipe, margin=1.0)
    first = wide.loss(learner, batch, 0)
    learned = [p for p in learner.parameters() if p.requires_grad]
    optimiser = torch.optim.Adam(learned, 1e-2)
    for step in range(8):
        optimiser.zero_grad()
        losses = wide.loss(learner, batch, step + 1)
        losses['loss'].backward()
        optimiser.step()
    assert float(losses['loss'].detach()) < float(first['loss'].detach())
    assert 0 <= float(losses['right']) <= 1
    for key, value in learner.inner.encoder.state_dict().items():
        assert torch.equal(value, encoder[key])
    assert recipe.validate(learner.eval())['recall_1'] > 0.5  # one of six by chance


def test_the_paper_trains_the_last_stage_and_whitens_last(recipe: NetVLADRecipe) -> None:
    torch.manual_seed(0)
    paper = replace(recipe, netvlad=VGG, learns='conv5', whitened_last=True, encoder='')
    learner = paper.network()
    paper.loss(learner, batch_of(paper), 0)['loss'].backward()
    names = {name for name, p in learner.inner.named_parameters() if p.grad is not None}
    stage = {f'encoder.{i}.{leaf}' for i in (24, 26, 28) for leaf in ('weight', 'bias')}
    assert names == stage | {'pool.conv.weight', 'pool.centroids'}
    exported = paper.export(learner)
    assert isinstance(exported, NetVLAD)
    pictures = torch.from_numpy(np.concatenate([w['images'] for w in worlds()]))
    with torch.no_grad():
        pooled = exported.pool(exported.encode(pictures.permute(0, 3, 1, 2).float() / 255))
        white = exported.WPCA(pooled[:, :, None, None])[:, :, 0, 0]
    torch.testing.assert_close(torch.cov(white.T), torch.eye(4), atol=0.05, rtol=0)


def test_a_resumed_run_describes_all_pictures_first(recipe: NetVLADRecipe) -> None:
    learner, batch = recipe.network(), batch_of(recipe)
    recipe.loss(learner, batch, 137)
    assert netvlad._pool(recipe, 0, recipe.worlds).renewed == 137
    recipe.loss(learner, batch, 138)
    assert netvlad._pool(recipe, 0, recipe.worlds).renewed == 137
    recipe.loss(learner, batch, 150)
    assert netvlad._pool(recipe, 0, recipe.worlds).renewed == 150


def test_what_is_drawn_depends_on_the_step_alone(recipe: NetVLADRecipe) -> None:
    some, batch = replace(recipe, drawn=4), batch_of(recipe)
    torch.manual_seed(0)
    learner = some.network()
    some.loss(learner, batch, 1)
    first, again, other = (some.loss(learner, batch, step)['loss'].item() for step in (2, 2, 3))
    assert first == again != other


def test_the_encoder_is_that_of_the_shipped_superpoint(recipe: NetVLADRecipe) -> None:
    network = replace(recipe, encoder='', netvlad=replace(TINY, width=1.0)).network().inner
    file = shipped('superpoint')
    assert file is not None
    points = load_network('superpoint', file)
    assert isinstance(points, SuperPoint)
    assert network.shares_encoder(points)


def test_another_encoder_can_be_taken(recipe: NetVLADRecipe, tmp_path: Path) -> None:
    other = NetVLAD(replace(VGG, clusters=5))
    path = save_network(other, tmp_path / 'vgg.safetensors')
    taken = replace(recipe, netvlad=VGG, encoder=str(path)).network().inner.encoder
    for key, value in other.encoder.state_dict().items():
        assert torch.equal(taken.state_dict()[key], value)
    points = save_network(
        SuperPoint(SuperPointConfig(width=1 / 8)), tmp_path / 'points.safetensors'
    )
    with pytest.raises(TrainError, match='encoder of another variant or width'):
        replace(recipe, encoder=str(points)).network()
    with pytest.raises(TrainError, match=r'no encoder for NetVLAD: .* holds superpoint weights'):
        replace(recipe, netvlad=VGG, encoder=str(points)).network()


def test_it_goes_on_from_its_own_weights(recipe: NetVLADRecipe, tmp_path: Path) -> None:
    before = recipe.network()
    path = save_network(recipe.export(before), tmp_path / 'netvlad.safetensors')
    again = replace(recipe, start=path)
    learner = again.network()
    again.loss(learner, batch_of(again), 0)  # which begins nothing anew
    for a, b in zip(learner.inner.parameters(), before.inner.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        ({'learns': 'conv5'}, "conv5 is of vgg16, the encoder is 'superpoint'"),
        ({'near': 0.05, 'far': 0.1}, 'far < near'),
        ({'negatives': 0}, 'negatives'),
    ],
)
def test_what_does_not_fit_is_refused(recipe: NetVLADRecipe, change: dict, words: str) -> None:
    with pytest.raises(TrainError, match=words):
        replace(recipe, **change)
