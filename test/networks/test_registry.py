"""The table of networks: each name builds its network, and its config travels as plain data."""

from __future__ import annotations

import pytest
import torch

from dlcv.config import from_dict, to_dict
from dlcv.networks.registry import NETWORKS, build


def test_the_names_are_those_of_the_suite():
    assert list(NETWORKS) == [
        *('superpoint', 'flownet', 'monodepth', 'deepvo', 'dsac', 'sfmlearner'),
        *('deep_fundamental', 'netvlad', 'psmnet', 'dispnet', 'fcn', 'fcos', 'lift', 'caption'),
    ]


@pytest.mark.parametrize('name', NETWORKS)
def test_each_name_builds_its_network(name):
    config = NETWORKS[name].config()
    with torch.device('meta'):  # paper size, but no memory
        network = build(config)
    assert network.config is config
    assert type(network).__module__ == f'dlcv.networks.{name}'


@pytest.mark.parametrize('name', NETWORKS)
def test_a_config_survives_plain_data(name):
    config = NETWORKS[name].config()
    assert from_dict(to_dict(config), NETWORKS[name].config) == config
