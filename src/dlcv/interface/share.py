"""Where the files that come with the package are: parameter files, profile, layouts, launch file.

They lie in three kinds of places: at the root of a source checkout (also ``pip install -e``), in
ament's share tree after ``colcon build``, and in the share tree of the environment after a plain
``pip install``.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import dlcv

PACKAGE = 'dlcv_bringup'


class ShareError(ValueError):
    """A file of the package is not there; the message lists where it was looked for."""


def share_file(relative: str) -> Path:
    """Return the path of a file that comes with the package.

    Args:
        relative: Its place in the checkout, such as ``config/vo.yaml``.

    Raises:
        ShareError: If no installed copy has it.
    """
    return _found(relative, Path.is_file)


def share_folder(relative: str) -> Path:
    """Return the path of a folder that comes with the package; errors as `share_file`."""
    return _found(relative, Path.is_dir)


def _found(relative: str, fits: Callable[[Path], bool]) -> Path:
    places = list(dict.fromkeys(_places(Path(dlcv.__file__).resolve())))
    for place in places:
        if fits(place / relative):
            return place / relative
    raise ShareError(f'no {relative} in {", ".join(map(str, places))}')


def _places(module: Path) -> Iterator[Path]:
    for parent in module.parents:
        if (parent / 'package.xml').is_file():  # the checkout
            yield parent
        elif (parent / 'share' / PACKAGE).is_dir():  # PREFIX of PREFIX/lib/python3.X/...
            yield parent / 'share' / PACKAGE
    for prefix in filter(None, os.environ.get('AMENT_PREFIX_PATH', '').split(os.pathsep)):
        yield Path(prefix) / 'share' / PACKAGE
    yield Path(sys.prefix) / 'share' / PACKAGE
