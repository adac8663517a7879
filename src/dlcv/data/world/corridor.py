"""The passages of an office building: the scene ``corridor``.

Seen from above: a ring of four passages with corners, one or two passages across it, which make
junctions, and short arms that lead outwards to a window or a door. The plan is a grid of cells that
are free or solid; walls stand where the two meet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.data.world.furniture import (
    DARK,
    METAL,
    TUFTS,
    WHITE,
    WOOD,
    bench,
    bin_,
    carton_stack,
    chair,
    cupboard,
    framed,
    on,
    plant,
    radiator,
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
from dlcv.data.world.textures import corridor_materials
from dlcv.data.world.trajectory import BodyMotion, Course, Shuttle, Space, rounded_rectangle

SHALLOW = 0.42  # metres that furniture may stand out from a wall
ARM = 2.2  # length of a short arm, metres
PIECE = 3.0  # greatest length of a patch of wall, floor or ceiling


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Plan:
    """Which cells between the lines ``x`` and ``y`` are free.

    Attributes:
        x: ``(C + 1,)`` lines across x, metres.
        y: ``(R + 1,)`` lines across y, metres.
        free: ``(C, R)`` cells.
        half: Half extents of the ring's middle line, metres.
        width: Of all passages, metres.
        height: Of the ceiling, metres.
        crossings: Where the passages across have their middle line, along x, metres.
    """

    x: Array
    y: Array
    free: npt.NDArray[np.bool_]
    half: Array
    width: float
    height: float
    crossings: tuple[float, ...]


def build_corridor(seed: int, extras: Extras) -> Stage:
    """Return the corridors of a seed; the floor is z = 0, the middle of the ring the origin."""
    builder = SceneBuilder(corridor_materials(), seed, extras.photos)
    rng = builder.rng
    for i in range(TUFTS):
        builder.add_cutout(f'tuft {i}', tuft(rng))
    plan = _draw_plan(builder)
    style = _Style.drawn(builder)
    _floor_and_ceiling(builder, plan, style)
    lamps = _lamps(builder, plan)
    for pose, length, open_end in _walls(plan):
        _wall(builder, pose, (length, plan.height), style)
        if length > 1.2:
            _furnish(builder, pose, (length, plan.height), style, arm=open_end)
    middles = [np.array([x, 0.0, 1.4]) for x in plan.crossings]
    bodies: list[BodyMotion] = []
    if extras.traffic:
        bodies.append(_cart(builder, plan))
    bodies += add_flyers(builder, extras.flyers, [(middle, 0.6) for middle in middles])
    aside = plan.width / 2 - 0.5  # of the middle of the passages
    sides = [plan.half + step for step in (-aside, aside)]
    lanes = [Course(rounded_rectangle((x, y), 0.7, 0.6), 0.2) for x, y in sides]
    bodies += add_people(builder, seed, 3 * extras.people, lanes)
    light = Light(sky_colour=(0.55, 0.58, 0.62), lamps=lamps, lamp_colour=(1.5, 1.45, 1.3))
    course = Course(
        rounded_rectangle((plan.half[0], plan.half[1]), 0.9, 0.6), plan.width / 2 - SHALLOW
    )
    space = Space(path=course, pace=(0.7, 1.3), air=course, heights=(0.9, 1.75), speeds=(0.9, 1.8))
    return Stage(scene=builder.build(light), space=space, bodies=tuple(bodies))


# -- the plan --------------------------------------------------------------------------------------


def _draw_plan(builder: SceneBuilder) -> _Plan:
    rng = builder.rng
    width = rng.uniform(2.0, 2.7)
    half = np.array([rng.uniform(7.0, 11.0), rng.uniform(4.5, 6.5)])
    count = int(rng.integers(1, 3))
    crossings = tuple(
        float(half[0] * (2 * (i + rng.uniform(0.35, 0.65)) / count - 1)) for i in range(count)
    )
    w = width / 2
    inner, outer = half - w, half + w
    x = [-outer[0] - ARM, -outer[0], -inner[0], inner[0], outer[0], outer[0] + ARM]
    for crossing in crossings:
        x += [crossing - w, crossing + w]
    arms = [float(rng.uniform(0.45, 0.8) * inner[0] * s) for s in (-1, 1)]
    x = sorted({*x, *(arm + step for arm in arms for step in (-0.8, 0.8))})
    side = float(rng.uniform(-0.4, 0.4) * inner[1])
    y = [
        -outer[1] - ARM,
        -outer[1],
        -inner[1],
        side - w,
        side + w,
        inner[1],
        outer[1],
        outer[1] + ARM,
    ]
    lines = np.array(x), np.array(y)
    free = _free(lines, (inner, outer), crossings, (arms, side, w))
    return _Plan(
        x=lines[0], y=lines[1], free=free, half=half, width=width,
        height=rng.uniform(2.4, 3.0), crossings=crossings,
    )  # fmt: skip


def _free(
    lines: tuple[Array, Array],
    ring: tuple[Array, Array],
    crossings: tuple[float, ...],
    outward: tuple[list[float], float, float],
) -> npt.NDArray[np.bool_]:
    """Return which cells are free: the ring, the passages across it, and the arms."""
    (inner, outer), (arms, side, w) = ring, outward
    x, y = ((line[1:] + line[:-1]) / 2 for line in lines)
    x, y = np.meshgrid(x, y, indexing='ij')
    within = (np.abs(x) < outer[0]) & (np.abs(y) < outer[1])
    free = within & ((np.abs(x) > inner[0]) | (np.abs(y) > inner[1]))
    for crossing in crossings:
        free |= within & (np.abs(x - crossing) < w)
    up = (arms[0] - 0.8 < x) & (x < arms[0] + 0.8) & (y > 0)
    down = (arms[1] - 0.8 < x) & (x < arms[1] + 0.8) & (y < 0)
    free |= (up | down) & (np.abs(y) > inner[1])
    free |= (np.abs(y - side) < w) & (x > inner[0])
    return np.asarray(free, np.bool_)


def _walls(plan: _Plan) -> Iterator[tuple[Array, float, bool]]:
    """Yield (pose, length, whether it ends an arm) of each straight piece of wall.

    In its own axes a wall is the plane x = 0, seen from +x; y runs to the left from its middle.
    """
    free = np.pad(plan.free, 1)
    reach = (plan.x[1], plan.x[-2], plan.y[1], plan.y[-2])
    for axis, (along, across) in enumerate(((plan.y, plan.x), (plan.x, plan.y))):
        cells = free if axis == 0 else free.T
        for i in range(len(across)):
            for sign in (1, -1):
                front, back = cells[i + (sign > 0)], cells[i + (sign < 0)]
                for start, end in _runs((front & ~back)[1:-1]):
                    middle = (along[start] + along[end]) / 2
                    x, y = (across[i], middle) if axis == 0 else (middle, across[i])
                    yaw = (0 if sign > 0 else np.pi) + axis * np.pi / 2
                    ends = across[i] < reach[2 * axis] or across[i] > reach[2 * axis + 1]
                    yield place(x, y, 0, yaw), float(along[end] - along[start]), bool(ends)


def _runs(line: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return (start, end) of each run of True."""
    change = np.flatnonzero(np.diff(np.pad(line, 1).astype(np.int8)))
    return [(int(a), int(b)) for a, b in change.reshape(-1, 2)]


