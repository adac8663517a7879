"""7-Scenes (Shotton et al., CVPR 2013): ``seq-01/frame-000000.{color.png,depth.png,pose.txt}``."""

from __future__ import annotations

import re
from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, NoPoseError, wrong_folder
from dlcv.data.datasets.files import as_number, numbers, read_lines
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.images import camera_beside
from dlcv.data.datasets.pictures import is_picture, natural
from dlcv.data.datasets.poses import from_rows
from dlcv.types import Camera, FloatArray

RATE = 30.0
# The set's page: principal point at the centre, focal length 585 px.
CAMERA = Camera(width=640, height=480, fx=585.0, fy=585.0, cx=320.0, cy=240.0)


def read_seven_scenes(source: Path, options: FolderOptions) -> FolderRecording:
    """Read one sequence: its folder, or the scene's folder and ``options.sequence``.

    Frame ``n`` is at ``n / 30`` s. Depth is in millimetres; 0 and 65535 mean none.

    Raises:
        DatasetError: The layout is another, or a file in it is wrong or missing.
    """
    folder = _sequence(source, options.sequence)
    rate = options.rate or RATE
    pictures = _pictures(folder)
    items = tuple(_item(picture, rate, options.depth) for picture in pictures)
    lost = [item.picture.name for item in items if item.world_from_camera is None]
    note = f'{len(lost)} of {len(items)} pictures have no true pose, the first is {{}}'
    return FolderRecording(
        name=f'{folder.resolve().parent.name}-{folder.resolve().name}',
        items=items,
        calibration=options.camera or camera_beside(folder) or CAMERA,
        depth_scale=options.depth_scale or 1000.0,
        unknown_depth=(0, 65535),
        notes=(note.format(lost[0]),) if lost else (),
    )


def _pictures(folder: Path) -> list[Path]:
    found = (path for path in folder.glob('frame-*.color.*') if is_picture(path))
    return sorted(found, key=natural)


def sequences_in(folder: Path) -> list[str]:
    """Return the names of the sequences of a scene's folder, in order; none of another folder."""
    inside = [path for path in folder.iterdir() if path.is_dir()] if folder.is_dir() else []
    return [path.name for path in sorted(filter(_pictures, inside), key=natural)]


def _sequence(source: Path, wanted: str | None) -> Path:
    if _pictures(source):
        return source
    names = sequences_in(source)
    if not names:
        raise wrong_folder(source, '7-Scenes', ['frame-*.color.png', 'seq-*/frame-*.color.png'])
    if wanted is None and len(names) == 1:
        return source / names[0]
    chosen = [name for name in names if wanted is not None and _named(name, wanted)]
    if not chosen:
        raise DatasetError(f'{source}: asked for sequence {wanted or "(none named)"} of {names}')
    return source / chosen[0]


def _named(name: str, wanted: str) -> bool:
    """Whether a folder is meant by its name or its number: seq-01 by seq-01, 01, 1, sequence1."""
    if wanted == name:
        return True
    mine, asked = (re.fullmatch(r'(?:seq(?:uence)?[-_]?)?0*(\d+)', w) for w in (name, wanted))
    return mine is not None and asked is not None and mine[1] == asked[1]


def _item(picture: Path, rate: float, depth: bool) -> Item:
    stem = picture.name.removesuffix(picture.suffix).removesuffix('.color')
    match = re.fullmatch(r'frame-(\d+)', stem)
    if match is None:
        raise DatasetError(f'{picture}: expected a name such as frame-000000.color.png')
    depth_file = picture.with_name(f'{stem}.depth.png')
    return Item(
        stamp_ns=round(int(match[1]) * 1_000_000_000 / rate),
        picture=picture,
        depth=depth_file if depth and depth_file.is_file() else None,
        world_from_camera=_pose(picture.with_name(f'{stem}.pose.txt')),
    )


def _pose(path: Path) -> FloatArray | None:
    """Return the pose of a picture; None where its file says that it is unknown."""
    rows = []
    for number, line in read_lines(path):
        words = line.split()
        if len(words) < 4:
            numbers(path, number, words, 4)  # says what is wrong
        rows.append([as_number(path, number, word) for word in words[:4]])
    if len(rows) != 4:
        raise DatasetError(f'{path}: expected 4 lines of 4 numbers, got {len(rows)} lines')
    try:
        return from_rows(path, 1, [value for row in rows for value in row])
    except NoPoseError as err:
        if err.absent:
            return None
        raise
