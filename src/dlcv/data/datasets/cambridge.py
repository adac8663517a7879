"""Cambridge Landmarks (Kendall et al., ICCV 2015): ``dataset_{train,test}.txt``, ``seq1/...png``.

A line of a list is the name of a picture, the position of the camera and the quaternion, w first,
that turns the world's axes into the camera's.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import numbers, read_lines, read_picture
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.images import camera_beside
from dlcv.data.datasets.pictures import natural
from dlcv.data.datasets.poses import from_xyzw
from dlcv.geometry.trajectory import rigid
from dlcv.types import Camera, FloatArray

LISTS = ('dataset_train.txt', 'dataset_test.txt')
RATE = 2.0  # Hz; the set's pictures are said to be of a video of that rate
_MODEL = 'reconstruction.nvm'
_HEADER = 'ImageFile'


def read_cambridge(source: Path, options: FolderOptions) -> FolderRecording:
    """Read the pictures of both lists, those that are there, by their names.

    The set gives no times: the first picture is at 0 and the others follow at the rate. It is
    calibrated by ``camera.yaml`` or, for pictures of their first size, by ``reconstruction.nvm``:
    the median focal length, the principal point in the middle.

    Raises:
        DatasetError: The layout is another, or a line of a list is none.
    """
    poses = _poses(source)
    if not poses:
        raise wrong_folder(source, 'Cambridge', [f'poses in {name}' for name in LISTS])
    order = sorted(poses, key=lambda name: natural(Path(name)))
    if options.groundtruth is not None:
        raise DatasetError(f'{source}: its lists hold the poses, {options.groundtruth} is too many')
    rate = options.rate or RATE
    return FolderRecording(
        name=source.resolve().name,
        items=tuple(
            Item(
                stamp_ns=round(number * 1_000_000_000 / rate),
                picture=picture,
                world_from_camera=poses[picture],
            )
            for number, picture in enumerate(order)
        ),
        calibration=options.camera or camera_beside(source) or _camera(source, order),
    )


def without_header(lines: list[tuple[int, str]]) -> list[tuple[int, str]]:
    """Return the lines of a list after those that tell what follows."""
    head = max((at for at, (_, line) in enumerate(lines) if line.startswith(_HEADER)), default=-1)
    return lines[head + 1 :]


def _poses(source: Path) -> dict[Path, FloatArray]:
    poses: dict[Path, FloatArray] = {}
    for path in (source / name for name in LISTS):
        if not path.is_file():
            continue
        for number, line in without_header(read_lines(path)):
            name, *words = line.split()
            if not words:
                return {}  # a list of names: the poses are elsewhere
            values = numbers(path, number, words, 7)
            w, x, y, z = values[3:]
            camera_from_world = from_xyzw(path, number, [0.0, 0.0, 0.0], [x, y, z, w])
            pose = rigid(camera_from_world[:3, :3].T, values[:3])
            poses.setdefault(source / name, pose)
    return poses


def _camera(source: Path, pictures: list[Path]) -> Camera | None:
    """Return the camera of the model that the poses are of; None without a model."""
    path = source / _MODEL
    if not path.is_file():
        return None
    focals = [focal for focal in map(_focal, read_lines(path)) if focal]
    there = next((picture for picture in pictures if picture.is_file()), None)
    if not focals or there is None:
        return None
    height, width = read_picture(there).shape[:2]
    focal = float(np.median(focals))
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return Camera(width=width, height=height, fx=focal, fy=focal, cx=cx, cy=cy)


def _focal(line: tuple[int, str]) -> float:
    """Return the focal length of a line about a camera: name, focal, w x y z, x y z, k, 0."""
    words = line[1].split()
    if len(words) != 11:
        return 0.0
    try:
        return float(words[1])
    except ValueError:
        return 0.0
