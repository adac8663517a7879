"""Folders of stereo pairs with true disparity: the public sets, and one plain layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.data.datasets.disparity_files import read_disparity, read_scaled_png
from dlcv.data.datasets.errors import DatasetError, recognised, wrong_folder
from dlcv.data.datasets.files import read_picture
from dlcv.data.datasets.pictures import natural
from dlcv.types import ByteImage, FloatArray, StereoPair

_SIZES = {'FullSize': 1, 'HalfSize': 2, 'ThirdSize': 3}  # what 8-bit disparities are divided by


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoFiles:
    """The files of one pair.

    Attributes:
        name: Of the pair, within its folder.
        left: The left picture.
        right: The right one.
        disparity: The truth of the left one, a file that `read_disparity` reads.
        visible: The same, known only where the right picture shows it too.
        seen: Picture that is white where the right picture shows what the left does.
        steps: Of an 8-bit picture of disparity: its values for a pixel; 0 for other files.
    """

    name: str
    left: Path
    right: Path
    disparity: Path
    visible: Path | None = None
    seen: Path | None = None
    steps: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class StereoFolder:
    """Pairs in files; they are read when they are asked for.

    Attributes:
        name: Short name, for titles.
        items: The files.
    """

    name: str
    items: tuple[StereoFiles, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[StereoPair]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> StereoPair:
        """Read one pair.

        Raises:
            DatasetError: A file is missing or damaged, or the sizes differ.
        """
        item = self.items[index]
        if item.steps:
            disparity = read_scaled_png(item.disparity, item.steps, bits=8)
        else:
            disparity = read_disparity(item.disparity)
        pictures = [_colour(read_picture(path)) for path in (item.left, item.right)]
        for path, picture in zip((item.left, item.right), pictures, strict=True):
            _same_size(path, picture, disparity)
        return StereoPair(
            left=pictures[0],
            right=pictures[1],
            disparity=disparity,
            occluded=_occluded(item, disparity),
            name=f'{self.name}/{item.name}',
        )


def recognise_stereo_folder(source: Path | str) -> StereoFolder:
    """Open a folder whatever set it is.

    Raises:
        DatasetError: It is none of the sets, or a file in it is wrong or missing.
    """
    return recognised(source, 'stereo', STEREO_READERS.values(), _LAYOUTS)


def read_middlebury_stereo(source: Path) -> StereoFolder:
    """Find the pairs of Middlebury 2014 (Scharstein et al., GCPR 2014), 2021 or its evaluation.

    Args:
        source: A folder of folders with ``im0.png``, ``im1.png`` and ``disp0.pfm`` or
            ``disp0GT.pfm``; or one of them. With ``mask0nocc.png`` there, pixels in which that is
            not white are occluded.

    Raises:
        DatasetError: The layout is another.
    """
    truths = _found(source, 'disp0.pfm', '*/disp0.pfm') or _found(
        source, 'disp0GT.pfm', '*/disp0GT.pfm', 'training?/*/disp0GT.pfm'
    )
    truths = [truth for truth in truths if (truth.parent / 'im0.png').is_file()]
    if not truths:
        raise wrong_folder(source, 'Middlebury stereo', ['*/im0.png and */disp0.pfm'])
    return _folder('Middlebury', source, [_of_two_views(truth, truth.parent) for truth in truths])


def read_middlebury_2006(source: Path) -> StereoFolder:
    """Find the pairs of Middlebury 2005 or 2006 (Hirschmueller and Scharstein, CVPR 2007).

    Args:
        source: ``FullSize``, ``HalfSize`` or ``ThirdSize`` or the folder around it, of folders with
            ``view1.png``, ``view5.png`` and ``disp1.png``, whose values are pixels of the full
            size.

    Raises:
        DatasetError: The layout is another, or the size is not told by a folder's name.
    """
    truths = _found(source, 'disp1.png', '*/disp1.png', '*Size/*/disp1.png')
    if not truths:
        raise wrong_folder(source, 'Middlebury 2006', ['*/view1.png and */disp1.png'])
    items = []
    for truth in truths:
        names = [folder.name for folder in truth.resolve().parents]
        size = next((name for name in names if name in _SIZES), None)
        if size is None:
            raise DatasetError(
                f'{truth}: the size of Middlebury 2006 is told by a folder {", ".join(_SIZES)}'
            )
        items.append(
            StereoFiles(
                name=truth.resolve().parent.name,
                left=truth.parent / 'view1.png',
                right=truth.parent / 'view5.png',
                disparity=truth,
                steps=_SIZES[size],
            )
        )
    return _folder('Middlebury-2006', source, items)


def read_kitti_stereo(source: Path) -> StereoFolder:
    """Find the training pairs of KITTI stereo 2012 or 2015, whose truth is sparse.

    Args:
        source: The folder with ``training/``, or ``training`` itself: ``disp_occ_0`` beside
            ``image_2`` and ``image_3`` (Menze and Geiger, CVPR 2015), or ``disp_occ`` beside
            ``colored_0`` and ``colored_1``, or ``image_0`` and ``image_1`` (Geiger et al., CVPR
            2012). With ``disp_noc...`` there, pixels that are not in it are occluded.

    Raises:
        DatasetError: The layout is another.
    """
    root = source / 'training' if (source / 'training').is_dir() else source
    kinds = (
        (2015, 'disp_occ_0', 'image_2', 'image_3'),
        (2012, 'disp_occ', 'colored_0', 'colored_1'),
        (2012, 'disp_occ', 'image_0', 'image_1'),
    )
    for year, truth, left, right in kinds:
        if not all((root / name).is_dir() for name in (truth, left, right)):
            continue
        visible = root / truth.replace('occ', 'noc')
        items = [
            StereoFiles(
                name=path.stem,
                left=root / left / path.name,
                right=root / right / path.name,
                disparity=path,
                visible=visible / path.name if (visible / path.name).is_file() else None,
            )
            for path in _found(root / truth, '*_10.png')
        ]
        return _folder(f'KITTI-stereo-{year}', root / truth, items)
    raise wrong_folder(root, 'KITTI stereo', [f'{a}/, {b}/ and {c}/' for _, a, b, c in kinds])


def read_eth3d(source: Path) -> StereoFolder:
    """Find the two-view training pairs of ETH3D (Schoeps et al., CVPR 2017).

    Args:
        source: The folder with ``two_view_training/NAME/im0.png`` and ``im1.png`` and
            ``two_view_training_gt/NAME/disp0GT.pfm`` and ``mask0nocc.png``.

    Raises:
        DatasetError: The layout is another.
    """
    truths = _found(source / 'two_view_training_gt', '*/disp0GT.pfm')
    if not truths:
        wanted = 'two_view_training/*/im0.png and two_view_training_gt/*/disp0GT.pfm'
        raise wrong_folder(source, 'ETH3D', [wanted])
    pictures = source / 'two_view_training'
    items = [_of_two_views(truth, pictures / truth.parent.name) for truth in truths]
    return _folder('ETH3D', source, items)


def read_scene_flow(source: Path) -> StereoFolder:
    """Find the pairs of FlyingThings3D, Driving or Monkaa (Mayer et al., CVPR 2016).

    Args:
        source: The folder with ``disparity/`` and ``frames_finalpass/`` or ``frames_cleanpass/``,
            in which the same folders lead to ``left/NAME.pfm`` and to ``left/NAME.png`` (or
            ``.webp``) and ``right/``. Of FlyingThings3D, ``TEST`` alone is taken.

    Raises:
        DatasetError: The layout is another.
    """
    truth = source / 'disparity'
    homes = [source / name for name in ('frames_finalpass', 'frames_cleanpass')]
    pictures = next((home for home in homes if home.is_dir()), None)
    part = 'TEST/' if (truth / 'TEST').is_dir() else ''
    found = _found(truth, f'{part}**/left/*.pfm')
    if pictures is None or not found:
        wanted = 'disparity/**/left/*.pfm and frames_finalpass/**/left/*.png'
        raise wrong_folder(source, 'SceneFlow', [wanted])
    items = []
    for path in found:
        beside = pictures / path.relative_to(truth)
        kind = '.png' if beside.with_suffix('.png').is_file() else '.webp'
        left = beside.with_suffix(kind)
        items.append(
            StereoFiles(
                name=path.relative_to(truth).with_suffix('').as_posix(),
                left=left,
                right=left.parents[1] / 'right' / left.name,
                disparity=path,
            )
        )
    return _folder('SceneFlow', truth, items)


def read_stereo_pairs(source: Path) -> StereoFolder:
    """Find pairs in the plain layout ``NAME/left.png``, ``right.png``, ``disparity.npz``.

    Args:
        source: A folder of such folders, or one of them. The truth is the array ``disparity``
            (H, W) of an .npz, NaN where unknown, or ``disparity.pfm``, or ``disparity.png`` as
            KITTI's.

    Raises:
        DatasetError: There are none.
    """
    truths = _found(source, 'disparity.*', '*/disparity.*')
    kinds = ('.png', '.pfm', '.npz')  # the last one counts
    chosen = {path.parent: path for kind in kinds for path in truths if path.suffix == kind}
    if not chosen:
        raise wrong_folder(source, 'stereo pair', ['*/left.png, */right.png and */disparity.npz'])
    items = [
        StereoFiles(
            name=folder.resolve().name,
            left=folder / 'left.png',
            right=folder / 'right.png',
            disparity=chosen[folder],
        )
        for folder in sorted(chosen, key=natural)
    ]
    return _folder(source.resolve().name, source, items)


STEREO_READERS: dict[str, Callable[[Path], StereoFolder]] = {
    'kitti-stereo': read_kitti_stereo,
    'eth3d': read_eth3d,
    'middlebury-stereo': read_middlebury_stereo,
    'middlebury-2006': read_middlebury_2006,
    'scene-flow': read_scene_flow,
    'stereo-pairs': read_stereo_pairs,
}
"""Name of a layout -> what reads it."""
_LAYOUTS = (
    'training/disp_occ_0/ (KITTI)',
    'two_view_training_gt/ (ETH3D)',
    '*/disp0.pfm (Middlebury)',
    '*/disp1.png (Middlebury 2006)',
    'disparity/ and frames_finalpass/ (SceneFlow)',
    '*/left.png, */right.png and */disparity.npz',
)


def _of_two_views(truth: Path, pictures: Path) -> StereoFiles:
    seen = truth.parent / 'mask0nocc.png'
    return StereoFiles(
        name=truth.resolve().parent.name,
        left=pictures / 'im0.png',
        right=pictures / 'im1.png',
        disparity=truth,
        seen=seen if seen.is_file() else None,
    )


def _found(folder: Path, *patterns: str) -> list[Path]:
    found = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return sorted(found, key=natural)


def _folder(name: str, source: Path, items: list[StereoFiles]) -> StereoFolder:
    """Return the folder after a look whether all files are there."""
    if not items:
        raise DatasetError(f'{source}: there are no pairs of {name}')
    for item in items:
        for path in (item.left, item.right):
            if not path.is_file():
                raise DatasetError(f'{path} is missing, a picture of {item.disparity}')
    return StereoFolder(name=name, items=tuple(items))


def _occluded(item: StereoFiles, disparity: FloatArray) -> npt.NDArray[np.bool_] | None:
    """Return what the right picture does not show, where the set tells."""
    if item.visible is not None:
        visible = read_disparity(item.visible)
        _same_size(item.visible, visible, disparity)
        seen = np.isfinite(visible)
    elif item.seen is not None:
        mask = read_picture(item.seen)
        _same_size(item.seen, mask, disparity)
        seen = (mask if mask.ndim == 2 else mask[..., 0]) > 200
    else:
        return None
    return np.asarray(np.isfinite(disparity) & ~seen)


def _same_size(path: Path, array: npt.NDArray[np.generic], disparity: FloatArray) -> None:
    if array.shape[:2] != disparity.shape:
        sizes = [f'{a.shape[1]}x{a.shape[0]}' for a in (array, disparity)]
        raise DatasetError(f'{path} is {sizes[0]}, its disparity {sizes[1]}')


def _colour(picture: ByteImage) -> ByteImage:
    return picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=-1)
