"""``dlcv demo``: the whole suite on a generated drive."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = 'Generate a drive, replay it through the five nodes, record, and write a report.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv demo``."""
    parser.add_argument(
        '-o', '--out', type=Path, default=Path('out/demo'), help='folder (default: out/demo)'
    )
    parser.add_argument('--scene', choices=('street', 'room'), default='street')
    parser.add_argument('--frames', type=int, default=80, help='pictures (default: 80)')
    parser.add_argument('--rate', type=float, default=5.0, help='pictures a second (default: 5)')
    parser.add_argument('--speed', type=float, default=1.0, help='of the replay (default: 1)')
    parser.add_argument('--seed', type=int, default=0, help='of the world (default: 0)')


def run(args: argparse.Namespace) -> int:
    """Run the demo and print its table."""
    from dlcv.demo import DemoOptions, run_demo
    from dlcv.report import table

    options = DemoOptions(
        out=args.out,
        scene=args.scene,
        frames=args.frames,
        rate_hz=args.rate,
        speed=args.speed,
        seed=args.seed,
    )
    summary, page = run_demo(options, lambda text: print(text, flush=True))
    sys.stdout.write(f'\n{table(summary)}\n\n')
    if summary.untrained:
        sys.stdout.write(
            f'Untrained networks: {", ".join(summary.untrained)}. Their results mean nothing yet.\n'
        )
    sys.stdout.write(f'report: {page}\n')
    return 0
