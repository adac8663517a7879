"""What `dlcv bench flow` measures on: generated pairs that no network saw, and folders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from dlcv.data.datasets.files import read_picture
from dlcv.data.datasets.flow import FlowFolder, recognise_flow_folders
from dlcv.evaluation.bench.options import BenchError
from dlcv.evaluation.bench.sets import ItemSet, add_set
from dlcv.types import FlowPair

PHOTOS = Path(__file__).parent / 'photos'
"""Pictures that no network of this package was trained on."""

LAYERS_SEED, LAYERS_PAIRS = 1504, 60
WORLD_SEED, WORLD_PAIRS, WORLD_TIMES, WORLD_FINEST = 1712, 40, 4, 0
"""Of the worlds; how many pairs in all, and in each world; octaves that textures lack."""

SIZE = (512, 384)  # width, height: those of FlyingChairs

SETS = {
    'layers': 'flat layers that move over photos, in the manner of FlyingChairs',
    'world': 'some camera in generated rooms, corridors and streets',
    'rubberwhale': "RubberWhale of Middlebury as Debian's opencv-doc has it, without its truth",
}

_OPENCV_DOC = Path('/usr/share/doc/opencv-doc/examples/data')
_WHALES = ('rubberwhale1.png', 'rubberwhale2.png')


PairSet = ItemSet[FlowPair]


def find(data: Sequence[Path]) -> dict[str, PairSet]:
    """Return all sets by name: the built-in ones, then those of the folders.

    Args:
        data: Folders of public sets, or with RubberWhale's two pictures.

    Raises:
        DatasetError: A folder is none of them.
        BenchError: Two folders are the same set.
    """
    found = {'layers': _layers(), 'world': _world()}
    whales = [folder for folder in (*data, _OPENCV_DOC) if _has_whales(folder)]
    if whales:
        found['rubberwhale'] = _rubberwhale(whales[0])
    for folder in data:
        if _has_whales(folder):
            continue
        for one in recognise_flow_folders(folder):
            for named in _by_first_word(one):
                add_set(found, named, folder)
    return found


def refuse_missing(names: Sequence[str]) -> None:
    """Refuse built-in sets whose files are not here.

    Raises:
        BenchError: There is one.
    """
    if names:
        raise BenchError(
            f'the set {names[0]} needs {" and ".join(_WHALES)}, which are neither in {_OPENCV_DOC} '
            'nor in a folder of --data'
        )


def _layers() -> PairSet:
    def read() -> Iterator[FlowPair]:
        from dlcv.data.synthetic.layers import LayeredScenes, LayersConfig
        from dlcv.data.synthetic.photos import PhotoPool

        config = LayersConfig(width=SIZE[0], height=SIZE[1])
        scenes = LayeredScenes(PhotoPool([PHOTOS]), config, LAYERS_SEED)
        return (scenes[i] for i in range(LAYERS_PAIRS))

    return PairSet(name='layers', title=SETS['layers'], count=LAYERS_PAIRS, read=read)


def _world() -> PairSet:
    def read() -> Iterator[FlowPair]:
        from dlcv.data.world.samples import SampleConfig, WorldPairs, WorldSamples

        config = SampleConfig(size=SIZE, per_world=WORLD_TIMES, finest=WORLD_FINEST)
        pairs = WorldPairs(WorldSamples(config, WORLD_SEED))
        return (pairs[i] for i in range(WORLD_PAIRS))

    return PairSet(name='world', title=SETS['world'], count=WORLD_PAIRS, read=read)


def _has_whales(folder: Path) -> bool:
    return all((folder / name).is_file() for name in _WHALES)


def _rubberwhale(folder: Path) -> PairSet:
    def read() -> Iterator[FlowPair]:
        first, second = (read_picture(folder / name) for name in _WHALES)
        unknown = np.full((*first.shape[:2], 2), np.nan, np.float32)
        yield FlowPair(first=first, second=second, flow=unknown, name='RubberWhale')

    return PairSet(name='rubberwhale', title=SETS['rubberwhale'], count=1, read=read)


def _by_first_word(folder: FlowFolder) -> list[PairSet]:
    """Return a plain folder's pairs by the first word of their names, others as one set.

    So pairs from several places may lie side by side: ``castle_1``, ``castle_2``, ``chairs_1``.
    """
    words = dict.fromkeys(item.name.partition('_')[0] for item in folder.items)
    if not folder.plain or len(words) == 1 or len(words) == len(folder):
        return [_folder(folder.name, folder)]
    parts = {w: tuple(i for i in folder.items if i.name.partition('_')[0] == w) for w in words}
    return [_folder(word, replace(folder, items=items)) for word, items in parts.items()]


def _folder(name: str, folder: FlowFolder) -> PairSet:
    return PairSet(
        name=name, title=f'{name}, a folder', count=len(folder), read=lambda: iter(folder)
    )
