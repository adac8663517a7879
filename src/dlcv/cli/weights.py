"""``dlcv weights``: show what a weight file is, convert it to our own format, check it.

Exit codes: 0 the file is good, 1 it is refused or fails its check, 2 the command line is wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlcv.cli.main import CommandError
from dlcv.cli.optimise import add_action, optimise
from dlcv.config import to_dict
from dlcv.files import expanded
from dlcv.interface.nodes import NODES

if TYPE_CHECKING:
    from dlcv.networks.weights import Loaded, Weights

SUMMARY = 'Show, convert or check a weight file.'
EXAMPLES = """\
examples:
  dlcv weights list
  dlcv weights info superpoint_v1.pth
  dlcv weights import superpoint_v1.pth -o superpoint.safetensors --licence 'research only'
  dlcv weights verify superpoint.safetensors --sha256 HEX
  dlcv weights optimize superpoint.safetensors --calibrate photos/
"""

_NAMES = (
    'superpoint', 'flownet', 'flownet_s', 'flownet_c', 'monodepth', 'deepvo', 'dsac', 'sfmlearner',
    'netvlad', 'psmnet', 'dispnet', 'fcn', 'fcos', 'caption',
)  # fmt: skip
_EXACT, _HALF = 1e-6, 2e-2  # largest relative difference of outputs after storing in 32, 16 bits
_PARITY = 1e-4


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions."""
    actions = parser.add_subparsers(dest='action', required=True, metavar='ACTION')
    info = actions.add_parser(
        'info', help='print what a file is', description='Print what a weight file is.'
    )
    convert = actions.add_parser(
        'import',
        help='convert a file to our own format',
        description='Convert a file to our own format; it is kept only if both compute alike.',
    )
    convert.add_argument(
        '-o',
        '--output',
        type=expanded,
        required=True,
        metavar='OUT.safetensors',
        help='file to write',
    )
    convert.add_argument(
        '--name', choices=_NAMES, metavar='NAME', help=f'refuse all but {", ".join(_NAMES)}'
    )
    convert.add_argument('--half', action='store_true', help='store floats in 16 bits')
    convert.add_argument(
        '--licence', default='', metavar='TEXT', help='licence of the weights, kept in the file'
    )
    verify = actions.add_parser(
        'verify',
        help='load a file and run its network once',
        description='Load a weight file, run its network once and see that its outputs are finite.',
    )
    verify.add_argument(
        '--parity', action='store_true', help='also compare with the network as nodes run it'
    )
    listed = actions.add_parser(
        'list',
        help='list the shipped weights',
        description='List the weights that come with the package, by the names that nodes take.',
    )
    for action in (info, listed):
        action.add_argument('--json', action='store_true', help='print JSON')
    optimised = add_action(actions)
    for action in (info, convert, verify, optimised):
        action.add_argument(
            'file', metavar='FILE', help='our own or a public file, or the name of shipped weights'
        )
        action.add_argument('--sha256', default='', metavar='HEX', help='digest it must have')
    for action in (info, convert, verify):
        action.add_argument('--ace-encoder', default='', metavar='FILE', help="ACE's second file")
    for action in (convert, verify):
        action.add_argument(
            '--option',
            action='append',
            default=[],
            metavar='KEY=VALUE',
            help='override a field of the configuration; the value is JSON or text',
        )


def run(args: argparse.Namespace) -> int:
    """Do what was asked and return the exit code."""
    from dlcv.networks.weights import WeightsError

    options = dict(map(_option, getattr(args, 'option', ())))
    try:
        if args.action == 'list':
            return _list(args)
        args.file = _file(args.file)
        if args.action == 'info':
            return _info(args)
        if args.action == 'optimize':
            return optimise(args)
        if args.action == 'import':
            return _import(args, options)
        return _verify(args, options)
    except WeightsError as err:
        sys.stderr.write(f'dlcv weights: {err}\n')
        return 1


def _file(text: str) -> Path:
    """Return the file that is meant by a path, or by the name of shipped weights or a network.

    Raises:
        WeightsError: These weights are not shipped; or it is a mere word, and there is no such
            file and no such name.
    """
    from dlcv.networks.weights import PARTS, SHIPPED_CONFIGS, WeightsError, shipped

    path = expanded(text)
    if path.exists() or path.suffix or path.name != text:
        return path
    names = [*SHIPPED_CONFIGS, *PARTS]
    if text not in (*names, *NODES):
        raise WeightsError(
            f'there is no weight file {text}, and the names of shipped weights are '
            f'{", ".join(names)}'
        )
    if (file := shipped(text)) is None:
        raise WeightsError(f'no {text} weights are shipped')
    return file


def _list(args: argparse.Namespace) -> int:
    """Print the names of shipped weights, and what they are."""
    from dlcv.networks.weights import PARTS, SHIPPED_CONFIGS, describe, shipped

    files = {name: shipped(name) for name in (*SHIPPED_CONFIGS, *PARTS)}
    known = {name: describe(file) for name, file in files.items() if file is not None}
    if args.json:
        sys.stdout.write(json.dumps({k: to_dict(v) for k, v in known.items()}, indent=2) + '\n')
        return 0
    _print([(name, _in_a_line(known.get(name))) for name in files])
    return 0


