"""What a surface may be: the classes of semantic segmentation, one table for all who speak of them.

A label map holds the number of a class at each pixel, `UNLABELLED` where nobody knows. Numbers do
not change: files of labels, weights and messages hold them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dlcv.types import ByteImage

UNLABELLED = 255


@dataclass(frozen=True, slots=True)
class Class:
    """A kind of surface.

    Attributes:
        name: What it is called.
        colour: RGB in which it is shown.
        moves: Whether such a thing can move by itself, though it may stand.
        traversable: Whether a robot on wheels can go there.
        says: What belongs to it.
    """

    name: str
    colour: tuple[int, int, int]
    moves: bool = False
    traversable: bool = False
    says: str = ''


CLASSES = (
    Class('road', (128, 64, 128), traversable=True, says='carriageway with what is painted on it'),
    Class('pavement', (244, 35, 232), traversable=True, says='with its kerb'),
    Class('floor', (190, 160, 110), traversable=True, says='indoors, with rugs'),
    Class('ground', (152, 251, 152), traversable=True, says='lawn, soil, gravel'),
    Class('wall', (102, 102, 156), says='indoors, with its skirting'),
    Class('ceiling', (205, 205, 225), says='with lamps that are let into it'),
    Class('building', (70, 70, 70), says='from outside, with its windows and balconies'),
    Class('sky', (70, 130, 180)),
    Class('vegetation', (107, 142, 35), says='trees, bushes, tall grass, pot plants'),
    Class('person', (220, 20, 60), moves=True),
    Class('vehicle', (0, 0, 142), moves=True, says='car, van, cart, other robot'),
    Class('furniture', (200, 120, 50), says='with what lies on it and in it'),
    Class('door', (150, 75, 20), says='with its frame'),
    Class('window', (120, 220, 230), says='seen from inside, with its frame'),
    Class('sign', (220, 220, 0), says='signs, billboards, notice boards'),
    Class('other', (255, 140, 160), says='poles, fences, bins, pictures, curtains, lamps, ...'),
)
"""By number."""

NUMBER = {one.name: number for number, one in enumerate(CLASSES)}


def colours() -> ByteImage:
    """Return the colour of each number, ``(256, 3)`` RGB; black for numbers of no class."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(CLASSES)] = [one.colour for one in CLASSES]
    return table


def table_text() -> str:
    """Return the table as text: one line ``number name red green blue``, and what holds of it."""
    lines = [
        ' '.join(
            [str(number), one.name, *map(str, one.colour)]
            + ['moves'] * one.moves
            + ['traversable'] * one.traversable
        )
        for number, one in enumerate(CLASSES)
    ]
    return '\n'.join([*lines, f'{UNLABELLED} unlabelled 0 0 0'])