# -- surfaces --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Style:
    """Materials of one building."""

    floor: Surface
    wall: Surface
    dado: Surface | None
    skirting: Surface
    door: str

    @classmethod
    def drawn(cls, builder: SceneBuilder) -> _Style:
        rng = builder.rng
        floors = (('linoleum', 2.0), ('carpet', 2.4), ('tiles', 1.6), ('planks', 1.6))
        texture, tile = floors[int(rng.integers(4))]
        walls = (('plaster', 2.2), ('plaster', 2.2), ('bricks', 1.7), ('wallpaper', 1.9))
        paper, repeat = walls[int(rng.integers(4))]
        pale = Surface(texture=paper, tile=repeat, tint=any_colour(rng, 0.75, 1.1))
        dado = Surface(texture='plaster', tile=1.5, tint=any_colour(rng, 0.25, 0.85))
        shade = float(rng.uniform(0.3, 0.85))
        return cls(
            floor=Surface(texture=texture, tile=tile, tint=any_colour(rng, 0.85, 1.15)),
            wall=pale,
            dado=dado if rng.random() < 0.5 else None,
            skirting=replace(WHITE, tint=(shade, shade, shade)),
            door=str(rng.choice(('door', 'office door', 'pale door'))),
        )


def _floor_and_ceiling(builder: SceneBuilder, plan: _Plan, style: _Style) -> None:
    ceiling = Surface(texture='ceiling', tile=2.4, offset=(0.0, 0.0))
    floor = replace(style.floor, offset=(0.0, 0.0))
    for column, row in zip(*plan.free.nonzero(), strict=True):
        x0, x1 = plan.x[column : column + 2]
        y0, y1 = plan.y[row : row + 2]
        with builder.label('floor'):
            builder.field((x0, y1, 0), (x1 - x0, 0, 0), (0, y0 - y1, 0), floor, PIECE)
        with builder.label('ceiling'):
            builder.field((x0, y0, plan.height), (x1 - x0, 0, 0), (0, y1 - y0, 0), ceiling, PIECE)


