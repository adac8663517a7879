"""What `dlcv bench stereo` measures on: generated pairs that no network saw, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import numpy as np

from dlcv.data.datasets.disparity_files import read_scaled_png
from dlcv.data.datasets.files import read_picture
from dlcv.data.datasets.stereo import recognise_stereo_folder
from dlcv.data.world.samples import SampleConfig, WorldSamples
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.sets import ItemSet, add_set
from dlcv.types import FloatArray, StereoPair

WORLD_SEED, WORLD_PAIRS = 20163, 40
WORLDS = SampleConfig(
    size=(640, 480), frames=1, stereo=True, baseline=(0.4, 1.5), fov=(50.0, 90.0), per_world=4
)

SETS = {
    'world': 'stereo cameras in generated rooms, corridors and streets',
    'motorcycle': 'Motorcycle of Middlebury 2014 as scikit-image has it',
    'aloe': "Aloe of Middlebury 2006 as Debian's opencv-doc has it",
}

_OPENCV_DOC = Path('/usr/share/doc/opencv-doc/examples/data')
_PHOTOS = {
    'motorcycle': ('motorcycle_left.png', 'motorcycle_right.png', 'motorcycle_disp.npz'),
    'aloe': ('aloeL.jpg', 'aloeR.jpg', 'aloeGT.png'),
}


PairSet = ItemSet[StereoPair]


def find(data: Sequence[Path]) -> dict[str, PairSet]:
    """Return all sets by name: the built-in ones, then those of the folders.

    Args:
        data: Folders of public sets, or with the files of the motorcycle or of the aloe.

    Raises:
        DatasetError: A folder is none of them.
        BenchError: Two folders are the same set.
    """
    found = {'world': _world()}
    for folder in (*data, _OPENCV_DOC):
        photos = [name for name in _PHOTOS if _has(folder, name)]
        for name in photos:
            found.setdefault(name, _photo(folder, name))
        if not photos and folder in data:
            one = recognise_stereo_folder(folder)
            pairs = PairSet(
                name=one.name,
                title=f'{one.name}, a folder',
                count=len(one),
                read=one.__iter__,
            )
            add_set(found, pairs, folder)
    return found


def refuse_missing(names: Sequence[str]) -> None:
    """Refuse built-in sets whose files are not here.

    Raises:
        BenchError: There is one.
    """
    if names:
        raise BenchError(
            f'the set {names[0]} needs {", ".join(_PHOTOS[names[0]])} in a folder of --data'
        )


def _world() -> PairSet:
    def read() -> Iterator[StereoPair]:
        samples = WorldSamples(WORLDS, WORLD_SEED)
        for index in range(WORLD_PAIRS):
            recording = samples.recording(index)
            (view,) = recording
            assert view.right is not None
            assert view.frame.camera is not None
            far = view.frame.camera.fx * recording.baseline
            disparity = np.asarray(far / cast('FloatArray', view.depth), np.float32)
            yield StereoPair(
                left=view.frame.image,
                right=view.right.image,
                disparity=disparity,
                occluded=view.right_hidden,
                name=f'world/{index}',
            )

    return PairSet(name='world', title=SETS['world'], count=WORLD_PAIRS, read=read)


def _has(folder: Path, name: str) -> bool:
    return all((folder / file).is_file() for file in _PHOTOS[name])


def _photo(folder: Path, name: str) -> PairSet:
    def read() -> Iterator[StereoPair]:
        left, right, truth = (folder / file for file in _PHOTOS[name])
        if truth.suffix == '.png':
            disparity = read_scaled_png(truth, 1, bits=8)
        else:
            with np.load(truth) as file:
                values = np.asarray(file[file.files[0]], np.float32)
            disparity = np.where(np.isfinite(values), values, np.float32(np.nan))
        yield StereoPair(
            left=read_picture(left), right=read_picture(right), disparity=disparity, name=name
        )

    return PairSet(name=name, title=SETS[name], count=1, read=read)
