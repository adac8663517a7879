"""What can be known to be wrong before hours of replay, and what must not be overwritten."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np

from dlcv.data.bags import Bag, BagError
from dlcv.data.bags.vocabulary import IMAGE
from dlcv.data.recordings.truth import TruthOptions, read_truth
from dlcv.evaluation.pipeline.written import PipelineError, own
from dlcv.evaluation.replay.job import Folder
from dlcv.evaluation.replay.shown import Shown
from dlcv.interface.messages import frame_of

DIMENSIONS = {'depth': 2, 'flow': 3}


def check_folder(
    folder: Path, read: Mapping[str, Path], poses: TruthOptions | None, *, replayed: bool = True
) -> None:
    """Refuse a folder in which an evaluation would overwrite what it reads.

    Args:
        folder: Where it would write.
        read: Bags that it reads; what they are in words -> path.
        poses: The truth.
        replayed: Whether it makes the answers too.

    Raises:
        PipelineError: The folder is a bag or in it, or a bag or the truth has the name of one of
            the files that are written.
    """
    place, sources = folder.resolve(), {what: path.resolve() for what, path in read.items()}
    for what, path in sources.items():
        if path.is_dir() and path in (place, *place.parents):
            raise PipelineError(
                f'{folder}: nothing is written into the {what}; name another folder'
            )
    if poses is not None and poses.source and Path(poses.source).is_file():
        sources['truth'] = Path(poses.source).resolve()
    files = Folder(place)
    made = (files.outputs, files.partial, files.log, files.job, files.facts) if replayed else ()
    for what, path in sources.items():
        if path in {*made, *own(place)}:
            raise PipelineError(
                f'{path}: the evaluation writes a file of this name there, so it cannot be the '
                f'{what}; name another folder, or copy the file'
            )


def check_truth(shown: Shown, poses: TruthOptions | None) -> None:
    """Read the true poses that somebody asked for, to find out whether they are of use.

    Poses that are taken only because they are in the bag may be of none.

    Raises:
        RecordingError: They are not there, or belong to no image.
        BagError: The bag cannot be read.
    """
    if poses is None or not _asked_for(poses):
        return
    with Bag(shown.bag, keep_damaged=True) as bag:
        stamps = shown.stamps(bag)
        first = next(bag.read([shown.image_topic]), None)
        if first is not None:
            frame = frame_of(first[1])
            read_truth(bag, poses, frame, np.array(stamps, np.int64))


def _asked_for(poses: TruthOptions) -> bool:
    given = poses.extrinsics is not None
    return bool(poses.source or poses.frame or given or poses.time_offset)


def dense_truth(bag: Bag, asked: str, usual: str, kind: Literal['depth', 'flow']) -> str:
    """Return the topic of the true depth or flow.

    Args:
        bag: The open bag.
        asked: The topic that somebody named; empty for the usual one.
        usual: Its name where we write it.
        kind: Which.

    Returns:
        Empty where none was named and the usual one is not there, or holds something else.

    Raises:
        PipelineError: The topic that was named holds something else.
        BagError: There is no such topic.
    """
    try:
        topic = bag.topic(asked or usual, (IMAGE,))
        first = next(bag.arrays(topic.name), None)
    except BagError:
        if asked:
            raise
        return ''
    if first is not None and first[1].ndim != DIMENSIONS[kind]:
        if asked:
            raise PipelineError(
                f'{bag.path}: {asked} holds no {kind}: an image of it has the shape '
                f'{first[1].shape}'
            )
        return ''
    return topic.name