@shows('wall')
def _wall(builder: SceneBuilder, pose: Array, size: tuple[float, float], style: _Style) -> None:
    length, height = size
    split = 1.1 if style.dado is not None else 0.0
    turn = pose[:3, :3]
    for z0, z1, look in ((split, height, style.wall), (0.0, split, style.dado)):
        if look is not None:
            corner = turn @ (0, -length / 2, z1) + pose[:3, 3]
            builder.field(corner, turn @ (0, length, 0), (0, 0, z0 - z1), look, PIECE)
    builder.box(on(pose, 0.012, 0), (0.024, length, 0.1), style.skirting, back=None)
    if style.dado is not None:
        builder.box(on(pose, 0.012, 0, split - 0.03), (0.024, length, 0.06), WOOD, back=None)


@shows('ceiling')
def _lamps(builder: SceneBuilder, plan: _Plan) -> Array:
    """Hang lit panels along the middle lines of the passages; return where light comes from."""
    spots: list[tuple[float, float]] = []
    for side in (-1, 1):
        spots += [(x, side * plan.half[1]) for x in _spaced(plan.half[0])]
        spots += [(side * plan.half[0], y) for y in _spaced(plan.half[1] - plan.width)]
    spots += [(x, y) for x in plan.crossings for y in _spaced(plan.half[1] - plan.width)]
    glow = Surface(texture='paint', tile=0.6, tint=(2.2, 2.15, 2.0), unlit=True)
    for x, y in spots:
        builder.box(place(x, y, plan.height - 0.06), (0.6, 0.6, 0.06), METAL, top=None, bottom=glow)
    return np.array([(x, y, plan.height - 0.25) for x, y in spots])


def _spaced(half: float) -> list[float]:
    count = max(round(2 * half / 3.6), 1)
    return [half * (2 * (i + 0.5) / count - 1) for i in range(count)]


# -- what stands and hangs along a wall ------------------------------------------------------------


def _furnish(
    builder: SceneBuilder, pose: Array, size: tuple[float, float], style: _Style, *, arm: bool
) -> None:
    """Line a wall with doors, pictures and furniture, from right to left."""
    rng = builder.rng
    length, height = size
    if arm:  # the end of an arm is what is seen from the ring
        if rng.random() < 0.55:
            window(builder, pose, min(1.2, length - 0.7))
        else:
            _door(builder, pose, style)
            _exit_sign(builder, on(pose, 0, 0, 2.14))
        return
    y = -length / 2 + rng.uniform(0.25, 0.7)
    while y < length / 2 - 0.6:
        space = length / 2 - 0.25 - y
        y += _item(builder, on(pose, 0, y), space, style, height) + rng.uniform(0.15, 0.9)


def _item(builder: SceneBuilder, pose: Array, space: float, style: _Style, height: float) -> float:
    """Put something at the right end of a space on the wall; return how much of it that takes."""
    rng = builder.rng
    shares = np.array([item[0] for item in _ITEMS])
    _, least, most, add = _ITEMS[int(rng.choice(len(_ITEMS), p=shares / shares.sum()))]
    width = float(rng.uniform(least, most))
    if width > space:
        return space
    at = on(pose, 0, width / 2)
    if add is None:
        _door(builder, at, style)
        if rng.random() < 0.3 and height > 2.4:
            _exit_sign(builder, on(at, 0, 0, 2.14))
    else:
        add(builder, at, width)
    return width


def _print(builder: SceneBuilder, at: Array, width: float) -> None:
    framed(builder, at, 0, 1.55, (width, builder.rng.uniform(0.5, 0.9)))


@shows('sign', 'sign')
def _notices(builder: SceneBuilder, at: Array, width: float) -> None:
    board = Surface(texture=str(builder.rng.choice(('notices', 'notices 2'))))
    builder.box(on(at, 0.02, 0, 1.05), (0.04, width, 0.9), WOOD, front=board, back=None)


