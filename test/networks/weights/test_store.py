"""Our own format, the options of a network, and what is said about a file."""

from __future__ import annotations

import json

import numpy as np
import pytest
import safetensors.torch
import torch

from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.monodepth import MonodepthConfig
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights import (
    WeightsError,
    describe,
    load,
    load_network,
    name_of,
    save_network,
    store,
)

CONFIGS = {
    'superpoint': SuperPointConfig(variant='vgg_bn', width=1 / 16, sampling='matching'),
    'flownet': FlowNetConfig(variant='c', width=1 / 32, channel_order='bgr', mean=(0.1, 0.2, 0.3)),
    'monodepth': MonodepthConfig(width=1 / 16, baseline=0.22, input_size=(128, 256)),
    'deepvo': DeepVOConfig(width=1 / 64, memory=8, input_size=(64, 128), std=(0.5, 0.5, 0.5)),
    'dsac': DsacConfig(variant='tiny', width=1 / 8, normalisation=(0.1, 0.2)),
}


@pytest.mark.parametrize('name', CONFIGS)
def test_what_is_saved_comes_back(make, same, tmp_path, name):
    network = make(CONFIGS[name])
    path = save_network(network, tmp_path / 'net.safetensors')
    same(load_network(name, path), network)


def test_a_patch_network_comes_back_too(make, same, tmp_path):
    network = make(DsacConfig(variant='patch', width=1 / 64))
    same(load_network('dsac', save_network(network, tmp_path / 'net.safetensors')), network)


def test_half_precision_is_half_the_size_and_near(make, tmp_path):
    network = make(CONFIGS['flownet'])
    whole = save_network(network, tmp_path / 'whole.safetensors')
    half = save_network(network, tmp_path / 'half.safetensors', half=True)
    assert half.stat().st_size < 0.6 * whole.stat().st_size
    assert describe(half).dtype == 'float16'
    found = load_network('flownet', half).state_dict()
    for key, value in network.state_dict().items():
        torch.testing.assert_close(found[key], value.half().float(), rtol=0, atol=0)


def test_what_does_not_fit_into_16_bits_is_refused(make, tmp_path):
    network = make(CONFIGS['superpoint'])
    with torch.no_grad():
        network.conv1a.bias[0] = 1e6
    with pytest.raises(WeightsError, match=r'conv1a\.bias does not fit into torch\.float16'):
        save_network(network, tmp_path / 'net.safetensors', half=True)
    assert not list(tmp_path.iterdir())


def test_a_file_tells_what_it_is(make, tmp_path):
    network = make(CONFIGS['superpoint'])
    path = save_network(
        network,
        tmp_path / 'net.safetensors',
        trained=False,
        source='a walk in the park',
        licence='CC0-1.0',
    )
    found = describe(path)
    assert (found.network, found.family, found.config) == ('superpoint', 'dlcv', network.config)
    assert (found.trained, found.licence) == (False, 'CC0-1.0')
    assert found.metadata == {'source': 'a walk in the park'}
    assert found.parameters == sum(p.numel() for p in network.parameters())
    assert found.bytes == path.stat().st_size


def test_a_public_checkpoint_counts_as_trained_and_gives_its_notes(make, tmp_path):
    torch.save(
        {
            'arch': 'flownets',
            'licence': 'MIT',
            'state_dict': make(FlowNetConfig(width=1 / 32)).state_dict(),
        },
        tmp_path / 'net.pth',
    )
    found = describe(tmp_path / 'net.pth')
    assert (found.trained, found.licence, found.metadata['arch']) == (True, 'MIT', 'flownets')


def test_the_digest_and_the_limit_reach_the_file(make, tmp_path):
    path = save_network(make(CONFIGS['dsac']), tmp_path / 'net.safetensors')
    digest = describe(path).sha256
    assert load('dsac', path, sha256=digest).weights.sha256 == digest
    with pytest.raises(WeightsError, match='wanted 0000'):
        load_network('dsac', path, sha256='0' * 64)
    with pytest.raises(WeightsError, match='limit of 10'):
        load_network('dsac', path, max_bytes=10)


