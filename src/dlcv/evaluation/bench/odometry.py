"""``dlcv bench odometry``: ours beside what needs no network, on the same ways in one run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import islice
from math import inf
from pathlib import Path
from statistics import median

import numpy as np

from dlcv.evaluation.bench.odometry_followers import Estimated, Follower
from dlcv.evaluation.bench.odometry_methods import EstimatedVisually, Method
from dlcv.evaluation.bench.odometry_methods import methods as find_methods
from dlcv.evaluation.bench.odometry_units import in_metres, pairs_of, units_of
from dlcv.evaluation.bench.odometry_ways import INDOORS, OUTDOORS, RATE_HZ, SEED, SIZE, WaySet, find
from dlcv.evaluation.bench.odometry_ways import SETS as SETS
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.metrics.consistency import HORIZONS, Beliefs, inside, needed, nees
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
    degenerate,
    drift,
    fitting_lengths,
    relative_errors,
)
from dlcv.types import FloatArray
from dlcv.view.panel import write_picture
from dlcv.view.trajectory import path_length, trajectory_plot

SUMMARY = 'visual odometry: ours and DeepVO beside constant velocity and the five-point method'

_ALIGNED: tuple[Alignment, ...] = ('se3', 'sim3')
_IN_95 = Quantity(
    name='in 95 %',
    unit='%',
    digits=1,
    doc='motions whose error lies in the ellipsoid that should hold 95 % of them',
)
COLUMNS = (
    replace(T_REL,
            doc="KITTI's drift of the position, over its lengths or, of shorter ways, eighths"),
    replace(R_REL, doc="KITTI's drift of the rotation over the same lengths"),
    replace(T_REL, name='t_rel, scaled', doc='the same with the best scale of each stretch'),
    replace(ATE, doc=f'{ATE.doc} after the best rigid motion'),
    replace(ATE, name='ATE, worst', doc='the same of the worst way'),
    replace(ATE, name='ATE, Sim3', doc='the same after the best rigid motion and scale'),
    replace(RPE, unit='cm', digits=2),
    RPE_TURN,
    _IN_95,
    Quantity(name='standing', unit='%', digits=1, doc='frames where it says that it stands'),
    Quantity(name='lost', unit='%', digits=1,
             doc='frames without a motion that could be believed'),
    Quantity(name='stretches', digits=0, doc='of the ways, on which each motion follows another'),
    time_column('frame'),
)  # fmt: skip
BELIEF_COLUMNS = (
    Quantity(name='counted', digits=0, doc='motions or poses'),
    _IN_95,
    Quantity(name='NEES', digits=2, doc='mean normalised error squared; 6 where all is true'),
    Quantity(name='factor', digits=2, doc='on covariances, for ellipsoids to hold 95 %'),
    Quantity(name='factor, position', digits=2, doc='the same of the position alone'),
    Quantity(name='factor, turn', digits=2, doc='the same of the turn alone'),
)
"""Of the tables that stated covariances are calibrated by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench odometry` is told; of each way, ``limit`` frames are run.

    Attributes:
        plots: Folder for pictures of the paths; none are drawn without one.
        ways: Of each set, run only so many ways; 0 for all.
        methods: Words with commas between them: only rows with one of them in their name are run.
        camera_height: Of the cameras of ``data`` over the ground in metres; 0 for unknown.
        truth_timing: Standard deviation of the times of the true poses of ``data`` in seconds, by
            which covariances are judged; GPS and IMU that say where a car is every 10 ms are off
            by 0.003.
        seed: Of the worlds.
        horizon: Frames after which poses are judged; 0 for all of `HORIZONS`.
    """

    plots: Path | None = None
    ways: int = 0
    methods: str = ''
    camera_height: float = 0.0
    truth_timing: float = 0.0
    seed: int = SEED
    horizon: int = 0

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if self.limit is not None and self.limit < 2:
            raise BenchError(f'odometry needs a limit of 2 frames or more, got {self.limit}')
        lengths = self.camera_height, self.truth_timing
        if min(self.ways, self.seed, self.horizon) < 0 or not all(0 <= x < inf for x in lengths):
            raise BenchError(
                'odometry needs ways, seed, horizon and a finite camera height and truth timing '
                f'>= 0, got {self.ways}, {self.seed}, {self.horizon}, {self.camera_height} and '
                f'{self.truth_timing}'
            )


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set or a method does not exist.
        DatasetError: A folder cannot be read, or has no poses.
        WeightsError: A weight file is refused.
    """
    known = find(options.data, options.seed, options.camera_height, options.truth_timing)
    check_sets(options.sets, list(known))
    words = [word for word in options.methods.split(',') if word]
    horizons = (options.horizon,) if options.horizon else HORIZONS
    methods = find_methods(options.weights, words, horizons, options.running)
    tables: list[Table] = []
    for name in options.sets or known:
        ways = known[name].cut(options.ways or None, options.limit)
        tables += _tables(ways, methods, options.plots, progress)
    return Report(
        bench='odometry',
        tables=tuple(tables),
        settings=_settings(options),
        environment=environment(method.file for method in methods),
    )


def _tables(
    ways: WaySet, methods: list[Method], plots: Path | None, progress: Progress
) -> list[Table]:
    """Return the table of a set, and that of the stated covariances where there are any."""
    methods = [method for method in methods if all(map(method.fits, ways.ways))]
    made: dict[str, list[Follower]] = {method.name: [] for method in methods}
    truths: list[FloatArray] = []
    total = sum(way.frames for way in ways.ways)
    done = 0
    progress(ways.name, done, total)
    for number, way in enumerate(ways.ways):
        truth = way.poses()[: way.frames]
        truths.append(truth)
        followers = {method.name: method.follow(way, truth) for method in methods}
        for view in islice(way.views(any(method.stereo for method in methods)), way.frames):
            for follower in followers.values():
                follower.push(view)
            progress(ways.name, done := done + 1, total)
        for name, follower in followers.items():
            made[name].append(follower)
        if plots is not None:
            paths = {name: np.stack(follower.poses) for name, follower in followers.items()}
            _plot(plots / f'{ways.name}-{number}.png', truth, paths)
    length = sum(path_length(truth) for truth in truths)
    counted = _counted([way.frames for way in ways.ways])
    beliefs = {method.name: _beliefs(made[method.name], truths) for method in methods}
    table = Table(
        name=ways.name,
        title=f'{ways.title}; {counted}, {length:.1f} m in all',
        columns=COLUMNS,
        rows=tuple(
            Row(name=name, values=_values(followers, truths, beliefs[name]))
            for name, followers in made.items()
        ),
    )
    rows = tuple(
        Row(name=f'{name}, {what}', values=_belief_values(found))
        for name, known in beliefs.items()
        for what, found in known.items()
        if len(found)
    )
    title = f'{ways.title}: what covariances are worth'
    judged = Table(name=f'{ways.name}/covariance', title=title, columns=BELIEF_COLUMNS, rows=rows)
    return [table, judged] if rows else [table]


def _values(
    followers: list[Follower], truths: list[FloatArray], beliefs: dict[str, Beliefs]
) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `COLUMNS`."""
    pairs = [pairs_of(np.stack(f.poses), truth) for f, truth in zip(followers, truths, strict=True)]
    metres = [in_metres(p, f.parts) for p, f in zip(pairs, followers, strict=True)]
    plain, scaled = (_joined([drift(p, fitting_lengths(p)) for p in of]) for of in (pairs, metres))
    step = _all_errors([relative_errors(p) for p in pairs])
    rigid, similar = (_errors(pairs, alignment) for alignment in _ALIGNED)
    frames = sum(len(f.poses) for f in followers)
    standing = [f.standing for f in followers if isinstance(f, EstimatedVisually)]
    reckoned = [f for f in followers if isinstance(f, Estimated)]
    return (
        plain.t_rel,
        plain.r_rel,
        scaled.t_rel,
        float(np.mean(rigid)) if rigid else None,
        max(rigid, default=None),
        float(np.mean(similar)) if similar else None,
        100 * step.rmse,
        step.rmse_degrees,
        _share(beliefs.get('motions')),
        100 * sum(standing) / frames if standing else None,
        100 * sum(f.lost for f in reckoned) / frames if reckoned else None,
        sum(f.stretches for f in reckoned) if reckoned else None,
        1e3 * median(second for f in followers for second in f.seconds),
    )


def _beliefs(followers: list[Follower], truths: list[FloatArray]) -> dict[str, Beliefs]:
    """Return what was believed of motions and poses, by its name; nothing of who states nothing.

    Of who does not know the metre, in the best unit of each stretch.
    """
    parts: dict[str, list[Beliefs]] = {}
    for follower, truth in zip(followers, truths, strict=True):
        if not isinstance(follower, Estimated):
            continue
        units = {}
        if not follower.metric:
            units = units_of(pairs_of(np.stack(follower.poses), truth), follower.parts)
        for what, beliefs in follower.beliefs(units).items():
            parts.setdefault(what, []).append(beliefs)
    return {what: Beliefs.joined(some) for what, some in parts.items()}


def _share(beliefs: Beliefs | None) -> float | None:
    if beliefs is None or not len(beliefs):
        return None
    return 100 * inside(beliefs.errors, beliefs.covariances)


def _belief_values(beliefs: Beliefs) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `BELIEF_COLUMNS`."""
    errors, covariances = beliefs.errors, beliefs.covariances
    halves = slice(0, 3), slice(3, 6)
    return (
        len(beliefs),
        _share(beliefs),
        float(np.mean(nees(errors, covariances))),
        needed(errors, covariances),
        *(needed(errors[:, half], covariances[:, half, half]) for half in halves),
    )


def _errors(pairs: list[PosePairs], alignment: Alignment) -> list[float]:
    """Return the ATE of every way that decides the alignment."""
    return [absolute_errors(p, alignment).rmse for p in pairs if not degenerate(p, alignment)]


def _joined(drifts: list[Drift]) -> Drift:
    segments: tuple[Segment, ...] = tuple(s for one in drifts for s in one.segments)
    return Drift(segments=segments, path=sum(one.path for one in drifts))


def _counted(frames: list[int]) -> str:
    least, most = min(frames), max(frames)
    ways = '1 way' if len(frames) == 1 else f'{len(frames)} ways'
    return f'{ways} of {most if least == most else f"{least} to {most}"} frames'


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


def _settings(options: Options) -> dict[str, str]:
    width, height = SIZE
    return {
        'straight line': 'goes where the camera looks at first, with the true mean speed',
        'constant velocity': 'repeats the true first motion',
        'five points': 'mutual nearest neighbours of 2000 points, essential matrix by RANSAC; '
        'every motion has its true length',
        'networks': 'on the CPU in 32 bits, with the settings of the node',
        'visual_odometry': 'none: nothing tells the metre, and beliefs are judged in the best '
        'unit of each stretch; depth: a depth camera, in worlds with noise of '
        f'{100 * INDOORS.share:g} % and steps of {1e3 * INDOORS.step:g} mm up to '
        f'{INDOORS.farthest:g} m indoors and {OUTDOORS.farthest:g} m in the street, of folders '
        "theirs; stereo: the right picture; camera_height: the camera's true height over the "
        'ground; network: monodepth as shipped. Its time is beside that of SuperPoint and '
        'monodepth, which run once for all rows',
        'poses after N frames': 'on stretches that do not overlap, each from a pose taken for '
        'certain',
        'truth': f'of folders, timed to {1e3 * options.truth_timing:g} ms',
        'averages': 't_rel and r_rel over all stretches of all ways, ATE over ways, RPE over '
        'frames',
        'world': f'{width}x{height}, {RATE_HZ:g} frames/s, seed {options.seed}',
    }
