"""The ways that ``dlcv bench odometry`` measures on: through generated worlds, and of folders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcv.data.datasets import DatasetError, FolderRecording
from dlcv.data.datasets.folder import Item
from dlcv.evaluation.bench.recordings import open_data
from dlcv.evaluation.bench.sets import add_set
from dlcv.types import FloatArray, Snapshot

if TYPE_CHECKING:
    from dlcv.data.world.recording import WorldRecording

SEED, WAYS, FRAMES, RATE_HZ, SIZE = 31013, 4, 120, 10.0, (416, 256)
PLACES = {
    'walk': ('room', 'corridor', 'street'),
    'robot': ('room', 'corridor', 'street'),
    'car': ('street',),
    'drone': ('room', 'corridor', 'street'),
}
SETS = {f'world-{motion}': f'generated worlds, seen by a {motion}' for motion in PLACES}
"""Every motion of the worlds by itself."""

_ROLLING = ('robot', 'car')  # whose camera keeps its height
_GAP_NS = 500_000_000  # between two pictures of a folder: a new way


@dataclass(frozen=True, kw_only=True, slots=True)
class DepthCamera:
    """What a depth camera makes of the true depth: noise that grows with it, steps, a range.

    Attributes:
        share: Standard deviation of a pixel as a share of its depth; 0 for a depth that was
            measured already.
        step: Of the values, metres.
        farthest: Beyond it nothing is measured, metres.
    """

    share: float = 0.01
    step: float = 0.001
    farthest: float = 10.0


MEASURED = DepthCamera(share=0.0, step=0.0, farthest=np.inf)
"""For folders, whose depth comes from a sensor."""
INDOORS, OUTDOORS = DepthCamera(), DepthCamera(farthest=40.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """A camera's way.

    Attributes:
        poses: Returns its true poses, ``(T, 4, 4)``.
        views: Returns its views in order, all with camera and pose, with the right picture if
            that is asked for; each call starts anew.
        frames: How many views.
        baseline: Distance of the right camera in metres; 0 where there is none.
        camera_height: Returns that over the ground in metres; None where it is not known.
        depth: What a depth camera makes of the views' depth; None where they have none.
        timing: Standard deviation of the times of the true poses, seconds.
    """

    poses: Callable[[], FloatArray]
    views: Callable[[bool], Iterator[Snapshot]]
    frames: int
    baseline: float = 0.0
    camera_height: Callable[[], float] | None = None
    depth: DepthCamera | None = None
    timing: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class WaySet:
    """Ways of one kind.

    Attributes:
        name: Short, for tables.
        title: What they are, for people.
        ways: One or more.
    """

    name: str
    title: str
    ways: tuple[Way, ...]

    def cut(self, ways: int | None, frames: int | None) -> WaySet:
        """Return at most the first ``ways`` ways, of each at most the first ``frames`` views."""
        kept = (
            way if frames is None else replace(way, frames=min(way.frames, frames))
            for way in self.ways[:ways]
        )
        return replace(self, ways=tuple(kept))


def find(
    data: Sequence[Path], seed: int = SEED, camera_height: float = 0.0, timing: float = 0.0
) -> dict[str, WaySet]:
    """Return all sets by name: the built-in ones, then those of the folders.

    Args:
        data: Folders as `open_data` takes them.
        seed: Of the worlds.
        camera_height: Of the folders' cameras over the ground in metres; 0 for unknown.
        timing: Standard deviation of the times of the folders' true poses, seconds.

    Raises:
        DatasetError: A folder cannot be read, or has no poses.
        BenchError: Two folders have one name.
    """
    found = {f'world-{motion}': _world(motion, seed) for motion in PLACES}
    for folder in data:
        add_set(found, _folder(folder, camera_height, timing), folder)
    return found


def _world(motion: str, seed: int) -> WaySet:
    return WaySet(
        name=f'world-{motion}',
        title=SETS[f'world-{motion}'],
        ways=tuple(_world_way(motion, number, seed) for number in range(WAYS)),
    )


def _world_way(motion: str, number: int, seed: int) -> Way:
    recording = partial(_recording, motion, number, seed)
    one = recording(stereo=True)

    def height() -> float:
        return float(np.mean(one.world_from_camera[:, 2, 3])) - one.ground

    return Way(
        poses=lambda: one.world_from_camera,
        views=lambda stereo: iter(recording(stereo=stereo)),
        frames=FRAMES,
        baseline=one.baseline,
        camera_height=height if motion in _ROLLING else None,
        depth=OUTDOORS if one.scene == 'street' else INDOORS,
    )


def _recording(motion: str, number: int, seed: int, *, stereo: bool = False) -> WorldRecording:
    from dlcv.data.world.samples import SampleConfig, WorldSamples

    config = SampleConfig(
        scenes=PLACES[motion],
        motions=(motion,),
        size=SIZE,
        frames=FRAMES,
        rate_hz=(RATE_HZ, RATE_HZ),
        stereo=stereo,
        per_world=1,
        finest=0,
    )
    return WorldSamples(config, seed).recording(number)


def _folder(text: Path, camera_height: float, timing: float) -> WaySet:
    recording = open_data(text)
    items = tuple(item for item in recording.items if item.world_from_camera is not None)
    if len(items) < 2:
        raise DatasetError(
            f'{recording.name}: {len(items)} of its {len(recording)} pictures have a true pose; '
            f'{text},groundtruth=FILE names the poses'
        )
    return WaySet(
        name=recording.name,
        title=f'{recording.name}, a folder',
        ways=tuple(_folder_way(replace(recording, items=part), camera_height, timing)
                   for part in _continuous(items)),
    )  # fmt: skip


def _folder_way(recording: FolderRecording, camera_height: float, timing: float) -> Way:
    poses = np.stack([p for item in recording.items if (p := item.world_from_camera) is not None])
    items = recording.items
    return Way(
        poses=lambda: poses,
        views=lambda _stereo: iter(recording),
        frames=len(items),
        baseline=recording.baseline if all(item.right is not None for item in items) else 0.0,
        camera_height=(lambda: camera_height) if camera_height else None,
        depth=MEASURED if any(item.depth is not None for item in items) else None,
        timing=timing,
    )


def _continuous(items: tuple[Item, ...]) -> list[tuple[Item, ...]]:
    """Return the stretches of two items or more without a gap in their times."""
    cuts = [
        i for i, (a, b) in enumerate(pairwise(items), 1) if abs(b.stamp_ns - a.stamp_ns) > _GAP_NS
    ]
    parts = [items[a:b] for a, b in pairwise((0, *cuts, len(items)))]
    return [part for part in parts if len(part) > 1] or [items]
