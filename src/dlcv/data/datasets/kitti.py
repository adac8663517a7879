"""KITTI (Geiger et al., IJRR 2013): raw drives and the odometry benchmark's sequences.

Raw drives may have the depth benchmark's annotated LiDAR depth (Uhrig et al., 3DV 2017).
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import (
    date_to_ns,
    keyed_numbers,
    numbers,
    read_lines,
    read_picture,
    seconds_to_ns,
)
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.images import RATE, unused_truth
from dlcv.data.datasets.pictures import pictures_in
from dlcv.data.datasets.poses import add_stamp, kitti_lines
from dlcv.data.datasets.trajectories import read_camera_poses
from dlcv.geometry.trajectory import NEAR_NS, pose_at, rigid
from dlcv.types import Camera, FloatArray

EARTH_RADIUS = 6378137.0  # metres, of the devkit's convertOxtsToPose.m
MAX_GAP_NS = 250_000_000
DEPTH_SCALE = 256.0  # units per metre of the depth benchmark
_WANTED = (
    'image_02/data and timestamps.txt (a raw drive)',
    'image_2 and times.txt (an odometry sequence)',
    'sequences/ (the odometry benchmark)',
)


def read_kitti(source: Path, options: FolderOptions) -> FolderRecording:
    """Read a raw drive (``*_sync``) or a sequence of the odometry benchmark, colour if there.

    Raw drives: times are the pictures' own, read as UTC; poses come from GPS and IMU in a world
    of x east, y north, z up that begins at the first IMU position. Depth is the depth benchmark's,
    unpacked into the drive's own folder (``proj_depth/groundtruth``) or found in
    ``options.depth_folder``; it is sparse, and the first and last five pictures have none.
    Odometry: poses are the benchmark's, whose world has the axes of the first camera (x right, y
    down, z forward).

    Raises:
        DatasetError: The layout is another, or a file in it is wrong or missing.
    """
    for camera in ('image_02', 'image_00'):
        if (source / camera / 'data').is_dir():
            return _read_drive(source, camera, options)
    if options.depth_folder is not None:
        raise DatasetError(f'{source}: only raw drives have annotated depth, and this is none')
    folder = _sequence(source, options.sequence)
    return _read_sequence(folder, options)


# Raw drives


def _read_drive(source: Path, left: str, options: FolderOptions) -> FolderRecording:
    if source.resolve().name.endswith('_extract'):
        raise DatasetError(f'{source}: unrectified; only the rectified drives (_sync) are read')
    calibration = source.resolve().parent / 'calib_cam_to_cam.txt'
    if not calibration.is_file() and options.camera is None:
        raise DatasetError(f'{source}: looked for its calibration at {calibration}')
    tables = keyed_numbers(calibration) if calibration.is_file() else {}
    right = f'image_{int(left[-2:]) + 1:02d}'
    lens, right_lens = left[-2:], right[-2:]
    pictures = _numbered(source / left / 'data')
    rights = _numbered(source / right / 'data') if tables and (source / right).is_dir() else []
    stamps = _dates(source / left / 'timestamps.txt')
    _check_count(source / left / 'data', pictures, source / left / 'timestamps.txt', len(stamps))
    if rights:
        _check_count(source / right / 'data', rights, source / left / 'data', len(pictures))
    poses, notes = _drive_poses(source, stamps, lens, tables, options)
    return FolderRecording(
        name=source.resolve().name,
        items=_with_depth(
            _items(stamps, pictures, rights, poses), _depth_of(source, left, options)
        ),
        calibration=options.camera or _raw_camera(calibration, tables, lens),
        right_calibration=_raw_camera(calibration, tables, right_lens) if rights else None,
        baseline=_raw_baseline(calibration, tables, lens, right_lens) if rights else 0.0,
        depth_scale=options.depth_scale or DEPTH_SCALE,
        notes=tuple(notes),
    )


def _depth_of(drive: Path, camera: str, options: FolderOptions) -> Path | None:
    """Return the folder of a drive's depth pictures, where there is one."""
    if not options.depth:
        return None
    inside = Path('proj_depth', 'groundtruth', camera)
    places = [drive / inside]
    if options.depth_folder is not None:
        name = drive.resolve().name
        roots = [options.depth_folder / part for part in ('train', 'val', '')]
        places = [root / name / inside for root in roots]
    found = next((place for place in places if place.is_dir()), None)
    if found is None and options.depth_folder is not None:
        raise DatasetError(
            f'{options.depth_folder}: looked for the depth of {camera} at '
            + ', '.join(str(place.relative_to(options.depth_folder)) for place in places)
        )
    return found


