"""The whole way from recordings of a place to its map, and to what the map is worth."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from math import ceil
from pathlib import Path
from typing import cast

import numpy as np
import numpy.typing as npt
import torch

from dlcv.estimation.device import to_tensor
from dlcv.estimation.dsac import (
    CoordinateNet,
    RelocalizationEstimator,
    RelocalizationSettings,
)
from dlcv.geometry.camera import reprojection_errors
from dlcv.metrics.relocalization import Relocalizations, relocalizations
from dlcv.networks.dsac import SceneCoordinateNet, cell_centres
from dlcv.networks.place import Place, Point
from dlcv.networks.weights import load, shipped
from dlcv.training.maps.apart import Far, stretches_apart
from dlcv.training.maps.end_to_end import EndToEndConfig, train_end_to_end
from dlcv.training.maps.learning import MapConfig, Report, make_map
from dlcv.training.maps.looks import KnownView, known_views
from dlcv.training.maps.spread import fit_spread, pose_errors
from dlcv.training.recipe import TrainError
from dlcv.types import ByteImage, FloatArray, Frame, Localization, Recording, Snapshot

_STRETCHES = 10  # of neighbours that are held out where nothing far can be
_LEAST = 8  # pictures a map can be made of
_LOOKS = 100  # pictures that are looked up to learn what wrong poses reach
_DOUBT = 1.5  # another room that looked alike reached 1.4 times what mirrored pictures did


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceConfig:
    """What becomes of the pictures of a place.

    Attributes:
        frame: Name that the fixed frame of the poses is given.
        every: Every how many-th picture is taken.
        most: Pictures that are taken at most, evenly out of all.
        hold_out: Share of the pictures, at most, that the map is not made of but measured on:
            stretches of the recordings and all that is near them, see `stretches_apart`.
        far: What is far from what the map learned.
        refit: Make the map again of all pictures once it is measured, in twice the time.
        depth: Whether depth is used where it was measured.
        map: How the map is made.
        end_to_end: How it is trained through the sample consensus after that; None for not.
    """

    frame: str = 'map'
    every: int = 1
    most: int = 4000
    hold_out: float = 0.15
    far: Far = field(default_factory=Far)
    refit: bool = False
    depth: bool = True
    map: MapConfig = field(default_factory=MapConfig)
    end_to_end: EndToEndConfig | None = None

    def __post_init__(self) -> None:
        if not self.frame:
            raise TrainError('a map needs the name of its frame')
        if min(self.every, self.most) < 1 or not 0 <= self.hold_out < 1:
            raise TrainError(
                'a map needs every and most >= 1 and hold_out in [0, 1), got '
                f'{self.every}, {self.most} and {self.hold_out}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Views:
    """The pictures of a place.

    Attributes:
        learned: Those that the map is made of.
        held_out: Those that it is measured on: the far ones first.
        source: Where they are from, in words.
        left_out: What pictures lacked that could not be used -> how many.
        far: How many of those held out are far from all that are learned.
        stretches: In how many stretches of the recordings these are.
    """

    learned: list[KnownView]
    held_out: list[KnownView]
    source: str
    left_out: dict[str, int]
    far: int = 0
    stretches: int = 0

    @property
    def all(self) -> Views:
        """The same with nothing held out."""
        return replace(
            self, learned=[*self.learned, *self.held_out], held_out=[], far=0, stretches=0
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Accuracy:
    """What a map is worth on pictures that it was not made of.

    Attributes:
        answers: One of each.
        errors: How far they are off; infinite where a pose was rejected.
        milliseconds: Median time of one.
    """

    answers: list[Localization]
    errors: Relocalizations
    milliseconds: float


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Coverage:
    """What a map knows of its place.

    Attributes:
        points: ``(N, 3)`` scene coordinates that are where the pictures show them, metres.
        levels: ``(N,)`` their grey values.
        share: Of all coordinates of the pictures looked at.
    """

    points: FloatArray
    levels: ByteImage
    share: float


def open_encoder(file: Path | None = None) -> SceneCoordinateNet:
    """Return the encoder that maps are made with.

    Args:
        file: Its weights; None for the shipped ones.

    Raises:
        TrainError: None are shipped, or the file holds another network or an untrained one.
        WeightsError: The file is refused.
    """
    file = file or shipped('ace_encoder')
    if file is None:
        raise TrainError('no ace_encoder weights are shipped: name a file')
    loaded = load('dsac', file)
    network, trained = cast('CoordinateNet', loaded.network), loaded.weights.trained
    if not isinstance(network, SceneCoordinateNet) or network.config.variant != 'ace':
        raise TrainError(
            f"{file}: maps are made with an encoder, that is dsac of variant 'ace'; this is of "
            f'variant {network.config.variant!r}'
        )
    if not trained:
        raise TrainError(f'{file} is untrained: name another file')
    return network


def read_views(
    recordings: Sequence[Recording],
    height: int,
    config: PlaceConfig,
    report: Report = lambda _what, _done, _of: None,
) -> Views:
    """Read the pictures of a place, and decide which are held out.

    Args:
        recordings: Of one place, with poses in one frame.
        height: Rows that the encoder wants.
        config: Which pictures.
        report: Told how far it is.

    Raises:
        TrainError: If too few have a pose and a calibration.
    """
    views = read_all(recordings, height, config, report)
    return parted(views.learned, config, views.source, views.left_out)


def read_all(
    recordings: Sequence[Recording],
    height: int,
    config: PlaceConfig,
    report: Report = lambda _what, _done, _of: None,
) -> Views:
    """Read the pictures of a place, with none held out; arguments as of `read_views`."""
    total = sum(len(recording) for recording in recordings)
    stride = max(config.every, ceil(total / config.most))
    views: list[KnownView] = []
    lacking: Counter[str] = Counter()
    for recording in recordings:
        taken = islice(_told(recording, report), 0, None, stride)
        views += known_views(taken, height, lambda why: lacking.update([why]))
    if len(views) < _LEAST:
        raise TrainError(
            f'a map needs {_LEAST} pictures with pose and calibration; of '
            f'{", ".join(recording.name for recording in recordings)} there are {len(views)}'
            + ''.join(f', {count} lack the {what}' for what, count in sorted(lacking.items()))
        )
    source = ', '.join(f'{recording.name} ({len(recording)} pictures)' for recording in recordings)
    return Views(learned=views, held_out=[], source=source, left_out=dict(lacking))


def parted(
    views: Sequence[KnownView],
    config: PlaceConfig,
    source: str = '',
    left_out: dict[str, int] | None = None,
) -> Views:
    """Decide which pictures are held out.

    Args:
        views: All, in the order of the recordings.
        config: How many, and what is far.
        source: Where they are from, in words.
        left_out: What others lacked.
    """
    most = min(int(len(views) * config.hold_out), len(views) - _LEAST)
    apart = stretches_apart(poses_of(views), most, config.far)
    out = (
        apart.out if apart.stretches else held_out_of(len(views), max(most, 0) / max(len(views), 1))
    )
    order = np.argsort(~apart.far[out], kind='stable')
    held_out = [view for view, left in zip(views, out, strict=True) if left]
    return Views(
        learned=[view for view, left in zip(views, out, strict=True) if not left],
        held_out=[held_out[number] for number in order],
        source=source,
        left_out=left_out or {},
        far=int(apart.far.sum()),
        stretches=apart.stretches,
    )


def poses_of(views: Sequence[KnownView]) -> FloatArray:
    """Return ``(N, 4, 4)`` world_from_camera of the views."""
    return np.array([view.world_from_camera for view in views], np.float64).reshape(-1, 4, 4)


def _told(recording: Recording, report: Report) -> Iterator[Snapshot]:
    for number, snapshot in enumerate(recording, start=1):
        report(f'read {recording.name}', number, len(recording))
        yield snapshot


def held_out_of(count: int, share: float) -> npt.NDArray[np.bool_]:
    """Return which of so many neighbours are held out: the end of each tenth of their walk."""
    if not share:
        return np.zeros(count, np.bool_)
    stretches = max(1, min(_STRETCHES, int(count * share)))
    within = np.arange(count) * stretches % max(count, 1)  # whole numbers: no rounding
    return np.asarray(within >= round(count * (1 - share)), np.bool_)


def make_place(
    views: Views,
    encoder: SceneCoordinateNet,
    config: PlaceConfig,
    report: Report = lambda _what, _done, _of: None,
    device: torch.device | str = 'cpu',
    begun: SceneCoordinateNet | None = None,
) -> SceneCoordinateNet:
    """Return the map of a place, which knows what it is a map of.

    Args:
        views: Its pictures.
        encoder: From `open_encoder`.
        config: How the map is made.
        report: Told how far it is.
        device: Where the work is done; the map comes back on the CPU.
        begun: The same map before it was trained end to end, if it is there; it is changed.
    """
    learned = views.learned
    if not config.depth:
        learned = [replace(view, depth=None) for view in learned]
    network = begun or make_map(learned, encoder, config.map, report, device)
    if config.end_to_end is not None:
        train_end_to_end(network, views.learned, config.end_to_end, report, device)
    place = place_of(views, config)
    place = replace(place, least_share=least_share(network, views.learned, report))
    network.config = replace(network.config, place=place)
    _calibrate(network, views, report)
    return network


def _calibrate(network: SceneCoordinateNet, views: Views, report: Report) -> None:
    """Let a map know how far off its poses are on what was held out."""
    place = network.config.place
    assert place is not None

    def told(_what: str, done: int, of: int) -> None:
        report('calibrate', done, of)

    far = pose_errors(network, views.held_out[: views.far], told)
    near = pose_errors(network, views.held_out[views.far :], told)
    spread = fit_spread(far, near)
    network.config = replace(network.config, place=replace(place, spread=spread))


def make_again(
    measured: SceneCoordinateNet,
    views: Views,
    encoder: SceneCoordinateNet,
    config: PlaceConfig,
    report: Report = lambda _what, _done, _of: None,
    device: torch.device | str = 'cpu',
) -> SceneCoordinateNet:
    """Return the map of all pictures, which takes over how far off the measured one was.

    Args:
        measured: From `make_place`, made without what was held out.
        views: The pictures.
        encoder: From `open_encoder`.
        config: How the map is made.
        report: Told how far it is.
        device: Where the work is done.
    """
    assert measured.config.place is not None
    network = make_place(views.all, encoder, config, report, device)
    assert network.config.place is not None
    place = replace(network.config.place, spread=measured.config.place.spread)
    network.config = replace(network.config, place=place)
    return network


def place_of(views: Views, config: PlaceConfig) -> Place:
    """Return what a map of the views is a map of, before anything was looked up in it."""
    at = np.stack([view.world_from_camera[:3, 3] for view in views.learned])
    focals = [view.camera.fy / view.camera.height for view in views.learned]
    nearer, farther = config.map.looks.zoom
    return Place(
        frame=config.frame,
        focal=(min(focals) * nearer, max(focals) * farther),
        low=_point(at.min(axis=0)),
        high=_point(at.max(axis=0)),
        pictures=len(views.learned),
        source=views.source,
    )


def least_share(
    network: SceneCoordinateNet,
    views: Sequence[KnownView],
    report: Report = lambda _what, _done, _of: None,
) -> float:
    """Return the share of the cells that must agree with a pose for it to be believed.

    A picture of the place, mirrored, is one of somewhere else that looks like it: what it is given
    is a wrong pose. Half as much again as the best of these is asked for, but no more than half of
    what the place's own pictures mostly have: some places look the same in a mirror.

    Args:
        network: The map.
        views: What it was made of.
        report: Told how far it is.
    """
    seen = views[:: ceil(len(views) / _LOOKS)]
    lenient = RelocalizationSettings(min_inliers=0, min_inlier_ratio=0.0)

    def shares(views: Sequence[KnownView], what: str) -> FloatArray:
        answers = measure(network, views, lenient, lambda _, n, of: report(what, n, of)).answers
        return np.array([answer.inlier_ratio for answer in answers])

    wrong = shares([mirrored(view) for view in seen], 'look up mirrored')
    right = shares(seen, 'look up')
    return round(min(_DOUBT * float(wrong.max()), float(np.median(right)) / 2), 4)


def mirrored(view: KnownView) -> KnownView:
    """Return a picture with left and right exchanged, and the camera that it would be of."""
    camera = replace(view.camera, cx=view.camera.width - 1 - view.camera.cx)
    return replace(view, image=view.image[:, ::-1].copy(), camera=camera, depth=None)


def measure(
    network: SceneCoordinateNet,
    views: Sequence[KnownView],
    settings: RelocalizationSettings | None = None,
    report: Report = lambda _what, _done, _of: None,
) -> Accuracy:
    """Relocalize views whose poses are known, on the CPU, as the node would."""
    estimator = RelocalizationEstimator(network, settings, device='cpu')
    answers, seconds = [], []
    for number, view in enumerate(views, start=1):
        begin = time.perf_counter()
        answers.append(estimator.push(Frame(stamp_ns=0, image=view.image, camera=view.camera)))
        seconds.append(time.perf_counter() - begin)
        report('measure', number, len(views))
    return Accuracy(
        answers=answers,
        errors=relocalizations(
            [answer.accepted_pose for answer in answers], [view.world_from_camera for view in views]
        ),
        milliseconds=1e3 * float(np.median(seconds)) if seconds else float('nan'),
    )


def cover(
    network: SceneCoordinateNet,
    views: Sequence[KnownView],
    most: int = 100,
    within: float = 10.0,
) -> Coverage:
    """Look at what a map says of its own pictures.

    Args:
        network: The map.
        views: What it was made of.
        most: Pictures that are looked at.
        within: Pixels; a coordinate that reprojects farther from its cell is not known.
    """
    points, levels, total = [], [], 0
    for view in views[:: ceil(len(views) / most)]:
        found, at = _coordinates(network, view)
        camera_from_world = np.linalg.inv(view.world_from_camera)
        known = reprojection_errors(view.camera, camera_from_world, found, at) < within
        x, y = at[known].astype(int).T
        points.append(found[known])
        levels.append(view.image[y.clip(max=view.image.shape[0] - 1), x])
        total += len(found)
    every = np.concatenate(points)
    return Coverage(points=every, levels=np.concatenate(levels), share=len(every) / max(total, 1))


def _coordinates(network: SceneCoordinateNet, view: KnownView) -> tuple[FloatArray, FloatArray]:
    """Return the scene coordinates ``(N, 3)`` of cells inside a view, and their pixels."""
    with torch.inference_mode():
        grid = network(to_tensor(view.image, torch.device('cpu')))[0]
    centres = cell_centres(network.config, *grid.shape[1:]).reshape(-1, 2).double().numpy()
    inside = (centres < np.array(view.image.shape[::-1])).all(axis=1)
    return grid.flatten(1).T.double().numpy()[inside], centres[inside]


def _point(xyz: FloatArray) -> Point:
    x, y, z = (round(float(value), 6) for value in xyz)
    return x, y, z
