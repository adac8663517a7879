"""One file for each network: its config, its module, nothing else.

``build`` is the whole registry: a literal table, so a reader finds every network with one search
and a type checker sees each of them.
"""

from __future__ import annotations

from torch import nn

from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.dsac import DsacConfig, coordinate_network
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.sfmlearner import DispNetS, DispNetSConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

ModelConfig = (
    SuperPointConfig | FlowNetConfig | MonodepthConfig | DeepVOConfig | DsacConfig | DispNetSConfig
)

NAMES: dict[str, type[ModelConfig]] = {
    'superpoint': SuperPointConfig,
    'flownet': FlowNetConfig,
    'monodepth': MonodepthConfig,
    'deepvo': DeepVOConfig,
    'dsac': DsacConfig,
    'sfmlearner': DispNetSConfig,
}


def build(config: ModelConfig) -> nn.Module:
    """Return a freshly initialised network for ``config``."""
    match config:
        case SuperPointConfig():
            return SuperPoint(config)
        case FlowNetConfig():
            return FlowNet(config)
        case MonodepthConfig():
            return Monodepth(config)
        case DeepVOConfig():
            return DeepVO(config)
        case DsacConfig():
            return coordinate_network(config)
        case DispNetSConfig():
            return DispNetS(config)
