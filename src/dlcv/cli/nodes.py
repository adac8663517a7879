"""``dlcv nodes``: the tables of nodes, topics, services, parameters and launch arguments."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SUMMARY = 'Print the tables of nodes, topics, services, parameters and launch arguments.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv nodes``."""
    parser.add_argument(
        '--write', type=Path, metavar='FILE', help='renew the tables between the marks in FILE'
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables, or write them into a document."""
    from dlcv.contract import tables

    if args.write is None:
        sys.stdout.write(tables.markdown())
        return 0
    args.write.write_text(tables.insert(args.write.read_text()))
    return 0
