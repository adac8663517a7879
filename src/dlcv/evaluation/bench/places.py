"""``dlcv bench places``: place recognition by NetVLAD beside thumbnails and SIFT with VLAD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.files import read_picture
from dlcv.evaluation.bench import places_sets
from dlcv.evaluation.bench.options import BenchError, BenchOptions, Progress, check_sets, told
from dlcv.evaluation.bench.places_sets import SHARE, WORLDS, PlacesSet
from dlcv.evaluation.bench.report import Report, Row, Table, environment, time_column
from dlcv.evaluation.bench.weight_files import weight_files
from dlcv.metrics.baselines.places import CLUSTERS, POINTS, Describe, SiftVlad, thumbnail
from dlcv.metrics.places import AVERAGE_PRECISION, RECALLS, SURE, precision_recall, recalls
from dlcv.metrics.quantity import Quantity
from dlcv.types import FloatArray, Frame

SUMMARY = 'place recognition: NetVLAD beside thumbnails and SIFT with VLAD'
SETS = places_sets.SETS
COLUMNS = (
    *RECALLS,
    AVERAGE_PRECISION,
    SURE,
    Quantity(name='values', better='low', digits=0, doc='numbers of a descriptor'),
    time_column('picture'),
)

_PHOTOS = Path(__file__).parent / 'photos'


@dataclass(frozen=True, kw_only=True, slots=True)
class Options(BenchOptions):
    """What `dlcv bench places` is told; ``limit`` is of the queries.

    Attributes:
        distance: Metres within which two pictures are of one place; None for what is usual.
        angle: And degrees, where directions are known.
    """

    distance: float | None = None
    angle: float = 45.0

    def __post_init__(self) -> None:
        BenchOptions.__post_init__(self)
        if not (self.distance is None or self.distance > 0) or not 0 < self.angle <= 180:
            raise BenchError(
                'places need a distance above 0 and an angle in (0, 180], got '
                f'{self.distance} and {self.angle:g}'
            )


@dataclass(kw_only=True, slots=True)
class _Method:
    """One way to describe pictures, and what it said of those so far."""

    name: str
    describe: Describe
    file: Path | None = None
    said: list[FloatArray] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, image: npt.NDArray[np.uint8]) -> None:
        begin = perf_counter()
        self.said.append(self.describe(image))
        self.seconds.append(perf_counter() - begin)

    def row(self, asks: npt.NDArray[np.bool_], near: npt.NDArray[np.bool_]) -> Row:
        """Return the numbers in the order of `COLUMNS`."""
        described = np.stack(self.said)
        similarity = described[asks] @ described[~asks].T
        curve = precision_recall(similarity, near)
        shares = (*recalls(similarity, near), curve.average_precision, curve.sure)
        size, time = float(described.shape[1]), 1e3 * median(self.seconds)
        return Row(name=self.name, values=(*(100 * share for share in shares), size, time))


def run(options: Options, progress: Progress) -> Report:
    """Measure all methods on all sets.

    Raises:
        BenchError: A set does not exist, or no query shows a place of its map.
        DatasetError: A folder cannot be read.
        WeightsError: A weight file is refused.
    """
    known = places_sets.find(options.data, options.distance, options.angle)
    check_sets(options.sets, list(known))
    files = weight_files('netvlad', options.weights)
    vlad = SiftVlad(read_picture(path) for path in sorted(_PHOTOS.glob('*.jpg')))
    tables = []
    for name in options.sets or tuple(known):
        methods = [
            _Method(name='16x16 pixels', describe=thumbnail),
            _Method(name='SIFT, VLAD', describe=vlad),
            *(_Method(name=f.title, describe=_network(f.name), file=f.file) for f in files),
        ]
        tables.append(_table(known[name], methods, options.limit, progress))
    return Report(
        bench='places',
        tables=tuple(tables),
        settings=_settings(),
        environment=environment(one.file for one in files),
    )


def _table(
    places: PlacesSet, methods: list[_Method], limit: int | None, progress: Progress
) -> Table:
    asks: list[bool] = []
    where: list[Any] = []
    for seen in told(places.name, places.count, places.read(), progress):
        if not (seen.asks and limit is not None and sum(asks) >= limit):
            asks.append(seen.asks)
            where.append(seen.where)
            for method in methods:
                method.add(seen.image)
    query = np.array(asks, np.bool_)
    if query.all() or not query.any():
        raise BenchError(f'{places.name}: needs pictures of the map and queries, with their places')
    near = places.near(
        [w for w, q in zip(where, asks, strict=True) if q],
        [w for w, q in zip(where, asks, strict=True) if not q],
    )
    known = int(near.any(1).sum())
    if not known:
        raise BenchError(f'{places.name}: none of the {len(near)} queries shows a place of the map')
    return Table(
        name=places.name,
        title=f'{places.title}: {known} of {len(near)} queries show a place of the map of '
        f'{near.shape[1]} pictures',
        columns=COLUMNS,
        rows=tuple(method.row(query, near) for method in methods),
    )


def _network(name: str) -> Callable[[npt.NDArray[np.uint8]], FloatArray]:
    """Return what describes pictures with weights, on the CPU in 32 bits."""
    from dlcv.estimation.load import load_places

    estimator = load_places(name, device='cpu')
    return lambda image: estimator.describe(Frame(stamp_ns=0, image=image))


def _settings() -> dict[str, str]:
    (width, height), visits = WORLDS.visits.size, WORLDS.visits
    return {
        'worlds': f'{width}x{height}, {WORLDS.count} worlds of seed {WORLDS.seed}, all in one map; '
        f'{visits.views} pictures of each of two visits, of which the second asks; each has its '
        'own way, light, materials, air and camera, and things move; of one place are pictures '
        f'when each shows {100 * SHARE:.0f} % of what the other shows',
        'SIFT, VLAD': f'{POINTS} points, square roots, {CLUSTERS} clusters of the photos of '
        '`dlcv bench features`, intra-normalised',
        'NetVLAD': 'on the CPU in 32 bits, pictures shrunk as the weights expect',
    }
