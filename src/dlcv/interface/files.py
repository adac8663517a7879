"""ROS parameter files of the nodes: written from the tables, read and checked without ROS."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from dlcv.config import load_yaml
from dlcv.files import TextError, expanded, read_text
from dlcv.interface.nodes import NODES, NodeSpec
from dlcv.interface.parameters import CommonParameters, Parameter, ParameterError, describe

OF_ROS = ('use_sim_time', 'qos_overrides', 'start_type_description_service')
_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')


def to_yaml(spec: NodeSpec) -> str:
    """Return a parameter file with every parameter of a node, its default and its description."""
    lines = [
        f'# All parameters of {spec.name} with their defaults, written by `make docs`: copy the',
        '# lines that you change into a file of your own. Live: may be set while the node runs.',
        f'/**/{spec.name}:',
        '  ros__parameters:',
    ]
    for p in describe(spec.parameters):
        lines += [f'    # {_comment(p)}', f'    {p.name}: {scalar(p.default)}']
    return '\n'.join(lines) + '\n'


def scalar(value: Any) -> str:
    """Return a parameter value as YAML that ROS reads as the same type."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return f'[{", ".join(map(scalar, value))}]'
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return repr(value)


def read(path: Path, node: str) -> dict[str, Any]:
    """Return the parameters that a file gives to a node; a later section goes before an earlier.

    Args:
        path: A ROS parameter file.
        node: Full name of the node, such as ``/front/superpoint``.

    Raises:
        ParameterError: If the file is missing, is no YAML, or has another shape.
    """
    return merged(sections(path), node)


