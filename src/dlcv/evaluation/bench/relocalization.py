"""``dlcv bench relocalization``: maps that learn beside SIFT and PnP, made of the same pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf, isfinite
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time
from typing import cast

import numpy as np

from dlcv.estimation.dsac import (
    RelocalizationEstimator,
    RelocalizationSettings,
)
from dlcv.evaluation.bench import relocalization_sets
from dlcv.evaluation.bench.landmark_maps import LandmarkMap
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets
from dlcv.evaluation.bench.relocalization_sets import PlaceSet
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.metrics.baselines.relocalization import PointMap, Relocalizer
from dlcv.metrics.consistency import inside
from dlcv.metrics.quantity import Quantity
from dlcv.metrics.relocalization import (
    ANSWERED,
    BOUNDS,
    FALSE_ACCEPTS,
    MEDIAN,
    MEDIAN_TURN,
    false_accepts,
    relocalizations,
    within,
)
from dlcv.metrics.trajectory import motion_error
from dlcv.networks.dsac import SceneCoordinateNet
from dlcv.networks.weights import load_network, save_network, shipped
from dlcv.training.maps.end_to_end import EndToEndConfig
from dlcv.training.maps.looks import known_views
from dlcv.training.maps.places import PlaceConfig, make_place, open_encoder, parted
from dlcv.types import FloatArray, Frame, Snapshot

SUMMARY = 'poses in a map: landmarks and maps that learn beside SIFT and PnP'
SETS = relocalization_sets.SETS

MAPS = {
    'map': PlaceConfig(),
    'map, end to end': PlaceConfig(end_to_end=EndToEndConfig()),
}
"""Row of the tables -> how such a map is made of an encoder and of pictures with poses."""

METHODS = ('classical', 'landmarks', 'maps')
"""What can be measured by itself: maps that learn take minutes to make."""

_CPU = replace(
    time_column('frame'), doc='CPU time of a frame, median, by --threads; no two machines agree'
)

COLUMNS = (
    *(within(*bound) for bound in BOUNDS),
    replace(MEDIAN, name='median', unit='cm', digits=1),
    replace(MEDIAN_TURN, digits=2),
    ANSWERED,
    FALSE_ACCEPTS,
    Quantity(name='in 95 %', unit='%', digits=1,
             doc='answers whose error lies in the ellipsoid that should hold 95 % of them'),
    Quantity(name='map', unit='MB', better='low', digits=1, doc='size of the map'),
    Quantity(name='making', unit='s', better='low', digits=0,
             doc='time to make the map, without reading the pictures'),
    _CPU,
    replace(_CPU, name='beyond', doc='the same without the keypoints, which other nodes need too'),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench relocalization` is told.

    ``weights`` are encoders; of each list of pictures ``limit`` are taken, evenly out of all.

    Attributes:
        methods: Which are measured, with commas between: ``classical``, ``landmarks`` and ``maps``
            (those that learn).
    """

    methods: str = ','.join(METHODS)

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if not self.wanted or self.wanted - set(METHODS):
            raise BenchError(f'no methods {self.methods!r}; there are {", ".join(METHODS)}')

    @property
    def wanted(self) -> set[str]:
        """The methods by themselves."""
        return {word for word in self.methods.split(',') if word}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Method:
    """``make`` takes the training pictures; returns the place, and seconds spent on it before."""

    name: str
    make: Callable[[Iterable[Snapshot], Progress], tuple[Relocalizer, float]]


