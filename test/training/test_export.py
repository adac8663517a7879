"""What is shipped computes what was trained."""

from __future__ import annotations

import pytest
import torch

from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.training.export import folded_flownet


@pytest.mark.parametrize('batch_norm', [True, False])
@pytest.mark.parametrize('variant', ['s', 'c'])
def test_folding_changes_nothing_but_the_configuration(variant, batch_norm):
    torch.manual_seed(0)
    network = FlowNet(FlowNetConfig(variant=variant, batch_norm=batch_norm, width=1 / 16))
    for _ in range(3):  # running means that are not those of a fresh norm
        network(torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    first, second = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96)
    plain = folded_flownet(network)
    assert not plain.training
    assert not plain.config.batch_norm
    assert not any('running' in name for name in plain.state_dict())
    with torch.no_grad():
        wanted = network.eval().flow(first, second)
        assert torch.allclose(plain(first, second), wanted, atol=1e-4 * float(wanted.abs().max()))
    after = network.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
