"""The table of networks: each name builds its network, and its config travels as plain data."""

from __future__ import annotations

import pytest
import torch

from dlcv.config import from_dict, to_dict
from dlcv.networks.registry import NAMES, build


def test_the_names_are_those_of_the_suite():
    assert list(NAMES) == ['superpoint', 'flownet', 'monodepth', 'deepvo', 'dsac', 'sfmlearner']


@pytest.mark.parametrize('name', NAMES)
def test_each_name_builds_its_network(name):
    config = NAMES[name]()
    with torch.device('meta'):  # paper size, but no memory
        network = build(config)
    assert network.config is config
    assert type(network).__module__ == f'dlcv.networks.{name}'


@pytest.mark.parametrize('name', NAMES)
def test_a_config_survives_plain_data(name):
    config = NAMES[name]()
    assert from_dict(to_dict(config), NAMES[name]) == config
