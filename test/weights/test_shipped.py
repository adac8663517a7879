"""Networks without a file: shipped weights and untrained stand-ins."""

from __future__ import annotations

import importlib

import pytest
import torch

from dlcv.models import NAMES
from dlcv.weights import (
    SHIPPED_CONFIGS,
    WeightsError,
    load_network,
    name_of,
    save_network,
    shipped,
    untrained,
)

room = importlib.import_module('dlcv.weights.shipped')


def test_every_network_has_a_stand_in():
    assert list(SHIPPED_CONFIGS) == list(NAMES)
    for name, config in SHIPPED_CONFIGS.items():
        assert isinstance(config, NAMES[name])


def test_a_stand_in_is_the_same_for_the_same_seed_and_leaves_the_caller_alone():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    first, again, other = (untrained('dsac', seed) for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert name_of(first) == 'dsac'
    assert not first.training
    assert torch.equal(first.conv1.weight, again.conv1.weight)
    assert not torch.equal(first.conv1.weight, other.conv1.weight)


def test_what_lies_in_the_folder_is_shipped(tmp_path, monkeypatch):
    monkeypatch.setattr(room, '_FOLDER', tmp_path)
    assert shipped('dsac') is None
    path = save_network(untrained('dsac'), tmp_path / 'dsac.safetensors')
    assert shipped('dsac') == path


@pytest.mark.parametrize('name', SHIPPED_CONFIGS)
def test_what_is_shipped_loads(name):
    path = shipped(name)
    assert path is None or load_network(name, path)


@pytest.mark.parametrize('ask', [shipped, untrained])
def test_an_unknown_name_is_answered_with_the_known_ones(ask):
    with pytest.raises(WeightsError, match=r"no network 'orb'; there are \['deepvo', 'dsac'"):
        ask('orb')
