"""Pictures with what is known about them, from a bag or a folder, whichever it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dlcv.data.bags.sources import is_storage
from dlcv.data.recordings.bag import BagOptions, BagRecording
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.truth import CAMERA, Truth, TruthOptions, read_truth
from dlcv.files import expanded
from dlcv.types import Recording

if TYPE_CHECKING:
    from dlcv.data.datasets.folder import FolderOptions, FolderRecording

    ReadFolder = Callable[[str, FolderOptions], FolderRecording]

__all__ = [
    'BagOptions',
    'BagRecording',
    'RecordingError',
    'Truth',
    'TruthOptions',
    'is_bag',
    'open_recording',
    'read_truth',
]


def is_bag(path: Path) -> bool:
    """Whether a path is a bag or a folder with one, by its names."""
    if path.is_dir():
        return (path / 'metadata.yaml').is_file() or any(
            is_storage(found) for found in path.iterdir()
        )
    return is_storage(path)


def open_recording(
    text: Path | str, options: BagOptions | None = None, read: ReadFolder | None = None
) -> Recording:
    """Open a bag, or the folder of a public data set, which is recognised by its layout.

    Args:
        text: Where it is; for a folder also ``DIR,depth_scale=1000``, see `named_folder`.
        options: What a bag does not say itself; of a folder, a file of the truth may be given.
        read: Opens a folder; None for all that it holds.

    Raises:
        RecordingError: A bag lacks what is needed.
        BagError: A bag cannot be read.
        DatasetError: A folder has no layout that is known, or a file in it is wrong.
    """
    path, options = expanded(text), options or BagOptions()
    if is_bag(path):
        return BagRecording(path, options)
    from dlcv.data.datasets import recognise_folder
    from dlcv.data.datasets.named import named_folder

    read = read or recognise_folder
    folder, known = named_folder(text)
    if not expanded(folder).exists():
        raise RecordingError(f'{folder}: there is no such bag or folder')
    if given := options.topics:
        raise RecordingError(f'{folder} is a folder, it has no topics: {", ".join(given)}')
    if not options.truth:
        return read(folder, known)
    if options.truth_is_moved:
        return _with_truth(read(folder, known), options.truth_options)
    return read(folder, replace(known, groundtruth=expanded(options.truth)))


def _with_truth(recording: FolderRecording, options: TruthOptions) -> FolderRecording:
    stamps = np.array([item.stamp_ns for item in recording.items], np.int64)
    truth = read_truth(None, options, CAMERA, stamps)
    assert truth is not None  # its source is named
    items = (
        replace(item, world_from_camera=truth.camera_at(item.stamp_ns)) for item in recording.items
    )
    return replace(recording, items=tuple(items))
