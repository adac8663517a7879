"""``dlcv places``: recordings of a place, with poses, to the places that `netvlad` recognises."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import numpy as np

from dlcv.cli.main import CommandError
from dlcv.cli.recordings import add_recording_arguments, bag_options, open_sources
from dlcv.files import expanded
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import extent
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.types import FloatArray

SUMMARY = 'Make a file of known places, for place recognition, from recordings with poses.'
EXAMPLES = """\
examples:
  dlcv places kitchen.mcap -o kitchen_places.safetensors
  dlcv places monday tuesday -o office_places.safetensors --distance 1 --angle 20
  ros2 run dlcv_bringup netvlad_node --ros-args -p places:=kitchen_places.safetensors

All recordings must have their poses in one frame. A picture becomes a place when the camera has
gone by --distance or turned by --angle since the last one.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add('sources', nargs='+', type=expanded, metavar='SRC', help='bags, or folders of data sets')
    add('-o', '--output', type=expanded, required=True, metavar='PLACES', help='NAME.safetensors')
    add_recording_arguments(parser)
    group = parser.add_argument_group('which pictures become places')
    add = group.add_argument
    add('--distance', type=float, default=0.3, metavar='M', help='metres between two (0.3)')
    add('--angle', type=float, default=15.0, metavar='DEG', help='or degrees (15)')
    add('--frame', default='map', metavar='NAME', help='name that the frame of the poses is given; '
        'the node wants it as its map_frame (map)')  # fmt: skip
    group = parser.add_argument_group('how they are described')
    add = group.add_argument
    add('--weights', default='', metavar='FILE', help='weights of NetVLAD (the shipped ones)')
    add('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    add('--overwrite', action='store_true', help='replace a file that is there')


def run(args: argparse.Namespace) -> int:
    """Describe the pictures and write the file."""
    _check(args)
    from dlcv.estimation.load import load_places
    from dlcv.estimation.memory import keep_freed_memory
    from dlcv.estimation.places import PlaceIndex, PlacesInfo

    keep_freed_memory()
    recordings = open_sources(args.sources, bag_options(args))
    estimator = load_places(args.weights, device=args.device)
    info = PlacesInfo(
        frame=args.frame,
        weights_sha256=estimator.origin.sha256,
        sources=tuple(recording.name for recording in recordings),
    )
    places, seen = PlaceIndex(estimator.network.config.descriptor_size, info), 0
    with bars(lines=True) as progress:
        for recording in recordings:
            last = None
            for i, view in enumerate(recording):
                progress(recording.name, i + 1, len(recording))
                pose = view.world_from_camera
                if pose is None:
                    continue
                seen += 1
                if last is None or moved(last, pose, args.distance, np.radians(args.angle)):
                    name = f'{recording.name} {view.frame.stamp_ns}'
                    places.add(estimator.describe(view.frame), pose, name)
                    last = pose
    if not len(places):
        raise CommandError('no picture has a pose, so there is no place: name poses by --truth')
    places.save(args.output)
    sys.stdout.write(f'{args.output}: {len(places)} places of {seen} pictures with poses\n')
    return 0


def moved(first: FloatArray, second: FloatArray, distance: float, angle: float) -> bool:
    """Return whether two poses ``(4, 4)`` are so many metres or radians apart, or more."""
    gone, turned = extent(inverse(np.asarray(first, np.float64)) @ second)
    return bool(gone >= distance or turned >= angle)


def _check(args: argparse.Namespace) -> None:
    if args.output.suffix != '.safetensors':
        raise CommandError(f'{args.output}: the name of a file of places ends in .safetensors')
    if not args.output.absolute().parent.is_dir():
        raise CommandError(f'{args.output}: there is no folder {args.output.parent}')
    if args.output.exists() and not args.overwrite:
        raise CommandError(f'{args.output} is there already; --overwrite replaces it')
    if not (args.distance > 0 and args.angle > 0):
        raise CommandError(
            f'--distance and --angle must be positive, got {args.distance:g} and {args.angle:g}'
        )
