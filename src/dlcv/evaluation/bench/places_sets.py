"""What `dlcv bench places` measures on: places seen again, in generated worlds and in folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets import DatasetError
from dlcv.data.datasets.files import read_picture
from dlcv.data.datasets.pictures import is_picture, natural
from dlcv.data.recordings import is_bag, open_recording
from dlcv.data.world.visits import PlaceView, VisitConfig, WorldVisits, shown_by
from dlcv.evaluation.bench.recordings import open_split
from dlcv.evaluation.bench.sets import add_set
from dlcv.types import ByteImage, Snapshot

SETS = {'worlds': 'held-out rooms, corridors and streets by another way, in another light'}
SHARE = 0.3
"""Two pictures of a world are of one place when each shows so much of what the other shows."""

_LISTS = ('database', 'queries')
_WITHIN = ('', 'test', 'images/test')  # where the benchmark has these two folders
Near = Callable[[Sequence[Any], Sequence[Any]], npt.NDArray[np.bool_]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Worlds:
    """Held-out worlds.

    Attributes:
        seed: Of them; no recipe has it.
        count: How many.
        visits: How they are visited: the first visit is the map, the second asks.
    """

    seed: int = 17137
    count: int = 6
    visits: VisitConfig = field(default_factory=lambda: VisitConfig(visits=2, views=20))


WORLDS = Worlds()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Seen:
    """A picture of a place.

    Attributes:
        image: ``(H, W)`` or ``(H, W, 3)``.
        asks: Whether it is a query; else it is of the map.
        where: Where it was taken, as the set's ``near`` takes it.
    """

    image: ByteImage
    asks: bool
    where: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacesSet:
    """Places to be recognised.

    Attributes:
        name: Short, for tables.
        title: What they are, for people.
        count: How many pictures.
        read: Returns them one after the other; each call starts anew.
        near: Tells which of the map's are of the place of each query, ``(Q, n)``.
    """

    name: str
    title: str
    count: int
    read: Callable[[], Iterator[Seen]]
    near: Near


def find(data: Sequence[Path], distance: float | None, angle: float) -> dict[str, PlacesSet]:
    """Return all sets by name: the built-in one, then those of the folders.

    Args:
        data: ``MAP+QUERIES``, two recordings with poses in one frame; or folders: with pictures in
            ``database`` and ``queries``, whose names say where they were taken, as
            ``@EAST@NORTH@...``, or whose folders do; or with lists and poses.
        distance: Metres within which two pictures are of one place; 25 for names and 2 for poses
            without.
        angle: And degrees, where directions are known.

    Raises:
        DatasetError: A folder cannot be read, or is of none of these kinds.
        BenchError: Two folders have one name.
    """
    count = WORLDS.count * WORLDS.visits.visits * WORLDS.visits.views
    found = {
        'worlds': PlacesSet(
            name='worlds', title=SETS['worlds'], count=count, read=_worlds, near=_shown
        )
    }
    for folder in data:
        add_set(found, _folder(folder, distance, angle), folder)
    return found


def _worlds() -> Iterator[Seen]:
    visits = WorldVisits(WORLDS.visits, WORLDS.seed)
    for world in range(WORLDS.count):
        for view in visits[world]:
            yield Seen(image=view.frame.image, asks=view.visit > 0, where=view)


def _shown(queries: Sequence[PlaceView], places: Sequence[PlaceView]) -> npt.NDArray[np.bool_]:
    return np.minimum(shown_by(queries, places), shown_by(places, queries).T) >= SHARE


def _folder(text: Path, distance: float | None, angle: float) -> PlacesSet:
    first, plus, second = str(text).partition('+')
    if plus:
        return _recordings(Path(first), Path(second), distance or 2.0, angle)
    root = next((text / part for part in _WITHIN if _has_lists(text / part)), None)
    if root is None:
        split = open_split(text)
        return _posed(split.name, split.train, split.test, distance or 2.0, angle)
    files = [sorted(_pictures(root / name), key=natural) for name in _LISTS]
    if not all(files):
        raise DatasetError(f'{root}: database and queries need pictures, or folders of them')
    near: Near
    if all('@' in path.name for path in (*files[0], *files[1])):
        title, near = f'{text.name}, by names', partial(_within, distance=distance or 25.0)
        where: Callable[[Path], Any] = _east_north
    else:
        title, near, where = f'{text.name}, by folders', _same, lambda path: path.parent.name
        if any(path.parent == root / name for name, kind in zip(_LISTS, files, strict=True)
               for path in kind):  # fmt: skip
            raise DatasetError(
                f'{root}: where pictures were taken is told by their names, @EAST@NORTH@..., or by '
                'the folders that they are in, one for each place; here neither is so'
            )

    def read() -> Iterator[Seen]:
        for asks, paths in enumerate(files):
            for path in paths:
                yield Seen(image=read_picture(path), asks=bool(asks), where=where(path))

    for path in (*files[0], *files[1]):
        where(path)  # before any work
    count = len(files[0]) + len(files[1])
    return PlacesSet(name=text.name, title=title, count=count, read=read, near=near)


def _recordings(first: Path, second: Path, distance: float, angle: float) -> PlacesSet:
    opened = [open_recording(path) for path in (first, second)]
    for path, recording in zip((first, second), opened, strict=True):
        if is_bag(path) and not len(recording):
            raise DatasetError(f'{path}: no pictures')
    name = f'{opened[0].name}+{opened[1].name}'
    return _posed(name, opened[0], opened[1], distance, angle)


def _posed(name: str, places: Any, queries: Any, distance: float, angle: float) -> PlacesSet:
    """Return the set of two recordings; pictures without a pose are left out."""

    def read() -> Iterator[Seen]:
        for asks, recording in enumerate((places, queries)):
            for view in recording:
                assert isinstance(view, Snapshot)
                if view.world_from_camera is not None:
                    pose = view.world_from_camera
                    yield Seen(image=view.frame.image, asks=bool(asks), where=pose)

    return PlacesSet(
        name=name,
        title=f'{name}, by poses within {distance:g} m and {angle:g} deg',
        count=len(places) + len(queries),
        read=read,
        near=partial(_beside, distance=distance, angle=np.radians(angle)),
    )


def _within(queries: Sequence[Any], places: Sequence[Any], distance: float) -> Any:
    apart = np.array(queries)[:, None] - np.array(places)[None]
    return np.linalg.norm(apart, axis=2) <= distance


def _beside(queries: Sequence[Any], places: Sequence[Any], distance: float, angle: float) -> Any:
    a, b = np.stack(queries), np.stack(places)
    apart = np.linalg.norm(a[:, None, :3, 3] - b[None, :, :3, 3], axis=2)
    cosine = (np.einsum('qij,nij->qn', a[:, :3, :3], b[:, :3, :3]) - 1) / 2
    return (apart <= distance) & (np.arccos(np.clip(cosine, -1, 1)) <= angle)


def _same(queries: Sequence[Any], places: Sequence[Any]) -> Any:
    return np.array(queries)[:, None] == np.array(places)[None]


def _east_north(path: Path) -> tuple[float, float]:
    """Return metres that the name of a picture tells: ``@EAST@NORTH@...``."""
    words = path.name.split('@')
    try:
        return float(words[1]), float(words[2])
    except (IndexError, ValueError):
        raise DatasetError(f'{path}: expected a name @EAST@NORTH@..., in metres') from None


def _has_lists(folder: Path) -> bool:
    return all((folder / name).is_dir() for name in _LISTS)


def _pictures(folder: Path) -> list[Path]:
    return [path for path in folder.rglob('*') if is_picture(path)]
