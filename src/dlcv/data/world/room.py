"""A furnished room: the scene ``room``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from dlcv.data.world.furniture import (
    BLACK,
    BLUE,
    DARK,
    METAL,
    TUFTS,
    WHITE,
    WOOD,
    armchair,
    bookcase,
    carton_stack,
    chair,
    clutter,
    cupboard,
    curtain,
    desk,
    floor_lamp,
    framed,
    kitchen,
    on,
    plant,
    rack,
    radiator,
    sofa,
    table,
    wall_shelves,
    window,
)
from dlcv.data.world.people import add_people
from dlcv.data.world.scene import (
    Array,
    Light,
    SceneBuilder,
    Surface,
    any_colour,
    place,
    shows,
    tuft,
)
from dlcv.data.world.stage import Extras, Stage, add_flyers
from dlcv.data.world.textures import room_materials
from dlcv.data.world.trajectory import BodyMotion, Course, Drive, Ride, Space, Spin, ellipse

_Fill = Callable[[SceneBuilder, Array, float], None]
YAWS = (0.0, np.pi / 2, np.pi, -np.pi / 2)  # of the four walls


def build_room(seed: int, extras: Extras) -> Stage:
    """Return the room of a seed.

    The floor is z = 0, the middle of the room is the origin. An elliptic way around the furniture
    in the middle is kept free; it passes nothing closer than about half a metre.
    """
    builder = SceneBuilder(room_materials(), seed, extras.photos)
    rng = builder.rng
    for i in range(TUFTS):
        builder.add_cutout(f'tuft {i}', tuft(rng))
    half = np.array([rng.uniform(3.2, 4.4), rng.uniform(2.9, 3.7)])
    height = rng.uniform(2.5, 3.0)
    _shell(builder, half, height)
    _MIDDLES[int(rng.integers(len(_MIDDLES)))](builder)
    for fill, yaw in zip(_walls_in_order(builder), YAWS, strict=True):
        width, depth = (half[1], half[0]) if yaw in (0.0, np.pi) else (half[0], half[1])
        fill(builder, _wall_frame(yaw, depth), width)
    lamps = np.array([[-half[0] * 0.45, 0.1, height - 0.3], [half[0] * 0.45, -0.1, height - 0.3]])
    for lamp in lamps:
        _ceiling_lamp(builder, lamp, height)
    course = Course(ellipse((half[0] - 1.6, half[1] - 1.45)), 0.55)
    bodies: list[BodyMotion] = _moving(builder, half, height) if extras.traffic else []
    bodies += add_flyers(builder, extras.flyers, [(np.array([0, 0, 1.45]), 0.6)])
    lane = Course(ellipse((half[0] - 1.35, half[1] - 1.2)), 0.2)
    bodies += add_people(builder, seed, extras.people, [lane])
    warm = rng.uniform(0.75, 1.0)
    light = Light(
        sky_colour=(0.6, 0.64, 0.7), lamps=lamps, lamp_colour=(2.8, 2.6 * warm**0.5, 2.6 * warm)
    )
    space = Space(path=course, pace=(0.4, 0.7), air=course, heights=(1.15, 1.9), speeds=(0.6, 1.2))
    return Stage(scene=builder.build(light), space=space, bodies=tuple(bodies))


def _walls_in_order(builder: SceneBuilder) -> list[_Fill]:
    """Return who furnishes which wall: a window wall and three others."""
    others = [_library_wall, _sofa_wall, _door_wall, _kitchen_wall, _wardrobe_wall, _store_wall,
              _gallery_wall]  # fmt: skip
    chosen = builder.rng.permutation(len(others))[:3]
    fills: list[_Fill] = [_window_wall, *(others[i] for i in chosen)]
    start = int(builder.rng.integers(4))
    return fills[start:] + fills[:start]


def _wall_frame(yaw: float, depth: float) -> Array:
    """Return world_from_wall: x points into the room, y along the wall to the left, z up."""
    c, s = np.cos(yaw), np.sin(yaw)
    return place(-c * depth, -s * depth, 0, yaw)


def _shell(builder: SceneBuilder, half: Array, height: float) -> None:
    rng = builder.rng
    x, y = half
    floors = (('planks', 1.6), ('planks', 1.3), ('tiles', 1.8), ('fabric', 1.1), ('linoleum', 2.2))
    texture, tile = floors[int(rng.integers(len(floors)))]
    floor = Surface(texture=texture, tile=tile, tint=any_colour(rng, 0.8, 1.1))
    with builder.label('floor'):
        builder.field((-x, y, 0), (2 * x, 0, 0), (0, -2 * y, 0), floor, 4)
    ceiling = Surface(texture='plaster', tile=2.4)
    with builder.label('ceiling'):
        builder.field((-x, -y, height), (2 * x, 0, 0), (0, 2 * y, 0), ceiling, 4)
    papers = rng.choice(('wallpaper', 'bricks', 'plaster', 'wallpaper', 'plaster', 'concrete'), 2)
    pale = any_colour(rng, 0.7, 1.1)
    skirting = replace(WHITE, tint=(0.8, 0.78, 0.72))
    accent = int(rng.integers(4))  # one wall differs
    for i, yaw in enumerate(YAWS):
        width, depth = (y, x) if yaw in (0.0, np.pi) else (x, y)
        pose = _wall_frame(yaw, depth)
        tint = any_colour(rng, 0.6, 1.1) if i == accent else pale
        wall = Surface(texture=str(papers[int(i == accent)]), tile=1.9, tint=tint)
        with builder.label('wall'):
            builder.local(pose, (0, -width, height), (0, 2 * width, 0), (0, 0, -height), wall)
            builder.box(on(pose, 0.01, 0), (0.02, 2 * width - 0.04, 0.09), skirting, back=None)


def _ceiling_lamp(builder: SceneBuilder, at: Array, ceiling: float) -> None:
    """A lit shade on a rod, above the source itself."""
    x, y, z = at
    builder.box(place(x, y, z + 0.2), (0.015, 0.015, ceiling - z - 0.2), METAL)
    glow = Surface(texture='paint', tile=0.5, tint=(1.6, 1.5, 1.3), unlit=True)
    builder.box(place(x, y, z + 0.05), (0.36, 0.36, 0.15), glow, bottom=glow)


def _moving(builder: SceneBuilder, half: Array, ceiling: float) -> list[BodyMotion]:
    """A fan under the ceiling, and a small robot that sweeps the floor along the furniture."""
    rng = builder.rng
    axis = place(0, 0, ceiling - 0.25)
    builder.box(on(axis, 0, 0, 0.05), (0.05, 0.05, 0.2), METAL)
    with builder.body():
        builder.box(on(axis, 0, 0, -0.06), (0.2, 0.2, 0.12), WHITE, bottom=BLACK)
        for turn in range(3):
            blade = on(axis, 0, 0, 0, turn * 2 * np.pi / 3)
            wood = replace(WOOD, two_sided=True)
            builder.local(blade, (0.1, 0.07, 0.02), (0.5, 0, 0), (0, -0.14, -0.04), wood)
    fan = Spin(axis, rng.uniform(1.0, 4.0) * rng.choice((-1.0, 1.0)))
    track = Drive(Course(ellipse((half[0] - 1.35, half[1] - 1.2)), 0.2), (0.15, 0.3))
    rest = place(0, 0, 0)
    with builder.body(), builder.label('vehicle'), builder.thing('vehicle'):
        builder.box(rest, (0.3, 0.3, 0.09), METAL, top=Surface(texture='tiles', tile=0.3))
    return [fan, Ride(track, rng.uniform(0, track.lap), rest)]


# -- in the middle ---------------------------------------------------------------------------------


@shows('floor')
def _rug(builder: SceneBuilder, size: tuple[float, float]) -> None:
    yaw = builder.rng.uniform(-0.1, 0.1)
    edge = Surface(texture='fabric', tile=0.8)
    builder.box(place(0, 0, 0, yaw), (*size, 0.012), edge, top=Surface(texture='rug'))


def _dining(builder: SceneBuilder) -> None:
    rng = builder.rng
    _rug(builder, (3.0, 2.2))
    pose = place(0, 0, 0, rng.uniform(-0.3, 0.3))
    table(builder, pose, (1.3, 0.75, 0.75))
    for side, x in ((1, -0.32), (1, 0.33), (-1, 0.0)):
        yaw = -side * np.pi / 2 + rng.uniform(-0.25, 0.25)
        chair(builder, on(pose, x, side * rng.uniform(0.42, 0.52), 0, yaw))
    clutter(builder, on(pose, 0, 0, 0.75), (0.5, 0.25), 6)


def _lounge(builder: SceneBuilder) -> None:
    rng = builder.rng
    _rug(builder, (2.4, 1.8))
    pose = place(0, 0, 0, rng.uniform(-0.2, 0.2))
    table(builder, pose, (0.8, 0.5, 0.42))
    clutter(builder, on(pose, 0, 0, 0.42), (0.3, 0.15), 4)
    for yaw in (0.0, np.pi):
        armchair(builder, on(pose, -0.75 * np.cos(yaw), 0, 0, yaw + rng.uniform(-0.2, 0.2)))


def _office(builder: SceneBuilder) -> None:
    rng = builder.rng
    pose = place(0, 0, 0, rng.uniform(-0.2, 0.2))
    for x, yaw in ((0.32, 0.0), (-0.32, np.pi)):
        desk(builder, on(pose, x, 0, 0, yaw))
        aside = rng.uniform(-0.2, 0.2)
        chair(builder, on(pose, 2.4 * x, aside, 0, np.pi - yaw + rng.uniform(-0.4, 0.4)))


_MIDDLES: tuple[Callable[[SceneBuilder], None], ...] = (_dining, _lounge, _office)


# -- along the walls -------------------------------------------------------------------------------


def _library_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Two bookcases, a stack of cartons, a picture."""
    for y in (-width + 0.95, -width + 2.15):
        bookcase(builder, on(pose, 0.19, y))
    framed(builder, pose, width - 1.35, 1.65, (1.0, 0.8))
    carton_stack(builder, on(pose, 0.42, width - 1.3), 0.5)
    plant(builder, on(pose, 0.42, width - 0.45))


