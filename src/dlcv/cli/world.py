"""``dlcv world``: a recording of the generated world as a rosbag2."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.cli.progress import progress_bar
from dlcv.data.world import (
    BASELINES,
    MOTIONS,
    NATURAL,
    SCENES,
    SENSORS,
    Extras,
    WorldRecording,
    ideal_camera,
)
from dlcv.files import expanded
from dlcv.types import Camera, Snapshot

if TYPE_CHECKING:
    from dlcv.data.bags import Written

SUMMARY = 'Generate a recording of the built-in world, with exact depth, pose and flow.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        'out', type=expanded, metavar='OUT', help='NAME.mcap for a single file, else the bag folder'
    )
    parser.add_argument('--scene', choices=tuple(SCENES), default='room', help='default: room')
    natural = ', '.join(f'{motion} in the {scene}' for scene, motion in NATURAL.items())
    parser.add_argument(
        '--motion',
        choices=MOTIONS,
        help=f'of the camera; car in the street only; default: {natural}',
    )
    parser.add_argument('--frames', type=int, default=150, metavar='N', help='default: 150')
    parser.add_argument('--rate', type=float, default=10.0, metavar='HZ', help='default: 10')
    parser.add_argument(
        '--size', type=_size, default=(640, 480), metavar='WxH', help='default: 640x480'
    )
    parser.add_argument(
        '--fov', type=float, default=70.0, metavar='DEG', help='horizontal; default: 70'
    )
    parser.add_argument(
        '--stereo', action='store_true', help='also a right camera, 0.12 m (street: 0.54 m) away'
    )
    parser.add_argument(
        '--baseline', type=float, metavar='M', help='distance of the right camera in metres'
    )
    parser.add_argument('--seed', type=int, default=0, metavar='N', help='which world; default: 0')
    parser.add_argument(
        '--way', type=int, default=0, metavar='N', help='which way through that world; default: 0'
    )
    parser.add_argument(
        '--still', action='store_true', help='let nothing move but the camera: no traffic, no fan'
    )
    parser.add_argument(
        '--flyers', type=_count, default=0, metavar='N', help='boxes that tumble through the air'
    )
    parser.add_argument(
        '--noise', type=float, default=0.0, metavar='SIGMA', help='Gaussian noise in 8-bit steps'
    )
    parser.add_argument(
        '--sensor',
        choices=tuple(SENSORS),
        default='ideal',
        help='changing light, blur, flicker, vignetting, gamma and noise; default: ideal, none',
    )
    parser.add_argument(
        '--depth', action=argparse.BooleanOptionalAction, default=True, help='write the true depth'
    )
    parser.add_argument('--images', type=expanded, metavar='DIR', help='also write PNG files there')
    parser.add_argument('--overwrite', action='store_true', help='replace a bag that is there')


def run(args: argparse.Namespace) -> int:
    """Generate, with a progress bar, and say what was written and how to play it."""
    need('rosbags')
    from dlcv.data.bags import WriteOptions, write_recording

    recording = _Illustrated(_recording(args), args.images)
    with progress_bar(f'{args.scene} {args.seed}', args.out) as progress:
        written = write_recording(
            recording,
            args.out,
            progress=progress,
            options=WriteOptions(depth=args.depth),
            overwrite=args.overwrite,
        )
    _print_summary(written, args.images)
    return 0


def _size(text: str) -> tuple[int, int]:
    width, cross, height = text.partition('x')
    if not cross or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f'expected WIDTHxHEIGHT such as 640x480, got {text!r}')
    return int(width), int(height)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'expected a number of 0 or more, got {text!r}')
    return int(text)


def _recording(args: argparse.Namespace) -> WorldRecording:
    width, height = args.size
    baseline = BASELINES[args.scene] if args.stereo else 0.0
    return WorldRecording(
        args.scene,
        seed=args.seed,
        motion=args.motion or '',
        way=args.way,
        camera=ideal_camera(width, height, args.fov),
        frames=args.frames,
        rate_hz=args.rate,
        baseline=args.baseline if args.baseline is not None else baseline,
        noise=args.noise,
        sensor=SENSORS[args.sensor],
        extras=Extras(traffic=not args.still, flyers=args.flyers),
    )


@dataclass(frozen=True, slots=True)
class _Illustrated:
    """A recording that leaves its pictures in a folder while it is read."""

    recording: WorldRecording
    folder: Path | None

    @property
    def name(self) -> str:
        return self.recording.name

    @property
    def camera(self) -> Camera:
        return self.recording.camera

    @property
    def baseline(self) -> float:
        return self.recording.baseline

    def __len__(self) -> int:
        return len(self.recording)

    def __iter__(self) -> Iterator[Snapshot]:
        for index, snapshot in enumerate(self.recording):
            if self.folder is not None:
                _write_images(self.folder, index, snapshot)
            yield snapshot


def _write_images(folder: Path, index: int, snapshot: Snapshot) -> None:
    """Write left (and right) pictures as ``000000.png`` in folders of their own."""
    from dlcv.view.panel import write_picture

    for side, frame in (('left', snapshot.frame), ('right', snapshot.right)):
        if frame is None:
            continue
        path = folder / side / f'{index:06d}.png'
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, frame.image)


def _print_summary(written: Written, images: Path | None) -> None:
    seconds = (written.last_ns - written.first_ns) * 1e-9
    counts = f'{written.poses} true poses, {written.messages} messages'
    lines = [
        f'wrote {written.path}: {written.snapshots} pictures over {seconds:.3f} s, {counts}',
        *(f'  {topic}  {msgtype}' for topic, msgtype in written.topics),
        *([f'pictures:         {images}'] if images else []),
        f'play it:          dlcv play {written.path} --clock',
        f'                  ros2 bag play {written.path} --clock',
        f'run the nodes:    dlcv up --bag {written.path}',
        f'                  ros2 launch dlcv_bringup vo.launch.py bag:={written.path}',
    ]
    sys.stdout.write('\n'.join([*lines, '']))
