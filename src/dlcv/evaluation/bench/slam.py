"""``dlcv bench slam``: from pictures alone to a map, its loops, and another walk found in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from statistics import median

import numpy as np

from dlcv.estimation.load import load_features
from dlcv.estimation.superpoint import FeatureEstimator, FeatureSettings
from dlcv.evaluation.bench.odometry_followers import Classic
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.report import Report, Row, Table, environment
from dlcv.evaluation.bench.slam_drive import Drive, driven
from dlcv.evaluation.bench.slam_runs import AIDS, WRONG, Aid, Mapped, Mapping
from dlcv.evaluation.bench.slam_sets import LOOPS, SIZE, LoopSet
from dlcv.evaluation.bench.slam_sets import SETS as WALKS
from dlcv.metrics.baselines.odometry import FivePoint
from dlcv.metrics.consistency import inside
from dlcv.metrics.quantity import Quantity
from dlcv.metrics.relocalization import ANSWERED, MEDIAN, MEDIAN_TURN, relocalizations, within
from dlcv.metrics.trajectory import ATE, PosePairs, absolute_errors, motion_error
from dlcv.training.maps.survey import SurveyConfig
from dlcv.training.recipe import TrainError
from dlcv.types import FloatArray
from dlcv.view.trajectory import path_length

SUMMARY = 'maps from pictures alone: the way after its loops, beside odometry without any'

_HOURS = 'two-hours'
SETS = {**WALKS, _HOURS: 'two hours through a town of points, without pictures'}

_LENGTHS = 'ORB, five points'
_MS = Quantity(name='frame', unit='ms', better='low', digits=0,
               doc='CPU of odometry and mapping beyond the keypoints, mean')  # fmt: skip
_LONGEST = replace(_MS, name='longest', doc='the same of the picture that took longest')
WAY_COLUMNS = (
    replace(ATE, doc=f'{ATE.doc} after the best rigid motion, mean of the walks'),
    replace(ATE, name='ATE, way', unit='%', digits=2, doc='the same as a share of the way'),
    replace(ATE, name='worst', unit='%', digits=2, doc='the same of the worst walk'),
    Quantity(name='keyframes', digits=0),
    Quantity(name='loops', digits=0, doc='that are believed'),
    Quantity(name='closed', unit='%', better='high', digits=0, doc='walks with a loop'),
    Quantity(name='false', better='low', digits=0,
             doc=f'loops that are off by {WRONG[0]:g} m or {WRONG[1]:g} degrees'),
    Quantity(name='refused', digits=0, doc='candidates for loops that were none'),
    _MS,
    _LONGEST,
)  # fmt: skip
INJECTED_COLUMNS = (
    Quantity(name='told', digits=0, doc='false loops, each by itself, past all other guards'),
    Quantity(name='believed', better='low', digits=0),
    replace(ATE, name='ATE before', unit='cm', digits=1, doc='of keyframes'),
    replace(ATE, name='ATE, worst', unit='cm', digits=1, doc='the same after the worst of them'),
)
HOURS_COLUMNS = (
    Quantity(name='pictures', digits=0),
    Quantity(name='made', digits=0, doc='keyframes in all'),
    Quantity(name='kept', digits=0, doc='keyframes of the map at the end'),
    Quantity(name='loops', digits=0, doc='that are believed at the end'),
    replace(ATE, doc='of the second half, where nothing is aligned: the drive begins as it does'),
    replace(ATE, name='odometry', doc='the same without a map'),
    Quantity(name='early', unit='ms', better='low', digits=1,
             doc='CPU of a keyframe, median, after a fifth to two fifths of the time'),
    Quantity(name='late', unit='ms', better='low', digits=1, doc='the same in the last fifth'),
    Quantity(name='longest', unit='ms', better='low', digits=0,
             doc='the same of the longest, in which loops are solved too'),
    Quantity(name='memory', unit='MB', better='low', digits=0,
             doc='that the map takes of the process after two fifths of the time'),
    Quantity(name='at the end', unit='MB', better='low', digits=0, doc='the same'),
)  # fmt: skip
FOUND_COLUMNS = (
    within(0.10, 10.0),
    within(0.05, 5.0),
    replace(MEDIAN, name='median', unit='cm', digits=1),
    replace(MEDIAN_TURN, digits=2),
    ANSWERED,
    Quantity(name='in 95 %', unit='%', digits=1,
             doc='answers whose error lies in the ellipsoid that should hold 95 % of them'),
    replace(_MS, name='answer', doc='CPU of an answer beyond the keypoints, median'),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench slam` is told; ``limit`` is of the walks of a set.

    Attributes:
        aids: What measures the metre, with commas between: ``depth``, ``stereo``.
    """

    aids: str = ','.join(AIDS)

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if self.weights or self.data:
            raise BenchError('slam is measured on generated worlds, with the shipped weights')
        if not self.told or set(self.told) - set(AIDS):
            raise BenchError(f'no aids {self.aids!r}; there are {", ".join(AIDS)}')

    @property
    def told(self) -> list[str]:
        """The aids by themselves."""
        return [word for word in self.aids.split(',') if word]


