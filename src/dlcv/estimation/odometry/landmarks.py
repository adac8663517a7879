"""The landmarks of visual odometry, each along the ray of one keyframe, and sightings of them.

Lengths are in units of the window.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

LEAST = 1e-4
"""Inverse depth, 1/unit: farther is as good as infinite."""


def rows_among(known: Indices, names: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
    """Return ``(N,)`` where names stand among some known ones, and which of them do.

    Args:
        known: ``(L,)`` rising.
        names: ``(N,)``.
    """
    if not len(known):
        return np.zeros(len(names), np.int64), np.zeros(len(names), np.bool_)
    rows = np.minimum(np.searchsorted(known, names), len(known) - 1)
    return rows, known[rows] == names


@dataclass(kw_only=True, slots=True, eq=False)
class LandmarkTable:
    """Points of the scene, one to a row, by rising name.

    Attributes:
        name: ``(L,)`` one for ever.
        anchor: ``(L,)`` number of the keyframe on whose ray it lies.
        rays: ``(L, 2)`` that ray, as x/z and y/z.
        inverse_depth: ``(L,)`` 1/z in the anchor.
        variance: ``(L,)`` of the inverse depth.
        prior: ``(L,)`` measured inverse depth in the anchor.
        prior_stddev: ``(L,)`` of that; infinite where none was measured.
        descriptors: ``(L, D)`` float32, of the last picture that showed it.
        pixels: ``(L, 2)`` float32, where the last picture showed it.
        origin: ``(L, 2)`` float32, where the anchor shows it, in pixels.
        last_seen: ``(L,)`` number of that picture.
        links: ``(L,)`` how many pictures it was fitted through since its anchor.
    """

    name: Indices
    anchor: Indices
    rays: Matrix
    inverse_depth: Matrix
    variance: Matrix
    prior: Matrix
    prior_stddev: Matrix
    descriptors: FloatArray
    pixels: FloatArray
    origin: FloatArray
    last_seen: Indices
    links: Indices

    def __len__(self) -> int:
        return len(self.name)

    @classmethod
    def none(cls, width: int) -> LandmarkTable:
        """Return an empty one; ``width`` is that of the descriptors."""
        whole, real = np.empty(0, np.int64), np.empty(0, np.float64)
        return cls(
            name=whole,
            anchor=whole,
            rays=np.empty((0, 2), np.float64),
            inverse_depth=real,
            variance=real,
            prior=real,
            prior_stddev=real,
            descriptors=np.empty((0, width), np.float32),
            pixels=np.empty((0, 2), np.float32),
            origin=np.empty((0, 2), np.float32),
            last_seen=whole,
            links=whole,
        )

    def rows_of(self, names: Indices) -> tuple[Indices, npt.NDArray[np.bool_]]:
        """Return ``(N,)`` the rows of some names, and which of them are there."""
        return rows_among(self.name, names)

    def keep(self, which: npt.NDArray[np.bool_]) -> None:
        """Forget all others."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name)[which])

    def note(self, seen: Sighting, descriptors: FloatArray, number: int) -> None:
        """Take down how some look, ``(M, D)``, and where, in the picture of a number."""
        self.descriptors[seen.rows] = descriptors
        self.pixels[seen.rows] = seen.pixels
        self.last_seen[seen.rows] = number
        self.links[seen.rows] = seen.links

    def append(self, others: LandmarkTable) -> None:
        """Take in more, with names beyond all that are there."""
        for one in fields(self):
            both = getattr(self, one.name), getattr(others, one.name)
            setattr(self, one.name, np.concatenate(both))


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sighting:
    """Landmarks found again in a picture.

    Attributes:
        rows: ``(M,)`` which landmarks.
        points: ``(M,)`` which keypoints of the picture.
        xy: ``(M, 2)`` where, as x/z and y/z.
        pixels: ``(M, 2)`` where, in pixels.
        stddev: ``(M,)`` how exactly, in units of ``xy``.
        links: ``(M,)`` through how many pictures they were fitted since their anchors.
        away: ``(M,)`` how far from where they were expected they were detected, in the larger
            coordinate of ``xy``; infinite where nothing was expected.
    """

    rows: Indices
    points: Indices
    xy: Matrix
    pixels: FloatArray
    stddev: Matrix
    links: Indices
    away: Matrix

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def none(cls) -> Sighting:
        """Return nothing found."""
        whole, real = np.empty(0, np.int64), np.empty((0, 2))
        return cls(
            rows=whole,
            points=whole,
            xy=real,
            pixels=real,
            stddev=np.empty(0),
            links=whole,
            away=np.empty(0),
        )

    def only(self, which: npt.NDArray[Any]) -> Sighting:
        """Return some of them."""
        return Sighting(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fresh:
    """Points of a picture that no landmark is known for.

    Attributes:
        xy: ``(N, 2)`` where, as x/z and y/z.
        pixels: ``(N, 2)`` where, in pixels.
        descriptors: ``(N, D)``.
        inverse_depth: ``(N,)`` measured or guessed, 1/unit.
        inverse_stddev: ``(N,)`` standard deviation of that.
        measured: ``(N,)`` bool, which.
    """

    xy: Matrix
    pixels: FloatArray
    descriptors: FloatArray
    inverse_depth: Matrix
    inverse_stddev: Matrix
    measured: npt.NDArray[np.bool_]
