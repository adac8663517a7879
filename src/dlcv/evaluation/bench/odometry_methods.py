"""What ``dlcv bench odometry`` measures: ways to follow a camera, by classical methods and ours."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dlcv.evaluation.bench.odometry_followers import Classic, Estimated, Follower
from dlcv.evaluation.bench.odometry_ways import DepthCamera, Way
from dlcv.evaluation.bench.options import BenchError, BenchOptions
from dlcv.evaluation.bench.weight_files import WeightFile, weight_files
from dlcv.metrics.baselines.odometry import ConstantVelocity, FivePoint, StraightLine
from dlcv.metrics.consistency import HORIZONS
from dlcv.types import Aids, DepthMap, FloatArray, Keypoints, Snapshot

if TYPE_CHECKING:
    from dlcv.estimation.deepvo import OdometryEstimator
    from dlcv.estimation.monodepth import DepthEstimator
    from dlcv.estimation.superpoint import FeatureEstimator
    from dlcv.estimation.visual_odometry import VisualOdometry

Aid = Literal['none', 'depth', 'stereo', 'camera_height', 'network']

ODOMETRY = 'visual_odometry'
AIDS: tuple[Aid, ...] = ('none', 'depth', 'stereo', 'camera_height', 'network')
"""What tells visual odometry the metre, one row each."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Method:
    """A row of the table.

    Attributes:
        name: Of the row.
        follow: Returns what is to follow a way, given it and its true poses.
        file: Weights.
        fits: Whether a way has what the method needs.
        stereo: Whether that is a right picture.
    """

    name: str
    follow: Callable[[Way, FloatArray], Follower]
    file: Path | None = None
    fits: Callable[[Way], bool] = lambda _way: True
    stereo: bool = False


class EstimatedVisually(Estimated):
    """Visual odometry as a `Follower`, with what may help it.

    Args:
        estimator: Is reset, and told what its metre comes from.
        helpers: The networks that run beside it.
        aid: What it is helped with.
        way: Which has that.
        horizons: See `Estimated`.

    Attributes:
        standing: Frames of which it said that it stands.
    """

    def __init__(
        self,
        estimator: VisualOdometry,
        helpers: Helpers,
        aid: Aid,
        way: Way,
        horizons: tuple[int, ...],
    ) -> None:
        self.standing = 0
        height = way.camera_height() if aid == 'camera_height' and way.camera_height else 0.0
        estimator.settings = replace(estimator.settings, scale_source=aid, camera_height=height)
        self._visual, self._helpers, self._aid, self._way = estimator, helpers, aid, way
        self._noise = np.random.default_rng(0)
        super().__init__(estimator, way.frames, horizons, metric=aid != 'none', timing=way.timing)

    def push(self, view: Snapshot) -> None:
        """See `Follower`."""
        help_ = _help(view, self._helpers, self._aid, self._way, self._noise)
        aids = Aids(keypoints=self._helpers.keypoints(view), **help_)
        begin = perf_counter()
        answer = self._visual.push(view.frame, aids)
        self.take(view, answer, perf_counter() - begin)
        self.standing += self._visual.tracking.state == 'standing'


class EstimatedByNetwork(Estimated):
    """DeepVO as a `Follower`.

    Args:
        estimator: Is reset.
        way: What it follows.
        horizons: See `Estimated`.
    """

    def __init__(self, estimator: OdometryEstimator, way: Way, horizons: tuple[int, ...]) -> None:
        self._network = estimator
        super().__init__(estimator, way.frames, horizons, timing=way.timing)

    def push(self, view: Snapshot) -> None:
        """See `Follower`."""
        begin = perf_counter()
        answer = self._network.push(view.frame)
        self.take(view, answer, perf_counter() - begin)


@dataclass(kw_only=True, slots=True)
class Helpers:
    """Networks whose answers all rows of visual odometry share, computed once for each view.

    Attributes:
        features: SuperPoint, with as many points as visual odometry looks at.
        network: Monodepth.
    """

    features: FeatureEstimator
    network: DepthEstimator
    _points: tuple[Snapshot, Keypoints] | None = None
    _depth: tuple[Snapshot, DepthMap] | None = None

    def keypoints(self, view: Snapshot) -> Keypoints:
        """Return the points of a view."""
        if self._points is None or self._points[0] is not view:
            self._points = view, self.features.push(view.frame)
        return self._points[1]

    def depth(self, view: Snapshot) -> DepthMap:
        """Return the depth of a view as the network sees it."""
        if self._depth is None or self._depth[0] is not view:
            self._depth = view, self.network.push(view.frame)
        return self._depth[1]