def run(options: Options, progress: Progress) -> Report:
    """Measure all sets.

    Raises:
        BenchError: A set does not exist, or a walk could not be followed.
    """
    check_sets(options.sets, list(SETS))
    points = FeatureSettings(max_keypoints=SurveyConfig().max_keypoints)
    features = load_features('', points, **options.running)
    aids = [aid for aid in AIDS if aid in options.told]
    tables: list[Table] = []
    for name in options.sets or tuple(SETS):
        if name == _HOURS:
            tables.append(_hours(progress))
            continue
        one = LOOPS[name]
        one = replace(one, seeds=one.seeds[: options.limit])
        tables += _tables(one, aids, features, progress)
    return Report(
        bench='slam',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment([features.origin.path]),
    )


@dataclass(kw_only=True, slots=True)
class _Walked:
    """What one aid made of a walk."""

    mapped: Mapped
    seconds: list[float]


def _tables(
    loops: LoopSet, aids: Sequence[Aid], features: FeatureEstimator, progress: Progress
) -> list[Table]:
    walks: dict[Aid, list[_Walked]] = {aid: [] for aid in aids}
    chained: list[tuple[float, float]] = []  # ATE of ORB's chain, and the way
    tables: list[Table] = []
    for number, seed in enumerate(loops.seeds, start=1):
        part = f'{loops.name}, walk {number} of {len(loops.seeds)}'
        found, chain = _walked(loops, seed, aids, features, part, progress)
        for aid, one in found.items():
            walks[aid].append(one)
        chained.append(chain)
    rows = []
    for aid, some in walks.items():
        rows += _way_rows(aid, some)
    shares = [100 * off / way for off, way in chained]
    plain = float(np.mean([off for off, _ in chained])), float(np.mean(shares)), max(shares)
    rows.append(Row(name=_LENGTHS, values=(*plain, *(None,) * (len(WAY_COLUMNS) - 3))))
    way = sum(way for _, way in chained)
    counted = f'{len(chained)} walks' if len(chained) > 1 else '1 walk'
    title = f'{loops.title}; {counted} of {loops.frames} pictures, {way:.1f} m in all'
    tables.append(Table(name=loops.name, title=title, columns=WAY_COLUMNS, rows=tuple(rows)))
    if loops.injected:
        tables.append(_injected(loops, walks))
    if loops.asked:
        tables.append(_found(loops, walks, features, progress))
    return tables


def _walked(
    loops: LoopSet,
    seed: int,
    aids: Sequence[Aid],
    features: FeatureEstimator,
    part: str,
    progress: Progress,
) -> tuple[dict[Aid, _Walked], tuple[float, float]]:
    recording = loops.walk(seed, stereo='stereo' in aids)
    running = {aid: Mapping(aid, loops.depth, recording.baseline) for aid in aids}
    chain = Classic(FivePoint('ORB'))
    for view in told(part, loops.frames, recording, progress):
        keypoints = features.push(view.frame)
        for one in running.values():
            one.take(view, keypoints)
        chain.push(view)
    found = {}
    for aid, one in running.items():
        try:
            mapped = one.result(f'{loops.name}, {aid}')
        except TrainError as error:
            raise BenchError(f'{part}, {aid}: {error}') from None
        found[aid] = _Walked(mapped=mapped, seconds=one.seconds)
    truth = recording.world_from_camera
    stamps = np.arange(len(truth), dtype=np.int64)
    pairs = PosePairs(stamps_ns=stamps, estimate=np.stack(chain.poses), truth=truth)
    return found, (absolute_errors(pairs, 'se3').rmse, path_length(truth))


def _way_rows(aid: Aid, walks: list[_Walked]) -> list[Row]:
    """Return odometry's row and the map's, in the order of `WAY_COLUMNS`."""
    off = np.array([one.mapped.off for one in walks])
    shares = 100 * off / np.array([[one.mapped.way] for one in walks])
    places = [one.mapped.survey.place for one in walks]
    loops = [len(place.loops) for place in places]
    seconds = [second for one in walks for second in one.seconds]
    map_only = (
        float(sum(len(place) for place in places)),
        float(sum(loops)),
        100 * float(np.mean(np.array(loops) > 0)),
        float(sum(one.mapped.false_loops for one in walks)),
        float(sum(sum(one.mapped.survey.refused.values()) for one in walks)),
        1e3 * float(np.mean(seconds)),
        1e3 * max(seconds),
    )
    means, shared, worst = off.mean(0), shares.mean(0), shares.max(0)
    rest: tuple[tuple[float | None, ...], ...] = ((None,) * len(map_only), map_only)
    return [
        Row(
            name=f'{name}, {aid}',
            values=(float(means[k]), float(shared[k]), float(worst[k]), *rest[k]),
        )
        for k, name in enumerate(('odometry', 'slam'))
    ]


