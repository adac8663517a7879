"""Options of commands that read pictures with poses from bags and folders."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.interface.rectified import CHOICES

if TYPE_CHECKING:
    from dlcv.data.recordings import BagOptions, ReadFolder
    from dlcv.types import Recording


def add_recording_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what a bag does not say itself."""
    group = parser.add_argument_group('what is read')
    add = group.add_argument
    add('--images', default='', metavar='TOPIC', help='pictures (the only camera)')
    add('--camera-info', default='', metavar='TOPIC', help='their calibration (the one beside)')
    add('--rectified', choices=CHOICES, default='auto',
        help='whether the pictures are rectified already, so that P of their calibration holds and '
        'no distortion (auto: by the name of their topic, such as image_rect)')  # fmt: skip
    add('--truth', default='', metavar='TOPIC|FILE',
        help='poses: a topic, /tf:PARENT:CHILD, or a file in the format of TUM, KITTI or EuRoC '
        '(the only topic of poses)')  # fmt: skip
    add('--truth-frame', default='', metavar='FRAME',
        help="frame that the poses place, 'camera' for the camera itself (what the topic says, if "
        '/tf_static tells how the camera sits on it; else base_link)')  # fmt: skip
    add('--extrinsics', default='', metavar='"X Y Z QX QY QZ QW"|FILE',
        help='how the camera sits on that frame, as numbers, a text file of them, or a YAML file '
        'such as the sensor.yaml of EuRoC (what /tf_static says)')  # fmt: skip
    add('--depth', default='', metavar='TOPIC', help='measured depth of the pixels (none)')
    add('--time-offset', type=float, default=0.0, metavar='S',
        help='seconds to add to the times of the poses')  # fmt: skip
    add_reach(group)


def add_reach(group: argparse._ArgumentGroup) -> None:
    """Add how far in time a true pose may be from a picture."""
    group.add_argument(
        '--truth-gap', type=float, default=0.2, metavar='S',
        help='take no pose between two that are farther apart in time (0.2)',
    )  # fmt: skip
    group.add_argument(
        '--truth-tolerance', type=float, default=0.01, metavar='S',
        help='a single pose counts whose time differs by no more (0.01)',
    )  # fmt: skip


def bag_options(args: argparse.Namespace) -> BagOptions:
    """Return the options as they were given."""
    from dlcv.data.recordings import BagOptions

    return BagOptions(
        image_topic=args.images,
        camera_info_topic=args.camera_info,
        rectified=args.rectified,
        truth=args.truth,
        truth_frame=args.truth_frame,
        extrinsics=args.extrinsics,
        depth_topic=args.depth,
        time_offset=args.time_offset,
        max_gap=args.truth_gap,
        tolerance=args.truth_tolerance,
    )


def open_sources(
    paths: list[Path], options: BagOptions, read: ReadFolder | None = None
) -> list[Recording]:
    """Open bags, and folders with ``read`` where it is given."""
    from dlcv.data.recordings import is_bag, open_recording

    if any(is_bag(path) for path in paths):
        need('rosbags')
    found = [open_recording(path, options, read) for path in paths]
    for recording in found:
        for note in getattr(recording, 'notes', ()):
            sys.stderr.write(f'{recording.name}: {note}\n')
    return found
