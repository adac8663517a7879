"""The encoder of maps: what it learns from whom, and what it ships."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from dlcv.data.world import SampleConfig
from dlcv.networks.dsac import DsacConfig, SceneCoordinateNet
from dlcv.networks.weights import chosen, load_network, save_network
from dlcv.training.recipe import TrainError
from dlcv.training.recipes.ace_encoder import AceEncoderRecipe, Encoder


@pytest.fixture
def recipe() -> AceEncoderRecipe:
    return AceEncoderRecipe(
        dsac=DsacConfig(variant='ace', width=0.5), size=(32, 48), validation_pictures=2
    )


def batch_of(recipe: AceEncoderRecipe, count: int = 2) -> dict[str, torch.Tensor]:
    samples = recipe.samples(0)
    drawn = [samples[i] for i in range(count)]
    return {key: torch.from_numpy(np.stack([s[key] for s in drawn])) for key in drawn[0]}


def test_a_sample_is_a_function_of_seed_and_number(recipe: AceEncoderRecipe) -> None:
    one, same, other = recipe.samples(1)[3], recipe.samples(1)[3], recipe.samples(2)[3]
    assert all(np.array_equal(one[key], same[key]) for key in one)
    assert not np.array_equal(one['clean'], other['clean'])
    assert not np.array_equal(one['clean'], one['seen'])
    assert one['clean'].shape == one['seen'].shape == (1, 32, 48)
    assert one['clean'].dtype == np.uint8


def test_every_nth_picture_is_of_a_world(recipe: AceEncoderRecipe) -> None:
    worlds = SampleConfig(frames=1, size=(48, 32), scenes=('room',))
    mixed, plain = replace(recipe, worlds=worlds, worlds_every=2).samples(0), recipe.samples(0)
    assert np.array_equal(mixed[1]['clean'], plain[1]['clean'])
    assert not np.array_equal(mixed[2]['clean'], plain[2]['clean'])


def test_the_goal_are_the_descriptors_of_the_shipped_superpoint(recipe: AceEncoderRecipe) -> None:
    torch.manual_seed(0)
    network, batch = recipe.network(), batch_of(recipe)
    file = chosen('superpoint', '')
    assert file is not None
    with torch.no_grad():
        _, wanted = load_network('superpoint', file)(batch['clean'].float() / 255)
        features = network(batch['seen'].float() / 255)
        cosine = F.cosine_similarity(features, wanted, dim=1).mean()
        losses = recipe.loss(network, batch, 0)
    assert features.shape == (2, 256, 4, 6)
    assert float(losses['cosine']) == pytest.approx(float(cosine), abs=1e-4)


def test_only_the_encoder_learns(recipe: AceEncoderRecipe) -> None:
    network, batch = recipe.network(), batch_of(recipe)
    recipe.loss(network, batch, 0)['loss'].backward()
    for name, parameter in network.inner.named_parameters():
        learns = name.startswith(('conv', 'res1', 'res2'))
        assert (parameter.grad is not None) is learns, name


def test_figures_are_cosines(recipe: AceEncoderRecipe) -> None:
    with torch.no_grad():
        figures = recipe.validate(recipe.network().eval())
    assert set(figures) == {'cosine', 'cosine_other_light'}
    assert all(-1 <= value <= 1 for value in figures.values())


def test_it_ships_a_coordinate_network_and_goes_on_from_it(
    recipe: AceEncoderRecipe, tmp_path: Path
) -> None:
    before = recipe.network()
    shipped = recipe.export(before)
    assert isinstance(shipped, SceneCoordinateNet)
    path = save_network(shipped, tmp_path / 'encoder.safetensors')
    again = replace(recipe, start=path).network()
    assert isinstance(again, Encoder)
    for a, b in zip(again.parameters(), before.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ('change', 'word'),
    [
        ({'dsac': DsacConfig(variant='tiny')}, "variant 'ace', got 'tiny'"),
        ({'size': (30, 48)}, 'multiples of 8'),
        ({'worlds_every': 2}, r'worlds must have the size \[48, 32\]'),
    ],
)
def test_what_does_not_fit_is_refused(recipe: AceEncoderRecipe, change: dict, word: str) -> None:
    with pytest.raises(TrainError, match=word):
        replace(recipe, **change)


def test_an_encoder_of_another_width_has_no_teacher(recipe: AceEncoderRecipe) -> None:
    narrow = replace(recipe, dsac=DsacConfig(variant='ace', width=0.25))
    with pytest.raises(TrainError, match='has 128 features, the descriptors of its teacher 256'):
        narrow.network()
