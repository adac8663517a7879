"""A folder as the command line names it, with what it does not say itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dlcv.config import ConfigError, from_dict, load_yaml
from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.folder import FolderOptions

_ASKED = ('rate', 'sequence', 'depth_scale', 'depth_folder', 'groundtruth')


def named_folder(text: str | Path) -> tuple[str, FolderOptions]:
    """Return the folder that a text names, and what it says about it.

    Args:
        text: ``DIR`` or ``DIR,depth_scale=256,rate=10``; the names are fields of `FolderOptions`.

    Raises:
        DatasetError: An option does not exist or has another type.
    """
    path, *words = str(text).split(',')
    values: dict[str, Any] = {}
    for word in words:
        name, sign, value = word.partition('=')
        if not sign or name not in _ASKED:
            raise DatasetError(
                f'{text}: expected DIR,NAME=VALUE,... with a name of {", ".join(_ASKED)}; got '
                f'{word!r}'
            )
        values[name] = str(value) if name == 'sequence' else load_yaml(value)
    try:
        return path, from_dict(values, FolderOptions)
    except ConfigError as err:
        raise DatasetError(f'{text}: {err}') from None
