"""Entry point of ``dlcv``: find the command, let it parse its arguments, run it.

A command is a module of this room with ``SUMMARY``, ``add_arguments(parser)``, ``run(args) -> exit
code`` and, where they help, ``EXAMPLES``. Only the chosen one is imported, so ``dlcv --help`` needs
neither torch nor ROS.
"""

from __future__ import annotations

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from dlcv import __version__, process

COMMANDS: dict[str, str] = {
    'infer': 'run one network on image files',
    'bench': 'measure the accuracy of networks beside classical methods',
    'benchmark': 'measure the speed of nodes and networks',
    'weights': 'show, convert or check a weight file',
    'world': 'generate a recording of the built-in world',
    'convert': 'turn a dataset folder into a rosbag2',
    'play': 'publish the messages of a bag',
    'up': 'start the nodes without ROS launch',
    'evaluate': 'replay a bag, compare the answers with the truth, write a report',
    'nodes': 'print the tables of nodes, topics, parameters and services',
    'train': 'train a network by a recipe',
    'map': 'make a map of a place, for relocalization, from recordings with poses',
    'places': 'make a file of known places, for place recognition, from recordings with poses',
    'demo': 'generate a walk, replay it, and report',
}


class CommandError(Exception):
    """Something the user can mend; printed without a traceback, exit code 2."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``dlcv`` with ``argv`` (default: the process's own) and return its exit code."""
    if argv is not None:
        return _main(list(argv))
    code = _main(sys.argv[1:])
    process.end()
    return code


def _main(args: list[str]) -> int:
    if not args or args[0] in ('-h', '--help'):
        sys.stdout.write(_overview())
        return 0 if args else 2
    if args[0] == '--version':
        sys.stdout.write(f'dlcv {__version__}\n')
        return 0
    if args[0] not in COMMANDS:
        close = difflib.get_close_matches(args[0], COMMANDS, 1)
        hint = f'did you mean {close[0]!r}? ' if close else ''
        sys.stderr.write(f'dlcv: no command {args[0]!r}; {hint}there are {", ".join(COMMANDS)}\n')
        return 2
    return _guarded(args[0], args[1:])


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


def _guarded(name: str, argv: list[str]) -> int:
    """Run a command; whatever goes wrong is a line for the user, never a traceback."""
    try:
        process.run()
        return _run(name, argv)
    except KeyboardInterrupt:
        sys.stderr.write(f'dlcv {name}: interrupted\n')
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough: `dlcv nodes | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as err:
        if os.environ.get('DLCV_TRACEBACK'):
            raise
        sys.stderr.write(f'dlcv {name}: {_words(err)}\n')
        # every door's error is a ValueError
        return 2 if isinstance(err, (CommandError, ValueError, OSError)) else 1


def _run(name: str, argv: list[str]) -> int:
    module = import_module(f'dlcv.cli.{name}')
    parser = argparse.ArgumentParser(
        prog=f'dlcv {name}',
        description=module.SUMMARY,
        epilog=getattr(module, 'EXAMPLES', None),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    code = int(module.run(parser.parse_args(argv)))
    sys.stdout.flush()
    return code


def _words(err: Exception) -> str:
    match err:
        case CommandError() | ValueError():
            return str(err)
        case OSError(filename=str() as path, strerror=str() as reason):
            return f'{path}: {reason}'
        case OSError():
            return str(err)
    first = str(err).partition('\n')[0]
    # PyTorch has RuntimeErrors for a lack of memory
    if isinstance(err, MemoryError) or (isinstance(err, RuntimeError) and 'memory' in first):
        return f'not enough memory: {first}'
    return (
        f'unexpected {type(err).__name__}: {first} '
        '(a mistake of ours: DLCV_TRACEBACK=1 shows where, please report it)'
    )


if __name__ == '__main__':
    sys.exit(main())