def _window_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Two windows with curtains, a desk with a screen."""
    cloth = replace(BLUE, tint=any_colour(builder.rng, 0.5, 1.6), two_sided=True, tile=0.5)
    for y in (-width * 0.5, width * 0.5):
        window(builder, on(pose, 0, y))
        for side in (-1, 1):
            curtain(builder, on(pose, 0.1, y + side * 0.85, 0.06), 0.34, cloth)
    desk(builder, on(pose, 0.36, 0))
    radiator(builder, on(pose, 0.06, -width * 0.62, 0.12))
    plant(builder, on(pose, 0.42, width - 0.5))


def _sofa_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A sofa under three pictures, a floor lamp, a side table."""
    rng = builder.rng
    sofa(builder, on(pose, 0.5, -0.15))
    for y, size in ((-0.95, (0.5, 0.7)), (-0.1, (0.8, 0.6)), (0.8, (0.55, 0.75))):
        framed(builder, pose, y, 1.65 + rng.uniform(-0.06, 0.06), size)
    side = on(pose, 0.4, width - 0.7)
    with builder.label('furniture'), builder.thing('table'):
        builder.box(side, (0.5, 0.6, 0.5), WOOD, top=Surface(texture='tiles', tile=0.8))
    clutter(builder, on(side, 0, 0, 0.5), (0.18, 0.2), 3)
    floor_lamp(builder, on(pose, 0.3, -width + 0.45))


