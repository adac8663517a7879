"""People: stiff figures in clothes who walk along lanes or stand beside them.

They draw their own random numbers, so that a world with people is otherwise the same world.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from dlcv.data.world.noise import Rng
from dlcv.data.world.scene import Array, SceneBuilder, Surface, any_colour, place, shows
from dlcv.data.world.textures import fabric
from dlcv.data.world.trajectory import BodyMotion, Course, Drive, Ride, Shuttle

_CLOTHS = ('#20242c', '#2f4a73', '#7c2d2a', '#d8d4c8', '#55603f', '#8a8d92', '#c08a3a', '#3d2f45')
_SKINS = ((0.75, 0.52, 0.4), (0.6, 0.38, 0.26), (0.35, 0.2, 0.13), (0.16, 0.09, 0.06))
_HAIRS = ((0.03, 0.025, 0.02), (0.1, 0.05, 0.025), (0.35, 0.22, 0.09), (0.4, 0.4, 0.4))
_STANDING = 0.35  # share of the people


def add_people(
    builder: SceneBuilder, seed: int, count: int, lanes: Sequence[Course], floor: float = 0.0
) -> list[BodyMotion]:
    """Add people along lanes.

    Args:
        builder: Of the scene.
        seed: Of the world.
        count: How many.
        lanes: Where they walk, by turns.
        floor: Height of what they walk on, metres.
    """
    rng = np.random.default_rng([seed, 5])
    motions: list[BodyMotion] = []
    for i in range(count):
        lane = lanes[i % len(lanes)]
        if rng.random() < 0.5:
            lane = lane.reversed()
        if rng.random() < _STANDING:
            at, _ = lane.at(rng.uniform(0, lane.length, 1))
            rest = place(at[0, 0], at[0, 1], floor, rng.uniform(-np.pi, np.pi))
            motion: BodyMotion = Shuttle(rng, np.zeros(2), rest, rng.uniform(8, 20))
            stride = 0.0
        else:
            speed = rng.uniform(0.7, 1.5)
            drive = Drive(lane, (0.8 * speed, speed))
            motion, rest = Ride(drive, rng.uniform(0, drive.lap), place(0, 0)), place(0, 0, floor)
            stride = rng.uniform(0.1, 0.32)
        with builder.body():
            _person(builder, rest, rng, stride)
        motions.append(motion)
    return motions


@dataclass(frozen=True, kw_only=True, slots=True)
class _Dress:
    """What somebody wears, and is."""

    jacket: Surface
    trousers: Surface
    skin: Surface
    hair: Surface
    shoes: Surface


@shows('person', 'person')
def _person(builder: SceneBuilder, pose: Array, rng: Rng, stride: float) -> None:
    """Somebody who faces +x, feet ``2 * stride`` apart in the line of the walk."""
    dress = _dressed(builder, rng)
    h = rng.uniform(0.86, 1.08)  # of 1.76 m
    b = h * rng.uniform(0.85, 1.25)
    hem = 0.8 if rng.random() < 0.75 else 0.5  # of a jacket or a coat
    for side in (-1, 1):
        foot, y = side * stride, 0.095 * b * side
        _limb(builder, pose, ((foot, y, 0), (0, y, 0.86 * h)), 0.08 * b, dress.trousers)
        builder.box(_at(pose, foot + 0.05, y), (0.27 * h, 0.1, 0.09), dress.shoes)
        hand = (-0.8 * foot, 0.27 * b * side, 0.78 * h)
        _limb(builder, pose, ((0, 0.23 * b * side, 1.44 * h), hand), 0.055 * b, dress.jacket)
        grip = (hand[0] - 0.02 * foot, hand[1], hand[2] - 0.16 * h)
        _limb(builder, pose, (grip, hand), 0.04, dress.skin)
    _limb(builder, pose, ((0, 0, hem * h), (0, 0, 1.43 * h)), 0.12 * b, dress.jacket, wide=0.19 * b)
    builder.box(_at(pose, 0, 0, 1.41 * h), (0.16 * b, 0.44 * b, 0.06), dress.jacket)
    _limb(builder, pose, ((0, 0, 1.45 * h), (0.02, 0, 1.72 * h)), 0.095 * h, dress.skin)
    _limb(builder, pose, ((-0.02, 0, 1.6 * h), (-0.02, 0, 1.76 * h)), 0.102 * h, dress.hair)
    builder.box(_at(pose, -0.02, 0, 1.75 * h), (0.15 * h, 0.13 * h, 0.02), dress.hair)
    if rng.random() < 0.25:
        pack = Surface(texture='paint', tint=any_colour(rng, 0.05, 0.8))
        builder.box(_at(pose, -0.2, 0, 0.95 * h), (0.18, 0.3, 0.45), pack, bottom=pack)


def _dressed(builder: SceneBuilder, rng: Rng) -> _Dress:
    cloths = []
    for code in rng.choice(_CLOTHS, 2):
        name = f'cloth {code}'
        builder.add_picture(name, fabric(np.random.default_rng(5), str(code)))
        light = float(rng.uniform(0.6, 1.4))
        cloths.append(Surface(texture=name, tint=(light, light, light)))
    skin, hair = (tones[int(rng.integers(len(tones)))] for tones in (_SKINS, _HAIRS))
    return _Dress(
        jacket=cloths[0],
        trousers=cloths[1],
        skin=Surface(texture='paint', tint=skin),
        hair=Surface(texture='paint', tint=hair),
        shoes=Surface(texture='paint', tint=any_colour(rng, 0.03, 0.3)),
    )


def _at(pose: Array, x: float, y: float, z: float = 0.0) -> Array:
    moved: Array = pose @ place(x, y, z)
    return moved


def _limb(
    builder: SceneBuilder,
    pose: Array,
    ends: tuple[tuple[float, float, float], tuple[float, float, float]],
    radius: float,
    surface: Surface,
    *,
    wide: float = 0.0,
) -> None:
    """Add a six-sided tube from the lower to the upper end.

    Args:
        builder: Of the scene.
        pose: ``(4, 4)`` world from person.
        ends: Lower and upper end of its axis, metres.
        radius: Along x, metres.
        surface: Its look.
        wide: Radius along y; 0 for the same.
    """
    low, high = (np.array(end, np.float64) for end in ends)
    angle = np.arange(7) * np.pi / 3
    y = (wide or radius) * np.sin(angle)
    ring = np.stack((radius * np.cos(angle), y, np.zeros(7)), 1)
    for first, second in pairwise(ring):
        builder.local(pose, high + first, second - first, low - high, surface)
