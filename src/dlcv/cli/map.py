"""``dlcv map``: recordings of a place, with poses, to the map that the relocalizer needs."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.cli.main import CommandError
from dlcv.cli.recordings import add_recording_arguments, bag_options, open_sources
from dlcv.host import threads
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.training.maps.files import MapReport
    from dlcv.training.maps.places import PlaceConfig

SUMMARY = 'Make a map of a place, for relocalization, from recordings with poses.'

EXAMPLES = """\
examples:
  dlcv map kitchen.mcap -o kitchen.safetensors
  dlcv map walk1 walk2 -o office.safetensors --truth /deepvo/odometry --hold-out 0.2
  ros2 run dlcv_bringup dsac_node --ros-args -p weights:=kitchen.safetensors

All recordings must have their poses in one frame. Beside the map are written what it is worth on
pictures that it was not made of (.json) and a picture of what it covers (.png).
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add('sources', nargs='+', type=Path, metavar='SRC', help='bags, or folders of data sets')
    add('-o', '--output', type=Path, required=True, metavar='MAP', help='NAME.safetensors')
    add_recording_arguments(parser)
    group = parser.add_argument_group('how the map is made')
    add = group.add_argument
    add('--frame', default='map', metavar='NAME', help='name that the frame of the poses is given '
        'in the map; the node wants it as its map_frame (map)')  # fmt: skip
    add('--every', type=int, default=1, metavar='N', help='take every Nth picture (1)')
    add('--hold-out', type=float, default=0.1, metavar='SHARE',
        help='of the pictures, to measure the map on (0.1)')  # fmt: skip
    add('--end-to-end', type=int, default=0, metavar='STEPS',
        help='pictures to train the map on through the sample consensus, at last (0)')  # fmt: skip
    add('--encoder', type=Path, metavar='FILE', help='weights of the encoder (the shipped ones)')
    add('--set', action='append', default=[], metavar='KEY=VALUE',
        help='any other setting, such as map.cells=1000000 or map.epochs=32')  # fmt: skip
    add('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    add('--threads', type=int, default=0, metavar='N', help='CPU threads (all)')
    add('--overwrite', action='store_true', help='replace a map that is there')


def run(args: argparse.Namespace) -> int:
    """Make the map, measure it, write it, and tell what it is worth."""
    _check(args)
    need('matplotlib')
    from dlcv.estimation.device import pick_device, set_threads
    from dlcv.estimation.memory import keep_freed_memory
    from dlcv.training.maps.files import write_map
    from dlcv.training.maps.places import make_place, open_encoder, read_views

    keep_freed_memory()
    if args.threads:
        set_threads(args.threads)
    sys.stderr.write(f'threads: {threads()}\n')
    config, device, encoder = _config(args), pick_device(args.device), open_encoder(args.encoder)
    begin = time.perf_counter()
    recordings = open_sources(args.sources, bag_options(args))
    with bars(lines=True) as progress:
        views = read_views(recordings, encoder.config.input_height, config, progress)
        network = make_place(views, encoder, config, progress, device)
        minutes = (time.perf_counter() - begin) / 60
        report = write_map(args.output, network, views, minutes, progress)
    _tell(report, args.output)
    return 0


def _check(args: argparse.Namespace) -> None:
    if args.output.suffix != '.safetensors':
        raise CommandError(f'{args.output}: the name of a map ends in .safetensors')
    if not args.output.absolute().parent.is_dir():
        raise CommandError(f'{args.output}: there is no folder {args.output.parent}')
    if args.output.exists() and not args.overwrite:
        raise CommandError(f'{args.output} is there already; --overwrite replaces it')


def _config(args: argparse.Namespace) -> PlaceConfig:
    from dlcv.config import from_dict
    from dlcv.training import configuration
    from dlcv.training.maps.places import PlaceConfig

    given = {'frame': args.frame, 'every': args.every, 'hold_out': args.hold_out}
    if args.end_to_end:
        given['end_to_end'] = {'steps': args.end_to_end}
    return from_dict(configuration.merged(given, configuration.assignments(args.set)), PlaceConfig)


def _tell(report: MapReport, path: Path) -> None:
    """Print what the map is worth."""
    out = sys.stdout.write
    if lacking := ', '.join(f'{n} lacked the {what}' for what, n in report.left_out.items()):
        out(f'pictures that could not be used: {lacking}\n')
    out(f'made of {report.pictures} pictures in {report.minutes:.1f} min; its own pictures show '
        f'{report.covered:.0%} of its coordinates where they are\n')  # fmt: skip
    if report.held_out:
        shares = ', '.join(f'{share:.0%} within {name}' for name, share in report.within.items())
        out(f'of {report.held_out} held out: {shares}; {report.answered:.0%} accepted')
        if report.median_cm is not None and report.median_deg is not None:
            out(f'; median {report.median_cm:.1f} cm and {report.median_deg:.2f} deg')
        out('\n')
    out(f'wrote {path}, {path.with_suffix(".json").name} and {path.with_suffix(".png").name}\n')
