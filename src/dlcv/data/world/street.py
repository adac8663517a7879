"""A block of houses and the street around it: the scene ``street``.

Seen from above, from the inside out: a rectangular block of houses, its pavement, a parking lane,
two driving lanes, a parking lane, a pavement, and houses with gaps and trees on the far side. Cars
drive around the block on the right: the camera's counter-clockwise on the outer lane, others before
it and, clockwise, on the inner lane.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np

from dlcv.data.world.noise import Rng, fractal
from dlcv.data.world.people import add_people
from dlcv.data.world.scene import (
    WHITE,
    Array,
    Light,
    SceneBuilder,
    Surface,
    any_colour,
    blades,
    disc,
    foliage,
    place,
    railing,
    shows,
    trapezoid,
)
from dlcv.data.world.stage import Extras, Stage, add_flyers
from dlcv.data.world.textures import sky_face, street_materials
from dlcv.data.world.trajectory import BodyMotion, Course, Drive, Ride, Space, rounded_rectangle

HALF = np.array([34.0, 22.0])  # block of houses, half extents in metres
PAVEMENT = 3.2
ROAD = 11.4  # two driving lanes of 3.5 m, two parking lanes of 2.2 m
KERB = 0.13
BAY = 3.0  # metres from window to window
STOREY = 4 * BAY / 3  # a facade texture has 4 windows by 3 storeys and is square
TUFTS = 4
SKY_SIZE = 512

ASPHALT = Surface(texture='asphalt', tile=5.0)
PAVING = Surface(texture='paving', tile=2.4)
CONCRETE = Surface(texture='concrete', tile=2.0)
KERBSTONE = Surface(texture='concrete', tile=1.5, tint=(1.3, 1.3, 1.3))
MARKING = Surface(texture='marking', tile=2.0)
BARK = Surface(texture='bark', tile=0.8)
DARK = Surface(texture='paint', tile=0.8, tint=(0.06, 0.06, 0.065))
METAL = Surface(texture='paint', tile=0.8, tint=(0.25, 0.27, 0.27))
GLASS = Surface(texture='glass', tile=2.0)


def build_street(seed: int, extras: Extras) -> Stage:
    """Return the street of a seed; the road is z = 0, the middle of the block the origin."""
    builder = SceneBuilder(street_materials(), seed, extras.photos)
    rng = builder.rng
    builder.add_cutout('disc', disc())
    builder.add_cutout('cabin', trapezoid(0.16, 0.8))
    builder.add_cutout('railing', railing())
    for i in range(TUFTS):
        builder.add_cutout(f'spray {i}', foliage(rng))
        builder.add_cutout(f'blades {i}', blades(rng))
    _sky(builder)
    _ground(builder)
    for side in range(4):
        _side(builder, side)
    _corners(builder)
    azimuth, height = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(32, 58))
    flat = np.cos(height)
    sun = np.array([flat * np.cos(azimuth), flat * np.sin(azimuth), np.sin(height)])
    overcast = rng.random() < 0.25  # no shadows then
    light = Light(
        sun=sun * (not overcast), sun_colour=(1.75, 1.65, 1.45),
        sky_colour=(1.25, 1.3, 1.35) if overcast else (0.62, 0.7, 0.82),
        light_spacing=0.6, ambient_reach=3.0,
    )  # fmt: skip
    space = _space(rng)
    bodies = _traffic(builder, space) if extras.traffic else []
    voids = [(np.array([x, y, 4.2]), 1.2) for x, y in _middle_of_road(8)]
    bodies += add_flyers(builder, extras.flyers, voids)
    lanes = [_lane(out, 2.0, 0.3) for out in (2.3, PAVEMENT + ROAD + 1.9)]
    bodies += add_people(builder, seed, 8 * extras.people, lanes, KERB)
    return Stage(scene=builder.build(light), space=space, bodies=tuple(bodies))


def _lane(out: float, radius: float, clearance: float) -> Course:
    """Return the line around the block at a distance from the houses."""
    return Course(rounded_rectangle((HALF[0] + out, HALF[1] + out), radius, 4.0), clearance)


def _space(rng: Rng) -> Space:
    top = rng.uniform(7.0, 11.0)
    return Space(
        path=_lane(1.75, 1.7, 0.75), pace=(0.9, 1.6), floor=KERB,
        road=Drive(_lane(PAVEMENT + ROAD / 2 + 1.75, 9.5, 1.0), (0.55 * top, top), rng.random()),
        air=_lane(PAVEMENT + ROAD / 2, 8.0, 3.0), heights=(2.7, 7.0), speeds=(3.0, 7.0),
    )  # fmt: skip


def _middle_of_road(count: int) -> Array:
    points = rounded_rectangle(
        (HALF[0] + PAVEMENT + ROAD / 2, HALF[1] + PAVEMENT + ROAD / 2), 8.0, 2.0
    )
    return points[:: max(len(points) // count, 1)][:count]


def _traffic(builder: SceneBuilder, space: Space) -> list[BodyMotion]:
    """Vehicles that drive before and behind the camera's car, and others that come towards it."""
    rng = builder.rng
    inner = _lane(PAVEMENT + ROAD / 2 - 1.75, 6.0, 1.0).reversed()
    oncoming = Drive(inner, (5.0, rng.uniform(7.0, 11.0)))
    motions: list[BodyMotion] = []
    assert space.road is not None
    for drive, first, count in ((space.road, 0.12, 4), (oncoming, 0.0, 6)):
        for i in range(count):  # evenly along the lap, the camera's place left free
            ahead = drive.lap * (first + (1 - 2 * first) * (i + rng.uniform(0.1, 0.7)) / count)
            with builder.body():
                _vehicle(builder, place(0, 0))
            motions.append(Ride(drive, ahead, place(0, 0)))
    return motions


