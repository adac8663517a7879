"""An occupancy grid as a picture and a text beside it, as Nav2's map_server reads and writes it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import yaml

from dlcv.estimation.slam.grid import UNKNOWN, Occupancy
from dlcv.files import write_whole

_FREE, _OCCUPIED, _GREY = 254, 0, 205  # of the picture; the last is unknown
_OVER, _UNDER = 0.65, 0.196  # shares of black that decide a cell; the grey has a little more


class GridFileError(ValueError):
    """A file is no grid; the message says why."""


def save_grid(grid: Occupancy, path: Path) -> None:
    """Write ``NAME.yaml``, and ``NAME.pgm`` beside it.

    Args:
        grid: What is known of the ground.
        path: ``NAME.yaml``.

    Raises:
        OSError: It cannot be written.
    """
    picture = np.full(grid.values.shape, _GREY, np.uint8)
    picture[(grid.values >= 0) & (grid.values < 50)] = _FREE
    picture[grid.values >= 50] = _OCCUPIED
    height, width = picture.shape
    beside = path.with_suffix('.pgm')
    write_whole(beside, f'P5\n{width} {height}\n255\n'.encode() + picture[::-1].tobytes())
    told = {
        'image': beside.name,
        'mode': 'trinary',
        'resolution': grid.resolution,
        'origin': [*map(float, grid.origin), 0.0],
        'negate': 0,
        'occupied_thresh': _OVER,
        'free_thresh': _UNDER,
    }
    write_whole(path, yaml.safe_dump(told, sort_keys=False))


def load_grid(path: Path) -> Occupancy:
    """Read what `save_grid` or Nav2's map_saver wrote.

    Raises:
        GridFileError: It is missing or something else.
    """
    import cv2

    try:
        told = yaml.safe_load(path.read_text(encoding='utf-8'))
        picture = cv2.imread(str(path.with_name(str(told['image']))), cv2.IMREAD_GRAYSCALE)
        resolution, (x, y) = float(told['resolution']), map(float, told['origin'][:2])
        over, under = float(told['occupied_thresh']), float(told['free_thresh'])
        negated = bool(told['negate'])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as err:
        raise GridFileError(f'{path}: no map of map_server: {err}') from None
    if picture is None or not resolution > 0:
        raise GridFileError(f'{path}: its picture cannot be read, or resolution is not above 0')
    share = np.asarray(picture[::-1], np.float64) / 255
    black = share if negated else 1 - share
    values = np.full(black.shape, UNKNOWN, np.int8)
    values[black < under] = 0
    values[black > over] = 100
    return Occupancy(values=values, resolution=resolution, origin=(x, y))


def over(above: Occupancy, below: Occupancy) -> Occupancy:
    """Return one grid over another: the lower one shows where nothing is known of the upper one.

    Raises:
        GridFileError: Their cells are not of one size.
    """
    size = above.resolution
    if not np.isclose(size, below.resolution, rtol=1e-3):
        raise GridFileError(f'cells of {below.resolution} m do not lie under cells of {size} m')
    corners = [np.rint(np.array(one.origin) / size).astype(int) for one in (below, above)]
    ends = [c + one.values.shape[::-1] for c, one in zip(corners, (below, above), strict=True)]
    low, high = np.min(corners, axis=0), np.max(ends, axis=0)
    values: npt.NDArray[np.int8] = np.full(tuple((high - low)[::-1]), UNKNOWN, np.int8)
    for one, corner in zip((below, above), corners, strict=True):
        x, y = corner - low
        height, width = one.values.shape
        there = values[y : y + height, x : x + width]
        values[y : y + height, x : x + width] = np.where(one.values == UNKNOWN, there, one.values)
    return replace(above, values=values, origin=(float(low[0] * size), float(low[1] * size)))
