"""``dlcv bench odometry``: DeepVO beside what needs no network, on the same ways in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets import DatasetError
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets
from dlcv.evaluation.bench.recordings import open_data
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.evaluation.bench.sets import add_set
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.odometry import ConstantVelocity, FivePoint, Odometry, StraightLine
from dlcv.metrics.consistency import inside
from dlcv.metrics.quantity import Quantity
from dlcv.metrics.trajectory import (
    ATE,
    R_REL,
    RPE,
    RPE_TURN,
    T_REL,
    Alignment,
    Drift,
    PoseErrors,
    PosePairs,
    Segment,
    absolute_errors,
    align,
    degenerate,
    drift,
    fitting_lengths,
    motion_error,
    relative_errors,
)
from dlcv.types import FloatArray, Motion, Snapshot
from dlcv.view.panel import write_picture
from dlcv.view.trajectory import path_length, trajectory_plot

if TYPE_CHECKING:
    from dlcv.data.world.recording import WorldRecording
    from dlcv.estimation.deepvo import OdometryEstimator

SUMMARY = 'visual odometry: DeepVO beside constant velocity and the five-point method'

_SEED, _WAYS, _FRAMES, _RATE_HZ, _SIZE = 17127, 4, 120, 10.0, (416, 256)
_PLACES = {
    'walk': ('room', 'corridor', 'street'),
    'robot': ('room', 'corridor', 'street'),
    'car': ('street',),
    'drone': ('room', 'corridor', 'street'),
}
SETS = {f'world-{motion}': f'generated worlds, seen by a {motion}' for motion in _PLACES}
"""Every motion of the worlds by itself."""

_ALIGNED: tuple[Alignment, ...] = ('se3', 'sim3')
COLUMNS = (
    replace(T_REL,
            doc="KITTI's drift of the position, over its lengths or, of shorter ways, eighths"),
    replace(R_REL, doc="KITTI's drift of the rotation over the same lengths"),
    replace(T_REL, name='t_rel, scaled', doc='the same with the best scale of each way'),
    replace(ATE, doc=f'{ATE.doc} after the best rigid motion'),
    replace(ATE, name='ATE, Sim3', doc='the same after the best rigid motion and scale'),
    replace(RPE, unit='cm', digits=2),
    RPE_TURN,
    Quantity(name='in 95 %', unit='%', digits=1,
             doc='motions whose error lies in the ellipsoid that should hold 95 % of them'),
    Quantity(name='lost', digits=0, doc='frames without a motion that could be believed'),
    time_column('frame'),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench odometry` is told; of each way, ``limit`` frames are run.

    Attributes:
        plots: Folder for pictures of the paths; none are drawn without one.
    """

    plots: Path | None = None

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if self.limit is not None and self.limit < 2:
            raise BenchError(f'odometry needs a limit of 2 frames or more, got {self.limit}')


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A camera's way.

    Attributes:
        poses: Returns its true poses, ``(T, 4, 4)``.
        views: Returns its views in order, all with camera and pose; each call starts anew.
    """

    poses: Callable[[], FloatArray]
    views: Callable[[], Iterator[Snapshot]]


@dataclass(frozen=True, kw_only=True, slots=True)
class WaySet:
    """Ways of one kind.

    Attributes:
        name: Short, for tables.
        title: What they are, for people.
        ways: One or more.
        frames: Views of each.
    """

    name: str
    title: str
    ways: tuple[Way, ...]
    frames: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Method:
    """``follow`` takes the true poses of a way and returns what is to follow it."""

    name: str
    follow: Callable[[FloatArray], Odometry]
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Run:
    """What one method did on one way."""

    follower: Odometry
    poses: list[FloatArray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def push(self, view: Snapshot) -> None:
        begin = perf_counter()
        motion = self.follower.push(view)
        self.seconds.append(perf_counter() - begin)
        self.poses.append(self.poses[-1] @ motion if self.poses else np.eye(4))


class _Estimated:
    """A network as an `Odometry`; remembers which motions had which covariance."""

    def __init__(self, estimator: OdometryEstimator) -> None:
        self._estimator = estimator
        self._truth: FloatArray | None = None
        self.lost = 0
        self.errors: list[FloatArray] = []
        self.covariances: list[FloatArray] = []

    def push(self, view: Snapshot) -> FloatArray:
        answer = self._estimator.push(view.frame)
        before, truth = self._truth, view.world_from_camera
        self._truth = truth
        if not isinstance(answer, Motion):
            self.lost += answer is not None
            return np.eye(4)
        assert before is not None
        assert truth is not None
        true = np.linalg.inv(before) @ truth
        self.errors.append(motion_error(answer.previous_from_current, true))
        self.covariances.append(answer.covariance)
        return answer.previous_from_current


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist.
        DatasetError: A folder cannot be read, or has no poses.
        WeightsError: A weight file is refused.
    """
    known = find(options.data)
    check_sets(options.sets, list(known))
    methods = [*_classical(), *_networks(options.weights)]
    tables = [_table(known[name], methods, options, progress) for name in options.sets or known]
    return Report(
        bench='odometry',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment(method.file for method in methods),
    )


