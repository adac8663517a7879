"""``dlcv bench``: accuracy of the shipped networks beside classical methods, in one run."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from dlcv.cli.main import CommandError
from dlcv.files import expanded
from dlcv.interface.engines import ENGINES, PRECISIONS
from dlcv.progress import bars

SUMMARY = 'Measure the accuracy of networks beside classical methods, in one run.'
EXAMPLES = """\
`dlcv bench BENCH --help` names the sets of each. Examples:
  dlcv bench features
  dlcv bench features --weights mine.safetensors --limit 20
  dlcv bench features --data oxford_affine hpatches-sequences-release -o features.json
  dlcv bench flow -o docs/models/flownet.json --card docs/models/flownet_s.md
  dlcv bench stereo --data motorcycle aloe kitti_stereo -o docs/models/dispnet.json
  dlcv bench segmentation --data cityscapes -o docs/models/fcn.json
  dlcv bench detection --limit 8
  dlcv bench places --data pitts30k monday.mcap+tuesday.mcap
  dlcv bench cards README.md docs/models/*.md
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Bench:
    """A bench as a command: its line in the help, and options that only it has."""

    summary: str
    extra: tuple[tuple[str, Callable[[str], Any], str], ...] = ()


_METAVARS: dict[Any, str] = {int: 'N', float: 'X', str: 'NAME', expanded: 'DIR'}
_WIDTH = 260  # characters of a line where there is no terminal

_BENCHES = {
    'features': _Bench(
        summary='interest points and descriptors: SuperPoint beside SIFT and ORB',
        extra=(
            ('points', int, 'points of an image for the descriptor metrics (1000)'),
            ('detector_points', int, 'points of an image for the detector metrics (300)'),
            ('lift', str, 'measure LIFT too: a weight file, or lift for the shipped one'),
        ),
    ),
    'flow': _Bench(summary='optical flow: FlowNetS and FlowNetC beside DIS and Farneback'),
    'stereo': _Bench(summary='stereo disparity: DispNet beside SGBM and BM'),
    'segmentation': _Bench(
        summary='class of each pixel: FCN beside the usual class and nearest neighbours'
    ),
    'detection': _Bench(summary='boxes around things: FCOS beside histograms of gradients'),
    'captions': _Bench(
        summary='descriptions: Show and Tell beside what was said of the picture most alike',
        extra=(
            ('beams', int, 'beginnings of sentences that are followed (5)'),
            ('length_power', float, 'of the length that log likelihood is divided by (1)'),
        ),
    ),
    'depth': _Bench(
        summary='depth from one picture: monodepth beside the mean depth',
        extra=(
            ('cap', float, 'greatest true depth that counts, in metres (80)'),
            (
                'crop',
                str,
                'part of the pictures that counts: none, or garg or eigen of KITTI (none)',
            ),
        ),
    ),
    'odometry': _Bench(
        summary='visual odometry: ours and DeepVO beside constant velocity and the five-point '
        'method',
        extra=(
            ('plots', expanded, 'folder for pictures of the paths'),
            ('ways', int, 'run only N ways of each set'),
            (
                'methods',
                str,
                'run only the rows with one of these words in their name: visual_odometry,SIFT',
            ),
            ('camera_height', float, 'of the cameras of --data over the ground, in metres'),
            (
                'truth_timing',
                float,
                'error of the times of true poses of --data in seconds, that covariances allow for',
            ),
            ('horizon', int, 'judge poses after N frames alone, on more stretches (10, 50, 100)'),
            ('seed', int, 'of the generated worlds (31013); choose another one to calibrate on'),
        ),
    ),
    'fundamental': _Bench(
        summary='fundamental matrices: learned weights of matches beside RANSAC and its kin',
        extra=(
            ('ratio', float, 'greatest ratio of distances in the ratio test (0.8)'),
            ('gap', int, 'pictures of a folder from the first of a pair to the second (1)'),
        ),
    ),
    'places': _Bench(
        summary='place recognition: NetVLAD beside thumbnails and SIFT with VLAD',
        extra=(
            (
                'distance',
                float,
                'metres within which two pictures are of one place (25 of names, 2 of poses)',
            ),
            ('angle', float, 'and degrees, where poses tell (45)'),
        ),
    ),
    'relocalization': _Bench(
        summary='poses in a map: landmarks and maps that learn beside SIFT and PnP',
        extra=(
            (
                'methods',
                str,
                'what is measured: classical, landmarks, and maps that learn (all)',
            ),
        ),
    ),
    'slam': _Bench(
        summary='maps from pictures alone: the way after its loops, beside odometry without any',
        extra=(('aids', str, 'what measures the metre, of depth and stereo (depth,stereo)'),),
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command line: one sub-command for each bench."""
    benches = parser.add_subparsers(dest='bench', required=True, metavar='BENCH')
    for name, bench in _BENCHES.items():
        sub = benches.add_parser(name, help=bench.summary, description=bench.summary)
        _common(sub)
        for option, kind, doc in bench.extra:
            sub.add_argument(
                f'--{option.replace("_", "-")}', type=kind, metavar=_METAVARS[kind], help=doc
            )
    cards = benches.add_parser(
        'cards',
        help='write the tables of documents anew from the reports that they name',
        description='Write the tables of documents anew from the reports that they name.',
    )
    cards.add_argument('documents', nargs='+', type=expanded, metavar='DOCUMENT', help='Markdown')


def _common(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add('--weights', nargs='+', default=[], type=expanded, metavar='FILE',
        help='weight files to measure (the shipped ones)')  # fmt: skip
    add('--data', nargs='+', default=[], type=expanded, metavar='DIR',
        help='folders of public sets, recognised by their layout; what a recording does not say '
        'itself follows as DIR,depth_scale=1000,rate=10')  # fmt: skip
    add('--sets', nargs='+', default=[], metavar='SET',
        help='sets to run (the built-in ones and all of --data)')  # fmt: skip
    add('--limit', type=int, metavar='N', help='run only N items of each set')
    add('--threads', type=int, default=1, metavar='N',
        help='threads of OpenCV and of networks; more may change a last digit (1)')  # fmt: skip
    add('--engine', default='torch', choices=ENGINES, help='what runs the networks (torch)')
    add('--precision', default='fp32', choices=PRECISIONS,
        help='arithmetic of the networks (fp32)')  # fmt: skip
    add('-o', '--output', type=expanded, metavar='FILE', help='write the report (JSON)')
    add('--card', nargs='+', default=[], dest='documents', type=expanded, metavar='DOCUMENT',
        help='then write the tables of these documents anew')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run one bench, print its tables, write its report and the documents that show it."""
    if missing := [str(path) for path in args.documents if not path.is_file()]:
        raise CommandError(f'there is no document {", ".join(missing)}')
    if args.bench != 'cards':
        _measure(args)
    from dlcv.evaluation.bench.card import renew

    for path in args.documents:
        sys.stderr.write(f'{path}: {"written anew" if renew(path) else "is up to date"}\n')
    return 0


def _measure(args: argparse.Namespace) -> None:
    from rich.console import Console

    from dlcv.evaluation.bench.report import print_tables, write_json

    if args.output is not None and not args.output.parent.is_dir():
        raise CommandError(f'{args.output}: there is no folder {args.output.parent}')
    module = import_module(f'dlcv.evaluation.bench.{args.bench}')
    options = _options(args, module.Options)
    _limit_threads(args.threads)
    with bars() as progress:
        report = module.run(options, progress)
    # a file or a pipe has no width that a table must fit in
    print_tables(report, Console(width=None if sys.stdout.isatty() else _WIDTH))
    if args.output is not None:
        write_json(report, args.output)


def _options(args: argparse.Namespace, kind: Callable[..., Any]) -> Any:
    given = {name: getattr(args, name) for name, *_ in _BENCHES[args.bench].extra}
    return kind(
        weights=tuple(args.weights),
        data=tuple(args.data),
        sets=tuple(args.sets),
        limit=args.limit,
        engine=args.engine,
        precision=args.precision,
        **{name: value for name, value in given.items() if value is not None},
    )


def _limit_threads(count: int) -> None:
    if count < 1:
        raise CommandError(f'--threads must be at least 1, got {count}')
    import cv2
    import torch

    torch.set_num_threads(count)
    cv2.setNumThreads(count)
