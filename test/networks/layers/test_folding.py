"""A network made faster computes the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.layers.folding import optimise
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig


def with_history(network):
    """Give every batch-norm the statistics and the affine map of a trained one."""
    torch.manual_seed(1)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.running_mean, std=0.2)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
            nn.init.uniform_(layer.weight, -1.5, 1.5)
            nn.init.normal_(layer.bias, std=0.2)
    return network


def norms(network):
    return sum(isinstance(layer, nn.BatchNorm2d) for layer in network.modules())


@pytest.mark.parametrize(('variant', 'left'), [('vgg', 0), ('vgg_bn', 10), ('unet_bn', 0)])
def test_superpoint_stays_the_same(variant, left):
    network = with_history(SuperPoint(SuperPointConfig(variant=variant, width=0.125)).eval())
    fast = optimise(network)
    image = torch.rand(2, 1, 40, 48)
    for ours, theirs in zip(fast(image), network(image), strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    assert norms(fast) == left  # a norm after an activation cannot be folded exactly


@pytest.mark.parametrize('variant', ['s', 'c'])
def test_flownet_stays_the_same(variant):
    network = with_history(
        FlowNet(FlowNetConfig(variant=variant, batch_norm=True, width=0.0625)).eval()
    )
    fast = optimise(network)
    first, second = torch.rand(2, 1, 3, 70, 90)
    torch.testing.assert_close(
        fast(first, second), network(first, second), atol=1e-4, rtol=1e-5
    )  # 20 times 5e-6: the network's own unit is 20 px
    assert norms(fast) == 0


def test_the_network_itself_is_left_alone():
    network = FlowNet(FlowNetConfig(batch_norm=True, width=0.0625))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    fast = optimise(network)
    assert network.training
    assert not fast.training
    assert not any(p.requires_grad for p in fast.parameters())
    assert all(p.requires_grad for p in network.parameters())
    torch.testing.assert_close(network.state_dict(), before, atol=0, rtol=0)


def test_the_memory_format_follows_the_class():
    fast = optimise(SuperPoint(SuperPointConfig(width=0.125)))
    weight = fast.get_parameter('conv2a.weight')
    assert weight.is_contiguous(memory_format=torch.channels_last)
