"""From weight files to estimators."""

from __future__ import annotations

import hashlib
from importlib import import_module

import pytest
import torch

from dlcv.estimation import load
from dlcv.estimation.monodepth import DepthSettings
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig
from dlcv.networks.weights import WeightsError, save_network, shipped

LOADERS = {
    'superpoint': load.load_features,
    'flownet': load.load_flow,
    'monodepth': load.load_depth,
    'deepvo': load.load_odometry,
    'dsac': load.load_relocalization,
    'deep_fundamental': load.load_match_weigher,
    'netvlad': load.load_places,
    'fcn': load.load_segmentation,
    'fcos': load.load_localization,
    'caption': load.load_captions,
}


@pytest.fixture
def small(tmp_path):
    network = SuperPoint(SuperPointConfig(width=0.125))
    return save_network(network, tmp_path / 'small.safetensors', trained=True), network


def test_a_file_becomes_an_estimator(small, frame):
    path, network = small
    estimator = load.load_features(path, device='cpu')
    assert estimator.network.config == network.config
    assert torch.equal(estimator.network.conv1a.weight, network.conv1a.weight)
    assert estimator.origin.path == path
    assert estimator.origin.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert estimator.origin.trained
    estimator.push(frame())


def test_a_wrong_digest_is_refused(small):
    with pytest.raises(WeightsError):
        load.load_features(small[0], device='cpu', sha256='0' * 64)


def test_weights_of_another_network_are_refused(small):
    with pytest.raises(WeightsError):
        load.load_flow(small[0], device='cpu')


def test_untrained_weights_must_be_asked_for(tmp_path):
    network = SuperPoint(SuperPointConfig(width=0.125))
    path = save_network(network, tmp_path / 'raw.safetensors', trained=False)
    with pytest.raises(WeightsError, match=r'raw\.safetensors is untrained'):
        load.load_features(path, device='cpu')
    assert not load.load_features(path, device='cpu', allow_untrained=True).origin.trained


@pytest.mark.parametrize('name', LOADERS)
def test_each_estimator_starts_without_a_file(name):
    if shipped(name) is None:
        with pytest.raises(WeightsError, match=f'no {name} weights are shipped|dsac needs a map'):
            LOADERS[name](device='cpu')
    estimator = LOADERS[name](device='cpu', allow_untrained=True)
    assert estimator.device.type == 'cpu'
    assert not any(p.requires_grad for p in estimator.network.parameters())


def test_shipped_weights_may_be_named(tmp_path, monkeypatch):
    monkeypatch.setattr(import_module('dlcv.networks.weights.shipped'), '_FOLDER', tmp_path)
    network = FlowNet(FlowNetConfig(variant='c', width=0.125))
    with pytest.raises(WeightsError, match='no flownet_c weights are shipped yet'):
        load.load_flow('flownet_c', device='cpu')
    stand_in = load.load_flow('flownet_c', device='cpu', allow_untrained=True)
    assert stand_in.network.config.variant == 'c'
    path = save_network(network, tmp_path / 'flownet_c.safetensors')
    estimator = load.load_flow('flownet_c', device='cpu')
    assert estimator.network.config == network.config
    assert estimator.origin.path == path
    with pytest.raises(WeightsError, match="no flownet weights 'superpoint'"):
        load.load_flow('superpoint', device='cpu')


def test_settings_reach_the_estimator():
    settings = DepthSettings(max_depth=20.0)
    estimator = load.load_depth(settings=settings, device='cpu', allow_untrained=True)
    assert estimator.settings is settings
