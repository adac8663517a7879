"""Keyframes by numbers that stay, for what hangs on them while others are left out of the map."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.place import PlaceMap
from dlcv.geometry.frames import inverse

Indices = npt.NDArray[np.int64]
Matrix = npt.NDArray[np.float64]


class StableNumbers:
    """Gives each keyframe of a growing map a number for ever; one that is gone moves with another.

    Args:
        place: The map so far.
    """

    def __init__(self, place: PlaceMap) -> None:
        self._names = list(range(len(place)))  # of the keyframes that the map has
        self._count = len(place)
        self._carried: dict[int, tuple[int, Matrix]] = {}  # gone -> by whom, and how it lies there

    def add(self) -> None:
        """Take note of another keyframe."""
        self._names.append(self._count)
        self._count += 1

    def of(self, keyframe: int) -> int:
        """Return the number for ever of a keyframe of the map as it is now."""
        return self._names[keyframe]

    def leave_out(self, gone: Indices, poses: Matrix) -> None:
        """Let some be carried by those before them.

        Args:
            gone: As the map had numbered them; no two are neighbours.
            poses: ``(K, 4, 4)`` of all that it had.
        """
        for k in gone.tolist():
            name, host = self._names[k], self._names[k - 1]
            there = inverse(poses[k - 1]) @ poses[k]
            for other, (by, beside) in self._carried.items():
                if by == name:
                    self._carried[other] = host, there @ beside
            self._carried[name] = host, there
        without = set(gone.tolist())
        self._names = [name for k, name in enumerate(self._names) if k not in without]

    def poses(self, poses: Matrix) -> Matrix:
        """Return where all are that ever were, by the ``(K, 4, 4)`` of those that the map has."""
        found: Matrix = np.tile(np.eye(4), (self._count, 1, 1))
        found[self._names] = poses
        for name, (host, there) in self._carried.items():
            found[name] = found[host] @ there
        return found