def _door_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A door, a sideboard, a television, pictures."""
    leaf = Surface(texture='door', tint=any_colour(builder.rng, 0.8, 1.4))
    with builder.label('door'), builder.thing('door'):
        builder.box(on(pose, 0.02, -width + 0.85), (0.04, 0.92, 2.05), DARK, front=leaf, back=None)
        for y in (-width + 0.35, -width + 1.35):
            builder.box(on(pose, 0.03, y), (0.06, 0.09, 2.12), WHITE)
    board = on(pose, 0.27, 0.75)
    cupboard(builder, board, (0.45, 2.0, 0.7))
    view = Surface(texture='poster 2', unlit=True, tint=(0.7, 0.75, 0.85))
    with builder.label('furniture'), builder.thing('screen'):
        builder.box(on(board, 0, -0.2, 0.78), (0.05, 1.1, 0.64), METAL, front=view, bottom=METAL)
        builder.box(on(board, 0, -0.2, 0.7), (0.2, 0.4, 0.08), METAL)
    clutter(builder, on(board, 0, 0.72, 0.7), (0.12, 0.15), 3)
    framed(builder, pose, 0.6, 2.0, (1.2, 0.6))
    framed(builder, pose, -width + 2.0, 1.6, (0.6, 0.85))


def _kitchen_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A kitchenette, a picture beside it."""
    kitchen(builder, on(pose, 0, 0.3), 2 * width - 2.2)
    framed(builder, pose, -width + 0.45, 1.6, (0.5, 0.7))
    plant(builder, on(pose, 0.4, -width + 0.45))


