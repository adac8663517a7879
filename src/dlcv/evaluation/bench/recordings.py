"""Recordings that benches measure on: generated worlds that no network saw, and folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dlcv.data.datasets import FolderRecording, recognise_folder
from dlcv.data.datasets.named import named_folder
from dlcv.data.datasets.splits import Split, read_split
from dlcv.types import Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class WorldViews:
    """Single views of generated worlds, a few of each.

    Attributes:
        seed: Of the worlds; no recipe has it.
        count: How many views.
        per_world: How many of each world.
        size: Width and height.
    """

    seed: int
    count: int
    per_world: int
    size: tuple[int, int]

    def __iter__(self) -> Iterator[Snapshot]:
        from dlcv.data.world.samples import SampleConfig, WorldSamples

        config = SampleConfig(frames=1, size=self.size, per_world=self.per_world, finest=0)
        samples = WorldSamples(config, self.seed)
        return (samples[index][0] for index in range(self.count))

    def __len__(self) -> int:
        return self.count


def open_data(text: str | Path) -> FolderRecording:
    """Open a folder that ``--data`` names, with what it does not say itself.

    Args:
        text: See `named_folder`.

    Raises:
        DatasetError: An option does not exist or has another type; the folder has no layout that
            is known or no calibration, or a file in it is wrong.
    """
    recording = recognise_folder(*named_folder(text))
    recording.camera  # noqa: B018 - raises where the folder is not calibrated
    return recording


def open_split(text: str | Path) -> Split:
    """Open a folder that ``--data`` names and that lists training and test pictures.

    Args:
        text: See `named_folder`.

    Raises:
        DatasetError: An option does not exist or has another type; the folder has no lists or no
            calibration, or they do not fit it, or a file in it is wrong.
    """
    split = read_split(*named_folder(text))
    split.train.camera  # noqa: B018 - raises where the folder is not calibrated
    return split
