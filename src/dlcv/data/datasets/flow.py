"""Folders of picture pairs with true optical flow: the public sets, and one plain layout."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.errors import DatasetError, LayoutError, wrong_folder
from dlcv.data.datasets.files import every, read_lines, read_picture
from dlcv.data.datasets.flow_files import read_flow
from dlcv.data.datasets.pictures import natural, pictures_in
from dlcv.types import ByteImage, FloatArray, FlowPair

_LIST = 'FlyingChairs_train_val.txt'
FLOW_KINDS = ('flying-chairs', 'sintel', 'kitti-flow', 'middlebury', 'flow-pairs')
_LAYOUTS = {
    'flying-chairs': 'data/*_flow.flo (FlyingChairs)',
    'sintel': 'training/final/ and training/flow/ (Sintel)',
    'kitti-flow': 'training/flow_occ/ (KITTI flow)',
    'middlebury': 'other-gt-flow/*/flow10.flo (Middlebury)',
    'flow-pairs': '*/1.png, */2.png and */flow.npz',
}


@dataclass(frozen=True, kw_only=True, slots=True)
class PairFiles:
    """The files of one pair.

    Attributes:
        name: Of the pair, within its folder.
        first: The first picture.
        second: The second.
        flow: The true flow, a file that `read_flow` reads.
        occluded: Picture that is white where the second picture hides what the first shows.
        visible: Flow file that knows the flow only of pixels that the second picture shows too.
    """

    name: str
    first: Path
    second: Path
    flow: Path
    occluded: Path | None = None
    visible: Path | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class FlowFolder:
    """Pairs in files; they are read when they are asked for.

    Attributes:
        name: Short name, for titles.
        items: The files.
        plain: Whether it is someone's own, of the plain layout.
    """

    name: str
    items: tuple[PairFiles, ...]
    plain: bool = False

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[FlowPair]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> FlowPair:
        """Read one pair.

        Raises:
            DatasetError: A file is missing or damaged, or the sizes differ.
        """
        item = self.items[index]
        flow = read_flow(item.flow)
        pictures = [_colour(read_picture(path)) for path in (item.first, item.second)]
        for path, picture in zip((item.first, item.second), pictures, strict=True):
            if picture.shape[:2] != flow.shape[:2]:
                raise DatasetError(
                    f'{path}: the picture is {_size(picture)}, the flow {item.flow} {_size(flow)}'
                )
        return FlowPair(
            first=pictures[0],
            second=pictures[1],
            flow=flow,
            occluded=_occluded(item, flow),
            name=f'{self.name}/{item.name}',
        )

    def cut(self, *, start: int = 0, count: int | None = None, stride: int = 1) -> FlowFolder:
        """Return every ``stride``-th pair from ``start`` on, at most ``count`` of them."""
        items = every(
            self.items, start=start, count=count, stride=stride, what='pairs', name=self.name
        )
        return replace(self, items=items)


def open_flow_folder(kind: str, source: Path | str, part: str = '') -> FlowFolder:
    """Open a folder of pairs.

    Args:
        kind: One of `FLOW_KINDS`.
        source: The folder.
        part: ``train`` or ``val`` of FlyingChairs, ``clean`` or ``final`` of Sintel; empty takes
            all of FlyingChairs and the final pass of Sintel. Others have no parts.

    Raises:
        DatasetError: It has another layout, or a file in it is wrong or missing.
    """
    path = Path(source)
    match kind:
        case 'flying-chairs':
            return read_flying_chairs(path, part)
        case 'sintel':
            return read_sintel(path, part or 'final')
        case 'kitti-flow' | 'middlebury' | 'flow-pairs' if part:
            raise DatasetError(f'{kind} has no parts, got {part!r}')
        case 'kitti-flow':
            return read_kitti_flow(path)
        case 'middlebury':
            return read_middlebury(path)
        case 'flow-pairs':
            return read_flow_pairs(path)
    raise DatasetError(f'no flow data set {kind!r}; there are {", ".join(FLOW_KINDS)}')


def recognise_flow_folders(source: Path | str) -> list[FlowFolder]:
    """Open a folder whatever set it is: what of it is for tests, each part by itself.

    That is the second part of FlyingChairs, if its list is there, and both passes of Sintel.

    Raises:
        DatasetError: It is none of the sets, or a file in it is wrong or missing.
    """
    path = Path(source)
    for kind in FLOW_KINDS:
        if found := _opened(kind, path):
            return found
    raise wrong_folder(path, 'flow', [_LAYOUTS[kind] for kind in FLOW_KINDS])


def _opened(kind: str, source: Path) -> list[FlowFolder]:
    try:
        return [open_flow_folder(kind, source, part) for part in _test_parts(kind, source)]
    except LayoutError:
        return []


def _test_parts(kind: str, source: Path) -> tuple[str, ...]:
    if kind == 'sintel':
        return ('clean', 'final')
    return ('val',) if kind == 'flying-chairs' and _list_of(source) else ('',)


def read_flying_chairs(source: Path, part: str = '') -> FlowFolder:
    """Find the pairs of FlyingChairs (Dosovitskiy et al., ICCV 2015).

    Args:
        source: ``FlyingChairs_release`` or its ``data``, with ``00001_img1.ppm``,
            ``00001_img2.ppm`` and ``00001_flow.flo``.
        part: ``train`` or ``val``, as ``FlyingChairs_train_val.txt`` (1 or 2 a line, in the folder
            or above it) tells; empty for all.

    Raises:
        DatasetError: The layout is another, or the list does not fit.
    """
    if part not in ('', 'train', 'val'):
        raise DatasetError(f"FlyingChairs has the parts 'train' and 'val', got {part!r}")
    data = source / 'data' if (source / 'data').is_dir() else source
    flows = _found(data, '*_flow.flo')
    if not flows:
        raise wrong_folder(source, 'FlyingChairs', ['data/*_flow.flo', '*_flow.flo'])
    items = [
        PairFiles(
            name=stem,
            first=data / f'{stem}_img1.ppm',
            second=data / f'{stem}_img2.ppm',
            flow=flow,
        )
        for flow in flows
        for stem in [flow.name.removesuffix('_flow.flo')]
    ]
    if part:
        wanted = {'train': '1', 'val': '2'}[part]
        marks = _split(source, len(items))
        items = [item for item, mark in zip(items, marks, strict=True) if mark == wanted]
    return _folder('FlyingChairs', source, items)


def read_sintel(source: Path, part: str = 'final') -> FlowFolder:
    """Find the training pairs of MPI Sintel (Butler et al., ECCV 2012) with their occlusions.

    Args:
        source: The folder with ``training/``, or ``training`` itself.
        part: Rendering pass, ``clean`` or ``final``.

    Raises:
        DatasetError: The layout is another, or there is no such pass.
    """
    if part not in ('clean', 'final'):
        raise DatasetError(f"Sintel has the parts 'clean' and 'final', got {part!r}")
    root = source / 'training' if (source / 'training').is_dir() else source
    if not (root / part).is_dir() or not (root / 'flow').is_dir():
        raise wrong_folder(root, 'Sintel training', [f'{part}/ and flow/'])
    items = []
    for flow in _found(root / 'flow', '*/frame_[0-9][0-9][0-9][0-9].flo'):
        scene, pictures = flow.parent.name, root / part / flow.parent.name
        number = int(flow.stem.removeprefix('frame_'))
        hidden = root / 'occlusions' / scene / f'{flow.stem}.png'
        items.append(
            PairFiles(
                name=f'{scene}/{flow.stem}',
                first=pictures / f'{flow.stem}.png',
                second=pictures / f'frame_{number + 1:04d}.png',
                flow=flow,
                occluded=hidden if hidden.is_file() else None,
            )
        )
    return _folder(f'Sintel-{part}', root / 'flow', items)


def read_kitti_flow(source: Path) -> FlowFolder:
    """Find the training pairs of KITTI flow 2012 or 2015, whose truth is sparse.

    Args:
        source: The folder with ``training/``, or ``training`` itself: ``flow_occ`` beside
            ``image_2`` (2015) or ``colored_0`` or ``image_0`` (2012). With ``flow_noc`` there,
            pixels that are not in it are occluded.

    Raises:
        DatasetError: The layout is another.
    """
    root = source / 'training' if (source / 'training').is_dir() else source
    names = ('image_2', 'colored_0', 'image_0')
    pictures = next((root / name for name in names if (root / name).is_dir()), None)
    if pictures is None or not (root / 'flow_occ').is_dir():
        raise wrong_folder(root, 'KITTI flow', [f'flow_occ/ and {name}/' for name in names])
    items = []
    for flow in _found(root / 'flow_occ', '*_10.png'):
        visible = root / 'flow_noc' / flow.name
        items.append(
            PairFiles(
                name=flow.stem,
                first=pictures / flow.name,
                second=pictures / flow.name.replace('_10.png', '_11.png'),
                flow=flow,
                visible=visible if visible.is_file() else None,
            )
        )
    year = 2015 if pictures.name == 'image_2' else 2012
    return _folder(f'KITTI-flow-{year}', root / 'flow_occ', items)


def read_middlebury(source: Path) -> FlowFolder:
    """Find the pairs of Middlebury's training set (Baker et al., IJCV 2011).

    Args:
        source: The folder with ``other-gt-flow/NAME/flow10.flo`` and ``other-data/NAME`` (or
            ``other-color-twoframes``, ``other-color-allframes``) with ``frame10.png`` and
            ``frame11.png``; a ``NAME`` folder with all three files is read, too.

    Raises:
        DatasetError: The layout is another.
    """
    homes = ('other-data', 'other-color-twoframes', 'other-color-allframes')
    pictures = next((source / home for home in homes if (source / home).is_dir()), source)
    truth = source / 'other-gt-flow' if (source / 'other-gt-flow').is_dir() else source
    flows = _found(truth, 'flow10.flo') or _found(truth, '*/flow10.flo')
    if not flows:
        wanted = ['other-gt-flow/*/flow10.flo and other-data/*/frame10.png', 'flow10.flo']
        raise wrong_folder(source, 'Middlebury flow', wanted)
    items = []
    for flow in flows:
        folder = pictures / flow.parent.relative_to(truth)
        items.append(
            PairFiles(
                name=flow.parent.resolve().name,
                first=folder / 'frame10.png',
                second=folder / 'frame11.png',
                flow=flow,
            )
        )
    return _folder('Middlebury', source, items)


def read_flow_pairs(source: Path) -> FlowFolder:
    """Find pairs in the plain layout ``NAME/1.png``, ``2.png``, ``flow.npz``.

    Args:
        source: A folder of such folders, or one of them. The pictures may be of any kind that is
            read; the truth is the arrays ``flow`` (H, W, 2) and, if not all is known, ``valid``
            (H, W) in an .npz, or ``flow.flo``, or ``flow.png`` as KITTI's.

    Raises:
        DatasetError: There are none.
    """
    truths = _found(source, 'flow.*') or _found(source, '*/flow.*')
    kinds = ('.png', '.flo', '.npz')  # a picture may be one for people: the last one counts
    flows = {flow.parent: flow for kind in kinds for flow in truths if flow.suffix == kind}
    if not flows:
        raise wrong_folder(source, 'flow pair', ['*/1.png, */2.png and */flow.npz', 'flow.npz'])
    items = []
    for folder in sorted(flows, key=natural):
        first, second = (_only(folder, number) for number in ('1', '2'))
        name = folder.resolve().name
        items.append(PairFiles(name=name, first=first, second=second, flow=flows[folder]))
    return replace(_folder(source.resolve().name, source, items), plain=True)


def _found(folder: Path, pattern: str) -> list[Path]:
    return sorted((path for path in folder.glob(pattern) if path.is_file()), key=natural)


def _only(folder: Path, stem: str) -> Path:
    found = pictures_in(folder, f'{stem}.*')
    if not found:
        raise wrong_folder(folder, 'flow pair', [f'{stem}.png'])
    return found[0]


def _folder(name: str, source: Path, items: list[PairFiles]) -> FlowFolder:
    """Return the folder after a look whether all files are there."""
    if not items:
        raise DatasetError(f'{source}: there are no pairs of {name}')
    for item in items:
        for path in (item.first, item.second):
            if not path.is_file():
                raise DatasetError(f'{path} is missing, a picture of {item.flow}')
    return FlowFolder(name=name, items=tuple(items))


def _list_of(source: Path) -> Path | None:
    return next((f / _LIST for f in (source, source.parent) if (f / _LIST).is_file()), None)


def _split(source: Path, count: int) -> list[str]:
    path = _list_of(source)
    if path is None:
        raise DatasetError(
            f'{source}: what is for training is told by {_LIST}, which is neither there nor above'
        )
    marks = [line for _, line in read_lines(path)]
    if len(marks) != count or set(marks) - {'1', '2'}:
        raise DatasetError(
            f'{path}: expected a 1 or 2 for each of the {count} pairs, got {len(marks)} lines of '
            f'{sorted(set(marks))[:5]}'
        )
    return marks


def _occluded(item: PairFiles, flow: FloatArray) -> npt.NDArray[np.bool_] | None:
    """Return what the second picture does not show; out of the picture counts, as in `FlowPair`."""
    if item.visible is not None:
        seen = read_flow(item.visible)
        hidden = np.isnan(seen[..., 0]) & ~np.isnan(flow[..., 0])
    elif item.occluded is not None:
        hidden = read_picture(item.occluded) > 127
        hidden = hidden.any(axis=-1) if hidden.ndim == 3 else hidden
    else:
        return None
    if hidden.shape != flow.shape[:2]:
        raise DatasetError(
            f'{item.visible or item.occluded} is {_size(hidden)}, the flow {item.flow} '
            f'{_size(flow)}'
        )
    return np.asarray(hidden | _leaves(flow))


def _leaves(flow: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which pixels the flow leads out of the picture."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    outside = (x < -0.5) | (x > width - 0.5) | (y < -0.5) | (y > height - 0.5)
    return np.asarray(outside)  # False for NaN


def _colour(picture: ByteImage) -> ByteImage:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)


def _size(array: npt.NDArray[np.generic]) -> str:
    return f'{array.shape[1]}x{array.shape[0]}'
