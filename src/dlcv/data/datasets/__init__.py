"""Read recordings from the folders of public data sets, and from plain pictures."""

from __future__ import annotations

from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, LayoutError, wrong_folder
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item

__all__ = [
    'KINDS',
    'DatasetError',
    'FolderOptions',
    'FolderRecording',
    'Item',
    'open_folder',
    'recognise_folder',
]

KINDS = ('kitti', 'tum', 'euroc', 'seven-scenes', 'cambridge', 'images')


def open_folder(
    kind: str, source: Path | str, options: FolderOptions | None = None
) -> FolderRecording:
    """Open a folder as a recording; its pictures are read when it is iterated.

    Args:
        kind: One of `KINDS`.
        source: The folder; for ``images`` also a pattern.
        options: What the folder does not say itself.

    Raises:
        DatasetError: It has another layout, or a file in it is wrong or missing.
    """
    path, options = Path(source), options or FolderOptions()
    match kind:
        case 'kitti':
            from dlcv.data.datasets.kitti import read_kitti as read
        case 'tum':
            from dlcv.data.datasets.tum import read_tum_rgbd as read
        case 'euroc':
            from dlcv.data.datasets.euroc import read_euroc as read
        case 'seven-scenes':
            from dlcv.data.datasets.seven_scenes import read_seven_scenes as read
        case 'cambridge':
            from dlcv.data.datasets.cambridge import read_cambridge as read
        case 'images':
            from dlcv.data.datasets.images import read_images as read
        case _:
            raise DatasetError(f'no data set {kind!r}; there are {", ".join(KINDS)}')
    if kind != 'kitti' and options.depth_folder is not None:
        raise DatasetError(f"only KITTI's raw drives have their depth elsewhere, got {kind}")
    return read(path, options)


def recognise_folder(source: Path | str, options: FolderOptions | None = None) -> FolderRecording:
    """Open a folder as a recording, whichever of `KINDS` has its layout.

    Raises:
        DatasetError: None has; or a file in it is wrong or missing.
    """
    for kind in KINDS:
        if (found := _opened(kind, source, options)) is not None:
            return found
    wanted = [
        'image_02/data/ (KITTI)',
        'rgb.txt (TUM)',
        'mav0/ (EuRoC)',
        'frame-*.color.png',
        'dataset_train.txt (Cambridge)',
        'rgb/',
    ]
    raise wrong_folder(Path(source), 'recording', [*wanted, 'pictures'])


def _opened(kind: str, source: Path | str, options: FolderOptions | None) -> FolderRecording | None:
    try:
        return open_folder(kind, source, options)
    except LayoutError:
        return None
