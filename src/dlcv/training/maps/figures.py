"""What a map is worth on pictures that it was not made of, by how far they are from those it was.

A figure without that distance says little: next to a learned picture every map is good.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import inf, isfinite

import numpy as np
import numpy.typing as npt

from dlcv.metrics.relocalization import BOUNDS, Relocalizations, bound_name
from dlcv.training.maps.apart import Far, Nearest

_EDGES = (0.0, 0.5, 1.0, 2.0, inf)  # of ranges of farness


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """How well some pictures were located.

    Attributes:
        pictures: How many.
        nearest_cm: To the nearest learned picture, median; None of none.
        nearest_deg: The same of the turn.
        answered: Share with an accepted pose; None of none.
        within: ``5 cm, 5 deg`` and so on -> share of them that is off by less; empty of none.
        median_cm: Of the distances; None where most were rejected.
        median_deg: Of the angles.
    """

    pictures: int
    nearest_cm: float | None
    nearest_deg: float | None
    answered: float | None
    within: dict[str, float]
    median_cm: float | None
    median_deg: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Band:
    """Pictures of one range of distances.

    Attributes:
        name: The range, for people.
        figure: How well they were located.
    """

    name: str
    figure: Figure


def figure(errors: Relocalizations, apart: Nearest, chosen: npt.NDArray[np.bool_]) -> Figure:
    """Return how well the chosen ones ``(N,)`` were located."""
    some = Relocalizations(metres=errors.metres[chosen], degrees=errors.degrees[chosen])
    count = int(chosen.sum())
    metres, degrees = some.medians
    return Figure(
        pictures=count,
        nearest_cm=100 * float(np.median(apart.metres[chosen])) if count else None,
        nearest_deg=float(np.median(apart.degrees[chosen])) if count else None,
        answered=some.answered if count else None,
        within={bound_name(*bound): some.within(*bound) for bound in BOUNDS if count},
        median_cm=100 * metres if isfinite(metres) else None,
        median_deg=degrees if isfinite(degrees) else None,
    )


def bands(errors: Relocalizations, apart: Nearest, far: Far) -> tuple[Band, ...]:
    """Return how well pictures were located by their distance to the nearest learned one."""
    found = []
    for low, high in itertools.pairwise(_EDGES):
        chosen = (apart.farness >= low) & (apart.farness < high)
        if chosen.any():
            found.append(Band(name=_range(low, high, far), figure=figure(errors, apart, chosen)))
    return tuple(found)


def _range(low: float, high: float, far: Far) -> str:
    if isfinite(high):
        return f'within {100 * high * far.metres:g} cm and {high * far.degrees:g} deg'
    return f'beyond {100 * low * far.metres:g} cm or {low * far.degrees:g} deg'
