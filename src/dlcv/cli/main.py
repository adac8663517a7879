"""Entry point of ``dlcv``: find the command, let it parse its arguments, run it.

A command is a module of this room with ``SUMMARY``, ``add_arguments(parser)`` and
``run(args) -> exit code``. Only the chosen one is imported, so ``dlcv --help`` needs neither torch
nor ROS.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dlcv import __version__

COMMANDS: dict[str, str] = {
    'infer': 'run one network on image files',
    'weights': 'show, convert or check a weight file',
    'world': 'generate a recording of the built-in world',
    'convert': 'turn a dataset folder into a rosbag2',
    'play': 'publish the messages of a bag',
    'up': 'start the nodes without ROS launch',
    'report': 'write a page about a recording of the nodes',
    'nodes': 'print the tables of nodes, topics, parameters and services',
    'demo': 'generate, replay, record and report',
}


class CommandError(Exception):
    """Something the user can mend; printed without a traceback, exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dlcv`` with ``argv`` (default: the process's own) and return its exit code."""
    args = list(sys.argv[1:] if argv is None else argv)
    if not args or args[0] in ('-h', '--help'):
        sys.stdout.write(_overview())
        return 0 if args else 2
    if args[0] == '--version':
        sys.stdout.write(f'dlcv {__version__}\n')
        return 0
    if args[0] not in COMMANDS:
        sys.stderr.write(f'dlcv: no command {args[0]!r}; there are {", ".join(COMMANDS)}\n')
        return 2
    return _run(args[0], args[1:])


_OVERVIEW = """\
usage: dlcv COMMAND ...

Learned visual odometry, depth, flow, features and relocalization, with and without ROS 2.

commands:
{commands}

`dlcv COMMAND --help` tells what a command takes, `dlcv --version` the version.
"""


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = (f'  {name:<{width}}  {summary}' for name, summary in COMMANDS.items())
    return _OVERVIEW.format(commands='\n'.join(lines))


def _run(name: str, argv: list[str]) -> int:
    module = import_module(f'dlcv.cli.{name}')
    parser = argparse.ArgumentParser(prog=f'dlcv {name}', description=module.SUMMARY)
    module.add_arguments(parser)
    args = parser.parse_args(argv)
    try:
        return int(module.run(args))
    except (CommandError, ValueError, OSError) as err:  # every door's error is a ValueError
        if os.environ.get('DLCV_TRACEBACK'):
            raise
        sys.stderr.write(f'dlcv {name}: {err}\n')
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f'dlcv {name}: interrupted\n')
        return 130


if __name__ == '__main__':
    sys.exit(main())
