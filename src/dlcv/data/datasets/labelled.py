"""Folders of pictures with the class of each pixel: the public sets, and one plain layout."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError, recognised, wrong_folder
from dlcv.data.datasets.files import read_picture
from dlcv.data.datasets.label_sets import ADE20K, CAMVID, CITYSCAPES, by_colour, by_number
from dlcv.data.datasets.pictures import natural
from dlcv.types import ByteImage, LabelledPicture

_KINDS = ('.png', '.jpg', '.jpeg')


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelledFolder:
    """Pictures in files; they are read when they are asked for.

    Attributes:
        name: Short name, for titles.
        items: Picture and labels of each.
        labels: Turns what a file of labels holds into numbers of `dlcv.classes`.
    """

    name: str
    items: tuple[tuple[Path, Path], ...]
    labels: Callable[[Path], ByteImage]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[LabelledPicture]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> LabelledPicture:
        """Read one picture.

        Raises:
            DatasetError: A file is missing or damaged, or the sizes differ.
        """
        file, truth = self.items[index]
        image, labels = read_picture(file), self.labels(truth)
        if image.ndim == 2:
            image = np.repeat(image[..., None], 3, axis=-1)
        if image.shape[:2] != labels.shape:
            sizes = [f'{a.shape[1]}x{a.shape[0]}' for a in (image, labels)]
            raise DatasetError(f'{file} is {sizes[0]}, its labels {truth.name} are {sizes[1]}')
        return LabelledPicture(image=image, labels=labels, name=f'{self.name}/{file.stem}')


def recognise_labelled_folder(source: Path | str) -> LabelledFolder:
    """Open a folder whatever set it is.

    Raises:
        DatasetError: It is none of the sets, or a file is missing.
    """
    return recognised(source, 'labelled', LABEL_READERS.values(), _LAYOUTS)


def read_cityscapes(source: Path) -> LabelledFolder:
    """Find the pictures of Cityscapes (Cordts et al., CVPR 2016).

    Args:
        source: The folder with ``leftImg8bit/SPLIT/CITY/*_leftImg8bit.png`` and
            ``gtFine/SPLIT/CITY/*_gtFine_labelIds.png``. ``val`` is taken where it is there.

    Raises:
        DatasetError: The layout is another.
    """
    part = 'val' if (source / 'gtFine' / 'val').is_dir() else '*'
    pattern = f'gtFine/{part}/*/*_labelIds.png'
    truths = _truths(source, pattern, 'Cityscapes', 'gtFine/*/*/*_labelIds.png')
    items = []
    for truth in truths:
        home = source / 'leftImg8bit' / truth.parent.relative_to(source / 'gtFine')
        items.append((home / truth.name.replace('gtFine_labelIds', 'leftImg8bit'), truth))
    return _folder('Cityscapes', items, partial(_numbered, by_number(CITYSCAPES)))


def read_camvid(source: Path) -> LabelledFolder:
    """Find the pictures of CamVid (Brostow et al., PRL 2009).

    Args:
        source: The folder with ``701_StillsRaw_full/NAME.png`` and
            ``LabeledApproved_full/NAME_L.png``, whose colours are those of the 32 classes.

    Raises:
        DatasetError: The layout is another.
    """
    pattern = 'LabeledApproved_full/*_L.png'
    truths = _truths(source, pattern, 'CamVid', pattern)
    home = source / '701_StillsRaw_full'
    items = [(home / f'{truth.stem.removesuffix("_L")}.png', truth) for truth in truths]
    return _folder('CamVid', items, _coloured)


def read_ade20k(source: Path) -> LabelledFolder:
    """Find the pictures of ADE20K's scene parsing benchmark (Zhou et al., CVPR 2017).

    Args:
        source: The folder with ``images/SPLIT/NAME.jpg`` and ``annotations/SPLIT/NAME.png``, 1 to
            150. ``validation`` is taken where it is there.

    Raises:
        DatasetError: The layout is another.
    """
    part = 'validation' if (source / 'annotations' / 'validation').is_dir() else '*'
    truths = _truths(source, f'annotations/{part}/*.png', 'ADE20K', 'annotations/*/*.png')
    items = []
    for truth in truths:
        home = source / 'images' / truth.parent.name
        items.append((home / f'{truth.stem}.jpg', truth))
    return _folder('ADE20K', items, partial(_numbered, by_number(ADE20K)))


def read_labelled_pictures(source: Path) -> LabelledFolder:
    """Find pictures in the plain layout ``images/NAME.png`` and ``labels/NAME.png``.

    Args:
        source: Their folder; the labels are numbers of `dlcv.classes`, others are unlabelled.

    Raises:
        DatasetError: The layout is another.
    """
    truths = _truths(source, 'labels/*.png', 'labelled', 'labels/*.png and images/')
    items = []
    for truth in truths:
        files = [source / 'images' / f'{truth.stem}{kind}' for kind in _KINDS]
        items.append((next((file for file in files if file.is_file()), files[0]), truth))
    return _folder(source.resolve().name, items, partial(_numbered, None))


LABEL_READERS: dict[str, Callable[[Path], LabelledFolder]] = {
    'cityscapes': read_cityscapes,
    'camvid': read_camvid,
    'ade20k': read_ade20k,
    'labelled-pictures': read_labelled_pictures,
}
"""Name of a layout -> what reads it."""
_LAYOUTS = (
    'gtFine/*/*/*_labelIds.png (Cityscapes)',
    'LabeledApproved_full/*_L.png (CamVid)',
    'annotations/*/*.png (ADE20K)',
    'images/ and labels/*.png',
)


def _truths(source: Path, pattern: str, kind: str, wanted: str) -> list[Path]:
    """Return the files of labels in their order; none is another layout."""
    if truths := sorted(source.glob(pattern), key=natural):
        return truths
    raise wrong_folder(source, kind, [wanted])


def _folder(
    name: str, items: list[tuple[Path, Path]], labels: Callable[[Path], ByteImage]
) -> LabelledFolder:
    """Return the folder after a look whether all pictures are there."""
    for file, truth in items:
        if not file.is_file():
            raise DatasetError(f'{file} is missing, the picture of {truth}')
    return LabelledFolder(name=name, items=tuple(items), labels=labels)


def _numbered(table: ByteImage | None, file: Path) -> ByteImage:
    """Return the labels of a file of numbers; None for a table where they are ours."""
    numbers = read_picture(file)
    if numbers.ndim != 2:
        raise DatasetError(f'{file} has colours; labels are numbers, one channel of 8 bits')
    return numbers if table is None else table[numbers]


def _coloured(file: Path) -> ByteImage:
    picture = read_picture(file)
    if picture.ndim != 3:
        raise DatasetError(f"{file} is grey; CamVid's labels are colours")
    return by_colour(picture, CAMVID)