LANDMARKS = (
    _Method(name='landmarks, PnP', make=lambda views, _progress: (LandmarkMap(views), 0.0)),
)


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did."""

    place: Relocalizer
    making: float
    found: list[FloatArray | None] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    elsewhere: list[FloatArray | None] = field(default_factory=list)
    spreads: list[FloatArray | None] = field(default_factory=list)

    def add(self, frame: Frame) -> None:
        begin = process_time()
        pose, covariance = self._located(frame)
        self.seconds.append(process_time() - begin)
        self.found.append(pose)
        self.spreads.append(covariance)

    def _located(self, frame: Frame) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the pose and, of methods that state it, how far it may be off."""
        if isinstance(self.place, LandmarkMap | _LearnedMap):
            return self.place.stated(frame)
        return self.place.locate(frame), None

    def _inside(self, truth: list[FloatArray]) -> float | None:
        """Return the share of the poses in their ellipsoids; None where none are stated."""
        stated = [
            (motion_error(pose, true), spread)
            for pose, spread, true in zip(self.found, self.spreads, truth, strict=True)
            if pose is not None and spread is not None
        ]
        if not stated:
            return None
        errors, spreads = (np.array(values) for values in zip(*stated, strict=True))
        return 100 * inside(errors, spreads)

    def values(self, truth: list[FloatArray]) -> tuple[float | None, ...]:
        """Return the numbers in the order of `COLUMNS`."""
        errors = relocalizations(self.found, truth)
        metres, degrees = errors.medians
        return (
            *(100 * errors.within(*bound) for bound in BOUNDS),
            100 * metres if isfinite(metres) else None,
            degrees if isfinite(degrees) else None,
            100 * errors.answered,
            100 * false_accepts(self.elsewhere),
            self._inside(truth),
            self.place.nbytes / 1e6,
            self.making,
            1e3 * median(self.seconds),
            1e3 * self.place.seconds_beyond if isinstance(self.place, LandmarkMap) else None,
        )


class _LearnedMap:
    """A network as a `Relocalizer`: the map as it stands in its file.

    It runs on the CPU in 32 bits, and takes all the time that it needs: otherwise its answers would
    depend on what else the machine does.
    """

    def __init__(self, network: SceneCoordinateNet) -> None:
        with TemporaryDirectory() as folder:
            file = save_network(network, Path(folder) / 'map.safetensors', half=True)
            self.nbytes = file.stat().st_size
            stored = cast('SceneCoordinateNet', load_network('dsac', file))
        settings = RelocalizationSettings(time_budget=inf)
        self._estimator = RelocalizationEstimator(stored, settings, device='cpu')

    def locate(self, frame: Frame) -> FloatArray | None:
        """See `Relocalizer`."""
        return self.stated(frame)[0]

    def stated(self, frame: Frame) -> tuple[FloatArray | None, FloatArray | None]:
        """Return the pose, None where it is not believed, and how far it may be off."""
        answer = self._estimator.push(frame)
        return answer.accepted_pose, answer.covariance