@shows('vehicle', 'vehicle')
def _vehicle(builder: SceneBuilder, pose: Array) -> None:
    """A car or, now and then, a van; both face +x."""
    if builder.rng.random() < 0.7:
        _car(builder, pose)
    else:
        _van(builder, pose)


def _side_frame(side: int) -> tuple[Array, float]:
    """Return world_from_side and the half length of the houses along it.

    The origin lies on the house front of the block: x points out into the street, y along it.
    """
    yaw = side * np.pi / 2
    depth, length = (HALF[0], HALF[1]) if side % 2 == 0 else (HALF[1], HALF[0])
    return place(np.cos(yaw) * depth, np.sin(yaw) * depth, 0, yaw), float(length)


def _on(pose: Array, x: float, y: float, z: float = 0.0, yaw: float = 0.0) -> Array:
    """Return the pose of a thing at (x, y, z) in the axes of another."""
    moved: Array = pose @ place(x, y, z, yaw)
    return moved


# -- sky and ground --------------------------------------------------------------------------------


def _sky(builder: SceneBuilder) -> None:
    """Five faces of a cube at infinity around the camera."""
    clouds = fractal(builder.rng, SKY_SIZE, 1.7)
    right = [np.array(axis) for axis in ((0, -1, 0), (1, 0, 0), (0, 1, 0), (-1, 0, 0), (1, 0, 0))]
    down = [np.array((0, 0, -1))] * 4 + [np.array((0, 1, 0))]  # the last one is overhead
    centre = (np.arange(SKY_SIZE) + 0.5) / SKY_SIZE * 2 - 1
    for i, (u, v) in enumerate(zip(right, down, strict=True)):
        ahead = np.cross(u, v)
        points = ahead + centre[None, :, None] * u + centre[:, None, None] * v
        directions = (points / np.linalg.norm(points, axis=-1, keepdims=True)).astype(np.float32)
        builder.add_picture(f'sky {i}', sky_face(directions, clouds))
        look = Surface(texture=f'sky {i}', unlit=True, tint=(1.9, 1.9, 1.9))
        builder.sky(1000 * (ahead - u - v), 2000 * u, 2000 * v, look)


def _ground(builder: SceneBuilder) -> None:
    """Road, pavements and lawns: four strips each, of which each covers one corner."""
    middle, lawn = PAVEMENT + ROAD, Surface(texture='grass', tile=3.0)
    for side in range(4):
        pose, length = _side_frame(side)
        for label, (x0, x1), z, surface, largest in (
            ('road', (0.0, middle + PAVEMENT + 16), 0.0, ASPHALT, 7.0),
            ('pavement', (0.0, PAVEMENT), KERB, PAVING, 6.0),
            ('pavement', (middle, middle + PAVEMENT), KERB, PAVING, 6.0),
            ('ground', (middle + PAVEMENT, middle + PAVEMENT + 14), 0.05, lawn, 8.0),
        ):
            y0, y1 = -length - x0, length + x1
            corner = pose[:3, :3] @ (x0, y0, z) + pose[:3, 3]
            along, across = pose[:3, :3] @ (0, y1 - y0, 0), pose[:3, :3] @ (x1 - x0, 0, 0)
            with builder.label(label):
                builder.field(corner, along, across, surface, largest)
            if surface is PAVING:
                _kerbs(builder, pose, (x0, x1), (y0, y1))