def sections(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield (pattern of node names, parameters) of a file in its order; errors as `read`."""
    for pattern, section in _sections(path):
        given = section.get('ros__parameters') if isinstance(section, Mapping) else None
        if not isinstance(given, Mapping):
            raise ParameterError(f'{path}: {pattern}: expected a mapping under ros__parameters')
        yield pattern, {name: _plain(value) for name, value in given.items()}


def merged(given: Iterable[tuple[str, Mapping[str, Any]]], node: str) -> dict[str, Any]:
    """Return what sections give to a node, by its full name; a later one goes before an earlier."""
    values: dict[str, Any] = {}
    for pattern, section in given:
        if _matches(pattern, node):
            values.update(section)
    return values


def strangers(given: Iterable[tuple[str, Mapping[str, Any]]], node: str) -> list[str]:
    """Return what sections for all nodes (``/**``, ``/front/*``) tell a node, and none of ours has.

    Such a section is written for everyone on a robot. What the node's own section says is no
    stranger: there it is a mistake.

    Args:
        given: Sections as `sections` yields them.
        node: Full name of the node.
    """
    everyones: dict[str, None] = {}
    own: set[str] = set()
    for pattern, section in given:
        if not _matches(pattern, node):
            continue
        if for_all(pattern):
            everyones |= dict.fromkeys(unknown(section))
        else:
            own |= set(section)
    return [name for name in everyones if name not in own]


def for_all(pattern: str) -> bool:
    """Whether a section is for every node, perhaps of one namespace: ``/**``, ``/front/*``."""
    return pattern.rpartition('/')[2] in ('*', '**')


def unknown(names: Iterable[str]) -> list[str]:
    """Return the names of parameters that neither one of our nodes has nor ROS itself."""
    known = {p.name for spec in NODES.values() for p in describe(spec.parameters)}
    return [name for name in names if name not in known and name.split('.')[0] not in OF_ROS]


class Told(NamedTuple):
    """What a file tells a node.

    Attributes:
        settings: Its parameters as the file sets them, the others at their defaults.
        passed_over: What `strangers` finds, which is left out.
    """

    settings: CommonParameters
    passed_over: tuple[str, ...]


def check(path: Path, spec: NodeSpec, node: str) -> Told:
    """Return what a file tells a node.

    Args:
        path: A ROS parameter file.
        spec: The node.
        node: Its full name.

    Raises:
        ParameterError: As `read`; or a parameter is unknown, of another type or out of range. The
            message names the file.
    """
    given = list(sections(path))
    foreign = tuple(strangers(given, node))
    values = {k: v for k, v in merged(given, node).items() if k not in foreign}
    return Told(checked(values, spec, str(path)), foreign)


def checked(given: Mapping[str, Any], spec: NodeSpec, where: str) -> CommonParameters:
    """Return the parameters of a node as they are given, the others at their defaults.

    Args:
        given: Parameters of this node, and of others if all nodes were meant.
        spec: The node.
        where: They come from, for messages.

    Raises:
        ParameterError: A parameter is unknown, of another type or out of range.
    """
    known = [p.name for p in describe(spec.parameters)]
    anywhere = {p.name for other in NODES.values() for p in describe(other.parameters)}
    values = {}
    for name, value in given.items():
        if name in known:
            values[name] = value
        elif name not in anywhere and name.split('.')[0] not in OF_ROS:
            hint = f'; {maybe}' if (maybe := meant(name, known)) else ''
            raise ParameterError(f'{where}: {spec.name} has no parameter {name!r}{hint}')
    try:
        return spec.parameters(**values)
    except ParameterError as err:
        raise ParameterError(f'{where}: {spec.name}: {err}') from None


def warning(foreign: Iterable[str], node: str, known: Iterable[str]) -> str:
    """Return what a user is told of `strangers` that a node passes over.

    Args:
        foreign: Their names.
        node: Name of the node.
        known: Its parameters.
    """
    known, named = list(known), []
    for name in foreign:
        maybe = meant(name, known, 0.8)  # others' parameters may be a little like ours
        named.append(f'{name!r} ({maybe})' if maybe else repr(name))
    return f'no parameters of {node}, passed over in a section for all nodes: {", ".join(named)}'


def meant(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """Return the question whether another name was meant; empty if none is so much like it."""
    close = difflib.get_close_matches(name, list(known), 1, likeness)
    return f'did you mean {close[0]!r}?' if close else ''


def _comment(p: Parameter) -> str:
    limits = f' [{p.range_text}]' if p.range_text else ''
    return p.doc + limits + (' Live.' if p.dynamic else '')


def _sections(path: Path) -> Iterator[tuple[str, Any]]:
    try:
        document = load_yaml(read_text(expanded(path)))
    except FileNotFoundError:
        raise ParameterError(f'{path}: no such parameter file') from None
    except OSError as err:
        raise ParameterError(f'{path}: cannot be read: {err.strerror}') from None
    except TextError:
        raise ParameterError(f'{path}: is no text') from None
    except yaml.YAMLError as err:
        place = ' '.join(str(err).split())
        raise ParameterError(f'{path}: no YAML: {place}') from None
    if document is not None and not isinstance(document, Mapping):
        raise ParameterError(f'{path}: expected node names with ros__parameters below')
    for key, section in (document or {}).items():
        yield from _flat(f'/{str(key).strip("/")}', section)


def _flat(name: str, section: Any) -> Iterator[tuple[str, Any]]:
    """Yield (node pattern, section); a section may lie under its namespace (``front: deepvo:``)."""
    if isinstance(section, Mapping) and 'ros__parameters' not in section:
        for key, inner in section.items():
            yield from _flat(f'{name}/{key}', inner)
    else:
        yield name, section


def _matches(pattern: str, node: str) -> bool:
    """Whether a node name fits a pattern: ``*`` is one part, ``**`` any number, also none."""
    return _fits(pattern.strip('/').split('/'), node.strip('/').split('/'))


def _fits(patterns: list[str], parts: list[str]) -> bool:
    if not patterns:
        return not parts
    if patterns[0] == '**':
        return any(_fits(patterns[1:], parts[n:]) for n in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], patterns[0]) and _fits(patterns[1:], parts[1:])


def _plain(value: Any) -> Any:
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value)  # 1e-3 is a string to PyYAML and a double to ROS
    if isinstance(value, list):
        return tuple(map(_plain, value))
    return value
