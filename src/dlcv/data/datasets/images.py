"""Plain pictures: a folder or a pattern, sorted naturally, at a given rate.

A folder may also hold ``rgb/`` (the pictures), ``depth/`` (16-bit pictures of the same names),
``groundtruth.txt`` (TUM format, camera to world) and ``camera.yaml`` (ROS calibration).
"""

from __future__ import annotations

from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.files import PICTURES, natural, pictures_in
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.trajectories import read_camera_poses
from dlcv.geometry.camera import read_camera
from dlcv.geometry.trajectory import pose_at
from dlcv.types import Camera, Trajectory

RATE = 10.0  # Hz, of pictures about whose time nothing is known
MAX_GAP_NS = 150_000_000


def read_images(source: Path, options: FolderOptions) -> FolderRecording:
    """Read a folder of pictures, or the files of a pattern such as ``frames/left*.png``.

    Times: with as many true poses as pictures and no rate given, the poses' times, in order;
    else the first picture is at 0 and the others follow at the rate (default 10 Hz), and the
    true pose of a picture is the one at its time.

    Raises:
        DatasetError: There are no pictures, or a file beside them is wrong.
    """
    pictures, root = _pictures(source)
    truth_file = options.groundtruth or _beside(root, 'groundtruth.txt')
    truth = read_camera_poses(truth_file) if truth_file else None
    stamps = _stamps(pictures, truth, options.rate)
    depths = _depths(pictures, root, options)
    items = tuple(
        Item(
            stamp_ns=stamp,
            picture=picture,
            depth=depths.get(picture.stem),
            world_from_camera=pose_at(truth, stamp, MAX_GAP_NS) if truth else None,
        )
        for stamp, picture in zip(stamps, pictures, strict=True)
    )
    if truth is not None and not any(item.world_from_camera is not None for item in items):
        raise DatasetError(
            f'{truth_file}: its {len(truth.stamps_ns)} poses lie between '
            f'{truth.stamps_ns[0] * 1e-9:.3f} s and {truth.stamps_ns[-1] * 1e-9:.3f} s, the '
            f'pictures between {stamps[0] * 1e-9:.3f} s and {stamps[-1] * 1e-9:.3f} s'
        )
    return FolderRecording(
        name=root.resolve().name,
        items=items,
        calibration=options.camera or camera_beside(root),
        depth_scale=options.depth_scale or 1000.0,
    )


def camera_beside(folder: Path) -> Camera | None:
    """Return the calibration in a folder's ``camera.yaml``, if there is one."""
    path = _beside(folder, 'camera.yaml')
    return read_camera(path) if path else None


def _beside(folder: Path, name: str) -> Path | None:
    return folder / name if (folder / name).is_file() else None


def _pictures(source: Path) -> tuple[list[Path], Path]:
    """Return the pictures and the folder to which they belong."""
    if source.is_dir():
        for folder in (source, source / 'rgb'):
            if pictures := pictures_in(folder):
                return pictures, source
        raise wrong_folder(source, 'picture', [f'*{s}' for s in PICTURES] + ['rgb/'])
    if any(c in source.name for c in '*?['):
        if pictures := pictures_in(source.parent, source.name):
            return sorted(pictures, key=natural), source.parent
        raise wrong_folder(source.parent, 'picture', [source.name])
    raise wrong_folder(source, 'picture', [])


def _stamps(pictures: list[Path], truth: Trajectory | None, rate: float | None) -> list[int]:
    if truth is not None and rate is None and len(truth.stamps_ns) == len(pictures):
        return [int(stamp) for stamp in truth.stamps_ns]
    return [round(i * 1_000_000_000 / (rate or RATE)) for i in range(len(pictures))]


def _depths(pictures: list[Path], root: Path, options: FolderOptions) -> dict[str, Path]:
    """Return the depth pictures by name; the units must be known to use them."""
    if not options.depth or options.depth_scale is None:
        return {}
    if not (root / 'depth').is_dir():
        raise DatasetError(f'{root}: a depth scale is given, but there is no folder depth/ in it')
    depths = {path.stem: path for path in pictures_in(root / 'depth')}
    missing = [p.name for p in pictures if p.stem not in depths]
    if missing:
        raise DatasetError(f'{root / "depth"}: no depth for {len(missing)} pictures: {missing[:5]}')
    return depths