def _with_depth(items: tuple[Item, ...], folder: Path | None) -> tuple[Item, ...]:
    if folder is None:
        return items
    there = {path.stem: path for path in folder.glob('*.png')}
    unknown = there.keys() - {item.picture.stem for item in items}
    if unknown:
        raise DatasetError(f'{folder}: {min(unknown)}.png belongs to none of {len(items)} pictures')
    return tuple(replace(item, depth=there.get(item.picture.stem)) for item in items)


def _raw_camera(path: Path, tables: dict[str, list[float]], lens: str) -> Camera:
    p = _matrix(path, tables, f'P_rect_{lens}', (3, 4))
    width, height = _matrix(path, tables, f'S_rect_{lens}', (2,))
    return _pinhole(p, round(float(width)), round(float(height)))


def _raw_baseline(path: Path, tables: dict[str, list[float]], left: str, right: str) -> float:
    first = _matrix(path, tables, f'P_rect_{left}', (3, 4))
    return _baseline(first, _matrix(path, tables, f'P_rect_{right}', (3, 4)))


def _drive_poses(
    source: Path,
    stamps: list[int],
    lens: str,
    tables: dict[str, list[float]],
    options: FolderOptions,
) -> tuple[list[FloatArray | None], list[str]]:
    """Return world_from_camera for each picture, or None where it is not known; and notes."""
    if options.groundtruth is not None:
        return _given(options.groundtruth, stamps)
    day = source.resolve().parent
    packets = sorted((source / 'oxts' / 'data').glob('*.txt'))
    to_velodyne, to_camera = day / 'calib_imu_to_velo.txt', day / 'calib_velo_to_cam.txt'
    if not packets or not tables or not to_velodyne.is_file() or not to_camera.is_file():
        lacking = [path.name for path in (to_velodyne, to_camera) if not path.is_file()]
        why = f'{", ".join(lacking)} missing in {day}' if lacking else 'no calibration'
        unused = [f'oxts/ is there and not used for poses: {why}'] if packets else []
        return [None] * len(stamps), unused
    if len(packets) != len(stamps):
        raise DatasetError(
            f'{source / "oxts" / "data"}: {len(packets)} packets for {len(stamps)} pictures'
        )
    calibration = day / 'calib_cam_to_cam.txt'
    rectify = rigid(_matrix(calibration, tables, 'R_rect_00', (3, 3)), [0, 0, 0])
    projection = _matrix(calibration, tables, f'P_rect_{lens}', (3, 4))
    imu_chain = _motion(to_camera) @ _motion(to_velodyne)  # camera 0, unrectified, from IMU
    camera_from_imu = _camera_from_first(projection) @ rectify @ imu_chain
    imu_from_camera = np.linalg.inv(camera_from_imu)
    return [world_from_imu @ imu_from_camera for world_from_imu in oxts_poses(packets)], []


def oxts_poses(packets: list[Path]) -> list[FloatArray]:
    """Return world_from_imu of GPS/IMU packets by the devkit's Mercator projection.

    The world is x east, y north, z up, with its origin at the first packet's position; its scale
    is true at the first packet's latitude.
    """
    rows = [_packet(path) for path in packets]
    scale = np.cos(np.radians(rows[0][0]))
    poses = [_oxts_pose(row, float(scale)) for row in rows]
    origin = poses[0][:3, 3].copy()
    for pose in poses:
        pose[:3, 3] -= origin
    return poses


