"""The occupancy grid of a map that is being made or used, for planners."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.grid import GridMapper, GridSettings, Occupancy
from dlcv.estimation.slam.grid_file import GridFileError, load_grid, over, save_grid
from dlcv.estimation.slam.online import Online
from dlcv.types import Aids

NETWORK = 0.1  # standard deviation of a network's depth, as a share of it

Matrix = npt.NDArray[np.float64]


class MapGrid:
    """Draws pictures of depth into a grid; every method may be called in any thread.

    Args:
        settings: How.
    """

    def __init__(self, settings: GridSettings) -> None:
        self._mapper = GridMapper(settings)
        self._lock = threading.Lock()
        self._below: Occupancy | None = None
        self._drawn: tuple[int, int] | None = None
        self._added = 0

    def begin(self, file: Path | None) -> str:
        """Begin anew, over what a map's file has beside it.

        Returns:
            Why what is there is not shown, in words; empty where it is, or nothing is there.
        """
        with self._lock:
            self._mapper.reset()
            self._below, self._drawn = None, None
            self._added += 1
            if file is None or not file.is_file():
                return ''
            try:
                self._below = load_grid(file)
                if not np.isclose(self._below.resolution, self._mapper.settings.resolution):
                    self._below = None
                    return f'{file}: its cells are not of grid_resolution, and are not shown'
            except GridFileError as err:
                return str(err)
        return ''

    def add(self, aids: Aids, online: Online) -> None:
        """Draw the depth of the picture that the map was shown last."""
        depth, perch = aids.depth, online.perch()
        if depth is None or depth.depth is None or depth.camera is None or perch is None:
            return
        doubted = NETWORK * depth.depth if aids.depth_source == 'network' else None
        with self._lock:
            self._added += self._mapper.add(
                depth.depth, depth.camera, *perch, online.poses(), doubted
            )

    def render(self, online: Online, *, anew: bool = False) -> Occupancy | None:
        """Return the grid; None where there is none, or it is the one of the last time.

        Args:
            online: The map, whose keyframes it goes by.
            anew: Also the one of the last time.
        """
        with self._lock:
            mark = self._added, online.version
            if mark == self._drawn and not anew:
                return None
            found = self._mapper.render(online.poses())
            if not anew:
                self._drawn = mark
            if found is None or self._below is None:
                return found or self._below
            return over(found, self._below)

    def save(self, online: Online, file: Path) -> None:
        """Write the grid beside a map, if there is one.

        Raises:
            OSError: It cannot be written.
        """
        found = self.render(online, anew=True)
        if found is not None:
            save_grid(found, file)