def seen(depth: FloatArray, camera: DepthCamera, noise: np.random.Generator) -> FloatArray:
    """Return what a depth camera makes of a true depth.

    Args:
        depth: ``(H, W)`` metres; +inf in the sky, NaN where unknown.
        camera: The camera.
        noise: Source of it.

    Returns:
        ``(H, W)`` float32 metres; NaN where nothing is measured.
    """
    known = np.where(np.isfinite(depth) & (depth <= camera.farthest), depth, np.nan)
    if camera.share:
        known = known * (1 + camera.share * noise.standard_normal(depth.shape, np.float32))
    if camera.step:
        known = camera.step * np.round(known / camera.step)
    return np.asarray(known, np.float32)


def methods(
    weights: tuple[Path, ...],
    words: Sequence[str] = (),
    horizons: Sequence[int] = HORIZONS,
    running: Mapping[str, Any] = BenchOptions().running,
) -> list[Method]:
    """Return all rows, or those whose names have one of the words in them.

    Args:
        weights: Of DeepVO; empty for the shipped ones.
        words: Empty for all rows.
        horizons: Frames after which poses are judged.
        running: See `BenchOptions`.

    Raises:
        WeightsError: A weight file is refused.
        BenchError: No row has one of the words in its name.
    """

    def wanted(name: str) -> bool:
        return not words or any(word in name for word in words)

    files = weight_files('deepvo', weights)
    names = [*_CLASSICAL, *(file.title for file in files), *(f'{ODOMETRY}, {aid}' for aid in AIDS)]
    if not any(map(wanted, names)):
        raise BenchError(f'no method has {" or ".join(words)} in its name; there are {names}')
    helpers = _helpers(running) if any(wanted(name) for name in names[-len(AIDS) :]) else None
    found = [Method(name=name, follow=_CLASSICAL[name]) for name in _CLASSICAL if wanted(name)]
    found += [_deepvo(file, horizons, running) for file in files if wanted(file.title)]
    for aid in AIDS:
        if helpers is not None and wanted(f'{ODOMETRY}, {aid}'):
            found.append(_visual(aid, helpers, horizons, running))
    return found


_CLASSICAL: dict[str, Callable[[Way, FloatArray], Follower]] = {
    'straight line': lambda _way, truth: Classic(StraightLine(truth)),
    'constant velocity': lambda *_: Classic(ConstantVelocity()),
    'ORB, five points': lambda *_: Classic(FivePoint('ORB')),
    'SIFT, five points': lambda *_: Classic(FivePoint('SIFT')),
}


def _deepvo(file: WeightFile, horizons: Sequence[int], running: Mapping[str, Any]) -> Method:
    """Return the row of a network."""
    from dlcv.estimation.load import load_odometry

    estimator = load_odometry(file.name, **running)

    def follow(way: Way, _truth: FloatArray) -> Follower:
        return EstimatedByNetwork(estimator, way, tuple(horizons))

    return Method(name=file.title, follow=follow, file=file.file)


def _visual(
    aid: Aid, helpers: Helpers, horizons: Sequence[int], running: Mapping[str, Any]
) -> Method:
    from dlcv.estimation.load import load_visual_odometry

    estimator = load_visual_odometry(**running)

    def follow(way: Way, _truth: FloatArray) -> Follower:
        return EstimatedVisually(estimator, helpers, aid, way, tuple(horizons))

    return Method(
        name=f'{ODOMETRY}, {aid}',
        follow=follow,
        file=estimator.origin.path,
        fits=_FITS[aid],
        stereo=aid == 'stereo',
    )


_FITS: dict[Aid, Callable[[Way], bool]] = {
    'none': lambda _way: True,
    'depth': lambda way: way.depth is not None,
    'stereo': lambda way: way.baseline > 0,
    'camera_height': lambda way: way.camera_height is not None,
    'network': lambda _way: True,
}


def _helpers(running: Mapping[str, Any]) -> Helpers:
    from dlcv.estimation.load import load_depth, load_features
    from dlcv.estimation.superpoint import FeatureSettings
    from dlcv.estimation.visual_odometry import VisualOdometrySettings

    points = FeatureSettings(max_keypoints=VisualOdometrySettings().max_keypoints)
    return Helpers(
        features=load_features(settings=points, **running), network=load_depth(**running)
    )


def _help(
    view: Snapshot, helpers: Helpers, aid: Aid, way: Way, noise: np.random.Generator
) -> dict[str, Any]:
    """Return what a view has of an aid, as fields of `Aids`."""
    if aid == 'stereo':
        return {'right': view.right, 'baseline': way.baseline}
    if aid == 'network':
        return {'depth': helpers.depth(view), 'depth_source': 'network'}
    if aid == 'depth' and view.depth is not None and way.depth is not None:
        depth = seen(view.depth, way.depth, noise)
        unknown = np.full_like(depth, np.nan)
        stamp, camera = view.frame.stamp_ns, view.frame.camera
        return {
            'depth': DepthMap(stamp_ns=stamp, disparity=unknown, depth=depth, camera=camera),
            'depth_source': 'camera',
        }
    return {}
