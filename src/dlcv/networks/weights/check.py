"""Run a network on made-up input, to see that it runs and that two of them agree."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from dlcv.networks.caption import CaptionConfig
from dlcv.networks.deep_fundamental import DeepFundamentalConfig
from dlcv.networks.deepvo import DeepVOConfig
from dlcv.networks.dispnet import DispNetConfig
from dlcv.networks.dsac import DsacConfig
from dlcv.networks.flownet import FlowNetConfig
from dlcv.networks.lift import PATCH, SEARCHED, LIFTConfig
from dlcv.networks.netvlad import NetVLADConfig
from dlcv.networks.psmnet import PSMNet, PSMNetConfig
from dlcv.networks.superpoint import SuperPointConfig
from dlcv.networks.weights.files import WeightsError, finite

Outputs = tuple[Tensor, ...]

_SIZE = (128, 128)  # a multiple of what any network asks for
_MATCHES = 64


def probe(network: nn.Module, seed: int = 0) -> Outputs:
    """Return all that a network gives for a seeded picture of noise, or for such matches.

    Args:
        network: A network of ours; it is put into eval mode.
        seed: Of the noise.

    Raises:
        WeightsError: If an output is not finite.
    """
    with torch.inference_mode():
        outputs = tuple(_flat(network.eval()(*_inputs(network, seed))))
    for i, output in enumerate(outputs):
        if not finite(output):
            raise WeightsError(f'output {i} {tuple(output.shape)} of the network is not finite')
    return outputs


def difference(first: Outputs, second: Outputs) -> float:
    """Return the largest difference as a fraction of the largest value of that output."""
    if [a.shape for a in first] != [b.shape for b in second]:
        return float('inf')
    return max(
        float((a - b).abs().max() / a.abs().max().clamp(min=1e-12))
        for a, b in zip(first, second, strict=True)
    )


def _inputs(network: nn.Module, seed: int) -> tuple[Tensor, ...]:
    config: Any = network.config
    pictures = 1
    shape: tuple[int, ...] = (1, 3, *_SIZE)
    match config:
        case SuperPointConfig():
            shape = (1, config.in_channels, *_SIZE)
        case FlowNetConfig() | DispNetConfig():
            pictures = 2
        case PSMNetConfig():
            pictures, shape = 2, (1, 3, PSMNet.least, PSMNet.least)
        case DeepVOConfig():
            shape = (1, 3, 3, *config.input_size)
        case DsacConfig():
            shape = (1, config.channels, *_SIZE)
        case CaptionConfig():
            shape = (1, 3, *config.size[::-1])
        case LIFTConfig():
            side = PATCH if config.descriptor_only else SEARCHED
            shape = (1, 1, side, side)
        case NetVLADConfig():
            shape = (1, config.in_channels, *_SIZE)
    draw = torch.Generator().manual_seed(seed)
    if isinstance(config, DeepFundamentalConfig):
        shapes = (_MATCHES, 4), (_MATCHES, config.side_channels)
        return tuple(torch.rand((1, *one), generator=draw) for one in shapes)
    return tuple(torch.rand(shape, generator=draw) for _ in range(pictures))


def _flat(value: Tensor | Iterable[Any]) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    else:
        for item in value:
            yield from _flat(item)
