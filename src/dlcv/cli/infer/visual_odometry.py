"""Visual odometry: the path of the camera through a recording or pictures, without ROS."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlcv.cli.infer.parts import (
    Outcome,
    loading,
    note,
    option,
    positive,
    settings_of,
    warn_untrained,
)
from dlcv.cli.main import CommandError
from dlcv.files import expanded, whole_file
from dlcv.types import Aids, Camera, DepthMap, FloatArray, Frame, Lost, Recording, Snapshot

if TYPE_CHECKING:
    from dlcv.estimation.monodepth import DepthEstimator
    from dlcv.estimation.visual_odometry import VisualOdometry

TASK = 'the path of the camera through a recording, or a sequence of images'
ARRAYS = (
    'poses (T,4,4), first camera from each camera, in metres, optical axes (x right, y down, z '
    'forward), covariances (T,6,6) of x y z (m), rx ry rz (rad), and stamps (T,) in nanoseconds, '
    'of the images where it was not lost. OUT.tum has the poses in the format of TUM. IMAGES may '
    'be a bag or the folder of a data set, whose right images are used where it has any.'
)
OPTIONS = (
    option('max_keypoints', int, 'strongest points of an image that are looked at (1000)'),
    option(
        'scale_source', str, 'what the metre comes from; depth takes that of the recording (auto)',
        'auto', 'stereo', 'depth', 'network', 'camera_height', 'none',
    ),
    option('camera_height', float, 'of the camera over the ground, m; 0 is not known (0)'),
    option('scale', float, 'factor on all translations (1)'),
    option('window', int, 'keyframes that are adjusted together (10)'),
    option('max_linear_speed', float, 'a faster motion is not believed, m/s (40)'),
    option('max_angular_speed', float, 'a faster turn is not believed, rad/s (3.5)'),
)  # fmt: skip
OUTPUTS = ('.npz', '.tum')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what is no setting of the estimator."""
    add = parser.add_argument
    add('--rate', type=positive, metavar='HZ',
        help='images in a second, where nothing tells (what their names say, else 10)')  # fmt: skip
    add('--topic', default='', metavar='TOPIC', help='images of a bag (its only camera)')
    add('--right', default='', metavar='TOPIC', help='right images of a bag, rectified (none)')
    add('--depth', default='', metavar='TOPIC', help='measured depth of a bag (none)')
    add('--mask', type=expanded, metavar='IMAGE', help='where it is black nothing is looked at')
    add('--tracks', type=expanded, metavar='DIR',
        help='also write what is followed, drawn over each image')  # fmt: skip


