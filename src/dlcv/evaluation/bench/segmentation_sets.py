"""What `dlcv bench segmentation` measures on: worlds that no network saw, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dlcv.data.datasets.labelled import recognise_labelled_folder
from dlcv.data.world.samples import SampleConfig, WorldSamples
from dlcv.evaluation.bench.sets import ItemSet, add_set
from dlcv.types import LabelledPicture

WORLD_SEED, WORLD_PICTURES = 20154, 48
LESSON_SEED, LESSON_PICTURES = 20155, 24
WORLDS = SampleConfig(
    size=(640, 480), frames=1, labels=True, fov=(50.0, 90.0), flyers=0, people=3, per_world=4
)
"""Rooms, corridors and streets with people."""

SETS = {'world': 'generated rooms, corridors and streets, with people'}

PictureSet = ItemSet[LabelledPicture]


def find(data: Sequence[Path]) -> dict[str, PictureSet]:
    """Return all sets by name: the built-in one, then those of the folders.

    Raises:
        DatasetError: A folder is no labelled set.
        BenchError: Two folders are the same set.
    """
    found = {'world': worlds(WORLD_SEED, WORLD_PICTURES)}
    for folder in data:
        one = recognise_labelled_folder(folder)
        pictures = PictureSet(
            name=one.name, title=f'{one.name}, a folder', count=len(one), read=one.__iter__
        )
        add_set(found, pictures, folder)
    return found


def worlds(seed: int, count: int) -> PictureSet:
    """Return pictures of the worlds of a seed."""

    def read() -> Iterator[LabelledPicture]:
        samples = WorldSamples(WORLDS, seed)
        return map(samples.labelled, range(count))

    return PictureSet(name='world', title=SETS['world'], count=count, read=read)