@shows('pavement')
def _kerbs(
    builder: SceneBuilder, pose: Array, x: tuple[float, float], y: tuple[float, float]
) -> None:
    """The edges of a pavement, seen from the road and at its ends."""
    turn = pose[:3, :3]
    for corner, edge in (
        ((x[1], y[0]), (0, y[1] - y[0])),
        ((x[0], y[1]), (0, y[0] - y[1])),
        ((x[1], y[1]), (x[0] - x[1], 0)),
        ((x[0], y[0]), (x[1] - x[0], 0)),
    ):
        start = turn @ (*corner, KERB) + pose[:3, 3]
        builder.field(start, turn @ (*edge, 0.0), (0, 0, -KERB), KERBSTONE, 8)


@shows('road')
def _marking(
    builder: SceneBuilder, pose: Array, x: float, y: float, size: tuple[float, float]
) -> None:
    """Paint a rectangle, centred at (x, y), on the road; 6 mm thick, as thermoplastic is."""
    w, h = size
    builder.local(pose, (x - w / 2, y - h / 2, 0.006), (0, h, 0), (w, 0, 0), MARKING)


@shows('road')
def _manhole(builder: SceneBuilder, pose: Array, x: float, y: float) -> None:
    look = Surface(texture='wheel', cutout='disc', tint=(0.8, 0.75, 0.7))
    builder.local(pose, (x - 0.35, y - 0.35, 0.005), (0, 0.7, 0), (0.7, 0, 0), look)


# -- one side of the block -------------------------------------------------------------------------


def _side(builder: SceneBuilder, side: int) -> None:
    pose, length = _side_frame(side)
    rng = builder.rng
    _houses(builder, pose, -length, length, gaps=0.0)
    far = _on(pose, 2 * PAVEMENT + ROAD, 0, 0, np.pi)
    beyond = length + 2 * PAVEMENT + ROAD
    _houses(builder, far, -beyond, beyond, gaps=0.3)
    _road_marks(builder, pose, length)
    for x, heading in ((PAVEMENT + 1.1, 0.0), (PAVEMENT + ROAD - 1.1, np.pi)):
        _parked(builder, pose, x, length - 1, heading)
    _street_furniture(builder, pose, length)
    for y in np.arange(-length + 4, length - 2, 11.0).tolist():
        at = _on(pose, PAVEMENT + ROAD + 0.8, y + rng.uniform(-2, 2), KERB)
        _tree(builder, at, rng.uniform(4.2, 5.6))


def _corners(builder: SceneBuilder) -> None:
    """A tree and a billboard where the view along each street ends."""
    reach = HALF + PAVEMENT + ROAD + 1.3
    for i, (sx, sy) in enumerate(((1, 1), (-1, 1), (-1, -1), (1, -1))):
        x, y = reach * (sx, sy)
        _tree(builder, place(x, y, KERB), builder.rng.uniform(4.5, 5.5))
        pose = place(x - 4.5 * sx, y + 1.4 * sy, KERB, -sy * np.pi / 2)
        look = Surface(texture=f'poster {i % 3}')
        with builder.label('sign'), builder.thing('sign'):
            builder.box(_on(pose, 0, 0, 0.9), (0.15, 2.6, 2.0), METAL, front=look, back=look)
        for side in (-0.9, 0.9):
            builder.box(_on(pose, 0, side), (0.1, 0.1, 0.9), METAL)


