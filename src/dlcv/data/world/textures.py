"""The materials of the world, painted by seeded functions: ``(rng) -> (S, S, 3)`` sRGB in [0, 1].

Each has detail at every scale, from stains that span metres to grain of a few millimetres, so that
corners are found near and far.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from dlcv.data.world.noise import (
    Image,
    Rng,
    box_mask,
    cells,
    colour,
    flat,
    fractal,
    grid,
    lettering,
    paint,
    shaded,
    smooth,
    stamp,
    streaks,
)

SIZE = 512
Painter = Callable[[Rng], Image]

PLAIN = frozenset(
    ('plaster', 'wallpaper', 'bricks', 'planks', 'wood', 'dark wood', 'tiles', 'fabric', 'carpet',
     'blue fabric', 'rug', 'concrete', 'asphalt', 'paving', 'grass', 'linoleum', 'carton 2')
)  # fmt: skip
"""Materials without a shape of their own, for which any other texture will do."""

BRIGHT = ('#c8372d', '#e8b33a', '#2f6fb0', '#3a8f5c', '#7a4a9a', '#e0793a', '#20303c', '#efe9dc')

FLOORS = ('#8a8578', '#6f7f86', '#8c6f5c', '#74806a', '#a39a86')


def pick(rng: Rng, codes: tuple[str, ...] = BRIGHT) -> Image:
    """Return one of the colours, slightly varied."""
    tone = colour(codes[int(rng.integers(len(codes)))])
    return np.clip(tone + rng.normal(0, 0.03, 3), 0, 1).astype(np.float32)


# -- plain materials -----------------------------------------------------------------------------


def plaster(rng: Rng, code: str = '#d9d3c4', stains: float = 0.05) -> Image:
    """Painted plaster: trowel marks and fine grain."""
    relief = stains * fractal(rng, SIZE, 1.3) + 0.05 * fractal(rng, SIZE, 0.5, 24)
    return shaded(flat(SIZE, code), relief)


def wallpaper(rng: Rng, code: str = '#c9d2c8') -> Image:
    """Paper with stripes and a printed motif in each cell."""
    picture = plaster(rng, code, 0.02)
    x, y = grid(SIZE)
    ink = pick(rng, ('#6f8f82', '#8a6f5c', '#5d7796'))
    stripe = smooth(np.abs((x * 8 + 0.5) % 1 - 0.5), 0.45, 0.48) * 0.6
    dx = (x * 8 + 0.5) % 1 - 0.5
    dy = (y * 8 + np.floor(x * 8 + 0.5) % 2 / 2) % 1 - 0.5
    petals = 0.2 + 0.1 * np.cos(5 * np.arctan2(dy, dx))
    bloom = smooth((np.hypot(dx, dy) - petals).astype(np.float32), 0.03, -0.03)
    picture = paint(picture, ink, stripe.astype(np.float32))
    return paint(picture, ink, bloom * 0.7)


def bricks(rng: Rng, code: str = '#9c5242', rows: int = 16, columns: int = 8) -> Image:
    """Running bond with mortar, every brick its own shade."""
    wall = cells(SIZE, rows, columns)
    tone = 0.9 + wall.values(rng, -0.22, 0.2) + 0.12 * fractal(rng, SIZE, 0.6, 4)
    picture = shaded(flat(SIZE, code), tone - 1)
    mortar = shaded(flat(SIZE, '#b8b0a2'), 0.12 * fractal(rng, SIZE, 0.5, 8))
    ragged = np.clip(wall.joint(0.0055) + 0.12 * fractal(rng, SIZE, 0.7, 16), 0, 1)
    return shaded(
        paint(picture, mortar, ragged * wall.joint(0.008)), 0.05 * fractal(rng, SIZE, 1.5)
    )


def planks(rng: Rng, code: str = '#a97c50', rows: int = 10) -> Image:
    """Floor boards with grain, knots and dark gaps."""
    floor = cells(SIZE, rows, 1, tuple(rng.random(rows)))
    grain = 0.09 * streaks(rng, SIZE, 0.9, 24) + 0.05 * streaks(rng, SIZE, 0.4, 40)
    shade = floor.values(rng, -0.25, 0.15) + grain + 0.04 * fractal(rng, SIZE, 1.2)
    picture = shaded(flat(SIZE, code), shade)
    return paint(picture, colour('#3a2616'), floor.joint(0.0025))


def wood(rng: Rng, code: str = '#8a5a34') -> Image:
    """A solid board: rings drawn out along the grain."""
    rings = np.sin(9 * streaks(rng, SIZE, 1.8, 5)) * 0.1
    return shaded(flat(SIZE, code), rings + 0.07 * streaks(rng, SIZE, 0.5, 30))


def tiles(rng: Rng, code: str = '#cfd4d6', rows: int = 8) -> Image:
    """Square tiles, glazed, with grey joints."""
    wall = cells(SIZE, rows, rows, (0.0,))
    relief = wall.values(rng, -0.12, 0.08) + 0.04 * fractal(rng, SIZE, 0.9, 3)
    return paint(shaded(flat(SIZE, code), relief), colour('#77746e'), wall.joint(0.0035))


def paving(rng: Rng) -> Image:
    """Concrete slabs of a pavement, with moss and chewing gum."""
    floor = cells(SIZE, 8, 8, (0.0, 0.5))
    relief = floor.values(rng, -0.14, 0.1) + 0.09 * fractal(rng, SIZE, 0.5, 12)
    picture = shaded(flat(SIZE, '#a39d93'), relief + 0.06 * fractal(rng, SIZE, 1.3))
    picture = paint(picture, colour('#4c4a3e'), floor.joint(0.0032))
    return _speckled(rng, picture, 60, 0.004, ('#6d6860', '#c4c0b8', '#57534c'))


def asphalt(rng: Rng) -> Image:
    """Road surface: coarse grain, oil, repairs and cracks."""
    relief = 0.16 * fractal(rng, SIZE, 0.25, 20) + 0.08 * fractal(rng, SIZE, 1.2)
    picture = shaded(flat(SIZE, '#5f5e5d'), relief)
    for _ in range(3):
        left, top = rng.uniform(0.05, 0.6, 2)
        width, height = rng.uniform(0.1, 0.35, 2)
        mask = box_mask(SIZE, left, top, left + width, top + height)
        picture = paint(picture, picture * float(rng.uniform(0.68, 0.85)), mask)
    crack = smooth(np.abs(fractal(rng, SIZE, 1.6)), 0.03, 0.008)
    crack *= smooth(fractal(rng, SIZE, 1.5), 0.2, 0.7)
    picture = paint(picture, colour('#2c2b2a'), crack * 0.8)
    return _speckled(rng, picture, 120, 0.003, ('#8f8c88', '#3b3a39', '#a8a49e'))


def concrete(rng: Rng, code: str = '#9b9891') -> Image:
    """Bare concrete with formwork lines and pores."""
    form = cells(SIZE, 2, 2, (0.0,))
    relief = 0.07 * fractal(rng, SIZE, 1.1) + 0.07 * fractal(rng, SIZE, 0.4, 16)
    picture = shaded(flat(SIZE, code), relief + form.values(rng, -0.05, 0.05))
    picture = paint(picture, colour('#6b6862'), form.joint(0.002))
    return _speckled(rng, picture, 150, 0.002, ('#5d5a55',))


def _speckled(rng: Rng, picture: Image, count: int, radius: float, codes: tuple[str, ...]) -> Image:
    """Scatter small round spots of the given colours; radius is a fraction of the side."""
    size = picture.shape[0]
    reach = int(2 * radius * size) + 1
    steps = np.arange(-reach, reach + 1)
    dx, dy = np.meshgrid(steps, steps)
    for x, y, share in zip(*rng.integers(0, size, (2, count)), rng.random(count), strict=True):
        inside = np.hypot(dx, dy) < radius * size * (0.5 + 1.5 * share)
        picture[(y + dy[inside]) % size, (x + dx[inside]) % size] = pick(rng, codes)
    return picture


def grass(rng: Rng) -> Image:
    """Lawn: blades and bare spots."""
    relief = 0.3 * fractal(rng, SIZE, 0.35, 12) + 0.15 * fractal(rng, SIZE, 1.2)
    picture = shaded(flat(SIZE, '#5d7a3a'), relief)
    bare = smooth(fractal(rng, SIZE, 1.4), 1.0, 1.8)
    return paint(picture, colour('#8a7a55'), bare * 0.6)


def bark(rng: Rng) -> Image:
    """Tree bark: furrows along the trunk."""
    furrow = streaks(rng, SIZE, 0.9, 6).T
    return shaded(flat(SIZE, '#6d5a48'), 0.25 * furrow + 0.1 * fractal(rng, SIZE, 0.5, 16))


def leaves(rng: Rng, code: str = '#547a32') -> Image:
    """Foliage: overlapping leaves, each with its own light."""
    size = SIZE // 2
    picture = shaded(flat(size, '#2c421d'), 0.2 * fractal(rng, size, 0.8))
    angles, lengths = rng.uniform(0, np.pi, 700), rng.uniform(5, 12, 700)
    centres, lights = rng.uniform(0, size, (700, 2)), rng.uniform(-0.35, 0.4, 700)
    tone = colour(code)
    for angle, length, centre, light in zip(angles, lengths, centres, lights, strict=True):
        _leaf(picture, tone * (1 + light), centre, angle, length)
    return np.clip(picture, 0, 1)


def _leaf(picture: Image, tone: Image, centre: Image, angle: float, length: float) -> None:
    size, reach = picture.shape[0], int(length) + 1
    steps = np.arange(-reach, reach + 1)
    dx, dy = np.meshgrid(steps, steps)
    along = dx * np.cos(angle) + dy * np.sin(angle)
    across = dy * np.cos(angle) - dx * np.sin(angle)
    inside = (along / length) ** 2 + (across / (0.45 * length)) ** 2 < 1
    rows = (int(centre[1]) + dy[inside]) % size
    columns = (int(centre[0]) + dx[inside]) % size
    vein = 1 - 0.25 * (np.abs(across[inside]) < 0.7)
    picture[rows, columns] = tone * vein[:, None]


def fabric(rng: Rng, code: str = '#6b4b52') -> Image:
    """Woven cloth with a check."""
    x, y = grid(SIZE)
    weave = 0.08 * np.sin(2 * np.pi * 96 * x) * np.sin(2 * np.pi * 96 * y)
    check = 0.12 * (np.floor(x * 8) % 2) + 0.12 * (np.floor(y * 8) % 2)
    relief = weave + check - 0.12 + 0.06 * fractal(rng, SIZE, 0.8)
    return shaded(flat(SIZE, code), relief.astype(np.float32))


def rug(rng: Rng) -> Image:
    """A carpet: borders, diamonds and pile."""
    x, y = grid(SIZE)
    picture = np.broadcast_to(pick(rng, ('#8c2f2b', '#2c4a6b', '#5a3a2a')), (SIZE, SIZE, 3)).copy()
    edge = np.minimum(np.minimum(x, 1 - x), np.minimum(y, 1 - y))
    for inner, outer in ((0.03, 0.05), (0.09, 0.13), (0.15, 0.16)):
        band = smooth(edge, inner - 0.002, inner) * smooth(edge, outer, outer - 0.002)
        picture = paint(picture, pick(rng, ('#e2cfa4', '#c79a4a', '#1f2a30')), band)
    diamonds = np.abs((x * 8) % 1 - 0.5) + np.abs((y * 8) % 1 - 0.5)
    inside = smooth(edge, 0.16, 0.165)
    for low, high, code in ((0.0, 0.18, '#e2cfa4'), (0.3, 0.36, '#c79a4a'), (0.6, 0.7, '#1f2a30')):
        ring = smooth(diamonds, low - 0.02, low + 0.02) * smooth(diamonds, high + 0.02, high - 0.02)
        picture = paint(picture, colour(code), ring * inside)
    return shaded(picture, 0.12 * fractal(rng, SIZE, 0.3, 30) + 0.05 * fractal(rng, SIZE, 1.2))


def paintwork(rng: Rng, code: str = '#ffffff') -> Image:
    """Sheet metal: almost plain, with dust and small scratches."""
    relief = 0.03 * fractal(rng, SIZE, 1.3) + 0.03 * fractal(rng, SIZE, 0.4, 24)
    return shaded(flat(SIZE, code), (relief - 0.05).astype(np.float32))


def road_paint(rng: Rng) -> Image:
    """White marking, worn through to the asphalt."""
    picture = shaded(flat(SIZE, '#e6e4dc'), 0.06 * fractal(rng, SIZE, 0.6))
    worn = smooth(fractal(rng, SIZE, 0.7, 2), 1.0, 1.5)
    return paint(picture, colour('#6a6867'), worn * 0.8)


def linoleum(rng: Rng) -> Image:
    """Marbled floor covering with scuff marks and seams."""
    picture = np.broadcast_to(pick(rng, FLOORS), (SIZE, SIZE, 3)).copy()
    marble = 0.09 * np.sin(4 * fractal(rng, SIZE, 1.1, 3)) + 0.07 * fractal(rng, SIZE, 0.4, 20)
    picture = shaded(picture, marble.astype(np.float32))
    scuff = smooth(np.abs(fractal(rng, SIZE, 1.3, 2)), 0.02, 0.004)
    scuff *= smooth(fractal(rng, SIZE, 1.2), 0.8, 1.2)
    picture = paint(picture, colour('#2b2926'), scuff * 0.6)
    seams = cells(SIZE, 1, 2, (0.0,)).joint(0.0015)
    return _speckled(rng, paint(picture, picture * 0.7, seams), 40, 0.0025, ('#3a3733', '#d8d2c8'))


def carpet(rng: Rng) -> Image:
    """Office carpet: loops, a woven pattern of squares, stains."""
    tone = pick(rng, ('#4a5566', '#6b5a4a', '#5a6652', '#6a4a4e', '#3f4a52'))
    squares = cells(SIZE, 8, 8, (0.0,))
    relief = 0.16 * fractal(rng, SIZE, 0.15, 60) + squares.values(rng, -0.14, 0.14)
    relief = relief + 0.08 * fractal(rng, SIZE, 1.4)
    return shaded(np.broadcast_to(tone, (SIZE, SIZE, 3)).copy(), relief)


def ceiling_panels(rng: Rng) -> Image:
    """A hung ceiling: 4 x 4 perforated panels on a metal grid."""
    grid_of = cells(SIZE, 4, 4, (0.0,))
    relief = grid_of.values(rng, -0.05, 0.02) + 0.03 * fractal(rng, SIZE, 0.6, 8)
    picture = shaded(flat(SIZE, '#dcdad4'), relief)
    picture = _speckled(rng, picture, 900, 0.0012, ('#8d8a84', '#a29f98'))
    return paint(picture, colour('#f4f4f2'), grid_of.joint(0.006))


def notice_board(rng: Rng) -> Image:
    """Cork with sheets of paper pinned to it."""
    cork = shaded(flat(SIZE, '#a97f52'), 0.25 * fractal(rng, SIZE, 0.3, 30))
    for _ in range(int(rng.integers(7, 13))):
        left, top = (int(v) for v in rng.uniform(0.04, 0.72, 2) * SIZE)
        right, bottom = left + int(rng.integers(70, 130)), top + int(rng.integers(80, 150))
        right, bottom = min(right, SIZE - 16), min(bottom, SIZE - 16)
        cork[top + 4 : bottom + 4, left + 4 : right + 4] *= 0.7
        cork[top:bottom, left:right] = pick(
            rng, ('#f3f1ea', '#f3f1ea', '#f2e27a', '#a9d3e8', '#f0b8b0')
        )
        ink = pick(rng, ('#1c1c20', '#1c1c20', '#24407a', '#8a2620'))
        stamp(cork, lettering(rng, 2, 8), ink, (left + 8, top + 10, right - 8, top + 34))
        stamp(cork, lettering(rng, 7, 16), ink, (left + 8, top + 42, right - 8, bottom - 8))
        middle = (left + right) // 2
        cork[top + 2 : top + 9, middle - 3 : middle + 4] = pick(rng)
    return paint(cork, colour('#c9c6bf'), 1 - box_mask(SIZE, 0.02, 0.02, 0.98, 0.98))


def lockers(rng: Rng) -> Image:
    """Two rows of four steel lockers with slots, locks and name plates."""
    tone = pick(rng, ('#7f93a3', '#b0563f', '#8c9a7a', '#c2b280', '#5c6f8c'))
    units = cells(SIZE, 2, 4, (0.0,))
    relief = units.values(rng, -0.08, 0.06) + 0.03 * fractal(rng, SIZE, 0.8)
    picture = shaded(np.broadcast_to(tone, (SIZE, SIZE, 3)).copy(), relief)
    for row in range(2):
        for column in range(4):
            left, top = column * SIZE // 4, row * SIZE // 2
            for slot in range(4):
                y = top + 22 + 9 * slot
                picture[y : y + 4, left + 36 : left + 92] *= 0.35
            picture[top + 120 : top + 142, left + 98 : left + 108] = colour('#2a2a2c')
            picture[top + 72 : top + 92, left + 40 : left + 88] = colour('#efece4')
            plate = (left + 42, top + 74, left + 86, top + 90)
            stamp(picture, lettering(rng, 1, 5), colour('#20242a'), plate)
    return paint(picture, picture * 0.35, units.joint(0.005))


def keep_clear(rng: Rng) -> Image:
    """A sign of a running figure's like: white shapes and letters on green."""
    picture = flat(SIZE, '#1f7a4a')
    white = colour('#f2f6f2')
    picture = paint(picture, white, box_mask(SIZE, 0.1, 0.2, 0.38, 0.8))
    picture = paint(picture, colour('#1f7a4a'), box_mask(SIZE, 0.16, 0.28, 0.32, 0.8))
    stamp(picture, lettering(rng, 1, 4), white, (230, 160, 480, 350))
    return shaded(picture, 0.03 * fractal(rng, SIZE, 0.8))


