"""Things that boxes are put around: one table for all who speak of them.

Unlike the classes of surfaces in `dlcv.classes`, a thing is one of several: this chair, not that
one. Numbers do not change: weights and files of boxes hold them.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of thing.

    Attributes:
        name: What it is called.
        colour: RGB in which its boxes are drawn.
        says: What belongs to it.
    """

    name: str
    colour: tuple[int, int, int]
    says: str = ''


KINDS = (
    Kind('person', (220, 20, 60)),
    Kind('vehicle', (60, 90, 255), 'car, van, cart, other robot'),
    Kind('chair', (255, 140, 0), 'with armchairs, without sofas and benches'),
    Kind('table', (200, 120, 50), 'with desks, with what lies on a desk'),
    Kind('shelf', (170, 90, 200), 'bookcase, boards on the wall, rack; open ones'),
    Kind('plant', (90, 190, 40), 'in a pot'),
    Kind('door', (0, 180, 190), 'with its frame'),
    Kind('sign', (240, 220, 0), 'signs, billboards, notice boards, name plates'),
    Kind('box', (210, 170, 120), 'cartons, and boxes that fly'),
    Kind('screen', (120, 220, 230), 'of a computer, television'),
)
"""By number."""

KIND_NUMBER = {one.name: number for number, one in enumerate(KINDS)}


def kinds_of(text: str) -> tuple[int, ...]:
    """Return the numbers of the kinds that a text names, between commas; all of an empty one.

    Raises:
        ValueError: If there is no such kind.
    """
    names = [name.strip() for name in text.split(',')] if text.strip() else list(KIND_NUMBER)
    if unknown := [name for name in names if name not in KIND_NUMBER]:
        raise ValueError(f'no kind {", ".join(unknown)}; there are {", ".join(KIND_NUMBER)}')
    return tuple(KIND_NUMBER[name] for name in names)
