"""LIFT's recipe: each stage learns one network and leaves the others as they are."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from dlcv.data.augment.photometric import OFF
from dlcv.networks.lift import LIFTConfig
from dlcv.training.lift_patches import PatchConfig, PatchPairs
from dlcv.training.recipe import TrainError
from dlcv.training.recipes import lift as module
from dlcv.training.recipes.lift import LIFTRecipe, MiningConfig

TINY = LIFTConfig(width=1 / 16, orientation_width=0.1)


class Turned:
    """Noise that stays where it is."""

    def __getitem__(self, index):
        shape = (96, 128)
        noise = np.random.default_rng(index).integers(0, 256, (12, 16)).astype(np.uint8)
        image = np.kron(noise, np.ones((8, 8), np.uint8))
        flow, hidden = np.zeros((*shape, 2), np.float16), np.zeros(shape, bool)
        return {'first': image, 'second': image, 'flow': flow, 'hidden': hidden}


@pytest.fixture(autouse=True)
def painted(monkeypatch):
    def kept(*args, **settings):
        return Turned()

    monkeypatch.setattr(module, 'kept_of_worlds', kept)


def recipe(stage, **changes):
    patches = PatchConfig(points=6, limit=100, wide=1.0, photometric=OFF)
    return LIFTRecipe(stage=stage, lift=TINY, patches=patches, validation_pairs=1, **changes)


def batch(one):
    samples = one.samples(0)
    assert isinstance(samples, PatchPairs)
    both = [samples[i] for i in range(2)]
    return {name: torch.from_numpy(np.stack([s[name] for s in both])) for name in both[0]}


@pytest.mark.parametrize(
    ('stage', 'steps'), [('descriptor', 0), ('orientation', 0), ('detector', 99), ('detector', 0)]
)
def test_a_stage_teaches_its_own_network(stage, steps):
    torch.manual_seed(0)
    one = recipe(stage, overlap_steps=steps)
    network = one.network().train()
    parts = one.loss(network, batch(one), 0)
    parts['loss'].backward()
    for name, value in network.named_parameters():
        assert (value.grad is not None) == name.startswith(stage), name
    assert float(parts['loss'].detach()) > 0
    with torch.no_grad():
        found = one.validate(network.eval())
    assert (
        set(found)
        == {
            'descriptor': {'matched'},
            'orientation': {'matched', 'turn_off'},
            'detector': {'matched', 'turn_off', 'place_off'},
        }[stage]
    )
    assert 0 <= found['matched'] <= 1


def test_mining_looks_at_more_and_learns_from_less():
    torch.manual_seed(0)
    mining = MiningConfig(every=10, most=4, others=2)
    assert [mining.ratio(step) for step in (0, 9, 10, 20, 9999)] == [1, 1, 2, 4, 4]
    one = recipe('descriptor', mining=mining)
    network, seen = one.network().eval(), batch(one)
    easy, hard = (one.loss(network, seen, step) for step in (0, 9999))
    assert float(hard['positive'].detach()) > float(easy['positive'].detach())
    assert float(hard['negative'].detach()) > float(easy['negative'].detach())


def test_a_batch_without_points_teaches_nothing():
    for stage in ('descriptor', 'orientation', 'detector'):
        one = recipe(stage)
        nothing = batch(one)
        nothing['seen'] = torch.zeros_like(nothing['seen'])
        network = one.network()
        found = one.loss(network, nothing, 0)['loss']
        found.backward()
        assert float(found.detach()) == 0


def test_what_cannot_be_trained_is_named():
    with pytest.raises(TrainError, match=r"stages descriptor, orientation, detector .* got 'all'"):
        LIFTRecipe(stage='all')
    with pytest.raises(TrainError, match='descriptor_only=True'):
        LIFTRecipe(lift=LIFTConfig(descriptor_only=True))
    with pytest.raises(TrainError, match='class_weight >= 0'):
        replace(LIFTRecipe(), class_weight=-1.0)
    with pytest.raises(TrainError, match='every, most and others >= 1'):
        MiningConfig(every=0)
