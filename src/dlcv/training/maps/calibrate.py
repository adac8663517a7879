"""A map that is there, measured on pictures that it was not made of; what it learned stays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from dlcv.networks.dsac import SceneCoordinateNet
from dlcv.networks.place import AS_STATED, UNMEASURED, Place, PoseSpread
from dlcv.networks.weights import Loaded, load, save_network
from dlcv.training.maps.learning import Report
from dlcv.training.maps.looks import KnownView
from dlcv.training.maps.places import Accuracy, measure
from dlcv.training.maps.spread import LEAST, PoseErrors, errors_of, fit_spread
from dlcv.training.recipe import TrainError


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Calibration:
    """What came of measuring a map.

    Attributes:
        accuracy: How far off it is.
        spread: By how much the deviations that the consensus states are too small.
        before: Share of the accepted poses in the ellipsoid that should hold 95 %, by what the map
            said of itself before.
        after: The same now.
    """

    accuracy: Accuracy
    spread: PoseSpread
    before: float
    after: float


def open_map(path: Path) -> tuple[Loaded, Place]:
    """Return a map that knows its place.

    Raises:
        TrainError: It does not, or is an encoder.
        WeightsError: The file is refused.
    """
    loaded = load('dsac', path)
    place = getattr(loaded.network, 'config').place  # noqa: B009 - a Module of our own
    if not isinstance(loaded.network, SceneCoordinateNet) or place is None:
        raise TrainError(f'{path}: a map made by dlcv map is needed; this one knows no place')
    return loaded, place


def calibrate_map(
    loaded: Loaded,
    views: Sequence[KnownView],
    out: Path,
    report: Report = lambda _what, _done, _of: None,
) -> Calibration:
    """Write a map as it is, but for how far off it says that its poses are.

    Args:
        loaded: From `open_map`.
        views: Pictures that it was not made of.
        out: Name of the new file.
        report: Told how far it is.

    Raises:
        TrainError: Too few poses are accepted.
    """
    network = cast('SceneCoordinateNet', loaded.network)
    place = network.config.place
    assert place is not None
    network.config = replace(network.config, place=replace(place, spread=AS_STATED))
    accuracy = measure(network, views, report=report)
    errors = errors_of(accuracy.answers, views)
    none = PoseErrors.none()
    spread = fit_spread(errors, none)
    if spread is None:
        raise TrainError(
            f'{len(errors)} of {len(views)} pictures were given a pose that is believed; to '
            f'calibrate a map {LEAST} are needed'
        )
    network.config = replace(network.config, place=replace(place, spread=spread))
    known = loaded.weights
    save_network(
        network,
        out,
        half=known.dtype == 'float16',
        source=known.metadata.get('source', ''),
        licence=known.licence,
    )
    return Calibration(
        accuracy=accuracy,
        spread=spread,
        before=errors.inside(place.spread or UNMEASURED),
        after=errors.inside(spread),
    )