def _injected(loops: LoopSet, walks: dict[Aid, list[_Walked]]) -> Table:
    rows = []
    for aid, some in walks.items():
        found = [pair for one in some for pair in one.mapped.injected(loops.injected)]
        before = max(one.mapped.keyframes_off for one in some)
        worst = max(off for _, off in found)
        believed = sum(trusted for trusted, _ in found)
        values = float(len(found)), float(believed), 100 * before, 100 * worst
        rows.append(Row(name=f'slam, {aid}', values=values))
    return Table(
        name=f'{loops.name}/injected',
        title=f'{loops.title}: false loops that are told to the map',
        columns=INJECTED_COLUMNS,
        rows=tuple(rows),
    )


def _found(
    loops: LoopSet, walks: dict[Aid, list[_Walked]], features: FeatureEstimator, progress: Progress
) -> Table:
    """Look another walk's pictures up in each map of the first world."""
    truth: list[FloatArray] = []
    poses: dict[Aid, list[FloatArray | None]] = {aid: [] for aid in walks}
    spreads: dict[Aid, list[FloatArray | None]] = {aid: [] for aid in walks}
    seconds: dict[Aid, list[float]] = {aid: [] for aid in walks}
    part = f'{loops.name}, another walk'
    for view in told(part, loops.asked, loops.other(loops.seeds[0]), progress):
        assert view.world_from_camera is not None
        truth.append(view.world_from_camera)
        keypoints = features.push(view.frame)
        for aid, some in walks.items():
            pose, covariance, took = some[0].mapped.locate(view, keypoints)
            poses[aid].append(pose)
            spreads[aid].append(covariance)
            seconds[aid].append(took)
    return Table(
        name=f'{loops.name}/found',
        title=f'{loops.title}: {loops.asked} pictures of another walk in the map made of it',
        columns=FOUND_COLUMNS,
        rows=tuple(
            Row(
                name=f'slam, {aid}',
                values=_found_values(poses[aid], spreads[aid], truth, seconds[aid]),
            )
            for aid in walks
        ),
    )


def _found_values(
    poses: Sequence[FloatArray | None],
    spreads: Sequence[FloatArray | None],
    truth: Sequence[FloatArray],
    seconds: Sequence[float],
) -> tuple[float | None, ...]:
    """Return the numbers of a row in the order of `FOUND_COLUMNS`."""
    errors = relocalizations(poses, truth)
    metres, degrees = errors.medians
    stated = [
        (motion_error(pose, true), spread)
        for pose, spread, true in zip(poses, spreads, truth, strict=True)
        if pose is not None and spread is not None
    ]
    share = None
    if stated:
        offs, covariances = (np.array(values) for values in zip(*stated, strict=True))
        share = 100 * inside(offs, covariances)
    return (
        100 * errors.within(0.10, 10.0),
        100 * errors.within(0.05, 5.0),
        100 * metres if isfinite(metres) else None,
        degrees if isfinite(degrees) else None,
        100 * errors.answered,
        share,
        1e3 * median(seconds),
    )


def _hours(progress: Progress) -> Table:
    found = driven(Drive(), progress)
    counts = found.pictures, found.made, found.kept, found.loops
    values = *map(float, counts), found.off, found.odometry, *found.step_ms, *found.memory_mb
    return Table(
        name=_HOURS,
        title=f'{SETS[_HOURS]}; {found.way / 1000:.1f} km',
        columns=HOURS_COLUMNS,
        rows=(Row(name='slam', values=values),),
    )


def _settings() -> dict[str, str]:
    width, height = SIZE
    walks = '; '.join(
        f'{name}: {one.frames} pictures at {one.rate_hz:g} Hz, '
        + (f'seed {one.seeds[0]}' if len(one.seeds) == 1
           else f'seeds {one.seeds[0]} to {one.seeds[-1]}')
        for name, one in LOOPS.items()
    )  # fmt: skip
    drive = Drive()
    return {
        _HOURS: f'{drive.hours:g} h at {drive.speed:g} m/s, {drive.rate_hz:g} pictures/s; '
        'keypoints with looks of their own on house fronts, depth of 2 % and odometry are made up; '
        f'keyframes, loops, their solver and the limit of {drive.keyframes} keyframes are those '
        'of the node in lock-step',
        'worlds': f'{width}x{height}; {walks}',
        'slam': 'as dlcv map makes maps of recordings without poses, which is what the node does '
        'in lock-step: pictures and what measures the metre, nothing else; '
        f'{SurveyConfig().max_keypoints} keypoints',
        'depth': 'a depth camera with noise, as in dlcv bench odometry; stereo: the right picture',
        'odometry': 'where visual odometry had the same pictures, without loops',
        _LENGTHS: 'every motion has its true length',
        'found': 'the first walk alone; poses are judged after the best rigid motion of the path '
        'in the map onto the true one',
    }