def _road_marks(builder: SceneBuilder, pose: Array, length: float) -> None:
    rng = builder.rng
    middle = PAVEMENT + ROAD / 2
    for y in np.arange(-length + 3, length - 2, 6.0).tolist():
        _marking(builder, pose, middle, y, (0.14, 3.0))
    for x in (PAVEMENT + 2.2, PAVEMENT + ROAD - 2.2):
        for y in np.arange(-length + 2, length - 1, 5.6).tolist():  # parking bays
            _marking(builder, pose, x, y, (0.5, 0.1))
    for end in (-1, 1):
        for x in np.arange(PAVEMENT + 0.6, PAVEMENT + ROAD - 0.3, 1.0).tolist():  # zebra crossing
            _marking(builder, pose, x, end * (length + 1.2), (0.5, 2.6))
    for y in rng.uniform(-length, length, 4).tolist():
        _manhole(builder, pose, middle + (1.6 if rng.random() < 0.5 else -1.4), y)


def _houses(builder: SceneBuilder, pose: Array, start: float, end: float, gaps: float) -> None:
    """Fill a front line along y with houses that face +x; some plots stay empty."""
    rng = builder.rng
    y = start
    while y < end - 2 * BAY:
        width = min(BAY * int(rng.integers(3, 6)), BAY * int((end - y) / BAY))
        if rng.random() >= gaps:
            _house(builder, _on(pose, 0, y + width / 2), width)
        else:
            for at in (0.3, 0.7):
                _tree(builder, _on(pose, -rng.uniform(2, 7), y + at * width), rng.uniform(4, 6))
            border = _hedge if rng.random() < 0.5 else _fence
            border(builder, _on(pose, -0.5, y + width / 2), width - 0.4)
        y += width


@shows('building')
def _house(builder: SceneBuilder, pose: Array, width: float) -> None:
    """A house whose front lies in x = 0: shop or plinth, storeys of windows, ledges, roof."""
    rng = builder.rng
    depth, ground = 9.0, 3.7
    storeys = int(rng.integers(2, 5))
    style, phase = int(rng.integers(4)), int(rng.integers(4)) / 4
    tint = any_colour(rng, 0.8, 1.1)
    wall = Surface(
        texture=f'facade {style}', tile=4 * BAY, tint=tint, offset=(phase, -storeys % 3 / 3)
    )
    back = _on(pose, -depth / 2, 0)
    height = storeys * STOREY
    base = replace(CONCRETE, tint=any_colour(rng, 0.5, 1.1))
    builder.box(back, (depth, width, ground), base, back=None, top=None)
    roof = Surface(texture='concrete', tile=3.0, tint=(0.5, 0.42, 0.4))
    builder.box(_on(back, 0, 0, ground), (depth, width, height), wall, back=None, top=roof)
    for z, out, thick in ((ground - 0.12, 0.25, 0.22), (ground + height - 0.1, 0.4, 0.3)):
        builder.box(
            _on(pose, out / 2, 0, z), (out, width, thick), KERBSTONE, back=None, bottom=KERBSTONE
        )
    _ground_floor(builder, pose, width)
    if rng.random() < 0.6:
        _balconies(builder, pose, width, ground, storeys)
    chimney = Surface(texture='facade 0', tile=9.0)
    at = _on(back, rng.uniform(-2, 2), rng.uniform(-0.3, 0.3) * width, ground + height)
    builder.box(at, (0.8, 1.2, 1.6), chimney)


