"""The file of the map that a node makes or uses."""

from __future__ import annotations

import threading
from pathlib import Path

from dlcv.estimation.slam.accuracy import common_error
from dlcv.estimation.slam.files import PlaceError, load_place, save_place
from dlcv.estimation.slam.online import Online
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.points import with_landmarks
from dlcv.files import expanded
from dlcv.interface.slam_parameters import SlamParameters

_SOURCE = 'slam'  # in the words that say what a map was made of
_GROWN = 1.25  # times the keyframes, from which on it is measured anew how far they are off


class MapFile:
    """Reads and writes it; every method may be called in any thread.

    Args:
        described: Name of what says how pictures look as wholes.
    """

    def __init__(self, described: str) -> None:
        self._described = described
        self._writing = threading.Lock()
        self._saved: tuple[int, ...] = ()
        self._measured = 0  # keyframes of the map when it was measured how far they are off

    def open(self, parameters: SlamParameters, *, must: bool = False) -> PlaceMap:
        """Return the map to begin with.

        Args:
            parameters: Name its file.
            must: Whether it must be there.

        Raises:
            PlaceError: It cannot be read, or is of no use.
        """
        p = parameters
        path = expanded(p.map_file)
        if not p.map_file and must:
            raise PlaceError('no map is named (parameter map_file)')
        if not p.map_file or not (path.exists() or must or p.localize_only):
            if p.map_file and not path.absolute().parent.is_dir():
                raise PlaceError(f'{path}: there is no folder for it (parameter map_file)')
            self._saved = ()
            return self.empty(p)
        place = load_place(path)
        if place.frame != p.map_frame:
            raise PlaceError(
                f'{path}: it is in frame {place.frame!r}, not in {p.map_frame!r} (parameter '
                'map_frame)'
            )
        if place.described != self._described:
            raise PlaceError(
                f'{path}: it describes places by {place.described!r}, which cannot be compared '
                f'with {self._described!r}'
            )
        self._saved = _mark(place)
        self._measured = len(place) if place.common else 0
        return place

    def empty(self, parameters: SlamParameters) -> PlaceMap:
        """Return a map that is begun."""
        self._measured = 0
        return PlaceMap(
            frame=parameters.map_frame, described=self._described, scaled=parameters.scale_drifts
        )

    def differs(self, online: Online) -> bool:
        """Whether a map has grown since it was written or read."""
        mark = _mark(online.place)
        return bool(mark[0]) and mark != self._saved

    def save(self, online: Online, parameters: SlamParameters) -> str:
        """Write a map; return what was written, in words.

        How far off poses in it are is measured before, where it has grown; see `common_error`.

        Raises:
            PlaceError: It has no file, or is empty.
            OSError: It cannot be written.
        """
        if not parameters.map_file:
            raise PlaceError('no file is named (parameter map_file)')
        path = expanded(parameters.map_file)
        with self._writing:
            made = online.place
            place = online.snapshot()
            if not len(place):
                raise PlaceError('nothing was mapped so far')
            mark = _mark(place)
            if len(place) > _GROWN * self._measured:
                made.common = place.common = common_error(place)
                self._measured = len(place)
            whole = with_landmarks(place)
            if _SOURCE not in whole.source.split(', '):
                whole.source = ', '.join(filter(None, (whole.source, _SOURCE)))
            save_place(whole, Path(path))
            self._saved = mark
        return f'{len(whole)} keyframes and {len(whole.landmarks)} landmarks in {path}'


def grid_file(parameters: SlamParameters) -> Path:
    """Return the name of the occupancy grid beside a map."""
    return expanded(parameters.map_file).with_suffix('.yaml')


def _mark(place: PlaceMap) -> tuple[int, ...]:
    """Return what tells a map from an earlier one."""
    newest = place.keyframes[-1].stamp_ns if len(place) else 0
    return len(place), len(place.edges), place.named, newest
