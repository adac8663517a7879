"""EuRoC MAV in ASL layout (Burri et al., IJRR 2016): ``mav0/cam0/data.csv``, ``sensor.yaml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dlcv.config import load_yaml
from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import listed_lines, numbers
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.poses import add_stamp, from_rows, nanoseconds
from dlcv.data.datasets.trajectories import IMU, read_poses
from dlcv.files import TextError, read_text
from dlcv.geometry.distortion import DistortionError, known_distortion
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.types import Camera, FloatArray, Trajectory

MAX_GAP_NS = 50_000_000  # the truth runs at 200 Hz
_TRUTHS = ('state_groundtruth_estimate0', 'mocap0', 'gt0')  # the second is TUM VI's, of the IMU
_NO_TRUTHS = {
    'vicon0': 'poses of its markers, not of the IMU (--groundtruth takes it all the same)',
    'leica0': 'positions without rotations',
}


def read_euroc(source: Path, options: FolderOptions) -> FolderRecording:
    """Read the left camera of a sequence; its folder holds ``mav0``, or is it, or its camera's.

    The truth is the body's (IMU's), also that of TUM VI in ``mocap0``; ``T_BS`` of the camera's
    ``sensor.yaml`` carries it to the camera. That file is not needed where the calibration is
    given and there is no truth. The second camera is left out: the pair is not rectified, so it
    has no baseline along x; ``options.sequence`` ``cam1`` reads it as the only camera.

    Raises:
        DatasetError: The layout is another, or a file in it is wrong or missing.
    """
    root, folder = _camera_folder(source, options)
    pictures = _pictures(folder)
    stamps = [stamp for stamp, _ in pictures]
    file = folder / 'sensor.yaml'
    sensor = _sensor(file) if file.is_file() or options.camera is None else {}
    seat = _extrinsics(file, sensor) if 'T_BS' in sensor or options.camera is None else None
    truth, notes = _truth(root, options, seat, stamps)
    return FolderRecording(
        name=root.resolve().parent.name if root.name == 'mav0' else source.resolve().name,
        items=tuple(
            Item(
                stamp_ns=stamp,
                picture=picture,
                world_from_camera=pose_at(truth, stamp, MAX_GAP_NS, NEAR_NS) if truth else None,
            )
            for stamp, picture in pictures
        ),
        calibration=options.camera or _camera(file, sensor),
        notes=tuple(notes),
    )


def _camera_folder(source: Path, options: FolderOptions) -> tuple[Path, Path]:
    """Return ``mav0`` and the folder of the camera, where the one or the other is given."""
    if options.sequence is None and _is_camera(source) and source.name.startswith('cam'):
        return source.resolve().parent, source
    root = source / 'mav0' if (source / 'mav0').is_dir() else source
    folder = root / (options.sequence or 'cam0')
    if not (folder / 'data.csv').is_file():
        there = sorted(path.parent.name for path in root.glob('cam*/data.csv'))
        if there:
            raise DatasetError(f'{root}: no camera {folder.name}; there are {", ".join(there)}')
        raise wrong_folder(source, 'EuRoC', [f'mav0/{folder.name}/data.csv'])
    return root, folder


def _is_camera(folder: Path) -> bool:
    return (folder / 'data.csv').is_file() and (folder / 'data').is_dir()


def _sensor(path: Path) -> dict[str, Any]:
    try:
        data = load_yaml(read_text(path).removeprefix('%YAML:1.0'))
    except (OSError, TextError, yaml.YAMLError) as err:
        raise DatasetError(f'{path}: cannot be read: {" ".join(str(err).split())}') from None
    if not isinstance(data, dict):
        raise DatasetError(f'{path}: expected the keys of a sensor, got {data!r:.60}')
    return data


def _numbers(path: Path, sensor: dict[str, Any], key: str, count: int) -> list[float]:
    values = sensor.get(key)
    if isinstance(values, dict):
        values = values.get('data')
    if not isinstance(values, list) or len(values) != count:
        raise DatasetError(f'{path}: {key} must be {count} numbers, got {values!r}')
    return numbers(path, 1, [str(value) for value in values], count)


def _extrinsics(path: Path, sensor: dict[str, Any]) -> FloatArray:
    return from_rows(path, 1, _numbers(path, sensor, 'T_BS', 16))


def _camera(path: Path, sensor: dict[str, Any]) -> Camera:
    fx, fy, cx, cy = _numbers(path, sensor, 'intrinsics', 4)
    width, height = _numbers(path, sensor, 'resolution', 2)
    coefficients = tuple(_numbers(path, sensor, 'distortion_coefficients', 4))
    try:
        model, distortion = known_distortion(str(sensor.get('distortion_model')), coefficients)
    except DistortionError as err:
        raise DatasetError(f'{path}: {err}') from None
    return Camera(
        width=int(width),
        height=int(height),
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        distortion=distortion,
        distortion_model=model,
    )


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    table = folder / 'data.csv'
    stamps: list[int] = []
    found: list[tuple[int, Path]] = []
    for number, line in listed_lines(table):
        words = [word.strip() for word in line.split(',')]
        if len(words) < 2:
            raise DatasetError(f'{table}, line {number}: expected a time and a file, got {line!r}')
        add_stamp(table, number, stamps, nanoseconds(table, number, words[0]))
        picture = folder / 'data' / words[1]
        if not picture.is_file():
            raise DatasetError(f'{table}, line {number}: {picture} is missing')
        found.append((stamps[-1], picture))
    if not found:
        raise DatasetError(f'{table}: no files are listed')
    return found


def _truth(
    root: Path, options: FolderOptions, body_from_camera: FloatArray | None, stamps: list[int]
) -> tuple[Trajectory | None, list[str]]:
    """Return the camera's poses, and what is to be said of them."""
    tables = [root / name / 'data.csv' for name in _TRUTHS]
    table = options.groundtruth or next((path for path in tables if path.is_file()), None)
    if table is None:
        return None, _unused(root)
    found = read_poses(table, lambda: np.array(stamps, np.int64))
    notes = [f'{table.parent.name}/{table.name}: {note}' for note in found.notes]
    if options.groundtruth is None and table != tables[0]:
        notes.insert(0, f'the true poses are those of {table.parent.name}, of the IMU')
    if options.groundtruth is not None and found.trajectory.child_frame_id != IMU:
        return found.trajectory, notes
    if body_from_camera is None:
        why = 'how the camera sits on the IMU (T_BS of sensor.yaml) is not known'
        return None, [f'{table} is there and not used: {why}']
    poses = found.trajectory.world_from_body @ body_from_camera
    return replace(found.trajectory, world_from_body=poses, child_frame_id=''), notes


def _unused(root: Path) -> list[str]:
    """Say which true positions or poses are there that do not place the IMU."""
    return [
        f'{name} is there and not used: it gives {what}'
        for name, what in _NO_TRUTHS.items()
        if (root / name / 'data.csv').is_file()
    ]
