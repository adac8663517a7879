"""How a camera sits on a body, as a person writes it: numbers, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import yaml

from dlcv.config import load_yaml
from dlcv.data.datasets.columns import read_table
from dlcv.data.datasets.errors import DatasetError
from dlcv.data.datasets.files import numbers
from dlcv.data.datasets.poses import from_rows, from_xyzw
from dlcv.data.recordings.errors import RecordingError
from dlcv.files import TextError, expanded, read_text
from dlcv.types import FloatArray

KEYS = ('body_from_camera', 'T_BS')  # the second is EuRoC's, in the camera's sensor.yaml
_WANTED = (
    '7 numbers "x y z qx qy qz qw", 12 or 16 numbers row by row, a text file of these, or a YAML '
    f'file that has them under {" or ".join(KEYS)}'
)


def read_extrinsics(given: FloatArray | str) -> FloatArray:
    """Return ``body_from_camera``, ``(4, 4)`` metres.

    Args:
        given: The matrix; or 7 numbers (position and quaternion xyzw), 12 or 16 (a matrix row by
            row); or a text file of such numbers; or a YAML file that has them under one of `KEYS`,
            such as EuRoC's ``sensor.yaml``.

    Raises:
        RecordingError: It is none of these, or no rigid motion.
    """
    try:
        if not isinstance(given, str):
            return _rigid([str(value) for value in np.ravel(given)], Path('extrinsics'))
        path = expanded(given)
        if not path.is_file():
            return _rigid(given.replace(',', ' ').split(), Path('extrinsics'))
        words = _of_yaml(path) if path.suffix in ('.yaml', '.yml') else _of_text(path)
        return _rigid(words, path)
    except DatasetError as err:
        raise RecordingError(f'{err}; extrinsics are {_WANTED}') from err


def _of_text(path: Path) -> list[str]:
    """Return the numbers of a file; if it names their columns, x y z qx qy qz qw."""
    table = read_table(path, timed=False)
    if table.columns is not None and len(table.rows) == 1:
        return [table.rows[0][2][at] for at in table.columns.pose]
    return [word for _, _, words in table.rows for word in words if word]


def _of_yaml(path: Path) -> list[str]:
    try:
        data = load_yaml(read_text(path).removeprefix('%YAML:1.0'))
    except (OSError, TextError, yaml.YAMLError) as err:
        raise DatasetError(f'{path}: cannot be read: {" ".join(str(err).split())}') from None
    there = data if isinstance(data, dict) else {}
    values: Any = next((there[key] for key in KEYS if key in there), None)
    if values is None:
        raise DatasetError(f'{path}: no {" or ".join(KEYS)}; it has {sorted(map(str, there))}')
    if isinstance(values, dict):
        values = values.get('data')
    return [str(value) for value in np.ravel(values)]


def _rigid(words: list[str], path: Path) -> FloatArray:
    if len(words) not in (7, 12, 16):
        raise DatasetError(f'{path}: {len(words)} values, {" ".join(words)!r:.60}')
    values = numbers(path, 1, words, len(words))
    if len(values) == 7:
        return from_xyzw(path, 1, values[:3], values[3:])
    matrix = from_rows(path, 1, values)
    if not np.allclose(matrix[3], (0, 0, 0, 1)):
        raise DatasetError(f'{path}: the last row of a rigid motion is 0 0 0 1, got {values[12:]}')
    return matrix