@shows('furniture')
def _lockers(builder: SceneBuilder, at: Array, width: float) -> None:
    steel = Surface(texture=str(builder.rng.choice(('lockers', 'lockers 2'))))
    builder.box(on(at, 0.2, 0), (0.38, width, 1.8), METAL, front=steel, back=None, top=METAL)


def _cupboard(builder: SceneBuilder, at: Array, width: float) -> None:
    cupboard(builder, on(at, 0.19, 0), (0.36, width, builder.rng.uniform(0.8, 1.9)))


_ITEMS: tuple[tuple[float, float, float, Callable[[SceneBuilder, Array, float], None] | None], ...]
_ITEMS = (  # share, least and greatest width, what; None is a door
    (0.30, 1.1, 1.1, None),
    (0.16, 0.5, 1.3, _print),
    (0.10, 0.9, 1.5, _notices),
    (0.08, 1.8, 1.8, _lockers),
    (0.06, 1.0, 1.5, lambda builder, at, width: bench(builder, on(at, 0.22, 0), width)),
    (0.08, 1.0, 1.0, lambda builder, at, _: radiator(builder, on(at, 0.06, 0, 0.15))),
    (0.06, 0.6, 0.6, lambda builder, at, _: plant(builder, on(at, 0.24, 0))),
    (0.06, 0.4, 0.5, lambda builder, at, _: bin_(builder, on(at, 0.2, 0))),
    (0.05, 0.6, 0.7, lambda builder, at, _: chair(builder, on(at, 0.22, 0))),
    (0.03, 0.6, 0.7, lambda builder, at, _: carton_stack(builder, on(at, 0.22, 0), 0.36)),
    (0.03, 0.7, 0.9, _cupboard),
)


@shows('door', 'door')
def _door(builder: SceneBuilder, pose: Array, style: _Style) -> None:
    """A door in its frame, with a name plate beside it."""
    leaf = Surface(texture=style.door, tint=any_colour(builder.rng, 0.8, 1.1))
    builder.box(on(pose, 0.015, 0), (0.03, 0.92, 2.05), DARK, front=leaf, back=None)
    for y in (-0.5, 0.5):
        builder.box(on(pose, 0.03, y), (0.06, 0.08, 2.1), style.skirting, back=None)
    builder.box(on(pose, 0.03, 0, 2.05), (0.06, 1.08, 0.08), style.skirting, back=None)
    plate = Surface(texture='books 2', tint=(0.9, 0.9, 0.9))
    with builder.label('sign'), builder.thing('sign'):
        builder.box(on(pose, 0.008, 0.68, 1.5), (0.016, 0.16, 0.1), METAL, front=plate, back=None)


@shows('sign', 'sign')
def _exit_sign(builder: SceneBuilder, pose: Array) -> None:
    sign = Surface(texture='exit', unlit=True, tint=(1.1, 1.1, 1.1))
    builder.box(on(pose, 0.03, 0), (0.05, 0.36, 0.18), METAL, front=sign, back=None, bottom=METAL)


@shows('vehicle', 'vehicle')
def _cart(builder: SceneBuilder, plan: _Plan) -> BodyMotion:
    """A cart that somebody pushes to and fro in a passage across the ring."""
    rng = builder.rng
    rest = place(plan.crossings[0], 0, 0, np.pi / 2)
    with builder.body():
        for z in (0.25, 0.8):
            builder.box(on(rest, 0, 0, z), (0.8, 0.5, 0.04), METAL, bottom=METAL)
        for x in (-0.37, 0.37):
            for y in (-0.22, 0.22):
                builder.box(on(rest, x, y, 0.0), (0.05, 0.05, 0.95), METAL)
        for i in range(4):
            size = rng.uniform((0.18, 0.2, 0.15), (0.32, 0.4, 0.35))
            look = Surface(texture=str(rng.choice(('carton', 'carton 2', 'poster 1'))))
            at = on(rest, 0.36 * (i % 2) - 0.18, 0, 0.29 if i < 2 else 0.84)
            with builder.thing('box'):
                builder.box(at, (size[0], size[1], size[2]), look)
    reach = plan.half[1] - plan.width / 2 - 0.8
    return Shuttle(rng, np.array([0.0, max(reach, 0.5)]), rest, rng.uniform(9, 16))
