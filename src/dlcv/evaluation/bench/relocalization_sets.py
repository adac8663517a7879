"""What `dlcv bench relocalization` measures on: places, seen twice, and pictures of another."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path

from dlcv.data.datasets import DatasetError, FolderRecording
from dlcv.data.world import SENSORS, WorldRecording, ideal_camera
from dlcv.evaluation.bench.options import Progress, told
from dlcv.evaluation.bench.recordings import open_split
from dlcv.evaluation.bench.sets import add_set
from dlcv.types import Camera, Snapshot

SETS = {'world-room': 'a held-out walk through a generated room'}


@dataclass(frozen=True, kw_only=True, slots=True)
class Rooms:
    """Walks through generated rooms.

    Attributes:
        seed: Of the room that there is a map of; no recipe has it.
        others: Of other rooms.
        size: Width and height of the pictures.
        rate_hz: Pictures per second.
        train: Pictures that the map is made of: of one way through the room.
        test: Pictures of another way, the same way round.
        elsewhere: Pictures of each other room.
    """

    seed: int = 17131
    others: tuple[int, ...] = tuple(range(17132, 17142))
    size: tuple[int, int] = (320, 240)
    rate_hz: float = 5.0
    train: int = 300
    test: int = 100
    elsewhere: int = 100


ROOMS = Rooms()


@dataclass(frozen=True, kw_only=True, slots=True)
class Walk:
    """Pictures with their cameras and poses.

    Attributes:
        count: How many.
        read: Returns every n-th of them when given n; each call starts anew.
    """

    count: int
    read: Callable[[int], Iterable[Snapshot]]

    def thinned(self, limit: int | None) -> Walk:
        """Return at most so many of them, evenly out of all."""
        step = -(-self.count // (limit or self.count))
        return Walk(count=len(range(0, self.count, step)), read=lambda n: self.read(step * n))

    def told(self, part: str, progress: Progress) -> Iterator[Snapshot]:
        """Return them, and tell how many have been through."""
        return told(part, self.count, self.read(1), progress)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceSet:
    """A place to make maps of, and to be found in.

    Attributes:
        name: Short, for tables.
        title: What it is, for people.
        train: What maps are made of.
        test: What is looked up.
        elsewhere: Pictures of another place, by the same camera.
        depth: Whether the depth of the training pictures is known.
    """

    name: str
    title: str
    train: Walk
    test: Walk
    elsewhere: Walk
    depth: bool

    def thinned(self, limit: int | None) -> PlaceSet:
        """Return the place with at most so many pictures of each walk."""
        train, test, elsewhere = (
            walk.thinned(limit) for walk in (self.train, self.test, self.elsewhere)
        )
        return replace(self, train=train, test=test, elsewhere=elsewhere)


def find(data: Sequence[Path]) -> dict[str, PlaceSet]:
    """Return all sets by name: the built-in one, then those of the folders.

    Raises:
        DatasetError: A folder cannot be read, or has no lists or no poses.
        BenchError: Two folders have one name.
    """
    found = {'world-room': _room()}
    for folder in data:
        add_set(found, _folder(folder), folder)
    return found


def _room() -> PlaceSet:
    camera = ideal_camera(*ROOMS.size)
    return PlaceSet(
        name='world-room',
        title=SETS['world-room'],
        train=_kept(_walk(ROOMS.seed, 0, ROOMS.train, camera)),
        test=_walk(ROOMS.seed, 1, ROOMS.test, camera),
        elsewhere=_elsewhere(camera),
        depth=True,
    )


def _walk(seed: int, way: int, count: int, camera: Camera) -> Walk:
    def read(step: int) -> WorldRecording:
        return WorldRecording(
            'room',
            seed=seed,
            way=way,
            camera=camera,
            frames=len(range(0, count, step)),
            rate_hz=ROOMS.rate_hz / step,
            sensor=SENSORS['good'],
            workers=1,  # those that render ahead would be in the way of what is timed
        )

    return Walk(count=count, read=read)


def _elsewhere(camera: Camera) -> Walk:
    """Return walks through other rooms, one after the other."""
    walks = [_walk(seed, 0, ROOMS.elsewhere, camera) for seed in ROOMS.others]
    every = len(walks) * ROOMS.elsewhere

    def read(step: int) -> Iterable[Snapshot]:
        if ROOMS.elsewhere % step:
            return islice(chain.from_iterable(walk.read(1) for walk in walks), 0, None, step)
        return chain.from_iterable(walk.read(step) for walk in walks)

    return Walk(count=every, read=read)


def _kept(walk: Walk) -> Walk:
    """Return a walk whose pictures are rendered once, for all who read them."""
    return replace(walk, read=lru_cache(maxsize=1)(lambda step: _Kept(walk.read(step))))


def _folder(text: Path) -> PlaceSet:
    split = open_split(text)
    train, test = (_posed(part, text) for part in (split.train, split.test))
    return PlaceSet(
        name=split.name,
        title=f'{split.name}, a folder',
        train=Walk(count=len(train), read=lambda step: train.cut(stride=step)),
        test=Walk(count=len(test), read=lambda step: test.cut(stride=step)),
        elsewhere=_elsewhere(train.camera.undistorted()),
        depth=any(item.depth is not None for item in train.items),
    )


def _posed(part: FolderRecording, text: Path) -> FolderRecording:
    """Return the pictures whose pose is known.

    Raises:
        DatasetError: None is.
    """
    items = tuple(item for item in part.items if item.world_from_camera is not None)
    if not items:
        raise DatasetError(
            f'{part.name}: none of the {len(part)} listed pictures has a true pose; '
            f'{text},groundtruth=FILE names the poses'
        )
    return replace(part, items=items)


class _Kept:
    """Pictures that stay in memory once they have been read, with what maps are made of."""

    def __init__(self, views: Iterable[Snapshot]) -> None:
        self._rest = iter(views)
        self._views: list[Snapshot] = []

    def __iter__(self) -> Iterator[Snapshot]:
        yield from self._views
        for view in self._rest:
            pose, depth = view.world_from_camera, view.depth
            self._views.append(Snapshot(frame=view.frame, world_from_camera=pose, depth=depth))
            yield self._views[-1]
