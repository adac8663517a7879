"""The words: how a statement may be put, and what a sentence states.

The language is finite and small: all that can be said is written down once, with its meaning, and
a sentence is understood by looking it up. Whoever speaks otherwise is not understood.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product

from dlcv.data.captions.facts import (
    DISTANCES,
    LIGHTS,
    MANY,
    PLACES,
    SIDES,
    PlaceSaid,
    Statement,
    ThingsSaid,
)

KINDS = {
    'person': 'people',
    'vehicle': 'vehicles',
    'chair': 'chairs',
    'table': 'tables',
    'shelf': 'shelves',
    'plant': 'plants',
    'door': 'doors',
    'sign': 'signs',
    'box': 'boxes',
    'screen': 'screens',
}
"""What things are called, one and several of them."""

MOTIONS = {'person': ('standing', 'walking'), 'vehicle': ('standing', 'driving')}
"""What is said of things at rest and moving, of the kinds that can move."""

STOP = '.'  # ends a statement
_COUNTS = {1: 'a', 2: 'two', 3: 'three', MANY: 'several'}
_WHERE = {'left': 'on the left', 'middle': 'in the middle', 'right': 'on the right'}
_FAR = ('close by', 'a few steps away', 'some way off', 'far away')
_PLACES = {
    '': ('a {}', 'this is a {}', 'the picture shows a {}'),
    'sunny': ('a {} in the sun', 'a sunny {}', 'this is a {} on a sunny day'),
    'overcast': ('a {} under a grey sky', 'this is a {} on a grey day'),
}
_THINGS = ('{n} {where}', '{where} {be} {n}', 'there {be} {n} {where}')
_MOVING = (
    '{n} {doing} {where}',
    '{where} {be} {n} {doing}',
    '{where} {n} {be} {doing}',
    'there {be} {n} {doing} {where}',
)
_AT = ('{} , {far}', '{far} , {}')


def phrasings(statement: Statement) -> tuple[str, ...]:
    """Return the ways to put a statement, words and commas separated by blanks."""
    if isinstance(statement, PlaceSaid):
        return tuple(form.format(statement.place) for form in _PLACES[statement.light])
    one = statement.count == 1
    words = {
        'n': f'{_COUNTS[statement.count]} {statement.kind if one else KINDS[statement.kind]}',
        'where': _WHERE[statement.side],
        'be': 'is' if one else 'are',
    }
    forms: tuple[str, ...] = _THINGS
    if statement.moves is not None:
        words['doing'] = MOTIONS[statement.kind][statement.moves]
        forms = _MOVING
    said = tuple(form.format(**words) for form in forms)
    if statement.step is None:
        return said
    return tuple(at.format(one, far=_FAR[statement.step]) for one in said for at in _AT)


def statements_of(text: str) -> list[Statement | None]:
    """Return what a text states, statement by statement; None for one that is not understood.

    Args:
        text: Statements that end with ``.``, as the words of `phrasings`; one that lacks its end
            is not understood.
    """
    *whole, rest = text.split(STOP)
    known = _meanings()
    found = [known.get(' '.join(part.split())) for part in whole]
    return [*found, None] if rest.strip() else found


def _all_statements() -> Iterator[Statement]:
    for place, light in product(PLACES, LIGHTS):
        yield PlaceSaid(place=place, light=light)
    steps = (None, *range(len(DISTANCES) + 1))
    for kind, side, count, step in product(KINDS, SIDES, _COUNTS, steps):
        for moves in (None, False, True) if kind in MOTIONS else (None,):
            yield ThingsSaid(kind=kind, side=side, count=count, step=step, moves=moves)


@cache
def _meanings() -> dict[str, Statement]:
    """Return every phrase of the language with what it states."""
    return {text: said for said in _all_statements() for text in phrasings(said)}


GRAMMAR_WORDS = tuple(sorted({word for text in _meanings() for word in text.split()} | {STOP}))
"""All words of the language."""
