"""From a view to a description: which of its facts are told, and how they are put."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from dlcv.data.captions.facts import MANY, PlaceSaid, Thing, ThingsSaid, View, step_of
from dlcv.data.captions.grammar import MOTIONS, STOP, phrasings


@dataclass(frozen=True, kw_only=True, slots=True)
class Teller:
    """Who tells of views: the place first, then groups of things of one kind on one side.

    Each description is one way out of many, drawn from random numbers: which groups, in which
    words, and whether distance, light and motion are told. Prominent groups come first and oftener.

    Attributes:
        most: Groups of a description.
        distance: Probability that distances are told.
        light: Probability that light is told where there is something to say of it.
        motion: Probability that motion is told.
    """

    most: int = 3
    distance: float = 0.6
    light: float = 0.7
    motion: float = 0.8

    def __post_init__(self) -> None:
        if self.most < 0 or not all(
            0 <= share <= 1 for share in (self.distance, self.light, self.motion)
        ):
            raise ValueError(
                'a teller needs most >= 0 and probabilities distance, light and motion, got '
                f'{self.most}, {self.distance}, {self.light} and {self.motion}'
            )

    def __call__(self, view: View, rng: np.random.Generator) -> str:
        """Return a description of a view: true statements, each ending with ``.``."""
        far, light, motion = rng.random(3) < (self.distance, self.light, self.motion)
        said: list[PlaceSaid | ThingsSaid] = [
            PlaceSaid(place=view.place, light=view.light if light else '')
        ]
        groups = _groups(view.clear, motion=bool(motion))
        for i in _chosen(groups, self.most, rng):
            kind, side, moves = groups[i][0]
            things = groups[i][1]
            nearest = min(thing.distance for thing in things)
            said.append(
                ThingsSaid(
                    kind=kind,
                    side=side,
                    count=min(len(things), MANY),
                    step=step_of(nearest) if far else None,
                    moves=moves,
                )
            )
        chosen = (_any(phrasings(one), rng) for one in said)
        return ' '.join(f'{text} {STOP}' for text in chosen)


_Key = tuple[str, str, bool | None]
_Group = tuple[_Key, list[Thing]]


def _groups(things: Iterable[Thing], *, motion: bool) -> list[_Group]:
    """Return things by kind, side and, if it is told, motion; the most prominent group first."""
    groups: dict[_Key, list[Thing]] = {}
    for thing in things:
        moves = thing.moves if motion and thing.kind in MOTIONS else None
        groups.setdefault((thing.kind, thing.side, moves), []).append(thing)
    return sorted(groups.items(), key=lambda group: -sum(thing.share for thing in group[1]))


def _chosen(groups: list[_Group], most: int, rng: np.random.Generator) -> list[int]:
    """Return numbers of groups in their order, drawn by the square root of their prominence."""
    if len(groups) <= most:
        return list(range(len(groups)))
    weight = np.sqrt([sum(thing.share for thing in things) for _, things in groups])
    picked = rng.choice(len(groups), most, replace=False, p=weight / weight.sum())
    return sorted(int(i) for i in picked)


def _any(texts: tuple[str, ...], rng: np.random.Generator) -> str:
    return texts[int(rng.integers(len(texts)))]