def _ground_floor(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Shop fronts and doors, slightly before the wall; awnings above some."""
    rng = builder.rng
    bays = round(width / BAY)
    for bay in range(bays):
        y = (bay - bays / 2) * BAY
        if rng.random() < 0.35:
            look = Surface(texture='door', tint=any_colour(rng, 0.4, 1.4))
            with builder.label('door'), builder.thing('door'):
                builder.local(pose, (0.02, y + 0.9, KERB + 2.4), (0, 1.2, 0), (0, 0, -2.4), look)
            builder.box(_on(pose, 0.2, y + 1.5, KERB), (0.4, 1.5, 0.15), KERBSTONE, back=None)
            continue
        look = Surface(texture=f'shop {rng.integers(4)}')
        builder.local(pose, (0.02, y + 0.1, KERB + 3.2), (0, BAY - 0.2, 0), (0, 0, -3.1), look)
        if rng.random() < 0.4:
            cloth = any_colour(rng, 0.2, 1.0)
            awning = Surface(texture='paint', tile=0.9, tint=cloth, two_sided=True)
            builder.local(pose, (0.03, y + 0.1, 2.95), (0, BAY - 0.2, 0), (1.0, 0, -0.45), awning)


def _balconies(
    builder: SceneBuilder, pose: Array, width: float, ground: float, storeys: int
) -> None:
    rng = builder.rng
    bays = round(width / BAY)
    for storey in range(storeys):
        bay = int(rng.integers(bays))
        y, z = (bay + 0.5 - bays / 2) * BAY, ground + storey * STOREY + 0.35
        builder.box(_on(pose, 0.5, y, z), (1.0, 2.2, 0.14), KERBSTONE, back=None, bottom=KERBSTONE)
        rail = replace(METAL, two_sided=True)
        builder.local(pose, (1.0, y - 1.1, z + 1.1), (0, 2.2, 0), (0, 0, -0.96), rail)
        for end in (-1.1, 1.1):
            builder.local(pose, (0, y + end, z + 1.1), (1.0, 0, 0), (0, 0, -0.96), rail)
        if rng.random() < 0.5:
            _bush(builder, _on(pose, 0.7, y + rng.uniform(-0.6, 0.6), z + 0.9), 0.45, 4)


def _parked(builder: SceneBuilder, pose: Array, x: float, length: float, heading: float) -> None:
    """Cars in the bays of one parking lane, some bays free."""
    rng = builder.rng
    for y in np.arange(-length + 4, length - 3, 5.6).tolist():
        if rng.random() < 0.72:
            at = _on(pose, x + rng.uniform(-0.1, 0.1), y + rng.uniform(-0.3, 0.3), 0, np.pi / 2)
            _vehicle(builder, _on(at, 0, 0, 0, heading + rng.uniform(-0.03, 0.03)))


def _car(builder: SceneBuilder, pose: Array) -> None:
    """A car that faces +x: body, cabin with slanted windows, wheels."""
    rng = builder.rng
    tall = 1.25 if rng.random() < 0.25 else 1.0
    length, width, sill, belt = 4.2, 1.74, 0.24, 0.24 + 0.65 * tall
    roof = belt + 0.52 * tall
    paint = ((0.6, 0.04, 0.03), (0.05, 0.12, 0.35), (0.8, 0.8, 0.78), (0.04, 0.04, 0.045),
             (0.35, 0.37, 0.4), (0.1, 0.25, 0.14), (0.75, 0.5, 0.08), (0.2, 0.35, 0.5))  # fmt: skip
    tint = paint[int(rng.integers(len(paint)))]
    body = Surface(texture='car side', tint=tint)
    front, back = (replace(body, texture=f'car {end}') for end in ('front', 'back'))
    sheet = Surface(texture='paint', tile=2.0, tint=tint)
    builder.box(
        _on(pose, 0, 0, sill), (length, width, belt - sill), body,
        front=front, back=back, top=sheet, bottom=DARK,
    )  # fmt: skip
    _cabin(builder, pose, (belt, roof), sheet)
    _wheels(builder, pose, (-1.32, 1.32), width)


def _van(builder: SceneBuilder, pose: Array) -> None:
    """A delivery van that faces +x: a box with lettering behind a cab."""
    rng = builder.rng
    tint = any_colour(rng, 0.3, 1.0)
    width, sheet = 1.9, Surface(texture='paint', tile=2.0, tint=tint)
    poster = Surface(texture=f'poster {rng.integers(3)}', tint=(0.9, 0.9, 0.9))
    cargo = _on(pose, -0.75, 0, 0.45)
    back = replace(sheet, texture='door', tile=0.0)
    builder.box(cargo, (3.3, width, 1.75), sheet, left=poster, right=poster, back=back, bottom=DARK)
    cab = _on(pose, 1.45, 0, 0.3)
    front = Surface(texture='car front', tint=tint)
    builder.box(cab, (1.1, width - 0.1, 0.85), sheet, front=front, bottom=DARK)
    half, pillar = (width - 0.1) / 2, replace(GLASS, tile=1.3)
    builder.local(pose, (1.35, -half, 1.95), (0, 2 * half, 0), (0.65, 0, -0.8), pillar)
    for side in (-1, 1):
        window = replace(GLASS, tile=1.7, two_sided=True)
        builder.local(pose, (0.9, side * half, 1.95), (0.46, 0, 0), (0, 0, -0.8), window)
    builder.local(pose, (0.9, half, 1.95), (0.45, 0, 0), (0, -2 * half, 0), sheet)
    _wheels(builder, pose, (-1.4, 1.35), width)


def _wheels(builder: SceneBuilder, pose: Array, axles: tuple[float, float], width: float) -> None:
    tyre = Surface(texture='wheel', cutout='disc', tint=WHITE)
    for x in axles:
        builder.box(_on(pose, x, 0), (0.5, width - 0.1, 0.4), DARK)
        for side in (-1, 1):
            y = side * (width / 2 + 0.012)
            corner = (x - 0.32, y, 0.64) if side < 0 else (x + 0.32, y, 0.64)
            builder.local(pose, corner, (-side * 0.64, 0, 0), (0, 0, -0.64), tyre)


def _cabin(
    builder: SceneBuilder, pose: Array, heights: tuple[float, float], sheet: Surface
) -> None:
    """Windows and roof; from the side it is the stencil ``cabin``."""
    belt, roof = heights
    back, front, half, rise = -1.75, 1.05, 0.78, roof - belt
    span = front - back
    top_back, top_front = back + 0.16 * span, back + 0.8 * span
    pillar = replace(GLASS, tile=1.3)
    builder.local(
        pose, (top_front, -half, roof), (0, 2 * half, 0), (front - top_front, 0, -rise), pillar
    )
    builder.local(
        pose, (top_back, half, roof), (0, -2 * half, 0), (back - top_back, 0, -rise), pillar
    )
    builder.local(
        pose, (top_back, half, roof), (top_front - top_back, 0, 0), (0, -2 * half, 0), sheet
    )
    for side in (-1, 1):  # seen from its left the car is mirrored, so is the stencil: from inside
        glass = replace(GLASS, cutout='cabin', tile=1.7, two_sided=True)
        builder.local(pose, (back, side * half, roof), (span, 0, 0), (0, 0, -rise), glass)
        for x in (top_back + 0.05, back + 0.48 * span, top_front - 0.12):
            y = side * (half + 0.008)
            corner, u = (
                ((x, y, roof), (0.07, 0, 0)) if side < 0 else ((x + 0.07, y, roof), (-0.07, 0, 0))
            )
            builder.local(pose, corner, u, (0, 0, -rise), sheet)


# -- trees and small things ------------------------------------------------------------------------


@shows('vegetation')
def _tree(builder: SceneBuilder, pose: Array, height: float) -> None:
    """A six-sided trunk and a crown of leaf bunches; height is that of the crown's middle."""
    rng = builder.rng
    radius, stem = rng.uniform(0.13, 0.2), height - 1.0
    angle = np.arange(7) * np.pi / 3
    ring = np.stack((radius * np.cos(angle), radius * np.sin(angle)), 1)
    for (x0, y0), (x1, y1) in pairwise(ring):
        builder.local(pose, (x0, y0, stem), (x1 - x0, y1 - y0, 0), (0, 0, -stem), BARK)
    look = f'leaves{" 2" if rng.random() < 0.4 else ""}'
    _bush(builder, _on(pose, 0, 0, height), rng.uniform(1.4, 1.9), 14, look)


@shows('vegetation')
def _bush(
    builder: SceneBuilder, pose: Array, radius: float, count: int, texture: str = 'leaves'
) -> None:
    """Sprays of leaves over a ball around the origin of ``pose``."""
    rng = builder.rng
    for _ in range(count):
        out = rng.standard_normal(3)
        at = out / np.linalg.norm(out) * radius * rng.uniform(0.25, 0.75)
        frame, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        side = radius * rng.uniform(1.1, 1.6)
        u, v = frame[0] * side, frame[1] * side
        light = float(rng.uniform(0.75, 1.25))
        look = Surface(
            texture=texture, tile=1.1, tint=(light, light, light),
            cutout=f'spray {rng.integers(TUFTS)}', two_sided=True,
        )  # fmt: skip
        builder.local(pose, at - (u + v) / 2, u, v, look)


@shows('vegetation')
def _tall_grass(builder: SceneBuilder, pose: Array, width: float) -> None:
    """Tufts of grass along y, as they grow at the foot of fences and walls."""
    rng = builder.rng
    for y in np.arange(-width / 2, width / 2 - 0.5, 0.7).tolist():
        side = rng.uniform(0.6, 1.1)
        look = Surface(
            texture='leaves', tile=0.9, tint=(1.2, 1.15, 0.7),
            cutout=f'blades {rng.integers(TUFTS)}', two_sided=True,
        )  # fmt: skip
        yaw = rng.uniform(-0.7, 0.7)
        at = _on(pose, rng.uniform(-0.15, 0.15), y + rng.uniform(0, 0.4), 0, yaw)
        builder.local(at, (0, -side / 2, 0.75 * side), (0, side, 0), (0, 0, -0.75 * side), look)


def _fence(builder: SceneBuilder, pose: Array, width: float) -> None:
    """An iron fence along y, tall grass at its foot."""
    look = replace(METAL, tint=(0.07, 0.08, 0.075), cutout='railing', two_sided=True)
    count = max(round(width / 1.6), 1)
    for i in range(count):
        y0 = width * (i / count - 0.5)
        builder.local(pose, (0, y0, 1.2), (0, width / count, 0), (0, 0, -1.2), look)
    _tall_grass(builder, _on(pose, 0.12, 0), width)


@shows('vegetation')
def _hedge(builder: SceneBuilder, pose: Array, width: float) -> None:
    look = Surface(texture='leaves', tile=1.1, tint=(0.9, 0.95, 0.9))
    builder.box(pose, (0.7, width, 1.1), look)
    for y in np.arange(-width / 2 + 0.5, width / 2, 1.2).tolist():
        _bush(builder, _on(pose, 0, y, 1.0), 0.5, 3)


def _street_furniture(builder: SceneBuilder, pose: Array, length: float) -> None:
    """Lamp posts, signs, bins and benches on the block's pavement."""
    rng = builder.rng
    for y in np.arange(-length + 6, length - 3, 17.0).tolist():
        _lamp_post(builder, _on(pose, PAVEMENT - 0.4, y, KERB))
    for y in rng.uniform(-length + 2, length - 2, 4).tolist():
        _sign(
            builder,
            _on(pose, PAVEMENT - 0.35, y, KERB, (1 if rng.random() < 0.5 else -1) * np.pi / 2),
        )
    for y in rng.uniform(-length + 2, length - 2, 5).tolist():
        tint = any_colour(rng, 0.1, 0.6)
        bin_look = Surface(texture='paint', tile=0.8, tint=tint)
        builder.box(
            _on(pose, 0.5, y, KERB, rng.uniform(0, 1)), (0.5, 0.5, 0.95), bin_look, top=DARK
        )
    for y in rng.uniform(-length + 2, length - 2, 3).tolist():
        _bench(builder, _on(pose, PAVEMENT + ROAD + PAVEMENT - 0.9, y, KERB, np.pi))


def _lamp_post(builder: SceneBuilder, pose: Array) -> None:
    builder.box(pose, (0.22, 0.22, 0.9), METAL)
    builder.box(_on(pose, 0, 0, 0.9), (0.11, 0.11, 4.6), METAL)
    builder.box(_on(pose, 0.6, 0, 5.4), (1.3, 0.1, 0.1), METAL, bottom=METAL)
    builder.box(_on(pose, 1.15, 0, 5.28), (0.5, 0.24, 0.12), METAL, bottom=KERBSTONE)


def _sign(builder: SceneBuilder, pose: Array) -> None:
    """A round sign on a pole, seen by who comes from its +x."""
    builder.box(pose, (0.07, 0.07, 2.75), METAL)
    faces = (
        (0.045, 0.66, Surface(texture='sign', cutout='disc')),
        (0.04, -0.66, replace(METAL, tile=0.0, cutout='disc')),
    )
    with builder.label('sign'), builder.thing('sign'):
        for x, u, look in faces:
            builder.local(pose, (x, -u / 2, 2.7), (0, u, 0), (0, 0, -0.66), look)


@shows('furniture')
def _bench(builder: SceneBuilder, pose: Array) -> None:
    """A bench that faces +x."""
    wood = Surface(texture='wood', tile=1.2)
    for x in (-0.15, 0.0, 0.15):
        builder.box(_on(pose, x, 0, 0.42), (0.12, 1.7, 0.04), wood, bottom=wood)
    for z in (0.58, 0.74):
        builder.box(_on(pose, -0.26, 0, z), (0.04, 1.7, 0.12), wood)
    for y in (-0.7, 0.7):
        builder.box(_on(pose, -0.08, y), (0.4, 0.07, 0.42), METAL)
