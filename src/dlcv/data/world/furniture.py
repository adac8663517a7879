"""Furniture and other things for indoors. Things stand on the floor and face +x.

The pose of a thing against a wall has its origin at the foot of the wall: x points into the room, y
along the wall to the left, z up.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from dlcv.data.world.scene import Array, SceneBuilder, Surface, any_colour, place, shows

WOOD = Surface(texture='wood', tile=1.2)
DARK = Surface(texture='dark wood', tile=1.1)
FABRIC = Surface(texture='fabric', tile=0.9)
BLUE = Surface(texture='blue fabric', tile=0.8)
METAL = Surface(texture='paint', tile=0.7, tint=(0.25, 0.26, 0.28))
WHITE = Surface(texture='paint', tile=0.9, tint=(0.85, 0.85, 0.82))
BLACK = Surface(texture='paint', tile=0.7, tint=(0.05, 0.05, 0.055))
LEAVES = Surface(texture='leaves', tile=0.35, two_sided=True)
TUFTS = 4  # stencils 'tuft 0' to 'tuft 3' that a scene must have


def on(pose: Array, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Array:
    """Return the pose of a thing at (x, y, z) in the axes of another."""
    moved: Array = pose @ place(x, y, z, yaw)
    return moved


# -- to sit and to work ----------------------------------------------------------------------------


@shows('furniture', 'table')
def table(builder: SceneBuilder, pose: Array, size: tuple[float, float, float]) -> None:
    """A table with four legs; size is its extent along x, y, z."""
    x, y, z = size
    builder.box(on(pose, 0, 0, z - 0.04), (x, y, 0.04), WOOD, bottom=DARK)
    for sx in (-1, 1):
        for sy in (-1, 1):
            builder.box(
                on(pose, sx * (x / 2 - 0.06), sy * (y / 2 - 0.06)), (0.06, 0.06, z - 0.04), DARK
            )


@shows('furniture', 'chair')
def chair(builder: SceneBuilder, pose: Array) -> None:
    """A chair that faces +x."""
    builder.box(on(pose, 0, 0, 0.42), (0.42, 0.42, 0.04), BLUE, bottom=DARK)
    builder.box(on(pose, -0.2, 0, 0.55), (0.03, 0.42, 0.36), WOOD)
    for x, y in ((-0.19, -0.19), (-0.19, 0.19), (0.19, -0.19), (0.19, 0.19)):
        builder.box(on(pose, x, y), (0.035, 0.035, 0.55 if x < 0 else 0.42), DARK)


@shows('furniture', 'chair')
def armchair(builder: SceneBuilder, pose: Array) -> None:
    """An upholstered seat that faces +x, 0.7 m wide."""
    builder.box(on(pose, 0, 0, 0.1), (0.62, 0.66, 0.3), FABRIC, bottom=DARK)
    builder.box(on(pose, -0.25, 0, 0.4), (0.14, 0.66, 0.42), FABRIC)
    for y in (-0.29, 0.29):
        builder.box(on(pose, 0.02, y, 0.4), (0.56, 0.1, 0.2), FABRIC)


@shows('furniture')
def sofa(builder: SceneBuilder, pose: Array) -> None:
    """A sofa with cushions."""
    rng = builder.rng
    builder.box(on(pose, 0, 0, 0.06), (0.8, 1.9, 0.36), FABRIC)
    builder.box(on(pose, -0.32, 0, 0.42), (0.16, 1.9, 0.42), FABRIC)
    for y in (-0.86, 0.86):
        builder.box(on(pose, 0, y, 0.42), (0.8, 0.18, 0.18), FABRIC)
    for y in (-0.5, 0.05, 0.55):
        cushion = Surface(texture=f'poster {rng.integers(6)}', tint=(0.8, 0.8, 0.8))
        builder.box(on(pose, -0.15, y, 0.42, rng.uniform(-0.3, 0.3)), (0.12, 0.38, 0.36), cushion)


@shows('furniture')
def bench(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A bench without a back."""
    for x in (-0.12, 0.0, 0.12):
        builder.box(on(pose, x, 0, 0.41), (0.1, width, 0.04), WOOD, bottom=DARK)
    for y in (-width / 2 + 0.15, width / 2 - 0.15):
        builder.box(on(pose, 0, y), (0.3, 0.06, 0.41), METAL)


