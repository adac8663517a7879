"""Read recordings from the folders of public data sets, and from plain pictures."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, LayoutError, wrong_folder
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.files import expanded

__all__ = [
    'KINDS',
    'DatasetError',
    'FolderOptions',
    'FolderRecording',
    'Item',
    'open_folder',
    'recognise_folder',
]

_PICTURES = ('color', 'colour', 'data', 'frames', 'image', 'images', 'img', 'imgs', 'left',
             'pictures')  # fmt: skip
_MOST = 100  # folders inside that are looked at
KINDS = ('kitti', 'tum', 'euroc', 'seven-scenes', 'cambridge', 'images')


def open_folder(
    kind: str, source: Path | str, options: FolderOptions | None = None
) -> FolderRecording:
    """Open a folder as a recording; its pictures are read when it is iterated.

    Where the only folder inside has the layout, it is that one which is meant, and a note says so.

    Args:
        kind: One of `KINDS`.
        source: The folder; for ``images`` also a pattern.
        options: What the folder does not say itself.

    Raises:
        DatasetError: It has another layout, or a file in it is wrong or missing.
    """
    path, options = expanded(source), options or FolderOptions()
    try:
        return _read_as(kind, path, options)
    except LayoutError as err:
        return _one_inside(kind, path, options, err)


def _read_as(
    kind: str, source: Path | str, options: FolderOptions | None = None
) -> FolderRecording:
    """Open a folder that has the layout itself; see `open_folder`."""
    path, options = expanded(source), options or FolderOptions()
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


def _one_inside(kind: str, path: Path, options: FolderOptions, err: LayoutError) -> FolderRecording:
    """Open the only folder inside that has the layout: archives often pack one more around it.

    Raises:
        DatasetError: There is none or several; the first error with what is near instead.
    """
    inside = sorted(p for p in path.iterdir() if p.is_dir()) if path.is_dir() else []
    named = [p for p in inside if kind != 'images' or p.name.lower() in _PICTURES]
    fitting = [p for p in named[:_MOST] if _has_layout(kind, p, options)]
    if len(fitting) == 1:
        found = _read_as(kind, fitting[0], options)
        return replace(found, notes=(f'read from {fitting[0].name}/ in it', *found.notes))
    if fitting:
        names = ', '.join(p.name for p in fitting)
        raise LayoutError(f'{err}; of that layout are {names} in it: name one') from None
    others = [
        k for k in KINDS[:-1] if k != kind and path.is_dir() and _has_layout(k, path, options)
    ]
    if others and kind != 'images':
        raise LayoutError(f'{err}; it has the layout of {others[0]}') from None
    above = path.resolve().parent
    if path.is_dir() and kind != 'images' and _has_layout(kind, above, options):
        raise LayoutError(f'{err}; the folder above it, {above}, has that layout') from None
    raise err


def _has_layout(kind: str, path: Path, options: FolderOptions) -> bool:
    try:
        _read_as(kind, path, options)
    except LayoutError:
        return False
    except DatasetError:
        return True  # something in it is wrong
    return True


def recognise_folder(source: Path | str, options: FolderOptions | None = None) -> FolderRecording:
    """Open a folder as a recording, whichever of `KINDS` has its layout.

    Raises:
        DatasetError: None has; or a file in it is wrong or missing.
    """
    for reads in (_read_as, open_folder):  # itself before a folder inside
        for kind in KINDS:
            with suppress(LayoutError):
                return reads(kind, source, options)
    wanted = [
        'image_02/data/ (KITTI)',
        'rgb.txt (TUM)',
        'mav0/ (EuRoC)',
        'frame-*.color.png',
        'dataset_train.txt (Cambridge)',
        'rgb/',
    ]
    raise wrong_folder(Path(source), 'recording', [*wanted, 'pictures'])
