"""From a recipe file, and what the command line changes in it, to a recipe and its run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from dlcv.config import ConfigError, from_dict, load_yaml
from dlcv.files import TextError, read_text
from dlcv.interface.share import share_folder
from dlcv.training.recipe import Recipe, RunConfig, TrainError
from dlcv.training.recipes import recipe_class

FOLDER = 'config/train'


def shipped_recipes() -> list[str]:
    """Return the names that ``dlcv train`` takes: those of the recipe files of this package."""
    return sorted(path.stem for path in share_folder(FOLDER).glob('*.yaml'))


def recipe_file(name: str) -> Path:
    """Return the file of a shipped recipe.

    Raises:
        TrainError: If there is none of that name.
    """
    if name not in shipped_recipes():
        raise TrainError(f'no recipe {name!r}; there are {", ".join(shipped_recipes())}')
    return share_folder(FOLDER) / f'{name}.yaml'


def read(path: Path) -> dict[str, Any]:
    """Return the content of a recipe file.

    Raises:
        TrainError: If it is not a mapping.
    """
    try:
        data = load_yaml(read_text(path))
    except (TextError, yaml.YAMLError) as err:
        raise TrainError(f'{path}: {err}') from None
    if not isinstance(data, dict):
        raise TrainError(f'{path}: expected a mapping, got {data!r}')
    return data


def merged(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with the keys of ``change`` put in, mapping by mapping."""
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        result[key] = merged(old, value) if both else value  # type: ignore[arg-type]
    return result


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """Return ``['run.steps=10', ...]`` as nested mappings; values are YAML.

    Raises:
        TrainError: If a text is no assignment.
    """
    result: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition('=')
        if not sign or not key:
            raise TrainError(f'expected KEY=VALUE such as run.steps=1000, got {text!r}')
        nested: Any = load_yaml(value)
        for part in reversed(key.split('.')):
            nested = {part: nested}
        result = merged(result, nested)
    return result


def build(data: Mapping[str, Any], where: str) -> tuple[Recipe, RunConfig]:
    """Return the recipe and the run that plain data describe.

    Args:
        data: ``recipe`` (a class name), that class's fields, and ``run``.
        where: Where the data come from, for messages.

    Raises:
        TrainError: If a key is unknown or missing, or a value is of another type.
    """
    settings = dict(data)
    name, run = settings.pop('recipe', None), settings.pop('run', None)
    if name is None or run is None:
        raise TrainError(f"{where}: 'recipe' and 'run' are required; got {sorted(data)}")
    try:
        return from_dict(settings, recipe_class(name)), from_dict(run, RunConfig, 'run')
    except ConfigError as err:
        raise TrainError(f'{where}: {err}') from None