def find(data: Sequence[Path]) -> dict[str, WaySet]:
    """Return all sets by name: the built-in ones, then those of the folders.

    Raises:
        DatasetError: A folder cannot be read, or has no poses.
        BenchError: Two folders have one name.
    """
    found = {f'world-{motion}': _world(motion) for motion in _PLACES}
    for folder in data:
        one = _folder(folder)
        add_set(found, one, folder)
    return found


def _table(ways: WaySet, methods: list[_Method], options: Options, progress: Progress) -> Table:
    frames = min(ways.frames, options.limit or ways.frames)
    runs: dict[str, list[_Run]] = {method.name: [] for method in methods}
    truths: list[FloatArray] = []
    progress(ways.name, 0, len(ways.ways) * frames)
    for number, way in enumerate(ways.ways):
        truth = way.poses()[:frames]
        truths.append(truth)
        for method in methods:
            runs[method.name].append(_Run(follower=method.follow(truth)))
        for done, view in enumerate(islice(way.views(), frames), start=1):
            for name in runs:
                runs[name][-1].push(view)
            progress(ways.name, number * frames + done, len(ways.ways) * frames)
        if options.plots is not None:
            paths = {name: np.stack(made[-1].poses) for name, made in runs.items()}
            _plot(options.plots / f'{ways.name}-{number}.png', truth, paths)
    length = sum(path_length(truth) for truth in truths)
    return Table(
        name=ways.name,
        title=f'{ways.title}; {_counted(len(truths))} of {frames} frames, {length:.1f} m in all',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=_values(made, truths)) for name, made in runs.items()),
    )


