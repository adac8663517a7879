"""What ``dlcv map`` writes: the map, what it is worth as JSON, and a picture of what it covers."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dlcv.config import to_dict
from dlcv.files import write_whole
from dlcv.metrics.relocalization import BOUNDS, bound_name
from dlcv.networks.dsac import SceneCoordinateNet
from dlcv.networks.weights import load_network, save_network
from dlcv.training.maps.learning import Report
from dlcv.training.maps.places import Views, cover, measure
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
        held_out: How many it was measured on.
        answered: Share of them with an accepted pose.
        within: ``5 cm, 5 deg`` and so on -> share of them that is off by less.
        median_cm: Of the distances; None where most were rejected.
        median_deg: Of the angles.
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
    held_out: int
    answered: float | None
    within: dict[str, float]
    median_cm: float | None
    median_deg: float | None
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
) -> MapReport:
    """Write a map and beside it, of the same name, its JSON and its picture.

    What is measured is the map as it stands in the file.

    Args:
        path: Its name ends in ``.safetensors``.
        network: The map; it knows its place.
        views: What it was made of, and what it is measured on.
        minutes: That it took.
        report: Told how far the measuring is.
    """
    place = network.config.place
    if place is None:
        raise TrainError('a map must know its place before it is written')
    save_network(network, path, half=True, source=f'dlcv map of {place.source}')
    stored = load_network('dsac', path)
    assert isinstance(stored, SceneCoordinateNet)
    found, covered = measure(stored, views.held_out, report=report), cover(stored, views.learned)
    cm, deg = found.errors.medians
    made = MapReport(
        map=path.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        frame=place.frame,
        source=place.source,
        pictures=place.pictures,
        left_out=views.left_out,
        held_out=len(views.held_out),
        answered=_known(found.errors.answered),
        within={
            bound_name(*bound): found.errors.within(*bound) for bound in BOUNDS if views.held_out
        },
        median_cm=_known(100 * cm),
        median_deg=_known(deg),
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