@shows('furniture', 'table')
def desk(builder: SceneBuilder, pose: Array) -> None:
    """A desk with a screen, a keyboard and some clutter."""
    builder.box(on(pose, 0, 0, 0.7), (0.62, 1.3, 0.035), WOOD, bottom=DARK)
    for y in (-0.62, 0.62):
        builder.box(on(pose, 0, y), (0.58, 0.03, 0.7), DARK)
    builder.box(on(pose, -0.1, 0, 0.735), (0.16, 0.22, 0.015), METAL)
    builder.box(on(pose, -0.13, 0, 0.75), (0.03, 0.05, 0.15), METAL)
    screen = Surface(texture='screen', unlit=True, tint=(0.9, 0.9, 0.95))
    with builder.thing('screen'):
        builder.box(on(pose, -0.1, 0, 0.86), (0.03, 0.62, 0.37), METAL, front=screen, bottom=METAL)
    builder.box(on(pose, 0.15, 0, 0.735), (0.14, 0.42, 0.02), METAL, top=Surface(texture='screen'))
    clutter(builder, on(pose, 0.02, 0.42, 0.735), (0.12, 0.16), 2)


# -- to keep things in -----------------------------------------------------------------------------


@shows('furniture', '')
def clutter(builder: SceneBuilder, pose: Array, reach: tuple[float, float], count: int) -> None:
    """Small things on a table top: books, cups, boxes, sheets of paper."""
    rng = builder.rng
    for i in range(count):
        x = reach[0] * (2 * (i + rng.uniform(0.2, 0.8)) / count - 1)
        at = on(pose, x, rng.uniform(-1, 1) * reach[1], 0, rng.uniform(-1.5, 1.5))
        tint = any_colour(rng, 0.3, 1.0)
        kind = int(rng.integers(4))
        if kind == 0:
            cover = Surface(texture=f'poster {rng.integers(6)}')
            size = (0.16, 0.22, rng.uniform(0.015, 0.05))
            builder.box(at, size, replace(WHITE, tint=tint), top=cover)
        elif kind == 1:
            builder.box(at, (0.07, 0.07, 0.1), replace(WHITE, tint=tint), top=DARK)
        elif kind == 2:
            with builder.thing('box'):
                builder.box(at, tuple(rng.uniform(0.1, 0.2, 3)), Surface(texture='carton'))
        else:
            builder.box(at, (0.21, 0.29, 0.003), Surface(texture='books 2'))


