"""The networks that need no file from anyone: weights we ship, and untrained stand-ins."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from dlcv.models import ModelConfig, build, deepvo, dsac, monodepth
from dlcv.models.flownet import FlowNetConfig
from dlcv.models.superpoint import SuperPointConfig
from dlcv.weights.files import WeightsError

SHIPPED_CONFIGS: dict[str, ModelConfig] = {
    'superpoint': SuperPointConfig(),
    'flownet': FlowNetConfig(width=0.5),
    'monodepth': monodepth.small(),
    'deepvo': deepvo.small(),
    'dsac': dsac.small(),
}
"""Configuration of the network that stands in for each task when no file is given."""

_FOLDER = Path(__file__).parent / 'shipped'


def shipped(name: str) -> Path | None:
    """Return the weight file that this package ships for a network, None if it ships none.

    Raises:
        WeightsError: If there is no such network.
    """
    _config(name)
    path = _FOLDER / f'{name}.safetensors'
    return path if path.is_file() else None


def untrained(name: str, seed: int = 0) -> nn.Module:
    """Return a network with random weights, the same ones for the same seed, in eval mode.

    The caller's random numbers are left as they were. DeepVO's last layer is made small, so that
    an untrained odometry stands nearly still: one that leaps is called lost by its node.

    Raises:
        WeightsError: If there is no such network.
    """
    config = _config(name)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(config).eval()
    if isinstance(network, deepvo.DeepVO):
        with torch.no_grad():
            network.linear.weight.mul_(0.01)
            network.linear.bias.zero_()
    return network


def _config(name: str) -> ModelConfig:
    if name not in SHIPPED_CONFIGS:
        raise WeightsError(f'no network {name!r}; there are {sorted(SHIPPED_CONFIGS)}')
    return SHIPPED_CONFIGS[name]
