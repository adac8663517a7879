"""``dlcv report``: a page about a recording of the nodes' outputs."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dlcv.cli.extras import need

SUMMARY = 'Write a page about a recording of the nodes: rates, latencies, paths, pictures.'

EXAMPLES = """\
examples:
  dlcv report outputs.mcap --input drive.mcap
  dlcv report outputs.mcap --input drive.mcap --truth /ground_truth/odometry -o page
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv report``."""
    parser.add_argument('bag', type=Path, metavar='BAG', help='recording of the outputs')
    parser.add_argument(
        '--input', type=Path, metavar='BAG',
        help='bag that was played, with images and truth (default: they are in the recording)',
    )  # fmt: skip
    parser.add_argument(
        '-o', '--output', type=Path, metavar='DIR',
        help='folder of the page (default: BAG_report beside the bag)',
    )  # fmt: skip
    parser.add_argument('--truth', default='', metavar='TOPIC', help='topic of the true odometry')
    parser.add_argument('--image', default='', metavar='TOPIC', help='topic of the images')
    parser.add_argument(
        '--namespace', default='', metavar='NAME', help='namespace of the nodes (default: none)'
    )
    parser.add_argument('--title', default='', metavar='TEXT', help='headline of the page')


def run(args: argparse.Namespace) -> int:
    """Write the page and print its table."""
    need('rosbags', 'jinja2', 'matplotlib')
    from dlcv.report import summarise, table, write_report

    summary = summarise(
        args.bag,
        inputs=args.input,
        truth_topic=args.truth,
        image_topic=args.image,
        namespace=args.namespace,
    )
    out = args.output or args.bag.with_name(f'{args.bag.stem}_report')
    page = write_report(summary, out, title=args.title or f'Recording {args.bag.stem}')
    sys.stdout.write(f'{table(summary)}\n\nreport: {page}\n')
    return 0