def test_options_override_what_the_file_says(make, tmp_path):
    path = save_network(make(CONFIGS['flownet']), tmp_path / 'net.safetensors')
    loaded = load('flownet', path, mean='pair', channel_order='rgb')
    assert loaded.network.config.mean == 'pair'
    assert loaded.network.config.channel_order == 'rgb'
    assert loaded.weights.config == loaded.network.config
    listed = load_network('flownet', path, mean=[0.4, 0.5, 0.6])  # as YAML and JSON give it
    assert listed.config.mean == (0.4, 0.5, 0.6)
    measured = load_network('flownet', path, mean=np.full(3, 0.5), div_flow=np.float32(5))
    assert (measured.config.mean, measured.config.div_flow) == ((0.5, 0.5, 0.5), 5.0)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'maen': 'pair'}, r"flownet has no option 'maen'; known are \['batch_norm', .*'width'\]"),
        ({'mean': 'both'}, r"mean: .*'both'"),
        ({'channel_order': 'gbr'}, r"'gbr' is none of \['rgb', 'bgr'\]"),
        ({'div_flow': -1.0}, r'div_flow > 0'),
        (
            {'width': 1.0},
            r'conv1\.0\.weight is \(2, 3, 7, 7\) and would have to be \(64, 3, 7, 7\)',
        ),
        ({'batch_norm': True}, r'conv1\.0\.bias is \(2,\) and would have to be absent'),
    ],
)
def test_options_that_do_not_fit_are_refused(make, tmp_path, options, message):
    path = save_network(make(CONFIGS['flownet']), tmp_path / 'net.safetensors')
    with pytest.raises(WeightsError, match=message):
        load_network('flownet', path, **options)


def test_an_unknown_name_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(
        WeightsError, match=r"no network 'orb'; there are \['superpoint', 'flownet'"
    ):
        load_network('orb', tmp_path / 'net.pth')


def test_a_module_of_someone_else_is_not_saved(tmp_path):
    with pytest.raises(WeightsError, match='Linear is no network of'):
        save_network(torch.nn.Linear(1, 1), tmp_path / 'net.safetensors')


@pytest.mark.parametrize('name', CONFIGS)
def test_a_network_knows_its_name(make, name):
    assert name_of(make(CONFIGS[name])) == name


@pytest.fixture
def tampered(make, tmp_path):
    """Save a network with fields of the header replaced, or with another header text."""

    def write(text=None, tensors=None, **changes):
        path = save_network(make(CONFIGS['superpoint']), tmp_path / 'net.safetensors')
        found = store.read(path)
        header = json.loads(found.metadata['dlcv']) | changes
        safetensors.torch.save_file(
            tensors or dict(found.tensors), path, {'dlcv': text or json.dumps(header)}
        )
        return path

    return write


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'text': 'not json'}, 'bad header'),
        ({'text': '[1]'}, 'expected a mapping'),
        ({'format': 2}, 'format 2 is newer than 1'),
        ({'network': 'orb'}, r"network 'orb' is none of \['caption', 'deep_fundamental'"),
        ({'surprise': 1}, r"unknown key 'surprise'"),
        ({'config': {'variant': 'vgg', 'depth': 3}}, r"config: unknown key 'depth'"),
        ({'config': 'vgg'}, 'config: expected a mapping'),
        ({'config': {'width': -1.0}}, 'width > 0'),
        ({'config': {'width': 1 / 16}}, 'not those of the superpoint .* unexpected: bn1a'),
        ({'tensors': {'a': torch.zeros(1)}}, 'missing: conv1a.weight'),
    ],
)
def test_a_header_that_is_wrong_is_refused(tampered, changes, message):
    path = tampered(**changes)
    with pytest.raises(WeightsError, match=message):
        load_network('superpoint', path)


def test_safetensors_without_our_header_are_recognised_by_their_keys(make, same, tmp_path):
    network = make(SuperPointConfig(width=1 / 16, sampling='demo', subpixel=False))
    safetensors.torch.save_file(network.state_dict(), tmp_path / 'net.safetensors')
    same(load_network('superpoint', tmp_path / 'net.safetensors'), network)
