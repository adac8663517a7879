"""``dlcv train``: train a network by one of the shipped recipes, or by one's own."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.cli.extras import need
from dlcv.estimation.memory import keep_freed_memory
from dlcv.files import expanded
from dlcv.host import threads

if TYPE_CHECKING:
    from dlcv.training.engine import Report
    from dlcv.training.recipe import Recipe, RunConfig

SUMMARY = 'Train a network: on the CPU, a GPU or many, resumable at any time.'

EXAMPLES = """\
examples:
  dlcv train --list
  dlcv train flownet_s --data photos=~/Pictures --output runs/flownet_s
  dlcv train flownet_s --output runs/flownet_s --resume
  dlcv train superpoint --devices 4 --set run.batch=32 --set run.learning_rate=4e-4
  dlcv train flownet_s --smoke

A file given by --config changes what it names in the shipped recipe; --set changes single fields.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument('name', metavar='NAME', nargs='?', help='which recipe; see --list')
    parser.add_argument('--list', action='store_true', help='print the recipes and stop')
    parser.add_argument('--config', type=expanded, metavar='FILE', help='YAML laid over the recipe')
    parser.add_argument(
        '--set', action='append', default=[], metavar='KEY=VALUE', help='such as run.steps=1000'
    )
    parser.add_argument(
        '--data',
        action='append',
        default=[],
        metavar='KEY=DIR',
        help='folders of data, such as photos=DIR; may be repeated',
    )
    parser.add_argument(
        '-o', '--output', type=expanded, metavar='DIR', help='the run; default: runs/NAME'
    )
    parser.add_argument('--resume', action='store_true', help="go on from the run's checkpoint")
    parser.add_argument(
        '--devices', type=int, default=1, metavar='N', help='GPUs (or processes); default: 1'
    )
    parser.add_argument('--nodes', type=int, default=1, metavar='N', help='machines; default: 1')
    parser.add_argument(
        '--accelerator', choices=('auto', 'cpu', 'cuda'), default='auto', help='default: auto'
    )
    parser.add_argument('--threads', type=int, default=0, metavar='N', help='CPU threads')
    parser.add_argument(
        '--smoke', action='store_true', help='a tiny run of seconds that must learn something'
    )
    parser.add_argument(
        '--export', type=expanded, metavar='FILE', help="write the run's last checkpoint and stop"
    )


def run(args: argparse.Namespace) -> int:
    """Train, or list, or export."""
    need('lightning_fabric')
    keep_freed_memory()  # a step takes a quarter less time
    if args.list:
        return _list()
    from dlcv.training.recipe import TrainError

    if args.name is None:
        raise TrainError('which recipe? `dlcv train --list` prints them')
    recipe, run = _resolved(args)
    output = args.output or Path('runs') / args.name
    if args.threads:
        import torch

        torch.set_num_threads(args.threads)
    sys.stderr.write(f'threads: {threads()}\n')
    if args.export:
        from dlcv.training.engine import export_checkpoint

        sys.stdout.write(f'wrote {export_checkpoint(recipe, run, output, args.export)}\n')
        return 0
    if args.smoke:
        return _smoke(args.name, recipe, run)
    return _train(args, recipe, run, output)


def _list() -> int:
    from dlcv.training.configuration import read, recipe_file, shipped_recipes

    names = shipped_recipes()
    width = max(map(len, names))
    for name in names:
        settings = read(recipe_file(name))
        steps, batch = settings['run']['steps'], settings['run'].get('batch', '')
        sys.stdout.write(f'{name:<{width}}  {settings["recipe"]}, {steps} steps of {batch}\n')
    return 0


def _resolved(args: argparse.Namespace) -> tuple[Recipe, RunConfig]:
    from dlcv.training import configuration as files

    data: Mapping[str, Any] = files.read(files.recipe_file(args.name))
    if args.config:
        data = files.merged(data, files.read(args.config))
    data = files.merged(data, files.assignments(args.set))
    data = files.merged(data, _folders(args.data))
    return files.build(data, str(args.config or args.name))


def _folders(texts: list[str]) -> dict[str, list[str]]:
    """Return ``['photos=a', 'photos=b']`` as lists of folders by key."""
    from dlcv.training.recipe import TrainError

    found: dict[str, list[str]] = {}
    for text in texts:
        key, sign, folder = text.partition('=')
        if not sign or not folder:
            raise TrainError(f'expected KEY=DIR such as photos=DIR, got {text!r}')
        found.setdefault(key, []).append(str(expanded(folder)))
    return found


def _train(args: argparse.Namespace, recipe: Recipe, run: RunConfig, output: Path) -> int:
    from dlcv.training.engine import Interrupted, fit

    first = os.environ.get('LOCAL_RANK', '0') == '0'  # of the processes that --devices starts
    with _progress(args.name, run.steps) if first else nullcontext(_silent) as report:
        try:
            weights = fit(
                recipe,
                run,
                output,
                resume=args.resume,
                devices=args.devices,
                nodes=args.nodes,
                accelerator=args.accelerator,
                report=report,
            )
        except Interrupted as stop:
            sys.stderr.write(f'{stop}; go on with --resume\n')
            return 130
    if first:
        sys.stdout.write(f'wrote {weights}\n')
    return 0


def _smoke(name: str, recipe: Recipe, run: RunConfig) -> int:
    from dlcv.training.engine import Interrupted
    from dlcv.training.smoke import smoke

    try:
        first, last = smoke(recipe, run)
    except Interrupted as stop:
        sys.stderr.write(f'{stop}; a smoke run leaves nothing behind\n')
        return 130
    sys.stdout.write(f'{name}: loss {first:.4g} -> {last:.4g}, the exported weights load\n')
    return 0


@contextmanager
def _progress(title: str, steps: int) -> Iterator[Report]:
    """Give a report that moves a bar on terminals, and writes lines elsewhere."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda step, figures: _line(title, step, steps, figures)
        return
    columns = (
        TextColumn('{task.description}'),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn('{task.fields[figures]}'),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=steps, figures='')
        yield lambda step, figures: bar.update(task, completed=step, figures=_words(figures))


def _silent(_step: int, _figures: Mapping[str, float]) -> None:
    """Report nothing."""


def _line(title: str, step: int, steps: int, figures: Mapping[str, float]) -> None:
    sys.stderr.write(f'{title} {step}/{steps} {_words(figures)}\n')
    sys.stderr.flush()


def _words(figures: Mapping[str, float]) -> str:
    return ' '.join(f'{name} {value:.4g}' for name, value in figures.items())