def check(args: argparse.Namespace) -> None:
    """Refuse what the parameters of the node refuse, and what cannot be written."""
    from dlcv.interface.odometry_parameters import VisualOdometryParameters

    settings = settings_of(args)
    source = 'camera' if settings.get('scale_source') == 'depth' else 'network'
    VisualOdometryParameters(**settings, depth_source=source, num_threads=args.threads)
    if args.tracks is not None and not args.tracks.is_dir():
        raise CommandError(f'--tracks: there is no folder {args.tracks}')


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Frames as a recording; see `Recording`."""

    frames: Sequence[Frame]
    name: str = 'images'
    baseline: float = 0.0

    @property
    def camera(self) -> Camera:
        """Of the first frame."""
        camera = self.frames[0].camera
        if camera is None:
            raise CommandError('visual_odometry needs --camera: motion is told by calibrated rays')
        return camera

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Snapshot]:
        return (Snapshot(frame=frame) for frame in self.frames)


def recorded(args: argparse.Namespace, camera: Camera | None) -> Recording | None:
    """Open the bag or folder that is meant; None where files are named.

    Args:
        args: Of the command line.
        camera: Calibration that is given; None for the recording's own.
    """
    from dlcv.data.datasets import recognise_folder
    from dlcv.data.datasets.folder import FolderOptions, FolderRecording
    from dlcv.data.recordings import BagOptions, is_bag, open_recording

    if len(args.images) > 1 or (args.images[0].is_file() and not is_bag(args.images[0])):
        return None

    def read(folder: str, known: FolderOptions) -> FolderRecording:
        return recognise_folder(
            folder,
            replace(
                known,
                camera=camera or known.camera,
                rate=args.rate or known.rate,
                depth=settings_of(args).get('scale_source') == 'depth',
            ),
        )

    options = BagOptions(
        image_topic=args.topic,
        right_topic=args.right,
        depth_topic=args.depth,
        rectified='always' if args.rectified else 'auto',
        posed=False,
    )
    return open_recording(args.images[0], options, read)


@dataclass(slots=True)
class _Way:
    """What was found so far."""

    stamps: list[int] = field(default_factory=list)
    poses: list[FloatArray] = field(default_factory=list)
    covariances: list[FloatArray] = field(default_factory=list)
    lost: int = 0
    sources: dict[str, int] = field(default_factory=dict)


def follow(args: argparse.Namespace, recording: Recording) -> Outcome:
    """Follow the camera through a recording, of which one image after the other is read."""
    from dlcv.estimation.load import load_depth, load_visual_odometry
    from dlcv.estimation.tasks.visual_odometry import read_mask
    from dlcv.estimation.visual_odometry import VisualOdometrySettings
    from dlcv.view.trajectory import path_length, trajectory_plot

    # images are taken to be neighbours, however far apart: what they show decides
    settings = VisualOdometrySettings(**settings_of(args), max_frame_interval=np.inf)
    estimator = load_visual_odometry(settings=settings, **loading(args))
    warn_untrained(args, estimator)
    network = settings.scale_source == 'network'
    how = {'device': args.device, 'precision': args.precision, 'engine': args.engine}
    depth = load_depth(**how) if network else None
    helper = _Helper(
        settings.scale_source,
        recording.baseline,
        depth,
        read_mask(args.mask) if args.mask else None,
    )
    _ = recording.camera  # says what is missing, before any work
    way = _Way()
    for index, snapshot in enumerate(recording):
        answer = estimator.push(snapshot.frame, helper.aids(snapshot))
        _note(way, index, snapshot.frame, estimator, answer)
        if args.tracks is not None:
            _draw(args.tracks / f'{index:06d}.png', snapshot.frame, estimator)
    path = np.stack(way.poses) if way.poses else np.empty((0, 4, 4))
    source = max(way.sources, key=lambda name: way.sources[name], default='none')
    told = (
        f'{len(path)} poses over {path_length(path):.2f} m, lost in {way.lost} of '
        f'{len(path) + way.lost} images; the metre comes from: {source}'
    )
    return Outcome(
        arrays={
            'poses': path,
            'covariances': np.stack(way.covariances) if way.poses else np.empty((0, 6, 6)),
            'stamps': np.array(way.stamps, np.int64),
        },
        pictures=[trajectory_plot({'visual odometry': path})] if args.view and way.poses else [],
        lines=[told],
    )


def write(output: Path, arrays: dict[str, Any]) -> None:
    """Write the poses as a file of TUM."""
    from dlcv.data.datasets.trajectories import write_tum
    from dlcv.types import Trajectory

    way = Trajectory(stamps_ns=arrays['stamps'], world_from_body=arrays['poses'])
    with whole_file(output) as part:
        write_tum(way, part)


class _Helper:
    """Makes aids of what a recording has beside its images.

    Args:
        source: What the metre comes from.
        baseline: Of the right camera in metres; 0 for none.
        network: Estimates depth; None for none.
        mask: Where images are looked at.
    """

    def __init__(
        self, source: str, baseline: float, network: DepthEstimator | None, mask: Any
    ) -> None:
        self._source, self._baseline = source, baseline
        self._network, self._mask = network, mask

    def aids(self, snapshot: Snapshot) -> Aids:
        """Return those of one moment."""
        stereo = self._source in ('auto', 'stereo') and self._baseline > 0
        if self._source == 'stereo' and not (stereo and snapshot.right is not None):
            raise CommandError(
                '--scale-source stereo: the recording has no right images; --right names those of '
                'a bag'
            )
        return Aids(
            right=snapshot.right if stereo else None,
            baseline=self._baseline if stereo else 0.0,
            depth=self._depth(snapshot),
            depth_source='camera' if self._network is None else 'network',
            mask=self._mask,
        )

    def _depth(self, snapshot: Snapshot) -> DepthMap | None:
        if self._network is not None:
            return self._network.push(snapshot.frame)
        if self._source != 'depth':
            return None
        if snapshot.depth is None:
            raise CommandError(
                '--scale-source depth: the recording has no depth; --depth names that of a bag'
            )
        camera = snapshot.frame.camera
        height, width = snapshot.depth.shape
        return DepthMap(
            stamp_ns=snapshot.frame.stamp_ns,
            disparity=np.broadcast_to(np.float32(np.nan), snapshot.depth.shape),
            depth=snapshot.depth,
            camera=camera.scaled(width, height).undistorted() if camera else None,
        )


def _note(way: _Way, index: int, frame: Frame, estimator: VisualOdometry, answer: object) -> None:
    if isinstance(answer, Lost):
        way.lost += 1
        note(f'image {index}: lost: {answer.reason}')
        return
    way.stamps.append(frame.stamp_ns)
    way.poses.append(np.array(estimator.odom_from_camera))
    way.covariances.append(np.array(estimator.pose_covariance))
    source = estimator.tracking.scale_source
    way.sources[source] = way.sources.get(source, 0) + 1


def _draw(path: Path, frame: Frame, estimator: VisualOdometry) -> None:
    from dlcv.view.features import draw_tracks
    from dlcv.view.panel import as_rgb, write_picture

    tracks = estimator.tracking.tracks
    picture = as_rgb(frame.image)
    if tracks is not None:
        picture = draw_tracks(frame.image, tracks.previous_xy, tracks.xy)
    write_picture(path, picture)
