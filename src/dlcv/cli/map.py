"""``dlcv map``: recordings of a place, with poses, to the map that the relocalizer needs."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.cli import map_landmarks
from dlcv.cli.extras import need
from dlcv.cli.main import CommandError
from dlcv.cli.recordings import add_recording_arguments, bag_options, open_sources
from dlcv.files import expanded
from dlcv.host import threads
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.data.datasets import FolderOptions, FolderRecording
    from dlcv.training.maps.places import PlaceConfig
    from dlcv.types import Recording

WHICH = ('train', 'test', 'all')

SUMMARY = 'Make a map of a place from recordings, with poses or without.'

EXAMPLES = """\
examples:
  dlcv map kitchen.mcap -o kitchen.safetensors
  dlcv map walk1 walk2 -o office.safetensors --truth /deepvo/odometry --hold-out 0.2
  dlcv map chess -o chess.safetensors                    # the sequences of TrainSplit.txt
  dlcv map photos -o hall.safetensors --list monday.txt  # the pictures that a list names
  dlcv map again.mcap --calibrate kitchen.safetensors -o calibrated.safetensors
  ros2 run dlcv_bringup dsac_node --ros-args -p weights:=kitchen.safetensors
  dlcv map walk.mcap -o place.safetensors                # no poses: a map of landmarks
  dlcv map info place.safetensors
  dlcv map prune place.safetensors -o small.safetensors
  dlcv map merge monday.safetensors friday.safetensors -o both.safetensors
  dlcv map head place.safetensors kitchen.safetensors -o whole.safetensors

All recordings must have their poses in one frame. Of a folder with lists (train.txt and test.txt;
TrainSplit.txt and TestSplit.txt of 7-Scenes; dataset_train.txt and dataset_test.txt of Cambridge
Landmarks) only the training pictures are taken. Beside the map are written what it is worth on
pictures that it was not made of (.json) and a picture of what it covers (.png).

Up to --hold-out of the pictures are not learned: stretches of the walk, and all that is near them,
so that the map is measured on pictures that are far from what it knows, as those of another walk
are. With --refit the map is then made again of all of them; that takes twice as long.