class _Watched:
    """Pictures, and how long it took to get them."""

    def __init__(self, views: Iterable[Snapshot]) -> None:
        self._views = iter(views)
        self.seconds = 0.0

    def __iter__(self) -> Iterator[Snapshot]:
        return self

    def __next__(self) -> Snapshot:
        begin = perf_counter()
        try:
            return next(self._views)
        finally:
            self.seconds += perf_counter() - begin


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or there is no encoder.
        DatasetError: A folder cannot be read, or has no lists or no poses.
        WeightsError: A weight file is refused.
    """
    known = relocalization_sets.find(options.data)
    check_sets(options.sets, list(known))
    learned = 'maps' in options.wanted
    files = (options.weights or (_shipped_encoder(),)) if learned else ()
    _check_names(files)
    names = options.sets or tuple(known)
    tables = [
        _table(known[name].thinned(options.limit), files, progress, options.wanted)
        for name in names
    ]
    return Report(
        bench='relocalization',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment(files),
    )


def _table(place: PlaceSet, files: Sequence[Path], progress: Progress, wanted: set[str]) -> Table:
    methods = _classical(place.depth) if 'classical' in wanted else []
    if 'landmarks' in wanted:
        methods += LANDMARKS
    methods += _networks(files)
    tallies = {method.name: _made(method, place, progress) for method in methods}
    truth = []
    for view in place.test.told(f'{place.name}: held out', progress):
        assert view.world_from_camera is not None
        truth.append(view.world_from_camera)
        for tally in tallies.values():
            tally.add(view.frame)
    for view in place.elsewhere.told(f'{place.name}: elsewhere', progress):
        for tally in tallies.values():
            tally.elsewhere.append(tally.place.locate(view.frame))
    return Table(
        name=place.name,
        title=f'{place.title}: {place.test.count} pictures in maps of {place.train.count} others; '
        f'{place.elsewhere.count} of another place',
        columns=COLUMNS,
        rows=tuple(Row(name=name, values=tally.values(truth)) for name, tally in tallies.items()),
    )


def _made(method: _Method, place: PlaceSet, progress: Progress) -> _Tally:
    part = f'{place.name}, {method.name}'
    views = _Watched(place.train.told(f'{part}: pictures', progress))
    begin = perf_counter()
    made, earlier = method.make(views, lambda what, done, of: progress(f'{part}: {what}', done, of))
    return _Tally(place=made, making=earlier + perf_counter() - begin - views.seconds)


def _classical(depth: bool) -> list[_Method]:
    """Return SIFT and PnP, where depth is known also as if it were not."""
    plain = _Method(name='SIFT, PnP', make=lambda views, _progress: (PointMap(views), 0.0))
    if not depth:
        return [plain]
    without = _Method(
        name='SIFT, PnP, no depth',
        make=lambda views, _progress: (PointMap(replace(v, depth=None) for v in views), 0.0),
    )
    return [plain, without]


def _networks(files: Sequence[Path]) -> list[_Method]:
    """Return maps of all kinds with all encoders.

    Raises:
        TrainError: A file holds another network, or an untrained one.
        WeightsError: A file is refused.
    """
    return [
        _Method(name=_titled(name, file, files), make=partial(maps.make, config))
        for file in files
        for maps in [_Maps(open_encoder(file))]
        for name, config in MAPS.items()
    ]


def _titled(name: str, file: Path, files: Sequence[Path]) -> str:
    return name if len(files) == 1 else f'{name}, {file.stem}'


def _check_names(files: Sequence[Path]) -> None:
    if len({file.stem for file in files}) < len(files):
        raise BenchError(f'several weight files have one name: {", ".join(map(str, files))}')


class _Maps:
    """Maps of one place with one encoder; what is trained end to end goes on from its like."""

    def __init__(self, encoder: SceneCoordinateNet) -> None:
        self._encoder = encoder
        self._begun: dict[PlaceConfig, tuple[SceneCoordinateNet, float]] = {}

    def make(
        self, config: PlaceConfig, snapshots: Iterable[Snapshot], progress: Progress
    ) -> tuple[_LearnedMap, float]:
        """Return the map of a place, and the seconds that went into what it goes on from."""
        learned = known_views(snapshots, self._encoder.config.input_height)
        views = parted(learned, config, 'dlcv bench')
        begun, earlier = self._begun.get(replace(config, end_to_end=None), (None, 0.0))
        begin = perf_counter()
        made = make_place(views, self._encoder, config, progress, begun=deepcopy(begun))
        self._begun[config] = made, perf_counter() - begin
        return _LearnedMap(made), earlier


def _shipped_encoder() -> Path:
    file = shipped('ace_encoder')
    if file is None:
        raise BenchError('no ace_encoder weights are shipped yet: name a file with --weights')
    return file


def _settings() -> dict[str, str]:
    rooms = relocalization_sets.ROOMS
    width, height = rooms.size
    made = '; '.join(
        f'{name}: {config.map.cells} cells, {config.map.epochs} epochs'
        + (f', then {config.end_to_end.steps} pictures end to end' if config.end_to_end else '')
        for name, config in MAPS.items()
    )
    return {
        'SIFT, PnP': 'up to 1000 points of each picture, placed by true depth where it is known, '
        'else triangulated; a picture is matched with the ten views that have most of the points '
        'nearest to its own; RANSAC at 3 px, then least squares; 30 points must agree',
        'landmarks, PnP': 'a map of landmarks of the same pictures, as dlcv map --landmarks makes '
        'it, with true depth where it is known; places by residuals of descriptors, at most 800 '
        'points of a picture, with the guards of the localizer',
        'maps': f'{made}; made as dlcv map does, which leaves some of the pictures out to learn '
        'how far off its poses are; measured as they stand in their files, on the CPU '
        'in 32 bits, with the gates of the node and without limit of time',
        'elsewhere': f'{len(rooms.others)} other generated rooms (seeds {rooms.others[0]} to '
        f'{rooms.others[-1]}), seen by the same camera',
        'world-room': f'{width}x{height}, {rooms.rate_hz:g} frames/s, seed {rooms.seed}; two walks '
        'the same way round, each with its own light, by a good sensor',
    }
