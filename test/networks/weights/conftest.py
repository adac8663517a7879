"""Networks of tiny width with weights that tell every tensor from every other."""

from __future__ import annotations

import pytest
import torch

from dlcv.networks.registry import build


@pytest.fixture
def make():
    """Build a network whose state is all random, batch statistics and buffers included."""

    def network(config, seed=0):
        draw = torch.Generator().manual_seed(seed)
        built = build(config)
        for key, value in built.state_dict().items():
            if not value.is_floating_point():
                continue
            value.copy_(0.2 * torch.randn(value.shape, generator=draw))
            if key.endswith('running_var'):
                value.abs_().add_(0.5)
        return built.eval()

    return network


@pytest.fixture
def same():
    """Ask whether two networks have the same configuration and the same tensors."""

    def check(found, wanted):
        assert found.config == wanted.config
        assert not found.training
        state = found.state_dict()
        assert list(state) == list(wanted.state_dict())
        for key, value in wanted.state_dict().items():
            torch.testing.assert_close(state[key], value, rtol=0, atol=0, msg=key)

    return check