# -- pictures that cover a whole face --------------------------------------------------------------


def poster(rng: Rng) -> Image:
    """A framed print: shapes on a ground and lines of text."""
    _, y = grid(SIZE)
    ground, other = pick(rng), pick(rng)
    picture = ground * (1 - y[..., None]) + other * y[..., None]
    for _ in range(int(rng.integers(6, 12))):
        picture = _shape(rng, picture)
    ink = colour('#161616') if picture.mean() > 0.45 else colour('#f2efe6')
    top = int(SIZE * rng.uniform(0.55, 0.75))
    stamp(picture, lettering(rng, 1, 9), ink, (40, top, SIZE - 40, top + 64))
    stamp(picture, lettering(rng, 5, 36), ink, (40, top + 72, SIZE - 40, SIZE - 30))
    picture = shaded(picture, 0.04 * fractal(rng, SIZE, 0.8))
    rim = 1 - box_mask(SIZE, 0.03, 0.03, 0.97, 0.97)
    return paint(picture, pick(rng, ('#2a1d14', '#d8d2c4', '#181818')), rim)


def _shape(rng: Rng, picture: Image) -> Image:
    x, y = grid(SIZE)
    angle = rng.uniform(0, np.pi)
    dx, dy = x - rng.uniform(0.1, 0.9), y - rng.uniform(0.1, 0.7)
    across, along = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    radius = rng.uniform(0.05, 0.22)
    distance = (
        np.hypot(dx, dy),
        np.maximum(np.abs(across), np.abs(along) * rng.uniform(0.4, 2.5)),
        np.maximum(np.abs(across) * 1.7 + along * 0.9, -along),
        np.abs(np.hypot(dx, dy) - radius) + radius * 0.75,
    )[int(rng.integers(4))]
    return paint(picture, pick(rng), smooth(distance.astype(np.float32), radius, radius - 0.004))