Where nobody says where the camera was, visual odometry does, and places that are seen again take
its drift out. What is made is a map of landmarks.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add = parser.add_argument
    add(
        'sources',
        nargs='+',
        type=expanded,
        metavar='SRC',
        help='bags, or folders of data sets; or info, prune, merge or head, and maps',
    )
    add('-o', '--output', type=expanded, metavar='MAP', help='NAME.safetensors')
    add_recording_arguments(parser)
    group = parser.add_argument_group('which pictures of folders')
    add = group.add_argument
    add('--split', choices=WHICH, metavar='PART', help='train, test or all, by the lists of the '
        'folder (train; all of a folder without lists)')  # fmt: skip
    add('--list', type=expanded, metavar='FILE', help='a list of their names, one a line, instead')
    group = parser.add_argument_group('how the map is made')
    add = group.add_argument
    add('--frame', default='map', metavar='NAME', help='name that the frame of the poses is given '
        'in the map; the node wants it as its map_frame (map)')  # fmt: skip
    add('--every', type=int, default=1, metavar='N', help='take every Nth picture (1)')
    add('--hold-out', type=float, default=0.15, metavar='SHARE',
        help='of the pictures, at most, to measure the map on (0.15)')  # fmt: skip
    add('--refit', action='store_true', help='make the map again of all pictures once it is '
        'measured, in twice the time')  # fmt: skip
    add('--calibrate', type=expanded, metavar='MAP', help='make no map: measure this one on the '
        'pictures, none of which it may have been made of, and write it as it is but for how far '
        'off it says its poses are')  # fmt: skip
    add('--end-to-end', type=int, default=0, metavar='STEPS',
        help='pictures to train the map on through the sample consensus, at last (0)')  # fmt: skip
    add(
        '--encoder', type=expanded, metavar='FILE', help='weights of the encoder (the shipped ones)'
    )
    add('--set', action='append', default=[], metavar='KEY=VALUE',
        help='any other setting, such as map.cells=1000000 or map.epochs=32')  # fmt: skip
    add('--device', default='auto', help='auto, cpu, cuda or cuda:N (auto)')
    add('--threads', type=int, default=0, metavar='N', help='CPU threads (all)')
    add('--overwrite', action='store_true', help='replace a map that is there')
    map_landmarks.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Make the map, measure it, write it, and tell what it is worth."""
    action = str(args.sources[0])
    if action in map_landmarks.ACTIONS and not args.sources[0].exists():
        if action != 'info':
            _check(args)
        return map_landmarks.ACTIONS[action](args, args.sources[1:])
    _check(args)
    need('matplotlib')
    from dlcv.estimation.device import pick_device, set_threads
    from dlcv.estimation.memory import keep_freed_memory
    from dlcv.training.maps.files import write_map
    from dlcv.training.maps.places import make_again, make_place, open_encoder, read_views
    from dlcv.training.maps.summary import summary

    keep_freed_memory()
    if args.threads:
        set_threads(args.threads)
    sys.stderr.write(f'threads: {threads()}\n')
    if args.calibrate is not None:
        return _calibrate(args)
    begin = time.perf_counter()
    recordings, lists = _sources(args)
    sys.stdout.write(''.join(f'{line}\n' for line in lists))
    sys.stdout.flush()
    if map_landmarks.wanted(args) or not map_landmarks.posed(recordings):
        return map_landmarks.make(args, recordings)
    config, device, encoder = _config(args), pick_device(args.device), open_encoder(args.encoder)
    with bars(lines=True) as progress:
        views = read_views(recordings, encoder.config.input_height, config, progress)
        measured = None
        network = make_place(views, encoder, config, progress, device)
        if config.refit and views.held_out:
            measured = network
            network = make_again(measured, views, encoder, config, progress, device)
        minutes = (time.perf_counter() - begin) / 60
        report = write_map(
            args.output, network, views, minutes, progress,
            far=config.far, lists=lists, measured=measured,
        )  # fmt: skip
    sys.stdout.write(summary(report, config.far, args.output))
    return 0


def _calibrate(args: argparse.Namespace) -> int:
    """Measure a map that is there, and write it with what came out."""
    from dlcv.networks.dsac import SceneCoordinateNet
    from dlcv.training.maps.calibrate import calibrate_map, open_map
    from dlcv.training.maps.places import read_all
    from dlcv.training.maps.summary import calibrated

    loaded, place = open_map(args.calibrate)
    if args.split is None and args.list is None:
        args.split = _test_of(args.sources)
    recordings, lists = _sources(args)
    sys.stdout.write(''.join(f'{line}\n' for line in lists))
    sys.stdout.flush()
    assert isinstance(loaded.network, SceneCoordinateNet)
    with bars(lines=True) as progress:
        views = read_all(recordings, loaded.network.config.input_height, _config(args), progress)
        found = calibrate_map(loaded, views.learned, args.output, progress)
    sys.stdout.write(calibrated(found, views, place, args.output))
    return 0


def _test_of(sources: list[Path]) -> str | None:
    """Return the part that a map was not made of, where all folders have lists."""
    from dlcv.data.datasets.named import named_folder
    from dlcv.data.datasets.splits import lists_in

    return 'test' if all(lists_in(Path(named_folder(path)[0])) for path in sources) else None


def _sources(args: argparse.Namespace) -> tuple[list[Recording], list[str]]:
    """Open what was named; return also which lists of the folders decided."""
    from dlcv.data.datasets.splits import read_part
    from dlcv.data.recordings import is_bag

    chosen = {'--split': args.split in ('train', 'test'), '--list': args.list is not None}
    for path in args.sources:
        for option, given in chosen.items():
            if given and is_bag(path):
                raise CommandError(f'{path} is a bag: {option} chooses pictures of folders')
    if args.list is not None and (args.split or len(args.sources) > 1):
        other = f'--split {args.split}' if args.split else f'{len(args.sources)} sources'
        raise CommandError(f'--list names the pictures of one folder, which cannot do with {other}')
    said = []

    def read(folder: str, options: FolderOptions) -> FolderRecording:
        part = read_part(folder, options, args.split, args.list)
        if part.said:
            said.append(f'{folder}: {part.said}')
        return part.recording

    options = replace(bag_options(args), right_topic=args.right, posed=not args.own_odometry)
    return open_sources(args.sources, options, read), said


def _check(args: argparse.Namespace) -> None:
    if args.output is None:
        raise CommandError('-o names the map that is to be written')
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

    given: dict[str, Any] = {
        'frame': args.frame,
        'every': args.every,
        'hold_out': args.hold_out,
        'refit': args.refit,
    }
    if args.end_to_end:
        given['end_to_end'] = {'steps': args.end_to_end}
    return from_dict(configuration.merged(given, configuration.assignments(args.set)), PlaceConfig)
