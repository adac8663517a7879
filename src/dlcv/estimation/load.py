"""From a weight file to an estimator that is ready to be pushed frames.

Without a file the shipped weights are taken. Where none are shipped, or those are untrained, the
caller must say that this is all right (``allow_untrained``): the results mean nothing then.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

from torch import nn

from dlcv.estimation.base import Origin
from dlcv.estimation.deepvo import OdometryEstimator, OdometrySettings
from dlcv.estimation.dsac import (
    CoordinateNet,
    RelocalizationEstimator,
    RelocalizationSettings,
)
from dlcv.estimation.flownet import FlowEstimator, FlowSettings
from dlcv.estimation.monodepth import DepthEstimator, DepthSettings
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.networks.deepvo import DeepVO
from dlcv.networks.flownet import FlowNet
from dlcv.networks.monodepth import Monodepth
from dlcv.networks.superpoint import SuperPoint
from dlcv.networks.weights import WeightsError, chosen, load, untrained

_NOT_SHIPPED = 'no {} weights are shipped yet: name a file, or allow random ones'
_LACKING = {
    'dsac': 'dsac needs a map of its place: make one with `dlcv map`, or allow random weights',
}


def load_features(
    weights: str | Path = '',
    settings: FeatureSettings | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    sha256: str = '',
    allow_untrained: bool = False,
) -> FeatureEstimator:
    """Return a feature estimator.

    Args:
        weights: Our own file, a public checkpoint, or the name of shipped weights; empty takes
            the shipped ones.
        settings: See `FeatureSettings`.
        device: See `Estimator`.
        precision: See `Estimator`.
        sha256: Digest that the file must have; empty for any.
        allow_untrained: Take random weights where there are no trained ones.

    Raises:
        WeightsError: If the file is refused, or there are no trained weights.
        DeviceError: If the device or the precision is not to be had.
    """
    network, origin = _network('superpoint', weights, sha256, allow_untrained)
    made = FeatureEstimator(cast('SuperPoint', network), settings, device, precision)
    made.origin = origin
    return made


def load_flow(
    weights: str | Path = '',
    settings: FlowSettings | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    sha256: str = '',
    allow_untrained: bool = False,
) -> FlowEstimator:
    """Return a flow estimator; arguments and errors as `load_features`."""
    network, origin = _network('flownet', weights, sha256, allow_untrained)
    made = FlowEstimator(cast('FlowNet', network), settings, device, precision)
    made.origin = origin
    return made


def load_depth(
    weights: str | Path = '',
    settings: DepthSettings | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    sha256: str = '',
    allow_untrained: bool = False,
) -> DepthEstimator:
    """Return a depth estimator; arguments and errors as `load_features`."""
    network, origin = _network('monodepth', weights, sha256, allow_untrained)
    made = DepthEstimator(cast('Monodepth', network), settings, device, precision)
    made.origin = origin
    return made


def load_odometry(
    weights: str | Path = '',
    settings: OdometrySettings | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    sha256: str = '',
    allow_untrained: bool = False,
) -> OdometryEstimator:
    """Return an odometry estimator; arguments and errors as `load_features`."""
    network, origin = _network('deepvo', weights, sha256, allow_untrained)
    made = OdometryEstimator(cast('DeepVO', network), settings, device, precision)
    made.origin = origin
    return made


def load_relocalization(
    weights: str | Path = '',
    settings: RelocalizationSettings | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    sha256: str = '',
    allow_untrained: bool = False,
) -> RelocalizationEstimator:
    """Return a relocalization estimator; arguments and errors as `load_features`."""
    network, origin = _network('dsac', weights, sha256, allow_untrained)
    made = RelocalizationEstimator(cast('CoordinateNet', network), settings, device, precision)
    made.origin = origin
    return made


def _network(
    name: str, weights: str | Path, sha256: str, allow_untrained: bool
) -> tuple[nn.Module, Origin]:
    path = chosen(name, weights)
    if path is None:
        wanted = str(weights) or name
        if not allow_untrained:
            raise WeightsError(_LACKING.get(wanted, _NOT_SHIPPED.format(wanted)))
        if sha256:
            raise WeightsError(
                f'sha256 {sha256} is asked for, but there is no weight file to have it'
            )
        return untrained(wanted), Origin()
    loaded = load(name, path, sha256=sha256)
    if not loaded.weights.trained and not allow_untrained:
        raise WeightsError(f'{path} is untrained: name another file, or allow random weights')
    origin = Origin(path=path, sha256=loaded.weights.sha256, trained=loaded.weights.trained)
    return loaded.network, origin
