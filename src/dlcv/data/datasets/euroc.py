"""EuRoC MAV in ASL layout (Burri et al., IJRR 2016): ``mav0/cam0/data.csv``, ``sensor.yaml``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dlcv.config import load_yaml
from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import numbers, read_lines
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.poses import add_stamp, euroc_lines, from_rows, nanoseconds, trajectory
from dlcv.data.datasets.trajectories import IMU, read_poses
from dlcv.geometry.trajectory import pose_at
from dlcv.types import Camera, FloatArray, Trajectory

MAX_GAP_NS = 50_000_000  # the truth runs at 200 Hz
_MODELS = {'radial-tangential': 'plumb_bob', 'equidistant': 'equidistant'}


def read_euroc(source: Path, options: FolderOptions) -> FolderRecording:
    """Read the left camera of a sequence; its folder holds ``mav0``, or is it.

    The truth is the body's (IMU's); ``T_BS`` of the camera's ``sensor.yaml`` carries it to the
    camera. The second camera is left out: the pair is not rectified, so it has no baseline along
    x; ``options.sequence`` ``cam1`` reads it as the only camera.

    Raises:
        DatasetError: The layout is another, or a file in it is wrong or missing.
    """
    root = source / 'mav0' if (source / 'mav0').is_dir() else source
    folder = root / (options.sequence or 'cam0')
    if not (folder / 'data.csv').is_file():
        raise wrong_folder(source, 'EuRoC', [f'mav0/{folder.name}/data.csv'])
    sensor = _sensor(folder / 'sensor.yaml')
    body_from_camera = _extrinsics(folder / 'sensor.yaml', sensor)
    pictures = _pictures(folder)
    truth = _truth(root, options, body_from_camera, [stamp for stamp, _ in pictures])
    return FolderRecording(
        name=source.resolve().name,
        items=tuple(
            Item(
                stamp_ns=stamp,
                picture=picture,
                world_from_camera=pose_at(truth, stamp, MAX_GAP_NS) if truth else None,
            )
            for stamp, picture in pictures
        ),
        calibration=options.camera or _camera(folder / 'sensor.yaml', sensor),
    )


def _sensor(path: Path) -> dict[str, Any]:
    try:
        data = load_yaml(path.read_text(encoding='utf-8').removeprefix('%YAML:1.0'))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
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
    model = str(sensor.get('distortion_model'))
    if model not in _MODELS:
        raise DatasetError(f'{path}: distortion_model {model!r}; known are {list(_MODELS)}')
    return Camera(
        width=int(width),
        height=int(height),
        fx=fx,
        fy=fy,
        cx=cx,
        cy=cy,
        distortion=tuple(_numbers(path, sensor, 'distortion_coefficients', 4)),
        distortion_model=_MODELS[model],
    )


def _pictures(folder: Path) -> list[tuple[int, Path]]:
    table = folder / 'data.csv'
    stamps: list[int] = []
    found: list[tuple[int, Path]] = []
    for number, line in read_lines(table):
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
    root: Path, options: FolderOptions, body_from_camera: FloatArray, stamps: list[int]
) -> Trajectory | None:
    if options.groundtruth is not None:
        return _given(options.groundtruth, body_from_camera, stamps)
    table = root / 'state_groundtruth_estimate0' / 'data.csv'
    if not table.is_file():
        return None
    times: list[int] = []
    poses: list[FloatArray] = []
    for number, stamp_ns, pose in euroc_lines(table):
        add_stamp(table, number, times, stamp_ns)
        poses.append(pose @ body_from_camera)
    return trajectory(table, times, poses)


def _given(path: Path, body_from_camera: FloatArray, stamps: list[int]) -> Trajectory:
    """Return the camera's poses of a file that places it, or the body as this set's files do."""
    found = read_poses(path, lambda: np.array(stamps, np.int64)).trajectory
    if found.child_frame_id == IMU:
        return replace(found, world_from_body=found.world_from_body @ body_from_camera)
    return found
