"""``dlcv nodes``: the tables of nodes, topics, services, parameters and launch arguments."""

from __future__ import annotations

import argparse
import sys

from dlcv.files import expanded

SUMMARY = 'Print the tables of nodes, topics, services, parameters and launch arguments.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of ``dlcv nodes``."""
    parser.add_argument(
        '--write', type=expanded, metavar='FILE', help='renew the tables between the marks in FILE'
    )
    parser.add_argument(
        '--config', type=expanded, metavar='DIR', help='write one parameter file for each node'
    )


def run(args: argparse.Namespace) -> int:
    """Print the tables, or write them into a document and into parameter files."""
    from dlcv.interface import files, tables
    from dlcv.interface.nodes import NODES

    if args.write is None and args.config is None:
        sys.stdout.write(tables.markdown())
    if args.write is not None:
        args.write.write_text(tables.insert(args.write.read_text()))
    if args.config is not None:
        for spec in NODES.values():
            (args.config / f'{spec.name}.yaml').write_text(files.to_yaml(spec))
    return 0
