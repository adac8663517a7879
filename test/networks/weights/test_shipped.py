"""Networks without a file: shipped weights and untrained stand-ins."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dlcv.interface.nodes import NODES
from dlcv.networks.caption import CaptionConfig
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.registry import NETWORKS
from dlcv.networks.weights import (
    PARTS,
    SHIPPED_CONFIGS,
    WeightsError,
    chosen,
    describe,
    load_network,
    name_of,
    save_network,
    shipped,
    untrained,
)

room = importlib.import_module('dlcv.networks.weights.shipped')


def test_every_network_has_a_stand_in():
    assert {name for node in NODES.values() for name in node.weights} <= set(SHIPPED_CONFIGS)
    for name, config in SHIPPED_CONFIGS.items():
        networks = [network for network, one in NETWORKS.items() if isinstance(config, one.config)]
        assert len(networks) == 1, name
        assert name_of(untrained(networks[0])) == networks[0]


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


def test_a_network_starts_with_the_first_of_its_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(room, '_FOLDER', tmp_path)
    first, other = NODES['flownet'].weights[:2]
    path = save_network(untrained(other), tmp_path / f'{other}.safetensors')
    assert shipped('flownet') is None
    assert shipped(other) == path
    path = save_network(untrained(first), tmp_path / f'{first}.safetensors')
    assert shipped('flownet') == shipped(first) == path
    assert untrained('flownet').config == untrained(first).config


def test_weights_are_nothing_a_name_or_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(room, '_FOLDER', tmp_path)
    monkeypatch.chdir(tmp_path)
    assert chosen('flownet', '') is None
    paths = {}
    for name in NODES['flownet'].weights:
        assert chosen('flownet', name) is None
        paths[name] = tmp_path / f'{name}.safetensors'
        paths[name].touch()
        assert chosen('flownet', name) == paths[name]
    assert chosen('flownet', '') == paths[NODES['flownet'].weights[0]]
    assert chosen('flownet', 'no/such.pth') == Path('no/such.pth')  # whose reader says so
    assert chosen('flownet', tmp_path / 'mine') == tmp_path / 'mine'
    (tmp_path / 'mine').touch()
    assert chosen('flownet', 'mine') == Path('mine')


def test_an_unknown_name_of_weights_is_answered_with_those_there_are():
    with pytest.raises(WeightsError, match=r"no flownet weights 'flownet_x': .* are flownet_"):
        chosen('flownet', 'flownet_x')
    with pytest.raises(WeightsError, match=r"no monodepth weights 'flownet_s': .* are monodepth"):
        chosen('monodepth', 'flownet_s')


@pytest.mark.parametrize('name', [*SHIPPED_CONFIGS, *PARTS])
def test_what_is_shipped_loads(name):
    path = shipped(name)
    stand_in = untrained(name)
    if path is not None:
        config = load_network(name_of(stand_in), path).config
        if isinstance(config, DeepVOConfig):
            assert config.spread is not None  # measured, not chosen
            config = replace(config, spread=None)
        if isinstance(config, CaptionConfig):
            assert len(config.words) > 1  # learned, not chosen
            config = replace(config, words=stand_in.config.words)
        assert config == stand_in.config


@pytest.mark.parametrize('ask', [shipped, untrained])
def test_an_unknown_name_is_answered_with_the_known_ones(ask):
    with pytest.raises(
        WeightsError,
        match=r"no network 'orb'; there are \['ace_encoder', 'caption', 'deep_fundamental'",
    ):
        ask('orb')


def test_a_network_is_loaded_by_its_name_alone():
    assert load_network('superpoint').config == describe(shipped('superpoint')).config
    with pytest.raises(WeightsError, match="no network 'psmnet'; there are"):
        load_network('psmnet')
