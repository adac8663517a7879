"""The networks that need no file from anyone: weights we ship, and untrained stand-ins."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from dlcv.files import expanded
from dlcv.interface.nodes import NODES
from dlcv.networks import (
    caption,
    deep_fundamental,
    deepvo,
    dispnet,
    dsac,
    fcn,
    fcos,
    lift,
    monodepth,
    netvlad,
)
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.registry import ModelConfig, build
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights.files import WeightsError

SHIPPED_CONFIGS: dict[str, ModelConfig] = {
    'superpoint': SuperPointConfig(),
    'flownet_s': FlowNetConfig(variant='s', width=0.5),
    'flownet_c': FlowNetConfig(variant='c', width=0.5, max_displacement=10, displacement_stride=1),
    'monodepth': monodepth.small(),
    'deepvo': deepvo.small(),
    'dsac': dsac.small(),
    'netvlad': netvlad.small(),
    'dispnet': dispnet.small(),
    'fcn': fcn.small(),
    'fcos': fcos.small(),
    'caption': caption.small(),
}
"""Name of weights -> configuration of their network, also of its untrained stand-in."""

PARTS: dict[str, ModelConfig] = {
    'ace_encoder': DsacConfig(variant='ace', width=0.5, input_height=180),
    'deep_fundamental': deep_fundamental.small(),
    'lift': lift.small(),
}
"""Weights that no node is named after: the encoder of the maps that are made, what weighs the
matches of visual odometry, and LIFT, which is measured beside others."""

_FOLDER = Path(__file__).parent / 'shipped'


def shipped(name: str) -> Path | None:
    """Return a weight file of this package, None if it is not shipped.

    Args:
        name: Of weights, a key of `SHIPPED_CONFIGS` or `PARTS`; or of a network, for the weights
            that it starts with.

    Raises:
        WeightsError: If there is no such name.
    """
    path = _FOLDER / f'{_weights(name)}.safetensors'
    return path if path.is_file() else None


def chosen(network: str, weights: str | Path) -> Path | None:
    """Return the file that is meant by the parameter or option ``weights`` of a network.

    Args:
        network: Its name.
        weights: Empty for the shipped weights, or the name of shipped ones, or a file.

    Returns:
        The file; None for shipped weights that are not there.

    Raises:
        WeightsError: If ``weights`` looks like a name and is none.
    """
    node = NODES.get(network)
    text, names = str(weights), node.weights if node else (network,)
    if not text or text in names:
        return shipped(text or network)
    path = expanded(weights)
    if path.name == text and not path.suffix and not path.exists():
        raise WeightsError(
            f'no {network} weights {text!r}: there is no such file, and the names of shipped '
            f'weights are {", ".join(names)}'
        )
    return path


def untrained(name: str, seed: int = 0) -> nn.Module:
    """Return a network with random weights, the same ones for the same seed, in eval mode.

    The caller's random numbers are left as they were. DeepVO's last layer is made small, so that
    an untrained odometry stands nearly still: one that leaps is called lost by its node.

    Args:
        name: As that of `shipped`.
        seed: Decides the weights.

    Raises:
        WeightsError: If there is no such name.
    """
    config = {**SHIPPED_CONFIGS, **PARTS}[_weights(name)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(config).eval()
    if isinstance(network, deepvo.DeepVO):
        with torch.no_grad():
            network.linear.weight.mul_(0.01)
            network.linear.bias.zero_()
    return network


def _weights(name: str) -> str:
    """Return the name of weights for the name of weights or of a network."""
    found = NODES[name].weights[0] if name in NODES else name
    known = {*NODES, *SHIPPED_CONFIGS, *PARTS}
    if found not in known:
        raise WeightsError(f'no network {name!r}; there are {sorted(known)}')
    return found