def _packet(path: Path) -> list[float]:
    lines = read_lines(path)
    if not lines:
        raise DatasetError(f'{path}: no GPS/IMU packet')
    number, line = lines[0]
    return numbers(path, number, line.split(), 6)


def _oxts_pose(row: list[float], scale: float) -> FloatArray:
    from scipy.spatial.transform import Rotation

    latitude, longitude, altitude, roll, pitch, yaw = row
    x = scale * np.radians(longitude) * EARTH_RADIUS
    y = scale * EARTH_RADIUS * np.log(np.tan(np.radians(90 + latitude) / 2))
    turn = Rotation.from_euler('ZYX', [yaw, pitch, roll]).as_matrix()  # Rz(yaw) Ry(pitch) Rx(roll)
    return rigid(turn, [float(x), float(y), altitude])


def _motion(path: Path) -> FloatArray:
    """Return the rigid motion of a calibration file with R and T."""
    tables = keyed_numbers(path)
    return rigid(_matrix(path, tables, 'R', (3, 3)), _matrix(path, tables, 'T', (3,)))


def _dates(path: Path) -> list[int]:
    stamps: list[int] = []
    for number, line in read_lines(path):
        add_stamp(path, number, stamps, date_to_ns(path, number, line))
    return stamps


# The odometry benchmark


def _sequence(source: Path, wanted: str | None) -> Path:
    if (source / 'times.txt').is_file() or any((source / f'image_{n}').is_dir() for n in (0, 2)):
        return source
    above = source if source.name == 'sequences' else source / 'sequences'
    there = sorted(p.parent for p in above.glob('*/times.txt'))
    if not there:
        raise wrong_folder(source, 'KITTI', _WANTED)
    if wanted is None and len(there) == 1:
        return there[0]
    chosen = [p for p in there if wanted is not None and wanted in (p.name, p.name.lstrip('0'))]
    if not chosen:
        names = [p.name for p in there]
        raise DatasetError(f'{source}: asked for sequence {wanted or "(none named)"} of {names}')
    return chosen[0]


def _read_sequence(folder: Path, options: FolderOptions) -> FolderRecording:
    left = next((n for n in (2, 0) if (folder / f'image_{n}').is_dir()), None)
    if left is None:
        raise wrong_folder(folder, 'KITTI odometry', ['image_2', 'image_0'])
    calibration = folder / 'calib.txt'
    if not calibration.is_file() and options.camera is None:
        raise DatasetError(f'{folder}: looked for its calibration at {calibration}')
    tables = keyed_numbers(calibration) if calibration.is_file() else {}
    pictures = _numbered(folder / f'image_{left}')
    right_folder = folder / f'image_{left + 1}'
    rights = _numbered(right_folder) if tables and right_folder.is_dir() else []
    stamps, said = _sequence_times(folder, len(pictures), options.rate)
    _check_count(folder / f'image_{left}', pictures, folder / 'times.txt', len(stamps))
    if rights:
        _check_count(right_folder, rights, folder / f'image_{left}', len(pictures))
    size = _size(pictures[0])
    projection = _matrix(calibration, tables, f'P{left}', (3, 4)) if tables else np.eye(3, 4)
    camera = options.camera or _pinhole(projection, *size)
    poses, notes = _sequence_poses(folder, stamps, projection, options)
    second = _matrix(calibration, tables, f'P{left + 1}', (3, 4)) if rights else None
    return FolderRecording(
        name=f'kitti-{folder.resolve().name}',
        items=_items(stamps, pictures, rights, poses),
        calibration=camera,
        right_calibration=None if second is None else _pinhole(second, *size),
        baseline=0.0 if second is None else _baseline(projection, second),
        notes=(*said, *notes),
    )


def _sequence_times(
    folder: Path, count: int, rate: float | None
) -> tuple[list[int], tuple[str, ...]]:
    """Return the times of a sequence; without its file, those of a rate, and a note on it."""
    if (folder / 'times.txt').is_file():
        return _times(folder / 'times.txt'), ()
    hz = rate or RATE
    stamps = [round(i * 1e9 / hz) for i in range(count)]
    return stamps, (f'times.txt is missing: the pictures are taken to come at {hz:g} Hz from 0',)


