"""Plain pictures: a folder or a pattern, in the order of their names, at a rate or their times.

A folder may also hold ``rgb/`` (the pictures), ``depth/`` (16-bit pictures of the same names),
``groundtruth.txt`` (TUM format, camera to world) and ``camera.yaml`` (ROS calibration).
"""

from __future__ import annotations

from pathlib import Path

from dlcv.data.datasets.errors import DatasetError, wrong_folder
from dlcv.data.datasets.folder import FolderOptions, FolderRecording, Item
from dlcv.data.datasets.pictures import PICTURES, pictures_in, times_of
from dlcv.data.datasets.times import matches
from dlcv.data.datasets.trajectories import read_camera_poses
from dlcv.geometry.camera import read_camera
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.types import Camera, Trajectory

RATE = 10.0  # Hz, of pictures about whose time nothing is known
MAX_GAP_NS = 150_000_000
_TRUTHS = ('associations.txt', 'groundtruth.csv', 'gt.txt', 'poses.txt', 'traj.txt',
           'traj_groundtruth.txt', 'trajectory.txt')  # fmt: skip


def read_images(source: Path, options: FolderOptions) -> FolderRecording:
    """Read a folder of pictures, or the files of a pattern such as ``frames/left*.png``.

    Times, where no rate is given: those in the names of the pictures, see `times_of`; without,
    and with as many true poses as pictures, the poses' times, in order. Else the first picture is
    at 0 and the others follow at the rate (default 10 Hz). The true pose of a picture is the one
    at its time. `notes` say which it is.

    Raises:
        DatasetError: There are no pictures, or a file beside them is wrong.
    """
    pictures, root = _pictures(source)
    truth_file = options.groundtruth or _beside(root, 'groundtruth.txt')
    found = read_camera_poses(truth_file) if truth_file else None
    truth = found.trajectory if found else None
    stamps, said = _stamps(pictures, truth, options.rate)
    notes = [said, *(found.notes if found else unused_truth(root))]
    depths = _depths(pictures, root, options)
    items = tuple(
        Item(
            stamp_ns=stamp,
            picture=picture,
            depth=depths.get(picture),
            world_from_camera=pose_at(truth, stamp, MAX_GAP_NS, NEAR_NS) if truth else None,
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
        notes=tuple(note for note in notes if note),
    )


def unused_truth(folder: Path) -> list[str]:
    """Return a note on files of a folder that look like poses and are not read, if there are."""
    there = [name for name in _TRUTHS if (folder / name).is_file()]
    return [f'{", ".join(there)} is there and not used: --groundtruth names it'] if there else []


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
            return pictures, source.parent
        raise wrong_folder(source.parent, 'picture', [source.name])
    raise wrong_folder(source, 'picture', [])


def _stamps(
    pictures: list[Path], truth: Trajectory | None, rate: float | None
) -> tuple[list[int], str]:
    """Return the times of pictures, and where they come from."""
    if rate is not None:
        return [round(i * 1_000_000_000 / rate) for i in range(len(pictures))], ''
    named, said = times_of(pictures)
    one_each = truth is not None and len(truth.stamps_ns) == len(pictures)
    if truth is not None and one_each and not (named and _meet(truth, named)):
        return [int(stamp) for stamp in truth.stamps_ns], 'times are those of the poses, one each'
    if named is not None:
        return named, said
    stamps = [round(i * 1_000_000_000 / RATE) for i in range(len(pictures))]
    return stamps, f'{said}: they are taken to come at {RATE:g} Hz from 0 (--rate says otherwise)'


def _meet(truth: Trajectory, stamps: list[int]) -> bool:
    return any(pose_at(truth, stamp, MAX_GAP_NS, NEAR_NS) is not None for stamp in stamps)


def _depths(pictures: list[Path], root: Path, options: FolderOptions) -> dict[Path, Path]:
    """Return the depth of pictures: that of the same name, else the nearest of the times in names.

    The units must be known to use them.
    """
    if not options.depth or options.depth_scale is None:
        return {}
    if not (root / 'depth').is_dir():
        raise DatasetError(f'{root}: a depth scale is given, but there is no folder depth/ in it')
    files = pictures_in(root / 'depth')
    depths = {path.stem: path for path in files}
    missing = [p.name for p in pictures if p.stem not in depths]
    if missing:
        (mine, _), (theirs, _) = times_of(pictures), times_of(files)
        if mine and theirs:
            found = zip(pictures, matches(theirs, mine), strict=True)
            return {picture: files[match] for picture, match in found if match is not None}
        raise DatasetError(f'{root / "depth"}: no depth for {len(missing)} pictures: {missing[:5]}')
    return {picture: depths[picture.stem] for picture in pictures}
