"""From a weight file to an estimator that is ready to be pushed frames.

Without a file the shipped weights are taken. Where none are shipped, or those are untrained, the
caller must say that this is all right (``allow_untrained``): the results mean nothing then.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from torch import nn

from dlcv.engines import choose
from dlcv.engines.ranges import read_ranges
from dlcv.estimation.base import Estimator, Origin
from dlcv.estimation.caption import CaptionEstimator
from dlcv.estimation.deep_fundamental import MatchWeigher
from dlcv.estimation.deepvo import OdometryEstimator
from dlcv.estimation.device import pick_device
from dlcv.estimation.dsac import RelocalizationEstimator, RelocalizationSettings
from dlcv.estimation.flownet import FlowEstimator
from dlcv.estimation.landmark_relocalizer import LandmarkRelocalizer
from dlcv.estimation.lift import LiftEstimator
from dlcv.estimation.localization import LocalizationEstimator
from dlcv.estimation.monodepth import DepthEstimator
from dlcv.estimation.netvlad import PlaceEstimator
from dlcv.estimation.segmentation import SegmentationEstimator
from dlcv.estimation.slam.files import is_place, load_place
from dlcv.estimation.slam.places import HashedVlad
from dlcv.estimation.stereo import StereoEstimator, StereoSettings
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.estimation.visual_odometry import VisualOdometry, VisualOdometrySettings
from dlcv.files import expanded
from dlcv.networks.weights import WeightsError, chosen, describe, load, untrained

S = TypeVar('S')
E = TypeVar('E', bound=Estimator[Any])

_NOT_SHIPPED = 'no {} weights are shipped yet: name a file, or allow random ones'
_POINTS = 800  # of a picture that is looked for in a map of landmarks
_LACKING = {
    'dsac': 'dsac needs a map of its place: make one with `dlcv map`, or allow random weights',
}


def load_estimator(
    kind: Callable[[Any, S | None, str, str], E],
    network: str,
    weights: str | Path = '',
    settings: S | None = None,
    *,
    device: str = 'auto',
    precision: str = 'fp32',
    engine: str = 'torch',
    sha256: str = '',
    allow_untrained: bool = False,
) -> E:
    """Return an estimator.

    Args:
        kind: Its class, which takes network, settings, device and precision.
        network: Name of its network.
        weights: Our own file, a public checkpoint, or the name of shipped weights; empty takes
            the shipped ones.
        settings: Of the estimator; its own defaults when left out.
        device: See `Estimator`.
        precision: See `dlcv.engines.choose`.
        engine: See `dlcv.engines.choose`; PyTorch computes the same everywhere.
        sha256: Digest that the file must have; empty for any.
        allow_untrained: Take random weights where there are no trained ones.

    Raises:
        WeightsError: If the file is refused, or there are no trained weights.
        DeviceError: If the device is not to be had.
        EngineError: If the engine or the precision is not to be had.
    """
    loaded, origin = _network(network, weights, sha256, allow_untrained)
    proven: frozenset[str] = getattr(kind, 'proven', frozenset())
    rounds = engine != 'torch' and (
        precision == 'int8' or (precision == 'auto' and 'int8' in proven)
    )
    choice = choose(
        engine,
        precision,
        device=pick_device(device).type,
        ranges=read_ranges(origin.path, origin.sha256) if rounds and origin.path else None,
        proven=proven,
        found=device == 'auto',
    )
    made = kind(loaded, settings, device, choice.torch_precision)
    made.origin = origin
    made.use(choice)
    return made


load_features = partial(load_estimator, FeatureEstimator, 'superpoint')
load_flow = partial(load_estimator, FlowEstimator, 'flownet')
load_depth = partial(load_estimator, DepthEstimator, 'monodepth')
load_match_weigher = partial(load_estimator, MatchWeigher, 'deep_fundamental')
load_odometry = partial(load_estimator, OdometryEstimator, 'deepvo')
load_segmentation = partial(load_estimator, SegmentationEstimator, 'fcn')
load_localization = partial(load_estimator, LocalizationEstimator, 'fcos')
load_captions = partial(load_estimator, CaptionEstimator, 'caption')
load_lift = partial(load_estimator, LiftEstimator, 'lift')
load_places = partial(load_estimator, PlaceEstimator, 'netvlad')
LOADERS: dict[str, Callable[..., Estimator[Any]]] = {
    'superpoint': load_features,
    'flownet': load_flow,
    'monodepth': load_depth,
    'deepvo': load_odometry,
}
"""Network of pictures -> its loader."""


def load_stereo(
    weights: str | Path = '', settings: StereoSettings | None = None, **loading: Any
) -> StereoEstimator:
    """Return stereo by DispNet, or by PSMNet where the file is one of it.

    Args:
        weights: As for `load_estimator`.
        settings: Of the estimator.
        **loading: What else `load_estimator` takes.
    """
    path = chosen('dispnet', weights)
    other = path is not None and describe(path).network == 'psmnet'
    network = 'psmnet' if other else 'dispnet'
    return load_estimator(StereoEstimator, network, path or weights, settings, **loading)


def load_relocalization(
    weights: str | Path = '', settings: RelocalizationSettings | None = None, **loading: Any
) -> RelocalizationEstimator | LandmarkRelocalizer:
    """Return what finds frames in a map, of scene coordinates or of landmarks.

    Args:
        weights: The map; see `load_estimator`.
        settings: Of the estimator.
        **loading: What else `load_estimator` takes.

    Raises:
        PlaceError: A map of landmarks is damaged.
        WeightsError: The map is refused, or there is none.
    """
    path = expanded(weights)
    if not (str(weights) and path.is_file() and is_place(path)):
        made: RelocalizationEstimator = load_estimator(
            RelocalizationEstimator, 'dsac', weights, settings, **loading
        )
        return made
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if (wanted := loading.pop('sha256', '')) and wanted.lower() != digest:
        raise WeightsError(f'{path} has sha256 {digest}, asked for is {wanted}')
    known = load_place(path)
    describer = HashedVlad()
    if known.described != describer.name:
        raise WeightsError(
            f'{path} describes places by {known.described}; {describer.name} is had here'
        )
    head = None
    if known.head:
        with TemporaryDirectory() as folder:
            file = Path(folder) / 'head.safetensors'
            file.write_bytes(known.head)
            head = load_estimator(RelocalizationEstimator, 'dsac', file, settings, **loading)
    features = load_features('', FeatureSettings(max_keypoints=_POINTS), **loading)
    found = LandmarkRelocalizer(known, features, describer, settings, head)
    found.origin = Origin(path=path, sha256=digest, trained=True)
    return found


def load_visual_odometry(
    weights: str | Path = '', settings: VisualOdometrySettings | None = None, **loading: Any
) -> VisualOdometry:
    """Return visual odometry with the shipped weigher of matches.

    Args:
        weights: Of SuperPoint, as for `load_estimator`.
        settings: Of the estimator.
        **loading: What else `load_estimator` takes.
    """
    made: VisualOdometry = load_estimator(
        VisualOdometry, 'superpoint', weights, settings, **loading
    )
    made.weigher = load_match_weigher(device='cpu')  # matches come in any number: no engine
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