def _sequence_poses(
    folder: Path, stamps: list[int], projection: FloatArray, options: FolderOptions
) -> tuple[list[FloatArray | None], list[str]]:
    if options.groundtruth is not None:
        return _given(options.groundtruth, stamps)
    path = folder.resolve().parent.parent / 'poses' / f'{folder.resolve().name}.txt'
    if not path.is_file():
        return [None] * len(stamps), unused_truth(folder)
    first_from_camera = np.linalg.inv(_camera_from_first(projection))
    found, lost = kitti_lines(path)
    poses = [None if pose is None else pose @ first_from_camera for pose in found]
    if len(poses) != len(stamps):
        raise DatasetError(f'{path}: {len(poses)} poses for {len(stamps)} pictures')
    return poses, [f'{path.name}: {lost}'] if lost else []


def _given(path: Path, stamps: list[int]) -> tuple[list[FloatArray | None], list[str]]:
    found = read_camera_poses(path, lambda: np.array(stamps, np.int64))
    poses = [pose_at(found.trajectory, stamp, MAX_GAP_NS, NEAR_NS) for stamp in stamps]
    return poses, [f'{path.name}: {note}' for note in found.notes]


def _times(path: Path) -> list[int]:
    stamps: list[int] = []
    for number, line in read_lines(path):
        add_stamp(path, number, stamps, seconds_to_ns(path, number, line.split()[0]))
    return stamps


# Both


def _numbered(folder: Path) -> list[Path]:
    """Return the pictures 0, 1, 2, ...; a missing number is an error."""
    pictures = pictures_in(folder)
    if not pictures:
        raise DatasetError(f'{folder}: no pictures')
    for number, path in enumerate(pictures):
        if not path.stem.isdigit() or int(path.stem) != number:
            raise DatasetError(f'{folder}: picture {number} is missing; the next is {path.name}')
    return pictures


def _check_count(folder: Path, pictures: list[Path], other: Path, count: int) -> None:
    if len(pictures) != count:
        raise DatasetError(
            f'{folder}: {len(pictures)} pictures (to {pictures[-1].name}), but {other} has {count}'
        )


def _items(
    stamps: list[int], lefts: list[Path], rights: list[Path], poses: list[FloatArray | None]
) -> tuple[Item, ...]:
    seconds: list[Path | None] = [*rights] if rights else [None] * len(lefts)
    return tuple(
        Item(stamp_ns=stamp, picture=left, right=right, world_from_camera=pose)
        for stamp, left, right, pose in zip(stamps, lefts, seconds, poses, strict=True)
    )


def _matrix(
    path: Path, tables: dict[str, list[float]], key: str, shape: tuple[int, ...]
) -> FloatArray:
    values = tables.get(key, [])
    if len(values) != np.prod(shape) or not np.isfinite(values).all():
        there = f'got {values}' if key in tables else f'the file has {sorted(tables)}'
        raise DatasetError(f'{path}: expected {np.prod(shape)} numbers under {key}; {there}')
    return np.array(values, np.float64).reshape(shape)


def _pinhole(p: FloatArray, width: int, height: int) -> Camera:
    return Camera(width=width, height=height, fx=p[0, 0], fy=p[1, 1], cx=p[0, 2], cy=p[1, 2])


def _camera_from_first(p: FloatArray) -> FloatArray:
    """Return camera_i_from_camera_0 of a projection ``K [I | t]``, metres."""
    return rigid(np.eye(3), np.linalg.solve(p[:, :3], p[:, 3]))


def _baseline(left: FloatArray, right: FloatArray) -> float:
    return float(left[0, 3] / left[0, 0] - right[0, 3] / right[0, 0])


def _size(picture: Path) -> tuple[int, int]:
    height, width = read_picture(picture).shape[:2]
    return width, height
