"""A furnished living room: the scene ``room``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dlcv.world.scene import Array, Light, Scene, SceneBuilder, Surface, any_colour, place, tuft
from dlcv.world.textures import room_materials
from dlcv.world.trajectory import Path, Walk

HEIGHT = 2.7
WOOD = Surface(texture='wood', tile=1.2)
DARK = Surface(texture='dark wood', tile=1.1)
FABRIC = Surface(texture='fabric', tile=0.9)
BLUE = Surface(texture='blue fabric', tile=0.8)
METAL = Surface(texture='paint', tile=0.7, tint=(0.25, 0.26, 0.28))
WHITE = Surface(texture='paint', tile=0.9, tint=(0.85, 0.85, 0.82))
LEAVES = Surface(texture='leaves', tile=0.35, two_sided=True)
TUFTS = 4
_Fill = Callable[[SceneBuilder, Array, float], None]


def build_room(seed: int) -> tuple[Scene, Path]:
    """Return the room of a seed and a walk through it.

    The floor is z = 0, the middle of the room is the origin. The middle is kept free around the
    table, so that the walk passes nothing closer than about half a metre.
    """
    builder = SceneBuilder(room_materials(), seed)
    rng = builder.rng
    for i in range(TUFTS):
        builder.add_cutout(f'tuft {i}', tuft(rng))
    half = np.array([rng.uniform(3.3, 3.8), rng.uniform(2.9, 3.3)])
    _shell(builder, half)
    _rug(builder)
    _table(builder)
    for fill, yaw in zip(
        _walls_in_order(builder), (0.0, np.pi / 2, np.pi, -np.pi / 2), strict=True
    ):
        width, depth = (half[1], half[0]) if yaw in (0.0, np.pi) else (half[0], half[1])
        fill(builder, _wall_frame(yaw, depth), width)
    lamps = np.array([[-half[0] * 0.45, 0.1, HEIGHT - 0.35], [half[0] * 0.45, -0.1, HEIGHT - 0.35]])
    for lamp in lamps:
        _ceiling_lamp(builder, lamp)
    light = Light(sky_colour=(0.6, 0.64, 0.7), lamps=lamps, lamp_colour=(2.6, 2.35, 1.95))
    reach = (half[0] - 1.6, half[1] - 1.45)
    return builder.build(light), Walk(rng, reach, rng.uniform(1.35, 1.55))


def _walls_in_order(builder: SceneBuilder) -> list[_Fill]:
    """Return who furnishes which wall."""
    fills: list[_Fill] = [_library_wall, _window_wall, _sofa_wall, _door_wall]
    start = int(builder.rng.integers(4))
    return fills[start:] + fills[:start]


def _wall_frame(yaw: float, depth: float) -> Array:
    """Return world_from_wall: x points into the room, y along the wall to the left, z up."""
    c, s = np.cos(yaw), np.sin(yaw)
    return place(-c * depth, -s * depth, 0, yaw)


def _shell(builder: SceneBuilder, half: Array) -> None:
    x, y = half
    floor = Surface(texture='planks', tile=1.6)
    builder.field((-x, y, 0), (2 * x, 0, 0), (0, -2 * y, 0), floor, 4)
    ceiling = Surface(texture='plaster', tile=2.4)
    builder.field((-x, -y, HEIGHT), (2 * x, 0, 0), (0, 2 * y, 0), ceiling, 4)
    papers = ('wallpaper', 'bricks', 'plaster', 'wallpaper')
    tints = ((1.0, 0.95, 0.85), (1.0, 1.0, 1.0), (0.75, 0.82, 0.9), (0.9, 1.0, 0.9))
    for yaw, paper, tint in zip((0.0, np.pi / 2, np.pi, -np.pi / 2), papers, tints, strict=True):
        width, depth = (y, x) if yaw in (0.0, np.pi) else (x, y)
        pose = _wall_frame(yaw, depth)
        wall = Surface(texture=paper, tile=1.9, tint=tint)
        builder.local(pose, (0, -width, HEIGHT), (0, 2 * width, 0), (0, 0, -HEIGHT), wall)
        skirting = replace(WHITE, tint=(0.8, 0.78, 0.72))
        builder.box(_on(pose, 0.01, 0, 0), (0.02, 2 * width - 0.04, 0.09), skirting, back=None)


def _on(pose: Array, x: float, y: float, z: float, yaw: float = 0.0) -> Array:
    """Return the pose of a thing at (x, y, z) in the axes of another."""
    moved: Array = pose @ place(x, y, z, yaw)
    return moved


def _rug(builder: SceneBuilder) -> None:
    builder.box(
        place(0, 0, 0, builder.rng.uniform(-0.1, 0.1)), (3.0, 2.2, 0.012),
        Surface(texture='fabric', tile=0.8), top=Surface(texture='rug'),
    )  # fmt: skip


def _table(builder: SceneBuilder) -> None:
    rng = builder.rng
    pose = place(0, 0, 0, rng.uniform(-0.3, 0.3))
    builder.box(_on(pose, 0, 0, 0.71), (1.3, 0.75, 0.04), WOOD, bottom=DARK)
    for x, y in ((-0.58, -0.31), (-0.58, 0.31), (0.58, -0.31), (0.58, 0.31)):
        builder.box(_on(pose, x, y, 0), (0.06, 0.06, 0.71), DARK)
    for side, x in ((1, -0.32), (1, 0.33), (-1, 0.0)):
        yaw = -side * np.pi / 2 + rng.uniform(-0.25, 0.25)
        _chair(builder, _on(pose, x, side * rng.uniform(0.42, 0.52), 0, yaw))
    _clutter(builder, _on(pose, 0, 0, 0.75), (0.5, 0.25), 6)


def _chair(builder: SceneBuilder, pose: Array) -> None:
    """A chair that faces +x."""
    builder.box(_on(pose, 0, 0, 0.42), (0.42, 0.42, 0.04), BLUE, bottom=DARK)
    builder.box(_on(pose, -0.2, 0, 0.55), (0.03, 0.42, 0.36), WOOD)
    for x, y in ((-0.19, -0.19), (-0.19, 0.19), (0.19, -0.19), (0.19, 0.19)):
        builder.box(_on(pose, x, y, 0), (0.035, 0.035, 0.55 if x < 0 else 0.42), DARK)


def _clutter(builder: SceneBuilder, pose: Array, reach: tuple[float, float], count: int) -> None:
    """Small things on a table top: books, cups, boxes, sheets of paper."""
    rng = builder.rng
    for i in range(count):
        x = reach[0] * (2 * (i + rng.uniform(0.2, 0.8)) / count - 1)
        at = _on(pose, x, rng.uniform(-1, 1) * reach[1], 0, rng.uniform(-1.5, 1.5))
        tint = any_colour(rng, 0.3, 1.0)
        kind = int(rng.integers(4))
        if kind == 0:
            cover = Surface(texture=f'poster {rng.integers(6)}')
            builder.box(
                at, (0.16, 0.22, rng.uniform(0.015, 0.05)), replace(WHITE, tint=tint), top=cover
            )
        elif kind == 1:
            builder.box(at, (0.07, 0.07, 0.1), replace(WHITE, tint=tint), top=DARK)
        elif kind == 2:
            builder.box(at, tuple(rng.uniform(0.1, 0.2, 3)), Surface(texture='carton'))
        else:
            builder.box(at, (0.21, 0.29, 0.003), Surface(texture='books 2'))


def _library_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Two bookcases, a stack of cartons, a picture."""
    rng = builder.rng
    for y in (-width + 0.95, -width + 2.15):
        _bookcase(builder, _on(pose, 0.19, y, 0))
    _picture(builder, pose, width - 1.35, 1.65, (1.0, 0.8))
    for level in range(3):
        size = 0.52 - 0.08 * level
        at = _on(pose, 0.42, width - 1.3, 0.38 * level, rng.uniform(-0.4, 0.4))
        builder.box(at, (size, size, 0.38), Surface(texture=f'carton{" 2" if level % 2 else ""}'))
    _plant(builder, _on(pose, 0.42, width - 0.45, 0))