@shows('furniture')
def books(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A row of books, 0.2 m deep."""
    rng = builder.rng
    row = Surface(texture=str(rng.choice(('books', 'books 2'))))
    builder.box(pose, (0.2, width, rng.uniform(0.24, 0.31)), DARK, front=row, top=WHITE)


@shows('furniture', 'shelf')
def bookcase(builder: SceneBuilder, pose: Array) -> None:
    """A bookcase of 1.1 m x 2.05 m, five shelves more or less full."""
    rng = builder.rng
    depth, width, height = 0.32, 1.1, 2.05
    for y in (-width / 2 + 0.015, width / 2 - 0.015):
        builder.box(on(pose, 0, y), (depth, 0.03, height), WOOD)
    back = (-depth / 2 + 0.005, -width / 2, height)
    builder.local(pose, back, (0, width, 0), (0, 0, -height), DARK)
    inner = width - 0.06
    for shelf in range(6):
        z = 0.05 + shelf * 0.39
        builder.box(on(pose, 0, 0, z), (depth, inner, 0.025), WOOD, bottom=DARK)
        if shelf == 5:
            break
        filled = inner * rng.uniform(0.4, 0.98)
        side = (inner - filled) / 2 * (1 if rng.random() < 0.5 else -1)
        books(builder, on(pose, -0.03, side, z + 0.025), filled)


@shows('furniture', 'shelf')
def wall_shelves(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Three boards on the wall with books and small things."""
    rng = builder.rng
    for z in (1.05, 1.45, 1.85):
        builder.box(on(pose, 0.13, 0, z), (0.26, width, 0.03), WOOD, bottom=DARK)
        part = width * rng.uniform(0.3, 0.6)
        books(builder, on(pose, 0.12, -(width - part) / 2, z + 0.03), part)
        rest = width - part
        clutter(builder, on(pose, 0.13, part / 2, z + 0.03, np.pi / 2), (rest / 2 - 0.1, 0.04), 3)


@shows('furniture', 'shelf')
def rack(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A steel rack with cartons on four boards."""
    rng = builder.rng
    for x in (0.03, 0.41):
        for y in (-width / 2, width / 2):
            builder.box(on(pose, x, y), (0.035, 0.035, 1.9), METAL)
    for z in (0.12, 0.68, 1.24, 1.8):
        builder.box(on(pose, 0.22, 0, z), (0.42, width, 0.03), METAL, bottom=METAL)
        y = -width / 2 + 0.05
        while z < 1.8 and y < width / 2 - 0.25:
            size = rng.uniform((0.25, 0.2, 0.15), (0.38, 0.45, 0.45))
            look = Surface(texture=str(rng.choice(('carton', 'carton 2'))))
            at = on(pose, 0.22, y + size[1] / 2, z + 0.03, rng.uniform(-0.1, 0.1))
            with builder.thing('box'):
                builder.box(at, (size[0], size[1], size[2]), look)
            y += size[1] + rng.uniform(0.02, 0.25)


@shows('furniture')
def cupboard(builder: SceneBuilder, pose: Array, size: tuple[float, float, float]) -> None:
    """A closed cupboard with two doors in front."""
    depth, width, height = size
    panel = Surface(texture='door', tint=any_colour(builder.rng, 0.8, 1.3))
    builder.box(pose, size, WOOD)
    for y in (-width / 4, width / 4):
        builder.box(
            on(pose, depth / 2, y, 0.06), (0.03, width / 2 - 0.02, height - 0.1), panel, back=None
        )


def carton_stack(builder: SceneBuilder, pose: Array, side: float) -> None:
    """Three cartons on top of each other."""
    for level in range(3):
        size = side - 0.05 * level
        at = on(pose, 0, 0, 0.75 * side * level, builder.rng.uniform(-0.3, 0.3))
        look = Surface(texture=f'carton{" 2" if level % 2 else ""}')
        with builder.thing('box'):
            builder.box(at, (size, size, 0.75 * side), look)


@shows('furniture')
def kitchen(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A worktop on cupboards, tiles, wall cupboards, a fridge at its left end."""
    rng = builder.rng
    front = Surface(texture='door', tint=any_colour(rng, 0.8, 1.6))
    run = width - 0.7
    middle = -0.35
    builder.box(on(pose, 0.29, middle), (0.56, run, 0.86), WHITE, back=None)
    builder.box(
        on(pose, 0.3, middle, 0.86),
        (0.62, run, 0.04),
        Surface(texture='concrete', tile=0.9),
        back=None,
    )
    tiles = Surface(texture='tiles', tile=0.9, tint=any_colour(rng, 0.6, 1.1))
    builder.local(pose, (0.008, middle - run / 2, 1.45), (0, run, 0), (0, 0, -0.55), tiles)
    builder.box(on(pose, 0.17, middle, 1.45), (0.34, run, 0.65), WHITE, back=None, bottom=WHITE)
    count = max(round(run / 0.6), 1)
    for i in range(count):
        y = middle + run * ((i + 0.5) / count - 0.5)
        for x, z, height in ((0.58, 0.1, 0.72), (0.35, 1.48, 0.59)):
            builder.box(on(pose, x, y, z), (0.03, run / count - 0.02, height), front, back=None)
    hob = on(pose, 0.3, middle + run / 4, 0.9)
    builder.box(hob, (0.5, 0.55, 0.01), BLACK)
    builder.box(on(hob, 0, 0.12, 0.01), (0.22, 0.22, 0.14), METAL, top=BLACK)
    clutter(builder, on(pose, 0.28, middle - run / 5, 0.9, np.pi / 2), (run / 4, 0.15), 4)
    fridge = on(pose, 0.33, width / 2 - 0.33)
    builder.box(fridge, (0.62, 0.64, 1.8), WHITE)
    builder.box(on(fridge, 0.315, 0, 0.62), (0.015, 0.62, 0.01), BLACK)
    for z in (0.9, 1.25):
        note = Surface(texture=f'poster {rng.integers(6)}')
        at = on(fridge, 0.312, rng.uniform(-0.15, 0.15), z)
        builder.box(at, (0.012, 0.18, 0.24), WHITE, front=note, back=None)


# -- on and along the walls ------------------------------------------------------------------------


def framed(
    builder: SceneBuilder, pose: Array, y: float, z: float, size: tuple[float, float]
) -> None:
    """A framed print on the wall, centred at (y, z); size is width and height."""
    look = Surface(texture=f'poster {builder.rng.integers(6)}')
    at = on(pose, 0.015, y, z - size[1] / 2)
    builder.box(at, (0.03, *size), DARK, front=look, back=None)


@shows('window')
def window(builder: SceneBuilder, pose: Array, width: float = 1.2) -> None:
    """A window with its sill and frame, lower edge at 0.95 m."""
    view = Surface(texture='outlook', unlit=True, tint=(1.5, 1.5, 1.5))
    builder.local(pose, (0.006, -width / 2, 2.2), (0, width, 0), (0, 0, -1.25), view)
    builder.box(on(pose, 0.09, 0, 0.91), (0.18, width + 0.15, 0.03), WHITE, bottom=WHITE)
    for y in (-width / 2 - 0.03, width / 2 + 0.03):
        builder.box(on(pose, 0.03, y, 0.94), (0.06, 0.06, 1.3), WHITE)
    builder.box(on(pose, 0.03, 0, 2.2), (0.06, width + 0.12, 0.06), WHITE, bottom=WHITE)


def curtain(builder: SceneBuilder, pose: Array, width: float, cloth: Surface) -> None:
    """Folds: a zigzag of narrow strips, 2.3 m high."""
    folds = 7
    for i in range(folds):
        y0, y1 = (width * ((i + j) / folds - 0.5) for j in (0, 1))
        x0, x1 = (0.05, 0.0) if i % 2 else (0.0, 0.05)
        builder.local(pose, (x0, y0, 2.3), (x1 - x0, y1 - y0, 0), (0, 0, -2.3), cloth)


def radiator(builder: SceneBuilder, pose: Array) -> None:
    """A ribbed radiator, 0.9 m wide."""
    for i in range(12):
        builder.box(on(pose, 0.02, (i - 5.5) * 0.075), (0.09, 0.05, 0.55), WHITE)


def floor_lamp(builder: SceneBuilder, pose: Array) -> None:
    """A lit shade on a pole."""
    builder.box(pose, (0.26, 0.26, 0.03), METAL)
    builder.box(on(pose, 0, 0, 0.03), (0.03, 0.03, 1.45), METAL)
    shade = Surface(texture='fabric', tile=0.5, tint=(5.0, 4.6, 3.8), unlit=True)
    builder.box(on(pose, 0, 0, 1.45), (0.3, 0.3, 0.3), shade, bottom=shade)


def bin_(builder: SceneBuilder, pose: Array) -> None:
    """A waste bin."""
    look = Surface(texture='paint', tile=0.8, tint=any_colour(builder.rng, 0.1, 0.7))
    builder.box(pose, (0.28, 0.28, 0.6), look, top=BLACK)


@shows('vegetation', 'plant')
def plant(builder: SceneBuilder, pose: Array) -> None:
    """A pot plant of 1.3 m."""
    rng = builder.rng
    builder.box(pose, (0.3, 0.3, 0.32), Surface(texture='concrete', tile=0.8), top=DARK)
    builder.box(on(pose, 0, 0, 0.32), (0.03, 0.03, 0.5), WOOD)
    for _ in range(24):
        at = rng.normal((0, 0, 0.95), (0.14, 0.14, 0.2)).clip(
            (-0.25, -0.25, 0.5), (0.25, 0.25, 1.4)
        )
        frame, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        u, v = frame[:2] * rng.uniform(0.2, 0.34)
        look = replace(LEAVES, cutout=f'tuft {rng.integers(TUFTS)}')
        builder.local(pose, at - (u + v) / 2, u, v, look)