def _in_a_line(weights: Weights | None) -> str:
    if weights is None:
        return 'not shipped'
    trained = 'trained' if weights.trained else 'untrained'
    return (
        f'{weights.network}, {trained}, {weights.parameters:,} parameters, '
        f'{weights.bytes:,} bytes, {weights.path}'
    )


def _option(text: str) -> tuple[str, Any]:
    key, equals, value = text.partition('=')
    if not (key and equals):
        raise CommandError(f'--option wants KEY=VALUE, got {text!r}')
    try:
        return key, json.loads(value)
    except json.JSONDecodeError:
        return key, value


def _info(args: argparse.Namespace) -> int:
    from dlcv.networks.weights import describe

    weights = describe(args.file, sha256=args.sha256, ace_encoder=args.ace_encoder)
    if args.json:
        sys.stdout.write(json.dumps(to_dict(weights), indent=2) + '\n')
    else:
        _print(_rows(weights))
    return 0


def _rows(weights: Weights) -> list[tuple[str, str]]:
    config = ' '.join(f'{key}={value}' for key, value in to_dict(weights.config).items())
    return [
        ('file', f'{weights.path} ({weights.bytes:,} bytes)'),
        ('network', weights.network),
        ('family', weights.family),
        ('config', config),
        ('parameters', f'{weights.parameters:,}'),
        ('stored as', weights.dtype),
        ('sha256', weights.sha256),
        ('trained', 'yes' if weights.trained else 'no'),
        ('licence', weights.licence or 'not stated'),
        *((f'needs {key}', text) for key, text in weights.undecided.items()),
        *weights.metadata.items(),
    ]


def _print(rows: list[tuple[str, str]]) -> None:
    """Print a table on a terminal, and lines that a script can split elsewhere."""
    from dlcv.networks.weights.files import printable

    rows = [(printable(key), printable(value)) for key, value in rows]
    if not sys.stdout.isatty():
        sys.stdout.writelines(f'{key}: {value}\n' for key, value in rows)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    for key, value in rows:
        table.add_row(Text(key), Text(value, overflow='fold'))  # a file's own words are no markup
    Console().print(table)


def _import(args: argparse.Namespace, options: dict[str, Any]) -> int:
    if args.output.suffix != '.safetensors':
        raise CommandError(f'our own files are named .safetensors, not {args.output.name!r}')
    if not args.output.parent.is_dir():
        raise CommandError(f'{args.output}: there is no folder {args.output.parent}')
    if args.output.is_dir():
        raise CommandError(f'{args.output} is a folder, not a file to write')
    loaded = _load(args, args.name or '', options)
    unchecked = args.output.with_name(f'.{args.output.stem}.unchecked.safetensors')
    try:
        apart = _store(loaded, unchecked, args)
        unchecked.replace(args.output)
    except OSError as err:  # in the name that was asked for
        raise CommandError(f'{args.output}: {err.strerror or err}') from err
    finally:
        unchecked.unlink(missing_ok=True)
    sys.stdout.write(
        f'{args.output}: {loaded.weights.network} from {loaded.weights.family}, '
        f'{args.output.stat().st_size:,} bytes, outputs differ by {apart:.2g}\n'
    )
    return 0


def _store(loaded: Loaded, path: Path, args: argparse.Namespace) -> float:
    """Write our own file, read it back and return how far the outputs are apart."""
    from dlcv.networks.weights import WeightsError, load, save_network
    from dlcv.networks.weights.check import difference, probe

    save_network(
        loaded.network,
        path,
        trained=loaded.weights.trained,
        half=args.half,
        source=f'{loaded.weights.family} {args.file.name} sha256 {loaded.weights.sha256}',
        licence=args.licence or loaded.weights.licence,
    )
    apart = difference(probe(loaded.network), probe(load('', path).network))
    if apart > (_HALF if args.half else _EXACT):
        raise WeightsError(f'{args.file}: outputs differ by {apart:.2g} once stored; not kept')
    return apart


def _verify(args: argparse.Namespace, options: dict[str, Any]) -> int:
    from dlcv.networks.layers.folding import optimise
    from dlcv.networks.weights import WeightsError
    from dlcv.networks.weights.check import difference, probe

    loaded = _load(args, '', options)
    outputs = probe(loaded.network)
    if args.parity:
        apart = difference(outputs, probe(optimise(loaded.network)))
        if apart > _PARITY:
            raise WeightsError(
                f'{args.file}: prepared for inference, outputs differ by {apart:.2g}'
            )
    shapes = ', '.join(str(tuple(output.shape)) for output in outputs)
    sys.stdout.write(
        f'OK {args.file}: {loaded.weights.network}, family {loaded.weights.family}, '
        f'outputs {shapes} are finite\n'
    )
    return 0


def _load(args: argparse.Namespace, name: str, options: dict[str, Any]) -> Loaded:
    from dlcv.networks.weights import load

    return load(name, args.file, sha256=args.sha256, ace_encoder=args.ace_encoder, **options)
