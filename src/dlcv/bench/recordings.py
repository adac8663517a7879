"""Recordings that benches measure on: generated worlds that no network saw, and folders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlcv.bench.options import BenchError
from dlcv.config import ConfigError, from_dict, load_yaml
from dlcv.datasets import FolderOptions, FolderRecording, recognise_folder
from dlcv.datasets.splits import Split, read_split
from dlcv.types import Snapshot

_ASKED = ('rate', 'sequence', 'depth_scale', 'depth_folder', 'groundtruth')


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
        from dlcv.world.samples import SampleConfig, WorldSamples

        config = SampleConfig(frames=1, size=self.size, per_world=self.per_world, finest=0)
        samples = WorldSamples(config, self.seed)
        return (samples[index][0] for index in range(self.count))

    def __len__(self) -> int:
        return self.count


def open_data(text: str | Path) -> FolderRecording:
    """Open a folder that ``--data`` names, with what it does not say itself.

    Args:
        text: ``DIR`` or ``DIR,depth_scale=256,rate=10``; the names are fields of `FolderOptions`.

    Raises:
        BenchError: An option does not exist or has another type.
        DatasetError: The folder has no layout that is known or no calibration, or a file in it is
            wrong.
    """
    recording = recognise_folder(*_asked(text))
    recording.camera  # noqa: B018 - raises where the folder is not calibrated
    return recording


def open_split(text: str | Path) -> Split:
    """Open a folder that ``--data`` names and that lists training and test pictures.

    Args:
        text: See `open_data`.

    Raises:
        BenchError: An option does not exist or has another type.
        DatasetError: The folder has no lists or no calibration, or they do not fit it, or a file in
            it is wrong.
    """
    split = read_split(*_asked(text))
    split.train.camera  # noqa: B018 - raises where the folder is not calibrated
    return split


def _asked(text: str | Path) -> tuple[str, FolderOptions]:
    """Return the folder, and what is said about it."""
    path, *words = str(text).split(',')
    values: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition('=')
        if not sign or name not in _ASKED:
            raise BenchError(
                f'{text}: expected DIR,NAME=VALUE,... with a name of {", ".join(_ASKED)}; got '
                f'{word!r}'
            )
        values[name] = str(value) if name == 'sequence' else load_yaml(value)
    try:
        return path, from_dict(values, FolderOptions)
    except ConfigError as err:
        raise BenchError(f'{text}: {err}') from None
