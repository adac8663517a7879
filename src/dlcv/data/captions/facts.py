"""What can be said of a picture, and whether it is true of what the picture shows.

A statement is a bundle of facts, each of which is true or not: that there is such a thing at all,
on which side, how many, how far the nearest of them is, and whether they move. Where the truth
itself has no sharp edge (a thing that is hardly seen, or stands between left and middle) a
statement is true if it is so for one way to see it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

PLACES = ('room', 'corridor', 'street')
LIGHTS = ('', 'sunny', 'overcast')
SIDES = ('left', 'middle', 'right')  # thirds of the picture
DISTANCES = (2.0, 5.0, 12.0)  # metres at which one word for a distance ends and the next begins
MANY = 4  # things of which no more is said than that they are several

CLEAR = 0.004  # share of the picture from which on a thing is counted in any case,
_SEEN = 0.25  # if so much of it is seen,
VISIBLE = 0.0008  # and share of the picture below which it is not counted in any case
_EDGE = 0.05  # of the width: so near to the edge of a third a thing is on both sides of it
_SLACK = 1.1  # factor by which a distance may miss its word


@dataclass(frozen=True, kw_only=True, slots=True)
class Thing:
    """One thing in a picture.

    Attributes:
        kind: What it is called, as in `dlcv.data.captions.KINDS`.
        x: Middle of what is seen of it, from 0 at the left to 1 at the right.
        distance: Metres.
        share: Of the picture's pixels, those that show it.
        seen: How much of it is seen: the rest is hidden or out of the picture.
        moves: Whether it is moving just now.
    """

    kind: str
    x: float
    distance: float
    share: float
    seen: float = 1.0
    moves: bool = False

    @property
    def clear(self) -> bool:
        """Whether it is counted in any case."""
        return self.share >= CLEAR and self.seen >= _SEEN

    @property
    def side(self) -> str:
        """The third of the picture that it is in."""
        return SIDES[min(max(int(3 * self.x), 0), 2)]

    def on(self, side: str) -> bool:
        """Whether one may say that it is on that side."""
        low = SIDES.index(side) / 3
        return low - _EDGE <= self.x <= low + 1 / 3 + _EDGE

    def at(self, step: int) -> bool:
        """Whether one may say that it is at a distance: see `step_of`."""
        return step_of(self.distance / _SLACK) <= step <= step_of(self.distance * _SLACK)


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """All that is true of a picture.

    Attributes:
        place: One of `PLACES`.
        light: One of `LIGHTS`, the first where there is nothing to say of it.
        things: What can be seen, in any order.
    """

    place: str
    light: str = ''
    things: tuple[Thing, ...] = ()

    @property
    def clear(self) -> tuple[Thing, ...]:
        """The things that are seen well, the most prominent first."""
        clear = (thing for thing in self.things if thing.clear)
        return tuple(sorted(clear, key=lambda thing: -thing.share))

    def mirrored(self) -> View:
        """Return what is true when left and right are exchanged."""
        things = tuple(replace(thing, x=1 - thing.x) for thing in self.things)
        return replace(self, things=things)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaceSaid:
    """A statement of the place and, where ``light`` is not empty, of its light."""

    place: str
    light: str = ''


@dataclass(frozen=True, kw_only=True, slots=True)
class ThingsSaid:
    """A statement of things of one kind on one side.

    Attributes:
        kind: Of the things.
        side: One of `SIDES`.
        count: How many; `MANY` for so many or more.
        step: How far the nearest is, see `step_of`; None if nothing is said of it.
        moves: Whether they move; None if nothing is said of it.
    """

    kind: str
    side: str
    count: int
    step: int | None = None
    moves: bool | None = None


Statement = PlaceSaid | ThingsSaid


def step_of(distance: float) -> int:
    """Return the number of the word for a distance in metres: 0 below the first of `DISTANCES`."""
    return sum(distance >= edge for edge in DISTANCES)


def holds(statement: Statement, view: View) -> dict[str, bool]:
    """Return the facts of a statement by name, and whether each is true of a view.

    Facts of things that are not there are false.
    """
    if isinstance(statement, PlaceSaid):
        facts = {'place': statement.place == view.place}
        if statement.light:
            facts['light'] = statement.light == view.light
        return facts
    seen = [t for t in view.things if t.kind == statement.kind and t.share >= VISIBLE]
    here = [t for t in seen if t.on(statement.side)]
    facts = {'thing': bool(seen), 'side': bool(here)}
    if statement.moves is not None:
        here = [t for t in here if t.moves == statement.moves]
        facts['motion'] = bool(here)
    surely = [t for t in here if t.clear and _only(t, statement.side)]
    most = min(len(here), MANY)
    facts['count'] = min(len(surely), MANY) <= statement.count <= most
    if statement.step is not None:
        limit = min((t.distance for t in surely), default=float('inf'))
        nearest = (t for t in here if t.distance <= limit)  # each may be taken for the nearest
        facts['distance'] = any(t.at(statement.step) for t in nearest)
    return facts


def places_of(view: View) -> set[tuple[str, str]]:
    """Return the pairs of kind and side of all that is seen clearly."""
    return {(thing.kind, thing.side) for thing in view.clear}


def _only(thing: Thing, side: str) -> bool:
    return not any(thing.on(other) for other in SIDES if other != side)
