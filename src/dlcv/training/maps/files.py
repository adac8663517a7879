"""What ``dlcv map`` writes: the map, what it is worth as JSON, and a picture of what it covers."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcv.config import to_dict
from dlcv.files import write_whole
from dlcv.metrics.relocalization import BOUNDS
from dlcv.networks.dsac import SceneCoordinateNet
from dlcv.networks.place import PoseSpread
from dlcv.networks.weights import load_network, save_network
from dlcv.training.maps.apart import Far, nearest
from dlcv.training.maps.figures import Band, bands, figure
from dlcv.training.maps.learning import Report
from dlcv.training.maps.places import Views, cover, measure, poses_of
from dlcv.training.recipe import TrainError
from dlcv.view.panel import write_picture
from dlcv.view.place import place_picture


@dataclass(frozen=True, kw_only=True)
class MapReport:
    """What was made, as it stands in the JSON beside the map.

    Attributes:
        map: Name of the file.
        sha256: Its digest.
        frame: Frame of its coordinates.
        source: What it was made of.
        pictures: How many pictures it was made of.
        left_out: What pictures lacked that could not be used -> how many.
        lists: Which lists of the folders say so, in words.
        held_out: How many it was measured on.
        stretches: In how many stretches those of them are that are far from what was learned.
        far: How many these are; on another walk as far away the same is to be expected.
        far_cm: From them to the nearest learned picture, median; None of none.
        far_deg: The same of the turn.
        answered: Share of the far ones with an accepted pose; None of none.
        within: ``5 cm, 5 deg`` and so on -> share of them that is off by less; empty of none.
        median_cm: Of their distances; None where most were rejected.
        median_deg: Of their angles.
        bands: What it is worth by the distance to the nearest learned picture.
        refitted: Whether the map was made again of all pictures once it was measured.
        spread: By how much deviations of poses that the consensus states were found too small.
        covered: Share of the coordinates that lie where its own pictures show them.
        least_share: Of the cells, that must agree with a pose.
        minutes: What it took.
        milliseconds: Median of one relocalization.
    """

    map: str
    sha256: str
    frame: str
    source: str
    pictures: int
    left_out: dict[str, int]
    lists: tuple[str, ...]
    held_out: int
    stretches: int
    far: int
    far_cm: float | None
    far_deg: float | None
    answered: float | None
    within: dict[str, float]
    median_cm: float | None
    median_deg: float | None
    bands: tuple[Band, ...]
    refitted: bool
    spread: PoseSpread | None
    covered: float
    least_share: float
    minutes: float
    milliseconds: float | None


def write_map(
    path: Path,
    network: SceneCoordinateNet,
    views: Views,
    minutes: float,
    report: Report = lambda _what, _done, _of: None,
    *,
    far: Far | None = None,
    lists: Sequence[str] = (),
    measured: SceneCoordinateNet | None = None,
) -> MapReport:
    """Write a map and beside it, of the same name, its JSON and its picture.

    What is measured is the map as it stands in the file, unless that knows what was held out.

    Args:
        path: Its name ends in ``.safetensors``.
        network: The map; it knows its place.
        views: What it was made of, and what it is measured on.
        minutes: That it took.
        report: Told how far the measuring is.
        far: What is far from what the map learned.
        lists: Which lists of the folders were taken, in words.
        measured: The map before it was made again of all pictures: that one is measured.
    """
    place = network.config.place
    if place is None:
        raise TrainError('a map must know its place before it is written')
    save_network(network, path, half=True, source=f'dlcv map of {place.source}')
    stored = load_network('dsac', path)
    assert isinstance(stored, SceneCoordinateNet)
    found = measure(measured or stored, views.held_out, report=report)
    covered = cover(stored, views.learned)
    far = far or Far()
    apart = nearest(poses_of(views.held_out), poses_of(views.learned), far)
    away = figure(found.errors, apart, np.arange(len(views.held_out)) < views.far)
    made = MapReport(
        map=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        frame=place.frame,
        source=place.source,
        pictures=place.pictures,
        left_out=views.left_out,
        lists=tuple(lists),
        held_out=len(views.held_out),
        stretches=views.stretches,
        far=away.pictures,
        far_cm=away.nearest_cm,
        far_deg=away.nearest_deg,
        answered=away.answered,
        within=away.within,
        median_cm=away.median_cm,
        median_deg=away.median_deg,
        bands=bands(found.errors, apart, far),
        refitted=measured is not None,
        spread=place.spread,
        covered=covered.share,
        least_share=place.least_share,
        minutes=minutes,
        milliseconds=_known(found.milliseconds),
    )
    text = json.dumps(to_dict(made), indent=1, ensure_ascii=False, allow_nan=False)
    write_whole(path.with_suffix('.json'), text + '\n')
    picture = place_picture(
        covered.points,
        covered.levels,
        np.stack([view.world_from_camera for view in views.learned]),
        np.array([view.world_from_camera for view in views.held_out]).reshape(-1, 4, 4),
        [answer.accepted_pose for answer in found.answers],
        found.errors.inside(*BOUNDS[0]),
        title=path.stem,
    )
    write_picture(path.with_suffix('.png'), picture)
    return made


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
