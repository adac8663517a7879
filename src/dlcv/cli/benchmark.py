"""``dlcv benchmark``: how fast nodes and networks are on this machine."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.cli.main import CommandError
from dlcv.files import expanded
from dlcv.interface.engines import ENGINES, PRECISIONS
from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.evaluation.bench.options import Progress
    from dlcv.evaluation.bench.report import Report, Table
    from dlcv.evaluation.speed.film import Film
    from dlcv.evaluation.speed.run import SpeedOptions

SUMMARY = 'Measure the speed of nodes and networks on this machine.'
EXAMPLES = """\
examples:
  dlcv benchmark                                every node in a process of its own, and the vo graph
  dlcv benchmark --nodes vo --rates 10          superpoint, visual_odometry and monodepth together
  dlcv benchmark --nodes vo --composed          the same in one process
  dlcv benchmark --bare                         estimators and their networks, without ROS
  dlcv benchmark --references -o speed.json     beside plain programs of the same papers
  dlcv benchmark --bare --compare speed.json --fail-above 1.2    has anything become slower?
"""
_WIDTH = 200  # of a table that goes to a file or a pipe


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv benchmark``."""
    add = parser.add_argument
    add('--nodes', nargs='+', default=[], metavar='NAME',
        help='nodes to measure; vo is superpoint, visual_odometry and monodepth together '
        '(all that start by themselves, and vo, unless one of the next is given)')  # fmt: skip
    add('--bare', action='store_true',
        help='estimators alone, beside their bare networks, without ROS')  # fmt: skip
    add('--references', action='store_true',
        help='estimators beside plain programs in the manner of the public demonstrations, and the '
        "sample consensus beside OpenCV's")  # fmt: skip
    add('--busy', action='store_true',
        help='estimators beside plain programs while another process is busy')  # fmt: skip
    add('--networks', nargs='+', default=[], metavar='NAME',
        help='shipped weights that are measured without ROS (all)')  # fmt: skip
    add('--rates', nargs='+', type=float, default=[10.0, 30.0], metavar='HZ',
        help='pictures a second that nodes are shown (10 30)')  # fmt: skip
    add('--seconds', type=float, default=10.0, metavar='S', help='of each rate (10)')
    add('--no-peak', dest='peak', action='store_false',
        help='do not look for the highest rate of a node')  # fmt: skip
    add('--size', default='640x480', metavar='WxH', help='of generated pictures (640x480)')
    add('--recording', type=expanded, metavar='BAG|DIR',
        help='show pictures of a recording, in place of generated ones')  # fmt: skip
    add('--rounds', type=int, default=9, metavar='N',
        help='times that each of two is run that take turns (9)')  # fmt: skip
    add('--engine', choices=ENGINES, default='auto',
        help='what runs the networks (auto: the fastest that is installed)')  # fmt: skip
    add('--precision', choices=PRECISIONS, default='auto', help='their arithmetic (auto)')
    add('--composed', action='store_true', help='run the nodes of a graph in one process')
    add('--threads', type=int, default=1, metavar='N', help='that each computes with (1)')
    add('-o', '--output', type=expanded, metavar='FILE', help='write the report (JSON)')
    add('--compare', type=expanded, metavar='FILE', help='print ratios to an older report')
    add('--fail-above', type=float, metavar='R',
        help='exit with 1 if a number is over R times as bad as in the older report')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Measure, print, write, compare."""
    old = _checked(args)
    from rich.console import Console

    from dlcv.evaluation.bench.report import print_tables, write_json
    from dlcv.evaluation.speed.run import measure_alone, report_of

    options = _options(args)
    film = options.film()
    kinds = [
        *(['bare'] if args.bare else []),
        *(['plain', 'consensus'] if args.references else []),
        *(['busy'] if args.busy else []),
    ]
    with bars() as progress:
        tables = measure_alone(options, film, kinds, progress)
        if names := _nodes(args):
            tables += _measure_nodes(args, names, options, film, progress)
    report = report_of(options, film, tables)
    console = Console(width=None if sys.stdout.isatty() else _WIDTH)
    print_tables(report, console)
    if args.output is not None:
        write_json(report, args.output)
    return 0 if old is None else _compare(report, old, args)


def _checked(args: argparse.Namespace) -> Report | None:
    """Refuse what cannot be done before anything is measured; return the older report."""
    from dlcv.evaluation.bench.report import read_json

    if _nodes(args):
        need('rclpy', 'rosbags')
    if args.fail_above is not None and args.compare is None:
        raise CommandError('--fail-above needs --compare, the report to compare with')
    if args.output is not None and not args.output.parent.is_dir():
        raise CommandError(f'{args.output}: there is no folder {args.output.parent}')
    return None if args.compare is None else read_json(args.compare)


def _options(args: argparse.Namespace) -> SpeedOptions:
    from dlcv.evaluation.speed.run import SpeedOptions
    from dlcv.evaluation.speed.steps import SUBJECTS

    return SpeedOptions(
        size=_size(args.size),
        recording=args.recording,
        rounds=args.rounds,
        threads=args.threads,
        parameters={'engine': args.engine, 'precision': args.precision},
        subjects=tuple(args.networks) or tuple(SUBJECTS),
    )


def _nodes(args: argparse.Namespace) -> tuple[str, ...]:
    """Return which nodes and graphs are measured."""
    if args.nodes or args.bare or args.references or args.busy:
        return tuple(args.nodes)
    from dlcv.interface.launch import DEFAULT_NODES

    return (*DEFAULT_NODES, 'vo')


def _measure_nodes(
    args: argparse.Namespace,
    names: tuple[str, ...],
    options: SpeedOptions,
    film: Film,
    progress: Progress,
) -> list[Table]:
    from dlcv.ros.benchmark.measure import NodesOptions, measure_nodes

    how = NodesOptions(
        targets=names,
        rates=tuple(args.rates),
        seconds=args.seconds,
        rounds=args.rounds,
        peak=args.peak,
        arguments={'composed': 'true'} if args.composed else {},
        parameters={'num_threads': options.threads, **options.parameters},
    )
    return measure_nodes(how, film, progress)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition('x')
    if not (width.isdigit() and height.isdigit()):
        raise CommandError(f'--size must be WIDTHxHEIGHT, such as 640x480, got {text!r}')
    return int(width), int(height)


def _compare(report: Report, old: Report, args: argparse.Namespace) -> int:
    from rich.console import Console

    from dlcv.evaluation.bench.report import print_tables
    from dlcv.evaluation.speed.compare import compare

    if report.environment.host != old.environment.host:
        sys.stderr.write(
            f'{args.compare} is of another host ({old.environment.host}): only ratios compare\n'
        )
    tables, changes = compare(report, old)
    print_tables(
        replace(report, tables=tuple(tables)),
        Console(width=None if sys.stdout.isatty() else _WIDTH),
    )
    if args.fail_above is None:
        return 0
    worse = sorted((c for c in changes if c.worse > args.fail_above), key=lambda c: -c.worse)
    sys.stderr.writelines(f'{change}\n' for change in worse)
    return 1 if worse else 0
