"""``dlcv bench depth``: monodepth beside the mean depth, on the same pictures in one run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.files import read_picture
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.recordings import WorldViews, open_data
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.evaluation.bench.sets import ItemSet, add_set
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.depth import mean_depth
from dlcv.metrics.depth import (
    CROPS,
    QUANTITIES,
    DepthCaps,
    DepthErrors,
    depth_errors,
    mean_of_pictures,
)
from dlcv.metrics.quantity import Quantity
from dlcv.types import Camera, FloatArray, Frame, Snapshot

if TYPE_CHECKING:
    from dlcv.estimation.monodepth import DepthEstimator

SUMMARY = 'depth from one picture: monodepth beside the mean depth'
SETS = {'world': 'some camera in generated rooms, corridors and streets'}

WORLD = WorldViews(seed=17123, count=60, per_world=5, size=(416, 256))

_MOTORCYCLE = ('motorcycle_left.png', 'motorcycle_disp.npz')
_MOTORCYCLE_CAMERA = Camera(width=741, height=500, fx=994.978, fy=994.978, cx=311.193, cy=254.877)
_MOTORCYCLE_BASELINE, _MOTORCYCLE_OFFSET = 0.193001, 31.086
"""Middlebury 2014 (Scharstein et al.), its calibration at the size that scikit-image carries; the
offset is how far apart the principal points of the two cameras are, in pixels."""

COLUMNS = (
    *QUANTITIES,
    Quantity(name='scale', digits=2, doc='what depths were multiplied with, on average'),
    time_column('picture'),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench depth` is told.

    Attributes:
        cap: Greatest true depth that counts, in metres.
        crop: Part of the pictures that counts: ``none``, or ``garg`` or ``eigen`` of KITTI.
    """

    cap: float = 80.0
    crop: str = 'none'

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if not self.cap > 1e-3 or self.crop not in CROPS:
            raise BenchError(
                f'depth needs a cap above 0.001 m and a crop of {", ".join(CROPS)}; got '
                f'{self.cap} and {self.crop!r}'
            )

    @property
    def caps(self) -> DepthCaps:
        """The same as the metrics want it."""
        return DepthCaps(farthest=self.cap, crop=self.crop)  # type: ignore[arg-type]


ViewSet = ItemSet[Snapshot]
"""Pictures with their depth."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Method:
    name: str
    depth: Callable[[Frame], FloatArray]
    file: Path | None = None


@dataclass(kw_only=True, slots=True)
class _Tally:
    """What one method did on the pictures so far, as it is and after median scaling."""

    caps: DepthCaps
    plain: list[DepthErrors] = field(default_factory=list)
    scaled: list[DepthErrors] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, method: _Method, view: Snapshot) -> None:
        assert view.depth is not None
        begin = perf_counter()
        depth = method.depth(_without_distortion(view.frame))
        self.seconds.append(perf_counter() - begin)
        self.plain.append(depth_errors(depth, view.depth, self.caps))
        self.scaled.append(depth_errors(depth, view.depth, self.caps, median_scaling=True))

    def rows(self, name: str) -> list[Row]:
        """Return both rows, their numbers in the order of `COLUMNS`."""
        time = 1e3 * median(self.seconds)
        return [
            Row(name=title, values=(*_values(mean_of_pictures(errors)), time))
            for title, errors in ((name, self.plain), (f'{name}, scaled', self.scaled))
        ]


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist.
        DatasetError: A folder cannot be read, or has no depth.
        WeightsError: A weight file is refused.
    """
    known = find(options.data)
    check_sets(options.sets, list(known))
    networks = _networks(options.weights, options.running)
    names = options.sets or tuple(known)
    tables = [
        _table(known[name].cut(options.limit), networks, options.caps, progress) for name in names
    ]
    return Report(
        bench='depth',
        tables=tuple(tables),
        settings=_settings(options),
        environment=environment(method.file for method in networks),
    )


def find(data: Sequence[Path]) -> dict[str, ViewSet]:
    """Return all sets by name: the built-in one, then those of the folders.

    Args:
        data: Folders as `open_data` takes them, or scikit-image's ``data`` with the motorcycle.

    Raises:
        DatasetError: A folder cannot be read, or has no depth.
        BenchError: Two folders have one name.
    """
    world = WORLD
    found = {
        'world': ViewSet(
            name='world', title=SETS['world'], count=len(world), read=lambda: iter(world)
        )
    }
    for folder in data:
        one = _motorcycle(folder) if _has_motorcycle(folder) else _folder(folder)
        add_set(found, one, folder)
    return found


