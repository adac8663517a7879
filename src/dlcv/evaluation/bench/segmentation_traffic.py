"""What masks of movers are worth to visual odometry: the same ways with and without one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dlcv.data.world.samples import GaitShares, SampleConfig, WorldSamples
from dlcv.evaluation.bench.odometry_followers import Estimated
from dlcv.evaluation.bench.odometry_units import pairs_of
from dlcv.evaluation.bench.options import Progress
from dlcv.evaluation.bench.report import Row, Table
from dlcv.metrics.baselines.segmentation import Labeller
from dlcv.metrics.quantity import Quantity
from dlcv.metrics.trajectory import Drift, drift, fitting_lengths, relative_errors
from dlcv.types import Aids, FloatArray
from dlcv.view.trajectory import path_length

if TYPE_CHECKING:
    from dlcv.data.world.recording import WorldRecording, WorldSnapshot
    from dlcv.estimation.superpoint import FeatureEstimator

NAME, TITLE = 'traffic', 'visual odometry of a car among cars and people, which stops now and then'
SEED, WAYS, FRAMES = 20156, 3, 60
WORLDS = SampleConfig(
    scenes=('street',), motions=('car',), gaits=GaitShares(halting=0.5), size=(416, 256),
    frames=FRAMES, rate_hz=(10, 10), labels=True, flyers=0, people=4, per_world=1,
)  # fmt: skip

COLUMNS = (
    Quantity(name='t_rel', unit='%', better='low', digits=2,
             doc='drift of the position over stretches of the way, as KITTI has it'),
    Quantity(name='RPE', unit='cm', better='low', digits=2, doc='RMSE of the steps'),
    Quantity(name='turns', unit='deg', better='low', digits=3, doc='RMSE of their turns'),
    Quantity(name='lost', unit='%', better='low', digits=1,
             doc='frames without a motion that could be believed'),
)  # fmt: skip

Mask = npt.NDArray[np.bool_]
Masking = Callable[['WorldSnapshot'], Mask | None]
"""What odometry may look at in a view; None for all of it."""


def table(
    labellers: Mapping[str, Labeller],
    running: Mapping[str, Any],
    limit: int | None,
    progress: Progress,
) -> Table:
    """Follow a camera without a mask, with that of each network, and with the true one.

    Args:
        labellers: Networks by name.
        running: See `BenchOptions`.
        limit: Of the frames of each way.
        progress: Is told.
    """
    from dlcv.estimation.load import load_features
    from dlcv.estimation.superpoint import FeatureSettings
    from dlcv.estimation.visual_odometry import VisualOdometrySettings

    points = FeatureSettings(max_keypoints=VisualOdometrySettings().max_keypoints)
    features = load_features(settings=points, **running)
    maskings = _maskings(labellers)
    frames = min(FRAMES, limit or FRAMES)
    found: dict[str, list[Estimated]] = {name: [] for name in maskings}
    truths: list[FloatArray] = []
    progress(NAME, 0, WAYS)
    for number in range(WAYS):
        recording = WorldSamples(replace(WORLDS, frames=frames), SEED).recording(number)
        truths.append(recording.world_from_camera)
        for name, way in _followed(recording, maskings, features, running).items():
            found[name].append(way)
        progress(NAME, number + 1, WAYS)
    length = sum(path_length(truth) for truth in truths)
    return Table(
        name=NAME,
        title=f'{TITLE}; {WAYS} ways of {frames} frames, {length:.1f} m in all',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=_values(ways, truths)) for name, ways in found.items()),
    )


def _maskings(labellers: Mapping[str, Labeller]) -> dict[str, Masking]:
    from dlcv.estimation.segmentation import movers
    from dlcv.interface.parameters import SegmentationParameters

    margin = SegmentationParameters().movers_margin

    def true(view: WorldSnapshot) -> Mask:
        assert view.labels is not None
        return np.asarray(movers(view.labels, margin) > 0)

    def by(label: Labeller) -> Masking:
        return lambda view: np.asarray(movers(label(view.frame.image), margin) > 0)

    made = {f'mask of {name}': by(label) for name, label in labellers.items()}
    return {'no mask': lambda _view: None, **made, 'true mask': true}


def _followed(
    recording: WorldRecording,
    maskings: Mapping[str, Masking],
    features: FeatureEstimator,
    running: Mapping[str, Any],
) -> dict[str, Estimated]:
    from dlcv.estimation.load import load_visual_odometry

    truth = recording.world_from_camera
    height = float(np.mean(truth[:, 2, 3])) - recording.ground
    estimators = {name: load_visual_odometry(**running) for name in maskings}
    ways = {}
    for name, estimator in estimators.items():
        estimator.settings = replace(
            estimator.settings, scale_source='camera_height', camera_height=height
        )
        ways[name] = Estimated(estimator, len(truth))
    for view in recording:
        keypoints = features.push(view.frame)
        for name, estimator in estimators.items():
            aids = Aids(keypoints=keypoints, mask=maskings[name](view))
            ways[name].take(view, estimator.push(view.frame, aids))
    return ways


def _values(ways: list[Estimated], truths: list[FloatArray]) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `COLUMNS`."""
    pairs = [pairs_of(np.stack(way.poses), truth) for way, truth in zip(ways, truths, strict=True)]
    segments = tuple(segment for p in pairs for segment in drift(p, fitting_lengths(p)).segments)
    steps = [relative_errors(p) for p in pairs]
    step = replace(
        steps[0],
        metres=np.concatenate([one.metres for one in steps]),
        degrees=np.concatenate([one.degrees for one in steps]),
    )
    frames = sum(len(way.poses) for way in ways)
    return (
        Drift(segments=segments, path=0.0).t_rel if segments else None,
        100 * step.rmse,
        step.rmse_degrees,
        100 * sum(way.lost for way in ways) / frames,
    )
