"""``dlcv convert``: a data set's folder to a rosbag2."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.cli.progress import progress_bar
from dlcv.data.datasets import KINDS
from dlcv.files import expanded

if TYPE_CHECKING:
    from dlcv.data.bags import WriteOptions, Written
    from dlcv.data.datasets import FolderRecording

SUMMARY = 'Turn a data set (or any pictures) into a rosbag2 with calibration and ground truth.'

EXAMPLES = """\
examples:
  dlcv convert kitti 2011_09_26_drive_0001_sync drive.mcap
  dlcv convert tum rgbd_dataset_freiburg1_desk desk.mcap
  dlcv convert images 'frames/left*.png' left.mcap --camera camera.yaml --rate 10
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        'kind', choices=KINDS, metavar='KIND', help=f'what the folder is: {", ".join(KINDS)}'
    )
    parser.add_argument(
        'source', type=expanded, metavar='SRC', help="its folder; for 'images' also a pattern"
    )
    parser.add_argument(
        'out', type=expanded, metavar='OUT', help='NAME.mcap for a single file, else the bag folder'
    )
    _add_source_arguments(parser.add_argument_group('what is read'))
    _add_bag_arguments(parser.add_argument_group('what is written'))


def _add_source_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--camera', type=expanded, metavar='CAMERA.yaml', help='calibration, as ROS writes it'
    )
    group.add_argument(
        '--rectified',
        action='store_true',
        help='the images are rectified already: projection_matrix holds, and no distortion',
    )
    group.add_argument(
        '--rate', type=float, metavar='HZ', help='for pictures without times (default: 10)'
    )
    group.add_argument(
        '--groundtruth', type=expanded, metavar='TXT', help='camera-to-world poses in TUM format'
    )
    group.add_argument(
        '--sequence', metavar='NAME', help='such as 00 (KITTI), cam1 (EuRoC), seq-01 (7-Scenes)'
    )
    group.add_argument(
        '--depth-scale', type=float, metavar='UNITS', help='units per metre of depth pictures'
    )
    group.add_argument(
        '--depth-folder', type=expanded, metavar='DIR', help="KITTI's annotated depth, if elsewhere"
    )
    group.add_argument('--start', type=int, default=0, metavar='N', help='leave out the first N')
    group.add_argument('--count', type=int, metavar='N', help='at most N pictures')
    group.add_argument('--stride', type=int, default=1, metavar='N', help='every Nth picture')


def _add_bag_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        '--compressed', choices=('jpeg', 'png'), help='images on .../image_raw/compressed instead'
    )
    group.add_argument('--jpeg-quality', type=int, default=95, metavar='1..100', help='default: 95')
    group.add_argument(
        '--chunks',
        choices=('none', 'zstd'),
        default='none',
        help='compression inside the file (default: none)',
    )
    group.add_argument(
        '--depth',
        action=argparse.BooleanOptionalAction,
        default=True,
        help='write the true depth where there is one',
    )
    group.add_argument(
        '--time-offset', type=float, default=0.0, metavar='S', help='seconds to add to every time'
    )
    group.add_argument(
        '--optical-world',
        action='store_true',
        help='the poses count from a camera (y down, z forward): turn them so that z is up',
    )
    group.add_argument('--overwrite', action='store_true', help='replace a bag that is there')


def run(args: argparse.Namespace) -> int:
    """Convert, with a progress bar, and say what was written and how to use it."""
    need('rosbags')
    from dlcv.data.bags import write_recording

    recording, options = _recording(args), _options(args)
    with progress_bar(recording.name, args.out) as progress:
        written = write_recording(
            recording, args.out, progress=progress, options=options, overwrite=args.overwrite
        )
    _print_summary(written, recording)
    if args.depth and args.depth_scale is None and _has_unread_depth(args.source, written):
        sys.stdout.write('its depth/ is left out: --depth-scale says its units per metre\n')
    return 0


def _has_unread_depth(source: Path, written: Written) -> bool:
    return (source / 'depth').is_dir() and not any('depth' in topic for topic, _ in written.topics)


def _recording(args: argparse.Namespace) -> FolderRecording:
    from dlcv.data.datasets import FolderOptions, open_folder
    from dlcv.geometry.camera import read_camera
    from dlcv.geometry.frames import BODY_FROM_OPTICAL

    options = FolderOptions(
        camera=read_camera(args.camera, rectified=args.rectified) if args.camera else None,
        rate=args.rate,
        groundtruth=args.groundtruth,
        sequence=args.sequence,
        depth=args.depth,
        depth_scale=args.depth_scale,
        depth_folder=args.depth_folder,
    )
    recording = open_folder(args.kind, args.source, options)
    recording = recording.cut(start=args.start, count=args.count, stride=args.stride)
    if args.time_offset:
        recording = recording.shifted(round(args.time_offset * 1e9))
    return recording.turned(BODY_FROM_OPTICAL) if args.optical_world else recording


def _options(args: argparse.Namespace) -> WriteOptions:
    from dlcv.data.bags import WriteOptions

    return WriteOptions(
        codec=args.compressed or 'raw',
        jpeg_quality=args.jpeg_quality,
        depth=args.depth,
        compression=args.chunks,
    )


def _print_summary(written: Written, recording: FolderRecording) -> None:
    from rich.console import Console

    seconds = (written.last_ns - written.first_ns) * 1e-9
    counts = f'{written.poses} true poses, {written.messages} messages'
    lines = [
        f'wrote {written.path}: {written.snapshots} pictures over {seconds:.3f} s, {counts}',
        *(f'  {topic}  {msgtype}' for topic, msgtype in written.topics),
    ]
    lines += [f'note: {note}' for note in recording.notes]
    if recording.calibration is None:
        lines.append(
            'the camera is not calibrated (K of zeros): metric depth and odometry need --camera'
        )
    lines += [
        f'play it:          dlcv play {written.path} --clock',
        f'                  ros2 bag play {written.path} --clock',
        f'run the nodes:    dlcv up --bag {written.path}',
        f'                  ros2 launch dlcv_bringup vo.launch.py bag:={written.path}',
    ]
    Console(soft_wrap=True, highlight=False, markup=False).print('\n'.join(lines))
