"""``dlcv demo``: the whole suite on a generated walk."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dlcv.cli.extras import need
from dlcv.files import expanded

SUMMARY = 'Generate a walk, replay it through all nodes, and report what they are worth on it.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv demo``."""
    parser.add_argument(
        '-o', '--output', type=expanded, default=Path('out/demo'), metavar='DIR',
        help='folder of all that it writes (default: out/demo)',
    )  # fmt: skip
    parser.add_argument(
        '--scene', choices=('room', 'corridor', 'street'), default='room', help='default: room'
    )
    parser.add_argument(
        '--frames', type=int, default=100, metavar='N', help='pictures (default: 100)'
    )
    parser.add_argument(
        '--rate', type=float, default=10.0, metavar='HZ', help='pictures in a second (default: 10)'
    )
    parser.add_argument(
        '--speed', type=float, metavar='R',
        help='show the pictures in real time, times R (default: each when all have answered the '
        'last one)',
    )  # fmt: skip
    parser.add_argument(
        '--seed', type=int, default=0, metavar='N', help='of the world (default: 0)'
    )
    parser.add_argument(
        '--map', type=expanded, metavar='FILE',
        help='map of the world for dsac (one of the default room is there; else without dsac)',
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the demo and print its table."""
    need('rclpy', 'rosbags', 'jinja2', 'matplotlib')
    from dlcv.bringup.demo import DemoOptions, run_demo
    from dlcv.evaluation.report.evaluation_text import text_table

    options = DemoOptions(
        out=args.output,
        scene=args.scene,
        frames=args.frames,
        rate_hz=args.rate,
        speed=args.speed,
        seed=args.seed,
        map=args.map,
    )
    written = run_demo(options, lambda text: print(text, flush=True))
    sys.stdout.write(f'\n{text_table(written.evaluation)}\n\nreport: {written.page}\n')
    return 1 if written.failed else 0
