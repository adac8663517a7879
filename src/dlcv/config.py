"""Plain data (YAML, JSON) to frozen dataclasses and back; an unknown key is an error."""

from __future__ import annotations

import re
import types
import typing
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

import yaml

from dlcv.files import expanded

T = TypeVar('T')


class _Loader(yaml.SafeLoader):
    """Takes ``1e-3`` for a number, as YAML 1.2 and ROS do; without a point it is text to PyYAML."""


_POWER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$')
_Loader.add_implicit_resolver('tag:yaml.org,2002:float', _POWER, list('-+.0123456789'))


def load_yaml(text: str) -> Any:
    """Return the plain data of one YAML document.

    Raises:
        yaml.YAMLError: If it is none.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class ConfigError(ValueError):
    """The data does not fit the configuration; the message names the key and what is known."""


def from_dict(data: Any, cls: type[T], where: str = '') -> T:
    """Build a dataclass from plain data, strictly.

    Args:
        data: Mapping of field names to plain values; nested dataclasses are nested mappings.
        cls: The dataclass to build.
        where: Dotted place of ``data`` in the whole, for messages.

    Raises:
        ConfigError: If a key is unknown or missing, or a value has the wrong type.
    """
    place = where or cls.__name__
    if not isinstance(data, dict):
        raise ConfigError(f'{place}: expected a mapping, got {data!r}')
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for key in data:
        if key not in known:
            raise ConfigError(f'{place}: unknown key {key!r}; known are {sorted(known)}')
    for name, f in known.items():
        if name not in data and f.default is MISSING and f.default_factory is MISSING:
            raise ConfigError(f'{place}: {name!r} is required; got {sorted(data)}')
    hints = typing.get_type_hints(cls)
    values = {key: convert(value, hints[key], _join(where, key)) for key, value in data.items()}
    try:
        return cls(**values)
    except ConfigError:
        raise
    except ValueError as err:
        raise ConfigError(f'{place}: {err}') from None


def to_dict(value: Any) -> Any:
    """Return plain data (dicts, lists, scalars) of a dataclass, ready for JSON or YAML."""
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_dict(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple | list):
        return [to_dict(item) for item in value]
    if isinstance(value, dict):
        return {key: to_dict(item) for key, item in value.items()}
    if isinstance(value, Path):
        return str(value)
    return value


def convert(value: Any, hint: Any, where: str) -> Any:
    """Return ``value`` as the annotated type ``hint``, or raise a ConfigError that names both."""
    origin = get_origin(hint)
    if is_dataclass(hint) and isinstance(hint, type):
        return value if isinstance(value, hint) else from_dict(value, hint, where)
    if origin in (Union, types.UnionType):
        return _one_of(value, get_args(hint), where)
    if origin is Literal:
        if value not in get_args(hint):
            raise ConfigError(f'{where}: {value!r} is none of {list(get_args(hint))}')
        return value
    if origin is tuple:
        return _tuple(value, get_args(hint), where)
    if origin is dict:
        return _mapping(value, get_args(hint), where)
    return _scalar(value, hint, where)


def _one_of(value: Any, hints: tuple[Any, ...], where: str) -> Any:
    if value is None and type(None) in hints:
        return None
    errors = []
    for hint in hints:
        if hint is type(None):
            continue
        try:
            return convert(value, hint, where)
        except ConfigError as err:
            errors.append(str(err))
    raise ConfigError('; '.join(errors))


def _tuple(value: Any, hints: tuple[Any, ...], where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise ConfigError(f'{where}: expected a list, got {value!r}')
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(hints) != len(value):
        raise ConfigError(f'{where}: expected {len(hints)} values, got {len(value)}: {value!r}')
    return tuple(
        convert(item, hint, f'{where}[{i}]')
        for i, (item, hint) in enumerate(zip(value, hints, strict=True))
    )


def _mapping(value: Any, hints: tuple[Any, ...], where: str) -> dict[Any, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f'{where}: expected a mapping, got {value!r}')
    return {
        convert(key, hints[0], where): convert(item, hints[1], _join(where, str(key)))
        for key, item in value.items()
    }


def _scalar(value: Any, hint: Any, where: str) -> Any:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if hint is Path and isinstance(value, str):
        return expanded(value)
    if hint is Any:
        return value
    if isinstance(hint, type) and isinstance(value, hint):
        if hint is int and isinstance(value, bool):
            raise ConfigError(f'{where}: expected int, got {value!r}')
        return value
    name = getattr(hint, '__name__', str(hint))
    raise ConfigError(f'{where}: expected {name}, got {value!r}')


def _join(where: str, key: str) -> str:
    return f'{where}.{key}' if where else key