def books(rng: Rng) -> Image:
    """A row of book spines with titles."""
    picture, left = flat(SIZE, '#1c1511'), 0
    while left < SIZE - 8:
        right = min(left + int(rng.integers(16, 48)), SIZE)
        top = int(rng.uniform(0, 0.18) * SIZE)
        tone = pick(rng, (*BRIGHT, '#5a2a2a', '#284a3a', '#8a7a5a'))
        picture[top:, left : right - 2] = tone * rng.uniform(0.7, 1.0)
        light = 0.25 if tone.mean() > 0.5 else 0.9
        ink, middle = np.full(3, light, np.float32), int(SIZE * rng.uniform(0.3, 0.6))
        title = lettering(rng, 1, int(rng.integers(5, 12))).T
        stamp(picture, title, ink, (left + 4, middle - 90, right - 5, middle + 110))
        picture[-60:-50, left + 2 : right - 4] = ink * 0.9
        left = right
    return shaded(picture, 0.06 * fractal(rng, SIZE, 0.6, 4))


def carton(rng: Rng) -> Image:
    """A cardboard box: flutes, tape, a printed label."""
    x, _ = grid(SIZE)
    flutes = (0.02 * np.sin(2 * np.pi * 90 * x)).astype(np.float32)
    picture = shaded(flat(SIZE, '#b48a5c'), flutes + 0.06 * fractal(rng, SIZE, 1.0))
    picture = paint(picture, colour('#d8c49a'), box_mask(SIZE, 0.0, 0.46, 1.0, 0.55) * 0.8)
    left, top = (int(v) for v in rng.uniform(0.08, 0.5, 2) * SIZE)
    picture[top : top + 150, left : left + 220] = colour('#efece2')
    dark = colour('#1a1a1a')
    stamp(picture, lettering(rng, 6, 22), dark, (left + 8, top + 8, left + 212, top + 100))
    bars = np.repeat((rng.random(40) < 0.5).astype(np.float32)[None], 4, 0)
    stamp(picture, bars, dark, (left + 8, top + 108, left + 150, top + 142))
    rim = 1 - box_mask(SIZE, 0.008, 0.008, 0.992, 0.992)
    return paint(picture, colour('#7d5c38'), rim)


