"""``dlcv up``: start the nodes without ROS launch."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from dlcv.cli.extras import need
from dlcv.interface.arguments import ARGUMENTS, Argument

if TYPE_CHECKING:
    from dlcv.bringup import Job, Plan

SUMMARY = 'Start the nodes of vo.launch.py, without ROS launch.'
EXAMPLES = """\
examples:
  dlcv up                                            nodes on camera/image_raw, until Ctrl-C
  dlcv up --camera front --map kitchen.safetensors   another camera; relocalization too
  dlcv up --bag drive.mcap --record outputs.mcap     play a bag, record all outputs, end with it
  dlcv up --composed                                 all in one process: less memory, less time
  dlcv up my.yaml --nodes deepvo,monodepth           own parameters, two of the nodes
  dlcv up --nodes superpoint,visual_odometry,slam --map house.safetensors      a map of the way
"""
ONLY_LAUNCH = ('params_file', 'points', 'rviz')  # the first is positional, the others are C++


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the launch arguments as options of ``dlcv up``."""
    parser.add_argument(
        'params_file', nargs='?', default='', help='ROS parameter file (default: config/vo.yaml)'
    )
    parser.add_argument(
        '--print', action='store_true', dest='print_only', help='show the commands, start nothing'
    )
    for argument in ARGUMENTS:
        if argument.name not in ONLY_LAUNCH:
            _add(parser, argument)


def run(args: argparse.Namespace) -> int:
    """Start the nodes and wait for their end."""
    need(*_needed(args))
    from dlcv.bringup import Console, job_of, make_plan, supervise

    given = {a.name: getattr(args, a.name, None) for a in ARGUMENTS}
    console = Console(sys.stdout, ())
    plan = make_plan(
        {name: _text(value) for name, value in given.items()}, os.environ, colour=console.colour
    )
    job = job_of(plan)
    if args.print_only:
        sys.stdout.write(_shell(plan, job))
        return 0
    console = Console(sys.stdout, [command.name for command in job.commands])
    environment = {**os.environ, **plan.environment, 'PYTHONUNBUFFERED': '1'}
    return supervise(job, environment, console)


def _needed(args: argparse.Namespace) -> Iterator[str]:
    if not args.print_only:
        yield 'rclpy'
    if args.bag or args.record:
        yield 'rosbags'
    if args.evaluate:
        yield from ('jinja2', 'matplotlib')


def _add(parser: argparse.ArgumentParser, argument: Argument) -> None:
    option = f'--{argument.name.replace("_", "-")}'
    default = f' (default: {argument.default})' if argument.default else ''
    text = argument.doc.replace('%', '%%') + default
    if argument.boolean:
        parser.add_argument(option, action=argparse.BooleanOptionalAction, help=text)
    else:
        parser.add_argument(option, metavar=argument.name.upper(), help=text)


def _text(value: bool | str | None) -> str:
    return str(value).lower() if isinstance(value, bool) else value or ''


def _shell(plan: Plan, job: Job) -> str:
    lines = [f'export {name}={shlex.quote(value)}' for name, value in plan.environment.items()]
    lines += [shlex.join(command.argv) for command in job.commands]
    return '\n'.join(lines) + '\n'