def _bookcase(builder: SceneBuilder, pose: Array) -> None:
    rng = builder.rng
    depth, width, height = 0.32, 1.1, 2.05
    for y in (-width / 2 + 0.015, width / 2 - 0.015):
        builder.box(_on(pose, 0, y, 0), (depth, 0.03, height), WOOD)
    builder.local(
        pose, (-depth / 2 + 0.005, -width / 2, height), (0, width, 0), (0, 0, -height), DARK
    )
    inner = width - 0.06
    for shelf in range(6):
        z = 0.05 + shelf * 0.39
        builder.box(_on(pose, 0, 0, z), (depth, inner, 0.025), WOOD, bottom=DARK)
        if shelf == 5:
            break
        filled = inner * rng.uniform(0.55, 0.98)
        row = Surface(texture=str(rng.choice(('books', 'books 2'))))
        at = _on(pose, -0.03, (inner - filled) / 2 * (1 if rng.random() < 0.5 else -1), z + 0.025)
        builder.box(at, (0.2, filled, rng.uniform(0.26, 0.32)), DARK, front=row, top=WHITE)


def _picture(
    builder: SceneBuilder, pose: Array, y: float, z: float, size: tuple[float, float]
) -> None:
    """A framed print on the wall, centred at (y, z)."""
    look = Surface(texture=f'poster {builder.rng.integers(6)}')
    at = _on(pose, 0.015, y, z - size[1] / 2)
    builder.box(at, (0.03, *size), DARK, front=look, back=None)