def door(rng: Rng, code: str = '#7a5a3c') -> Image:
    """A panelled door with a handle."""
    picture = shaded(flat(SIZE, code), 0.09 * streaks(rng, SIZE, 0.7, 20).T)
    for left, top, right, bottom in (
        (0.12, 0.06, 0.46, 0.44), (0.54, 0.06, 0.88, 0.44),
        (0.12, 0.54, 0.46, 0.94), (0.54, 0.54, 0.88, 0.94),
    ):  # fmt: skip
        outer = box_mask(SIZE, left, top, right, bottom)
        inner = box_mask(SIZE, left + 0.025, top + 0.012, right - 0.025, bottom - 0.012)
        picture = paint(picture, picture * 0.6, outer - inner)
        picture = paint(picture, picture * 1.1, inner)
    picture = paint(picture, colour('#d6c078'), box_mask(SIZE, 0.88, 0.48, 0.96, 0.5))
    return np.clip(
        paint(picture, picture * 0.5, 1 - box_mask(SIZE, 0.01, 0.005, 0.99, 0.995)), 0, 1
    )


def outlook(rng: Rng) -> Image:
    """What is seen through a window: sky, houses, trees; with the window's bars."""
    _, y = grid(SIZE)
    sky = colour('#9cc3e6') * (1 - y[..., None]) + colour('#e8eef2') * y[..., None]
    picture = paint(sky, colour('#ffffff'), smooth(fractal(rng, SIZE, 1.8), 0.3, 1.8) * (1 - y))
    skyline = 0.55 + 0.06 * np.repeat(rng.standard_normal(16), SIZE // 16)[None, :]
    houses = smooth((y - skyline).astype(np.float32), -0.002, 0.002)
    tone = shaded(flat(SIZE, '#8d7a70'), 0.15 * cells(SIZE, 24, 24, (0.0,)).values(rng, -1, 1))
    picture = paint(picture, tone, houses)
    trees = smooth(y - 0.72 - 0.05 * fractal(rng, SIZE, 1.2, 3)[0][None, :], -0.01, 0.01)
    picture = paint(picture, shaded(flat(SIZE, '#4f6b35'), 0.3 * fractal(rng, SIZE, 0.6, 6)), trees)
    bars = 1 - np.maximum(
        box_mask(SIZE, 0.05, 0.05, 0.48, 0.95), box_mask(SIZE, 0.52, 0.05, 0.95, 0.95)
    )
    return paint(picture, colour('#e9e6df'), bars)


def screen(rng: Rng) -> Image:
    """A monitor showing windows of text."""
    picture = flat(SIZE, '#1d2430')
    for _ in range(4):
        left, top = (int(v) for v in rng.uniform(0.04, 0.5, 2) * SIZE)
        right, bottom = min(left + 240, SIZE - 24), min(top + 200, SIZE - 24)
        picture[top:bottom, left:right] = pick(rng, ('#f4f4f0', '#10161d', '#25384a'))
        picture[top : top + 18, left:right] = pick(rng)
        ink = np.full(3, 0.15 if picture[top + 40, left + 2].mean() > 0.5 else 0.85, np.float32)
        stamp(picture, lettering(rng, 11, 24), ink, (left + 8, top + 26, right - 8, bottom - 8))
    return paint(picture, colour('#101010'), 1 - box_mask(SIZE, 0.025, 0.04, 0.975, 0.96))


def facade(rng: Rng, wall: Painter) -> Image:
    """Three storeys of four windows, each with its own curtains and reflections."""
    size = 2 * SIZE
    picture = np.tile(wall(rng), (2, 2, 1))
    picture = shaded(picture, 0.06 * fractal(rng, size, 1.4))
    frame = pick(rng, ('#e6e2d8', '#3a3f3c', '#7d6a55', '#f2f0ea'))
    sill = pick(rng, ('#bdb7aa', '#8f8a80'))
    glass = _panes(rng, 12)
    height, width = size // 3, size // 4
    for row in range(3):
        for column in range(4):
            top, left = row * height + int(0.2 * height), column * width + int(0.24 * width)
            bottom, right = top + int(0.58 * height), left + int(0.52 * width)
            picture[top - 10 : bottom + 4, left - 10 : right + 10] = frame
            picture[bottom + 4 : bottom + 18, left - 18 : right + 18] = sill
            picture[bottom + 18 : bottom + 26, left - 14 : right + 14] *= 0.55  # its shadow
            pane = glass[row * 4 + column]
            stamp_picture(picture, pane, (left, top, right, bottom))
            middle = (left + right) // 2
            picture[top:bottom, middle - 4 : middle + 4] = frame
            picture[top + 60 : top + 66, left:right] = frame
            picture[top : top + 10, left:right] *= 0.6  # shadow of the lintel
        picture[(row + 1) * height - 14 : (row + 1) * height - 4] *= 0.82
    return np.clip(picture, 0, 1)


def stamp_picture(picture: Image, patch: Image, area: tuple[int, int, int, int]) -> None:
    """Resize ``patch`` by nearest neighbour into the pixels (left, top, right, bottom)."""
    left, top, right, bottom = area
    rows = np.arange(bottom - top) * patch.shape[0] // (bottom - top)
    columns = np.arange(right - left) * patch.shape[1] // (right - left)
    picture[top:bottom, left:right] = patch[rows][:, columns]


def _panes(rng: Rng, count: int) -> list[Image]:
    """Window glass: dark rooms, reflected clouds, curtains half drawn, now and then a lamp."""
    size = 128
    x, y = grid(size)
    panes = []
    for _ in range(count):
        pane = shaded(flat(size, '#2e3a44'), 0.25 * fractal(rng, size, 1.3))
        pane = paint(pane, colour('#a9c0d2'), smooth(fractal(rng, size, 1.8), 0.2, 1.4) * 0.6)
        folds = (1 + 0.25 * np.sin(2 * np.pi * rng.uniform(10, 18) * x))[..., None]
        curtain = pick(rng, ('#d9d4c6', '#b9a58a', '#a8b5b8', '#c8a7a0')) * folds
        drawn = np.maximum(x < rng.uniform(0, 0.45), x > rng.uniform(0.6, 1.05))
        pane = paint(pane, curtain.astype(np.float32), drawn.astype(np.float32) * 0.85)
        if rng.random() < 0.3:
            blind = (y < rng.uniform(0.2, 0.8)) * (0.7 + 0.3 * (np.floor(y * 32) % 2))
            pane = paint(pane, colour('#d8d5cc'), blind.astype(np.float32))
        panes.append(np.clip(pane, 0, 1))
    return panes


def shop(rng: Rng) -> Image:
    """A shop front: sign, display windows and a door."""
    picture = np.broadcast_to(pick(rng, BRIGHT[:7]) * 0.7, (SIZE, SIZE, 3)).copy()
    picture = shaded(picture, 0.06 * fractal(rng, SIZE, 0.9))
    sign = pick(rng)
    picture[20:130, 16 : SIZE - 16] = sign
    ink = np.full(3, 0.08 if sign.mean() > 0.4 else 0.95, np.float32)
    stamp(picture, lettering(rng, 1, int(rng.integers(6, 11))), ink, (40, 30, SIZE - 40, 120))
    panes = _panes(rng, 3)
    for pane, (left, right) in zip(panes, ((24, 190), (206, 320), (336, 488)), strict=True):
        stamp_picture(picture, pane, (left, 160, right, 440 if right != 320 else 505))
        for _ in range(5):
            x, y = int(rng.integers(left, right - 30)), int(rng.integers(280, 400))
            picture[y : min(y + 60, 436), x : x + 26] = pick(rng)
    poster_ink = lettering(rng, 4, 8)
    stamp(picture, poster_ink, colour('#f0e6c0'), (40, 180, 110, 240))
    return np.clip(picture, 0, 1)


def car_side(rng: Rng) -> Image:
    """Body side of a car: doors, handles, sill; tinted by the body colour."""
    picture = paintwork(rng, '#e8e8e8')
    dark = colour('#1a1a1a')
    for edge in (0.3, 0.55, 0.78):
        picture = paint(picture, dark, box_mask(SIZE, edge, 0.0, edge + 0.006, 0.85))
    for handle in (0.48, 0.7):
        picture = paint(picture, dark, box_mask(SIZE, handle, 0.2, handle + 0.05, 0.26))
    picture = paint(picture, picture * 0.75, box_mask(SIZE, 0, 0.42, 1, 0.48))
    picture = paint(picture, dark, box_mask(SIZE, 0, 0.86, 1, 1))
    x, y = grid(SIZE)
    for centre in (0.19, 0.81):  # wheel arches; the face is 4.2 m x 0.65 m
        arch = np.hypot((x - centre) * 4.2, (y - 1.0) * 0.65)
        picture = paint(picture, dark, smooth(arch.astype(np.float32), 0.42, 0.4))
    return picture


def car_end(rng: Rng, lamp: str) -> Image:
    """Front or back of a car: lamps, grille, number plate."""
    picture = paintwork(rng, '#e8e8e8')
    for left, right in ((0.04, 0.24), (0.76, 0.96)):
        picture = paint(picture, colour(lamp), box_mask(SIZE, left, 0.18, right, 0.42))
    picture = paint(picture, colour('#151515'), box_mask(SIZE, 0.28, 0.2, 0.72, 0.42))
    picture = paint(picture, colour('#151515'), box_mask(SIZE, 0.0, 0.78, 1.0, 1.0))
    picture = paint(picture, colour('#f2f2ea'), box_mask(SIZE, 0.36, 0.5, 0.64, 0.68))
    area = (int(0.37 * SIZE), int(0.51 * SIZE), int(0.63 * SIZE), int(0.67 * SIZE))
    stamp(picture, lettering(rng, 1, 7), colour('#101010'), area)
    return picture


def car_glass(rng: Rng) -> Image:
    """Car window: dark, with the sky in it."""
    picture = shaded(flat(SIZE, '#27313a'), 0.15 * fractal(rng, SIZE, 1.4))
    return paint(picture, colour('#a8c0d4'), smooth(fractal(rng, SIZE, 1.9), 0.1, 1.6) * 0.7)


def wheel(rng: Rng) -> Image:
    """Tyre and rim with spokes."""
    x, y = grid(SIZE)
    radius, angle = np.hypot(x - 0.5, y - 0.5) * 2, np.arctan2(y - 0.5, x - 0.5)
    picture = shaded(flat(SIZE, '#1b1b1c'), 0.15 * fractal(rng, SIZE, 0.5, 8))
    rim = smooth(radius.astype(np.float32), 0.68, 0.66)
    picture = paint(picture, colour('#a9adb2'), rim)
    gaps = (np.cos(5 * angle) > 0.1) * smooth(radius, 0.58, 0.56) * smooth(radius, 0.2, 0.22)
    picture = paint(picture, colour('#232426'), gaps.astype(np.float32))
    return shaded(picture, 0.05 * fractal(rng, SIZE, 0.8))


def traffic_sign(rng: Rng) -> Image:
    """A round sign: red ring and made-up digits."""
    x, y = grid(SIZE)
    radius = (np.hypot(x - 0.5, y - 0.5) * 2).astype(np.float32)
    picture = flat(SIZE, '#f4f2ec')
    stamp(picture, lettering(rng, 1, 2), colour('#141414'), (150, 160, 362, 352))
    return paint(picture, colour('#c02a25'), smooth(radius, 0.72, 0.75))


def sky_face(directions: Image, clouds: Image) -> Image:
    """Sky as seen along ``directions`` ``(S, S, 3)`` (z up): a gradient and a layer of clouds.

    Args:
        directions: Unit vectors.
        clouds: ``(S, S)`` tileable noise, looked up where the ray meets a flat layer.
    """
    up = np.clip(directions[..., 2], 0, 1)
    haze = ((1 - up) ** 3)[..., None]
    picture = colour('#4f86c0') * (1 - haze) + colour('#dfe8ee') * haze
    layer = directions[..., :2] / (up + 0.12)[..., None]
    size = clouds.shape[0]
    index = np.floor((layer * 0.22 % 1) * size).astype(np.int64) % size
    cover = smooth(clouds[index[..., 1], index[..., 0]], 0.1, 1.6) * smooth(up, 0.0, 0.15)
    return np.clip(paint(picture, colour('#fbfbf9'), cover * 0.9), 0, 1).astype(np.float32)


def room_materials() -> dict[str, Painter]:
    """Painters of everything found in a room, by name."""
    return {
        'plaster': partial(plaster, code='#e2ddd2'), 'wallpaper': wallpaper, 'bricks': bricks,
        'planks': planks, 'wood': wood, 'dark wood': partial(wood, code='#553722'), 'tiles': tiles,
        'fabric': fabric, 'blue fabric': partial(fabric, code='#43617c'), 'rug': rug, 'door': door,
        'books': books, 'books 2': books, 'carton': carton, 'carton 2': carton, 'outlook': outlook,
        'screen': screen, 'leaves': leaves, 'paint': paintwork, 'concrete': concrete,
        'linoleum': linoleum,
        **{f'poster {i}': poster for i in range(6)},
    }  # fmt: skip


def corridor_materials() -> dict[str, Painter]:
    """Painters of everything found in a corridor, by name."""
    return {
        **{name: painter for name, painter in room_materials().items() if name != 'rug'},
        'carpet': carpet, 'ceiling': ceiling_panels, 'lockers': lockers,
        'lockers 2': lockers, 'notices': notice_board, 'notices 2': notice_board,
        'exit': keep_clear, 'glass': car_glass, 'office door': partial(door, code='#5f6f7a'),
        'pale door': partial(door, code='#c8c2b4'),
    }  # fmt: skip


def street_materials() -> dict[str, Painter]:
    """Painters of everything found in a street, by name."""
    return {
        'asphalt': asphalt, 'paving': paving, 'concrete': concrete, 'grass': grass, 'bark': bark,
        'leaves': leaves, 'leaves 2': partial(leaves, code='#76803a'), 'marking': road_paint,
        'paint': paintwork, 'car side': car_side, 'car front': partial(car_end, lamp='#f4f3e6'),
        'car back': partial(car_end, lamp='#b3201c'), 'glass': car_glass, 'wheel': wheel,
        'sign': traffic_sign, 'door': partial(door, code='#3f5a4c'), 'wood': wood,
        'facade 0': partial(facade, wall=partial(bricks, rows=36, columns=14)),
        'facade 1': partial(facade, wall=partial(plaster, code='#d6c39a', stains=0.08)),
        'facade 2': partial(facade, wall=partial(bricks, code='#b8a283', rows=44, columns=16)),
        'facade 3': partial(facade, wall=partial(plaster, code='#a9b4b8', stains=0.08)),
        **{f'shop {i}': shop for i in range(4)}, **{f'poster {i}': poster for i in range(3)},
    }  # fmt: skip
