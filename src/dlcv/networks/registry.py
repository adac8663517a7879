"""All networks by name: a literal table, in which a reader finds each of them with one search."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from dlcv.networks.caption import CaptionConfig, ShowAndTell
from dlcv.networks.deep_fundamental import DeepFundamental, DeepFundamentalConfig
from dlcv.networks.deepvo import DeepVO, DeepVOConfig
from dlcv.networks.dispnet import DispNet, DispNetConfig
from dlcv.networks.dsac import DsacConfig, coordinate_network
from dlcv.networks.fcn import FCNConfig, fcn
from dlcv.networks.fcos import FCOS, FCOSConfig
from dlcv.networks.flownet import FlowNet, FlowNetConfig
from dlcv.networks.lift import LIFT, LIFTConfig
from dlcv.networks.monodepth import Monodepth, MonodepthConfig
from dlcv.networks.netvlad import NetVLAD, NetVLADConfig
from dlcv.networks.psmnet import PSMNet, PSMNetConfig
from dlcv.networks.sfmlearner import DispNetS, DispNetSConfig
from dlcv.networks.superpoint import SuperPoint, SuperPointConfig

ModelConfig = (
    SuperPointConfig
    | FlowNetConfig
    | MonodepthConfig
    | DeepVOConfig
    | DsacConfig
    | DispNetSConfig
    | DeepFundamentalConfig
    | NetVLADConfig
    | PSMNetConfig
    | DispNetConfig
    | FCNConfig
    | FCOSConfig
    | LIFTConfig
    | CaptionConfig
)


@dataclass(frozen=True, slots=True)
class Network:
    """One network.

    Attributes:
        config: Dataclass of all that is needed to build it.
        build: Makes it, freshly initialised, of such a configuration.
    """

    config: type[ModelConfig]
    build: Callable[[Any], nn.Module]


NETWORKS = {
    'superpoint': Network(SuperPointConfig, SuperPoint),
    'flownet': Network(FlowNetConfig, FlowNet),
    'monodepth': Network(MonodepthConfig, Monodepth),
    'deepvo': Network(DeepVOConfig, DeepVO),
    'dsac': Network(DsacConfig, coordinate_network),
    'sfmlearner': Network(DispNetSConfig, DispNetS),
    'deep_fundamental': Network(DeepFundamentalConfig, DeepFundamental),
    'netvlad': Network(NetVLADConfig, NetVLAD),
    'psmnet': Network(PSMNetConfig, PSMNet),
    'dispnet': Network(DispNetConfig, DispNet),
    'fcn': Network(FCNConfig, fcn),
    'fcos': Network(FCOSConfig, FCOS),
    'lift': Network(LIFTConfig, LIFT),
    'caption': Network(CaptionConfig, ShowAndTell),
}


def build(config: ModelConfig) -> nn.Module:
    """Return a freshly initialised network for ``config``."""
    network = next(one for one in NETWORKS.values() if isinstance(config, one.config))
    return network.build(config)
