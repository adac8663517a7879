"""COCO (Lin et al., ECCV 2014): its pictures, without annotations."""

from __future__ import annotations

from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.pictures import pictures_in

SPLITS = ('train2014', 'train2017', 'val2014', 'val2017', 'test2014', 'test2015', 'test2017',
          'unlabeled2017')  # fmt: skip


def coco_pictures(source: Path | str, split: str = '') -> list[Path]:
    """Return the picture files of a COCO folder, sorted.

    Args:
        source: The folder of a split, or one that holds splits, itself or in ``images/``.
        split: Which one, such as ``train2017``; may be empty where there is only one.

    Raises:
        DatasetError: There is no such split, several to choose from, or no picture.
    """
    path = Path(source)
    if split and split not in SPLITS:
        raise DatasetError(f'COCO has no split {split!r}; there are {", ".join(SPLITS)}')
    if split in ('', path.name) and path.is_dir() and (pictures := pictures_in(path)):
        return pictures
    folders = [root / name for root in (path, path / 'images') for name in SPLITS]
    there = [folder for folder in folders if folder.is_dir() and split in ('', folder.name)]
    if len(there) > 1:
        raise DatasetError(f'{path}: which of {", ".join(folder.name for folder in there)}?')
    pictures = pictures_in(there[0]) if there else []
    if not pictures:
        wanted = [f'{split or "train2017"}/*.jpg', f'images/{split or "train2017"}/*.jpg']
        raise wrong_folder(path, 'COCO', wanted)
    return pictures
