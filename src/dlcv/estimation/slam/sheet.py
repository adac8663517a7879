"""Cells on a lattice, and patches of them that are drawn where they were moved to, and taken off.

Whole numbers are added, so that what was drawn can be taken off again and nothing is left of it.
Lengths are cells. A move is ``(turn, x, y)``: turned about the origin by an angle, then shifted.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Matrix = npt.NDArray[np.float64]
Rectangle = tuple[int, int, int, int]
"""Least x and y, and those just beyond the greatest."""

_CHUNK = 64  # cells by which a sheet grows
STILL = 0.5
"""Share of a cell that a patch may be off by."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Patch:
    """Whole numbers on cells.

    Attributes:
        corner: x and y of the first cell on the lattice.
        cells: ``(H, W)`` int8; rows rise with y, columns with x. Zero says nothing.
    """

    corner: tuple[int, int]
    cells: npt.NDArray[np.int8]

    @classmethod
    def cropped(cls, cells: npt.NDArray[np.int8], corner: tuple[int, int]) -> Patch:
        """Return only the rows and columns that say anything."""
        rows, columns = (np.flatnonzero(cells.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return cls(corner=corner, cells=np.zeros((0, 0), np.int8))
        x, y = int(columns[0]), int(rows[0])
        kept = cells[y : rows[-1] + 1, x : columns[-1] + 1]
        return cls(corner=(corner[0] + x, corner[1] + y), cells=kept.copy())

    @property
    def rectangle(self) -> Rectangle:
        """Where it lies."""
        (x, y), (height, width) = self.corner, self.cells.shape
        return x, y, x + width, y + height

    def added(self, other: Patch, least: int, most: int) -> Patch:
        """Return both together, each cell no less and no more than it may be."""
        if not self.cells.size:
            return other
        x, y, right, top = united(self.rectangle, other.rectangle)
        whole = np.zeros((top - y, right - x), np.int16)
        for one in (self, other):
            left, low, end, high = one.rectangle
            whole[low - y : high - y, left - x : end - x] += one.cells
        return Patch(corner=(x, y), cells=np.clip(whole, least, most).astype(np.int8))


class Sheet:
    """A rectangle of cells that patches are drawn on; it grows as it must.

    Attributes:
        rectangle: Where it lies.
        cells: ``(H, W)`` int32 sums of what is drawn.
    """

    def __init__(self) -> None:
        self.rectangle: Rectangle = (0, 0, 0, 0)
        self.cells = np.zeros((0, 0), np.int32)
        self._whole = True  # whether there was room for all that was drawn

    def cover(self, wanted: Rectangle, most: int) -> bool:
        """Make room.

        Args:
            wanted: For this at least.
            most: Cells in x and in y that the sheet may have where that is enough.

        Returns:
            Whether everything is still drawn; else the sheet is empty now.
        """
        old = self.rectangle
        if united(old, wanted) == old and self.cells.size:
            return True
        x, y, right, top = wanted
        grown = x // _CHUNK, y // _CHUNK, -(-right // _CHUNK), -(-top // _CHUNK)
        wanted = (grown[0] * _CHUNK, grown[1] * _CHUNK, grown[2] * _CHUNK, grown[3] * _CHUNK)
        both = united(old, wanted) if self.cells.size else wanted
        keep = self._whole and max(both[2] - both[0], both[3] - both[1]) <= most + 2 * _CHUNK
        new = both if keep else wanted
        cells = np.zeros((new[3] - new[1], new[2] - new[0]), np.int32)
        if keep and self.cells.size:
            cells[old[1] - new[1] : old[3] - new[1], old[0] - new[0] : old[2] - new[0]] = self.cells
        self.rectangle, self.cells, self._whole = new, cells, True
        return keep

    def copy(self) -> Sheet:
        """Return another of the same."""
        other = Sheet()
        other.rectangle, other.cells = self.rectangle, self.cells.copy()
        return other

    def draw(self, patch: Patch, move: Matrix, sign: int = 1) -> None:
        """Add a patch where it was moved to, or with a sign of -1 take it off."""
        if not patch.cells.size:
            return
        wanted = reached(patch, move)
        left, low, right, high = self.rectangle
        x, y = max(left, wanted[0]), max(low, wanted[1])
        end, top = min(right, wanted[2]), min(high, wanted[3])
        if (x, y, end, top) != wanted:
            self._whole = False
        if x < end and y < top:
            target = self.cells[y - low : top - low, x - left : end - left]
            target += sign * _seen(patch, move, (x, y, end, top))


def united(one: Rectangle, other: Rectangle) -> Rectangle:
    """Return the least rectangle around both."""
    low = min(one[0], other[0]), min(one[1], other[1])
    return (*low, max(one[2], other[2]), max(one[3], other[3]))


def snapped(patch: Patch, move: Matrix) -> Matrix:
    """Return a move without a turn that hardly matters, and then by whole cells: without loss."""
    x, y, right, top = patch.rectangle
    if abs(move[0]) * np.hypot(right - x, top - y) / 2 > STILL:
        return move
    middle = np.array(((x + right) / 2, (y + top) / 2))
    return np.array((0.0, *np.rint(_moved(middle, move) - middle)))


def apart(patch: Patch, one: Matrix, other: Matrix) -> float:
    """Return how many cells two moves of a patch are apart at most."""
    x, y, right, top = patch.rectangle
    corners = np.array(((x, y), (right, y), (x, top), (right, top)), np.float64)
    return float(np.linalg.norm(_moved(corners, one) - _moved(corners, other), axis=1).max())


def reached(patch: Patch, move: Matrix) -> Rectangle:
    """Return the rectangle in which a patch lies once it was moved."""
    x, y, right, top = patch.rectangle
    corners = np.array(((x, y), (right, y), (x, top), (right, top)), np.float64)
    there = _moved(corners, move)
    low, high = np.floor(there.min(axis=0) + 1e-9), np.ceil(there.max(axis=0) - 1e-9)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def composed(second: Matrix, first: Matrix) -> Matrix:
    """Return the one move that two make, one after the other."""
    return np.array((first[0] + second[0], *_moved(first[1:], second)))


def inverted(move: Matrix) -> Matrix:
    """Return the move back."""
    back = np.array((-move[0], 0.0, 0.0))
    return np.array((-move[0], *-_moved(move[1:], back)))


def _moved(points: Matrix, move: Matrix) -> Matrix:
    cosine, sine = np.cos(move[0]), np.sin(move[0])
    turn = np.array(((cosine, -sine), (sine, cosine)))
    return np.asarray(points @ turn.T + move[1:])


def _seen(patch: Patch, move: Matrix, where: Rectangle) -> npt.NDArray[np.int32]:
    """Return what the cells of a rectangle show of a patch that was moved: its nearest cells."""
    x, y, right, top = where
    (left, low), (height, width) = patch.corner, patch.cells.shape
    back = inverted(move)
    columns, rows = np.arange(x, right) + 0.5, np.arange(y, top)[:, None] + 0.5
    cosine, sine = np.cos(back[0]), np.sin(back[0])
    i = np.floor(cosine * columns - sine * rows + (back[1] - left)).astype(np.int64)
    j = np.floor(sine * columns + cosine * rows + (back[2] - low)).astype(np.int64)
    inside = (i >= 0) & (i < width) & (j >= 0) & (j < height)
    cells = patch.cells[np.where(inside, j, 0), np.where(inside, i, 0)]
    return np.where(inside, cells, 0).astype(np.int32)
