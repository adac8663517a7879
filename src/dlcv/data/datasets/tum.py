"""TUM RGB-D (Sturm et al., IROS 2012): ``rgb.txt``, ``depth.txt``, ``groundtruth.txt``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import listed_lines, seconds_to_ns
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.images import camera_beside, read_images, unused_truth
from dlcv.data.datasets.poses import add_stamp
from dlcv.data.datasets.times import matches
from dlcv.data.datasets.trajectories import read_camera_poses
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.types import Camera, Trajectory

DEPTH_SCALE = 5000.0
MAX_GAP_NS = 100_000_000  # between two true poses (motion capture runs at 100 Hz)

# Calibration of the colour cameras, from the data set's page on file formats.
_CAMERAS = {
    '1': (517.3, 516.5, 318.6, 255.3, (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)),
    '2': (520.9, 521.0, 325.1, 249.7, (0.2312, -0.7849, -0.0033, -0.0001, 0.9172)),
    '3': (535.4, 539.2, 320.1, 247.6, ()),
}


def read_tum_rgbd(source: Path, options: FolderOptions) -> FolderRecording:
    """Read a sequence folder.

    Depth is the nearest in time within 20 ms, the pose the true one at the picture's time
    (between the two around it). The calibration comes from the options, ``camera.yaml`` in the
    folder, or ``freiburg1`` to ``3`` in its name. A folder with ``rgb/`` and ``groundtruth.txt``
    but no ``rgb.txt`` is read as plain pictures (then the depth's units must be given).

    Raises:
        DatasetError: The layout is another, or a file in it is wrong or missing.
    """
    if not (source / 'rgb.txt').is_file():
        if not (source / 'rgb').is_dir():
            raise wrong_folder(source, 'TUM RGB-D', ['rgb.txt', 'rgb/ with groundtruth.txt'])
        return read_images(source, options)
    pictures = _listed(source / 'rgb.txt')
    depths = _listed(source / 'depth.txt') if _has_depth(source, options) else []
    near = matches([stamp for stamp, _ in depths], [stamp for stamp, _ in pictures])
    truth, notes = _truth(source, options, [stamp for stamp, _ in pictures])
    if options.depth and not depths and (source / 'depth').is_dir():
        notes.append('depth/ is there and not used: depth.txt, which says its times, is not')
    items = []
    for (stamp, picture), match in zip(pictures, near, strict=True):
        item = Item(
            stamp_ns=stamp,
            picture=picture,
            depth=None if match is None else depths[match][1],
            world_from_camera=pose_at(truth, stamp, MAX_GAP_NS, NEAR_NS) if truth else None,
        )
        items.append(item)
    return FolderRecording(
        name=source.resolve().name,
        items=tuple(items),
        calibration=options.camera or camera_beside(source) or _named_camera(source),
        depth_scale=options.depth_scale or DEPTH_SCALE,
        notes=tuple(notes),
    )


def _truth(
    source: Path, options: FolderOptions, stamps: list[int]
) -> tuple[Trajectory | None, list[str]]:
    path = options.groundtruth or source / 'groundtruth.txt'
    if options.groundtruth is None and not path.is_file():
        return None, unused_truth(source)
    found = read_camera_poses(path, lambda: np.array(stamps, np.int64))
    return found.trajectory, [f'{path.name}: {note}' for note in found.notes]


def _has_depth(source: Path, options: FolderOptions) -> bool:
    return options.depth and (source / 'depth.txt').is_file()


def _listed(path: Path) -> list[tuple[int, Path]]:
    """Return the times and files of a list; a file that is not there is an error."""
    found: list[tuple[int, Path]] = []
    stamps: list[int] = []
    for number, line in listed_lines(path):
        words = line.split(maxsplit=1)
        if len(words) != 2:
            raise DatasetError(f'{path}, line {number}: expected a time and a file, got {line!r}')
        file = path.parent / words[1]
        if not file.is_file():
            raise DatasetError(f'{path}, line {number}: {file} is missing')
        add_stamp(path, number, stamps, seconds_to_ns(path, number, words[0]))
        found.append((stamps[-1], file))
    if not found:
        raise DatasetError(f'{path}: no files are listed')
    return found


def _named_camera(source: Path) -> Camera | None:
    match = re.search(r'freiburg([123])', source.resolve().name)
    if match is None:
        return None
    fx, fy, cx, cy, distortion = _CAMERAS[match[1]]
    return Camera(width=640, height=480, fx=fx, fy=fy, cx=cx, cy=cy, distortion=distortion)