def _plant(builder: SceneBuilder, pose: Array) -> None:
    rng = builder.rng
    builder.box(pose, (0.3, 0.3, 0.32), Surface(texture='concrete', tile=0.8), top=DARK)
    builder.box(_on(pose, 0, 0, 0.32), (0.03, 0.03, 0.5), WOOD)
    for _ in range(26):
        at = rng.normal((0, 0, 0.95), (0.16, 0.16, 0.2))
        _card(
            builder, pose, np.clip(at, (-0.3, -0.3, 0.5), (0.3, 0.3, 1.4)), rng.uniform(0.2, 0.34)
        )


def _card(builder: SceneBuilder, pose: Array, at: Array, side: float) -> None:
    """A bunch of leaves of random attitude, centred at a point."""
    rng = builder.rng
    frame, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    u, v = frame[0] * side, frame[1] * side
    look = replace(LEAVES, cutout=f'tuft {rng.integers(TUFTS)}')
    builder.local(pose, at - (u + v) / 2, u, v, look)


def _window_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Two windows with sills and curtains, a desk with a screen."""
    for y in (-width * 0.5, width * 0.5):
        _window(builder, _on(pose, 0, y, 0))
    _desk(builder, _on(pose, 0.36, 0, 0))
    _radiator(builder, _on(pose, 0.06, -width * 0.62, 0.12))
    _plant(builder, _on(pose, 0.42, width - 0.5, 0))


def _window(builder: SceneBuilder, pose: Array) -> None:
    view = Surface(texture='outlook', unlit=True, tint=(1.5, 1.5, 1.5))
    builder.local(pose, (0.006, -0.6, 2.2), (0, 1.2, 0), (0, 0, -1.25), view)
    builder.box(_on(pose, 0.09, 0, 0.91), (0.18, 1.35, 0.03), WHITE, bottom=WHITE)
    for y in (-0.63, 0.63):
        builder.box(_on(pose, 0.03, y, 0.94), (0.06, 0.06, 1.3), WHITE)
    builder.box(_on(pose, 0.03, 0, 2.2), (0.06, 1.32, 0.06), WHITE, bottom=WHITE)
    for side in (-1, 1):
        _curtain(builder, _on(pose, 0.1, side * 0.85, 0.06), 0.34)


def _curtain(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Folds: a zigzag of narrow strips."""
    folds = 7
    cloth = replace(BLUE, tint=(1.5, 1.35, 1.1), two_sided=True, tile=0.5)
    for i in range(folds):
        y0, y1 = (width * (2 * (i + j) / folds - 1) / 1.0 / 2 for j in (0, 1))
        x0, x1 = (0.05, 0.0) if i % 2 else (0.0, 0.05)
        builder.local(pose, (x0, y0, 2.3), (x1 - x0, y1 - y0, 0), (0, 0, -2.3), cloth)


def _radiator(builder: SceneBuilder, pose: Array) -> None:
    for i in range(12):
        builder.box(_on(pose, 0.02, (i - 5.5) * 0.075, 0), (0.09, 0.05, 0.55), WHITE)


def _desk(builder: SceneBuilder, pose: Array) -> None:
    builder.box(_on(pose, 0, 0, 0.7), (0.62, 1.3, 0.035), WOOD, bottom=DARK)
    for y in (-0.62, 0.62):
        builder.box(_on(pose, 0, y, 0), (0.58, 0.03, 0.7), DARK)
    builder.box(_on(pose, -0.1, 0, 0.735), (0.16, 0.22, 0.015), METAL)
    builder.box(_on(pose, -0.13, 0, 0.75), (0.03, 0.05, 0.15), METAL)
    screen = Surface(texture='screen', unlit=True, tint=(0.9, 0.9, 0.95))
    builder.box(_on(pose, -0.1, 0, 0.86), (0.03, 0.62, 0.37), METAL, front=screen, bottom=METAL)
    builder.box(_on(pose, 0.15, 0, 0.735), (0.14, 0.42, 0.02), METAL, top=Surface(texture='screen'))
    _clutter(builder, _on(pose, 0.02, 0.42, 0.735), (0.12, 0.16), 2)