def _wardrobe_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A wardrobe, a chest of drawers with a lamp, pictures."""
    rng = builder.rng
    cupboard(builder, on(pose, 0.3, -width + 1.2), (0.55, 1.5, 2.1))
    chest = on(pose, 0.25, width - 1.3)
    for level in range(3):
        drawer = Surface(texture='wood', tint=any_colour(rng, 0.7, 1.2))
        at = on(chest, 0, 0, 0.05 + 0.27 * level)
        with builder.label('furniture'):
            builder.box(at, (0.44, 1.1, 0.25), drawer)
            builder.box(on(at, 0.23, 0, 0.12), (0.02, 0.2, 0.02), METAL, back=None)
    clutter(builder, on(chest, 0, 0, 0.86), (0.15, 0.4), 4)
    framed(builder, pose, width - 1.3, 1.65, (0.9, 0.9))
    framed(builder, pose, 0.1, 1.6, (0.45, 0.6))
    chair(builder, on(pose, 0.35, 0.1, 0, rng.uniform(-0.3, 0.3)))


def _store_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Steel racks full of cartons and a stack beside them."""
    rack(builder, on(pose, 0.02, -width + 1.2), 1.6)
    rack(builder, on(pose, 0.02, -width + 3.0), 1.5)
    carton_stack(builder, on(pose, 0.4, width - 0.9), 0.5)
    framed(builder, pose, width - 0.9, 1.7, (0.7, 0.5))


def _gallery_wall(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Shelves on the wall, a rank of pictures, armchairs below."""
    rng = builder.rng
    wall_shelves(builder, on(pose, 0, width - 1.2), 1.6)
    for i in range(4):
        y = -width + 0.6 + 0.75 * i
        for z in (1.35, 1.95):
            framed(builder, pose, y, z, (rng.uniform(0.4, 0.65), rng.uniform(0.35, 0.55)))
    armchair(builder, on(pose, 0.45, -width + 0.8, 0, rng.uniform(0, 0.4)))
    floor_lamp(builder, on(pose, 0.3, -width + 1.6))
    armchair(builder, on(pose, 0.45, -width + 2.4, 0, rng.uniform(-0.4, 0)))