def _values(runs: list[_Run], truths: list[FloatArray]) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `COLUMNS`."""
    pairs = [_pairs(np.stack(run.poses), truth) for run, truth in zip(runs, truths, strict=True)]
    plain = _joined([drift(p, fitting_lengths(p)) for p in pairs])
    scaled = _joined([drift(_rescaled(p), fitting_lengths(p)) for p in pairs])
    step = _all_errors([relative_errors(p) for p in pairs])
    covered = [run.follower for run in runs if isinstance(run.follower, _Estimated)]
    errors = [error for follower in covered for error in follower.errors]
    share = None
    if errors:
        share = 100 * inside(
            np.stack(errors), np.stack([c for f in covered for c in f.covariances])
        )
    return (
        plain.t_rel,
        plain.r_rel,
        scaled.t_rel,
        *(_mean_error(pairs, alignment) for alignment in _ALIGNED),
        100 * step.rmse,
        step.rmse_degrees,
        share,
        sum(follower.lost for follower in covered) if covered else None,
        1e3 * median(second for run in runs for second in run.seconds),
    )


def _classical() -> list[_Method]:
    return [
        _Method(name='straight line', follow=StraightLine),
        _Method(name='constant velocity', follow=lambda _truth: ConstantVelocity()),
        _Method(name='ORB, five points', follow=lambda _truth: FivePoint('ORB')),
        _Method(name='SIFT, five points', follow=lambda _truth: FivePoint('SIFT')),
    ]


def _networks(weights: tuple[Path, ...]) -> list[_Method]:
    """Return networks on the CPU in 32 bits, where the same pictures give the same numbers."""
    from dlcv.estimation.load import load_odometry

    methods = []
    for one in weight_files('deepvo', weights):
        estimator = load_odometry(one.name, device='cpu')

        def follow(_truth: FloatArray, estimator: OdometryEstimator = estimator) -> Odometry:
            estimator.reset()
            return _Estimated(estimator)

        methods.append(_Method(name=one.title, follow=follow, file=one.file))
    return methods


def _world(motion: str) -> WaySet:
    return WaySet(
        name=f'world-{motion}',
        title=SETS[f'world-{motion}'],
        ways=tuple(
            Way(poses=partial(_true_poses, motion, n), views=partial(_views, motion, n))
            for n in range(_WAYS)
        ),
        frames=_FRAMES,
    )


def _true_poses(motion: str, number: int) -> FloatArray:
    return _recording(motion, number).world_from_camera


def _views(motion: str, number: int) -> Iterator[Snapshot]:
    return iter(_recording(motion, number))


def _recording(motion: str, number: int) -> WorldRecording:
    from dlcv.data.world.samples import SampleConfig, WorldSamples

    config = SampleConfig(
        scenes=_PLACES[motion],
        motions=(motion,),
        size=_SIZE,
        frames=_FRAMES,
        rate_hz=(_RATE_HZ, _RATE_HZ),
        per_world=1,
        finest=0,
    )
    return WorldSamples(config, _SEED).recording(number)


def _folder(text: Path) -> WaySet:
    recording = open_data(text)
    items = tuple(item for item in recording.items if item.world_from_camera is not None)
    if len(items) < 2:
        raise DatasetError(
            f'{recording.name}: {len(items)} of its {len(recording)} pictures have a true pose; '
            f'{text},groundtruth=FILE names the poses'
        )
    known = replace(recording, items=items)
    poses = np.stack([pose for item in items if (pose := item.world_from_camera) is not None])
    return WaySet(
        name=recording.name,
        title=f'{recording.name}, a folder',
        ways=(Way(poses=lambda: poses, views=lambda: iter(known)),),
        frames=len(items),
    )


def _pairs(estimate: FloatArray, truth: FloatArray) -> PosePairs:
    stamps: npt.NDArray[np.int64] = np.arange(len(truth), dtype=np.int64)
    return PosePairs(stamps_ns=stamps, estimate=estimate, truth=truth)


def _rescaled(pairs: PosePairs) -> PosePairs:
    """Return the pairs with the estimate in the truth's scale, where it has one."""
    scaled = np.array(pairs.estimate)
    if np.ptp(scaled[:, :3, 3], axis=0).any() and not degenerate(pairs, 'sim3'):
        scaled[:, :3, 3] *= align(pairs, 'sim3').scale
    return replace(pairs, estimate=scaled)


def _mean_error(pairs: list[PosePairs], alignment: Alignment) -> float | None:
    """Return the mean ATE over the ways that decide the alignment; None where none does."""
    found = [absolute_errors(p, alignment).rmse for p in pairs if not degenerate(p, alignment)]
    return float(np.mean(found)) if found else None


def _joined(drifts: list[Drift]) -> Drift:
    segments: tuple[Segment, ...] = tuple(s for one in drifts for s in one.segments)
    return Drift(segments=segments, path=sum(one.path for one in drifts))


def _counted(ways: int) -> str:
    return '1 way' if ways == 1 else f'{ways} ways'


def _all_errors(parts: list[PoseErrors]) -> PoseErrors:
    return replace(
        parts[0],
        metres=np.concatenate([part.metres for part in parts]),
        degrees=np.concatenate([part.degrees for part in parts]),
    )


def _plot(path: Path, truth: FloatArray, estimates: dict[str, FloatArray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    first = np.linalg.inv(truth[0])
    write_picture(path, trajectory_plot({'truth': first @ truth, **estimates}, 960, 720))


def _settings() -> dict[str, str]:
    width, height = _SIZE
    return {
        'straight line': 'goes where the camera looks at first, with the true mean speed',
        'constant velocity': 'repeats the true first motion',
        'five points': 'mutual nearest neighbours of 2000 points, essential matrix by RANSAC; '
        'every motion has its true length',
        'networks': 'on the CPU in 32 bits, with the settings of the node',
        'averages': 't_rel and r_rel over all stretches of all ways, ATE over ways, RPE over '
        'frames',
        'world': f'{width}x{height}, {_RATE_HZ:g} frames/s, seed {_SEED}',
    }