def _table(views: ViewSet, networks: list[_Method], caps: DepthCaps, progress: Progress) -> Table:
    truths = (view.depth for view in views.read() if view.depth is not None)
    mean = mean_depth(truths, caps.nearest, caps.farthest)
    methods = [_Method(name='mean depth', depth=_constant(mean)), *networks]
    tallies = {method.name: _Tally(caps=caps) for method in methods}
    if not isfinite(mean):
        raise BenchError(_none_counts(views, caps))
    for view in told(views.name, views.count, views.read(), progress):
        for method in methods:
            tallies[method.name].add(method, view)
    rows = [row for name, tally in tallies.items() for row in tally.rows(name)]
    return Table(
        name=views.name,
        title=f'{views.title}; {views.count} pictures, of {mean:.1f} m on average',
        columns=COLUMNS,
        rows=tuple(rows),
    )


def _none_counts(views: ViewSet, caps: DepthCaps) -> str:
    """Say that no depth is within the caps, and what there is: the units may be wrong."""
    known = [view.depth[view.depth > 0] for view in views.read() if view.depth is not None]
    there = np.concatenate(known) if known else np.zeros(0)
    there = there[np.isfinite(there)]
    found = 'none is known'
    if there.size:
        found = f'they go from {there.min():.4g} to {there.max():.4g} m, {np.median(there):.4g} m '
        found += 'in the median: is depth_scale, the units per metre, right?'
    return (
        f'{views.name}: no pixel has a true depth between {caps.nearest:g} and {caps.farthest:g} m '
        f'(crop: {caps.crop}); {found}'
    )


def _networks(weights: tuple[Path, ...], running: Mapping[str, Any]) -> list[_Method]:
    """Return networks, each as it is and with the mirrored picture's depth (``+pp``)."""
    from dlcv.estimation.load import load_depth
    from dlcv.estimation.monodepth import DepthSettings

    methods = []
    for one in weight_files('monodepth', weights):
        for title, pp in ((one.title, False), (f'{one.title}+pp', True)):
            estimator = load_depth(one.name, DepthSettings(pp=pp), **running)
            methods.append(_Method(name=title, depth=_estimated(estimator), file=one.file))
    return methods


def _estimated(estimator: DepthEstimator) -> Callable[[Frame], FloatArray]:
    def depth(frame: Frame) -> FloatArray:
        found = estimator.push(frame).depth
        assert found is not None  # the camera is known
        return found

    return depth


def _constant(value: float) -> Callable[[Frame], FloatArray]:
    return lambda frame: np.full((frame.height, frame.width), value, np.float32)


def _without_distortion(frame: Frame) -> Frame:
    """Return the picture as of an ideal camera: its truth belongs to the pixels as they are."""
    return frame if frame.camera is None else replace(frame, camera=frame.camera.undistorted())


def _folder(text: Path) -> ViewSet:
    recording = open_data(text)
    items = tuple(item for item in recording.items if item.depth is not None)
    if not items:
        raise DatasetError(
            f'{recording.name}: none of its {len(recording)} pictures has a depth; of a plain '
            f'folder the units must be said, as in {text},depth_scale=1000'
        )
    with_depth = replace(recording, items=items)
    name = recording.name
    return ViewSet(
        name=name, title=f'{name}, a folder', count=len(items), read=lambda: iter(with_depth)
    )


def _has_motorcycle(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _MOTORCYCLE)


def _motorcycle(folder: Path) -> ViewSet:
    def read() -> Iterator[Snapshot]:
        image = read_picture(folder / _MOTORCYCLE[0])
        with np.load(folder / _MOTORCYCLE[1]) as file:
            disparity = np.asarray(file[file.files[0]], np.float32)  # (500, 741), inf unknown
        distance = _MOTORCYCLE_CAMERA.fx * _MOTORCYCLE_BASELINE
        depth = distance / (disparity + np.float32(_MOTORCYCLE_OFFSET))
        depth[~np.isfinite(disparity)] = np.nan
        frame = Frame(stamp_ns=0, image=image, camera=_MOTORCYCLE_CAMERA)
        yield Snapshot(frame=frame, depth=depth)

    return ViewSet(
        name='motorcycle',
        title='Motorcycle of Middlebury 2014 as scikit-image has it',
        count=1,
        read=read,
    )


def _values(errors: DepthErrors) -> tuple[float, ...]:
    return (*errors.figures, errors.scale)


def _settings(options: Options) -> dict[str, str]:
    width, height = WORLD.size
    return {
        'figures': 'of Eigen et al. (NIPS 2014), the means of those of the pictures',
        'counted': f'true depths up to {options.cap:g} m, crop: {options.crop}',
        'mean depth': "knows the set's own truth: it answers with its mean everywhere",
        'scaled': 'each picture multiplied with the ratio of true and estimated median depth',
        'networks': 'on the CPU in 32 bits; +pp: joined with the depth of the mirrored picture',
        'lens distortion': 'left as it is',
        'world': f'{width}x{height}, seed {WORLD.seed}, {WORLD.per_world} pictures of each world',
    }