def _sofa_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A sofa with cushions under three pictures, a floor lamp, a side table."""
    rng = builder.rng
    sofa = _on(pose, 0.5, -0.15, 0)
    builder.box(_on(sofa, 0, 0, 0.06), (0.8, 1.9, 0.36), FABRIC)
    builder.box(_on(sofa, -0.32, 0, 0.42), (0.16, 1.9, 0.42), FABRIC)
    for y in (-0.86, 0.86):
        builder.box(_on(sofa, 0, y, 0.42), (0.8, 0.18, 0.18), FABRIC)
    for y in (-0.5, 0.05, 0.55):
        cushion = Surface(texture=f'poster {rng.integers(6)}', tint=(0.8, 0.8, 0.8))
        builder.box(_on(sofa, -0.15, y, 0.42, rng.uniform(-0.3, 0.3)), (0.12, 0.38, 0.36), cushion)
    for y, size in ((-0.95, (0.5, 0.7)), (-0.1, (0.8, 0.6)), (0.8, (0.55, 0.75))):
        _picture(builder, pose, y, 1.65 + rng.uniform(-0.06, 0.06), size)
    _side_table(builder, _on(pose, 0.4, width - 0.7, 0))
    _floor_lamp(builder, _on(pose, 0.3, -width + 0.45, 0))


def _side_table(builder: SceneBuilder, pose: Array) -> None:
    builder.box(pose, (0.5, 0.6, 0.5), WOOD, top=Surface(texture='tiles', tile=0.8))
    _clutter(builder, _on(pose, 0, 0, 0.5), (0.18, 0.2), 3)


def _floor_lamp(builder: SceneBuilder, pose: Array) -> None:
    builder.box(pose, (0.26, 0.26, 0.03), METAL)
    builder.box(_on(pose, 0, 0, 0.03), (0.03, 0.03, 1.45), METAL)
    shade = Surface(texture='fabric', tile=0.5, tint=(5.0, 4.6, 3.8), unlit=True)
    builder.box(_on(pose, 0, 0, 1.45), (0.3, 0.3, 0.3), shade, bottom=shade)


def _door_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A door, a sideboard with a tiled back, a television, posters."""
    builder.box(
        _on(pose, 0.02, -width + 0.85, 0), (0.04, 0.92, 2.05), DARK,
        front=Surface(texture='door'), back=None,
    )  # fmt: skip
    for y in (-width + 0.35, -width + 1.35):
        builder.box(_on(pose, 0.03, y, 0), (0.06, 0.09, 2.12), WHITE)
    board = _on(pose, 0.27, 0.75, 0)
    panel = Surface(texture='door', tint=(1.2, 1.1, 1.0))
    builder.box(board, (0.45, 2.0, 0.7), WOOD, front=panel)
    view = Surface(texture='poster 2', unlit=True, tint=(0.7, 0.75, 0.85))
    builder.box(_on(board, 0, -0.2, 0.78), (0.05, 1.1, 0.64), METAL, front=view, bottom=METAL)
    builder.box(_on(board, 0, -0.2, 0.7), (0.2, 0.4, 0.08), METAL)
    _clutter(builder, _on(board, 0, 0.72, 0.7), (0.12, 0.15), 3)
    builder.local(
        pose, (0.008, 0.0, 2.4), (0, 1.9, 0), (0, 0, -0.8), Surface(texture='tiles', tile=1.0)
    )
    _picture(builder, pose, -width + 2.0, 1.6, (0.6, 0.85))


def _ceiling_lamp(builder: SceneBuilder, at: Array) -> None:
    """A lit shade on a rod, above the source itself."""
    x, y, z = at
    builder.box(place(x, y, z + 0.2), (0.015, 0.015, HEIGHT - z - 0.2), METAL)
    glow = Surface(texture='paint', tile=0.5, tint=(1.6, 1.5, 1.3), unlit=True)
    builder.box(place(x, y, z + 0.05), (0.36, 0.36, 0.15), glow, bottom=glow)
