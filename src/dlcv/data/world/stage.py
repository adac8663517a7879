"""A stage: a scene, where cameras can go in it, and what moves by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dlcv.data.world.noise import Rng
from dlcv.data.world.scene import Array, Photos, Scene, SceneBuilder, Surface, WorldError, place
from dlcv.data.world.trajectory import (
    BodyMotion,
    Car,
    Drone,
    Halting,
    Path,
    Pivot,
    Robot,
    Space,
    Still,
    Tumble,
    Walk,
)

MOTIONS = ('walk', 'robot', 'car', 'drone')
GAITS = ('steady', 'still', 'turning', 'halting')


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What a scene is furnished with.

    Attributes:
        traffic: Things move by themselves: cars, a cart, a fan.
        flyers: Boxes that tumble through the air, for more motion than is natural.
        people: Of a room; a corridor has thrice, a street eight times as many.
        photos: Pictures for walls and some materials; None for painted ones.
    """

    traffic: bool = True
    flyers: int = 0
    people: int = 0
    photos: Photos | None = None


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stage:
    """A scene and its motions.

    Attributes:
        scene: What there is to be seen.
        space: Where cameras can go.
        bodies: How the moving bodies move, in the order of their numbers in ``scene.body``.
    """

    scene: Scene
    space: Space
    bodies: tuple[BodyMotion, ...] = ()

    def world_from_rest(self, seconds: Array) -> Array:
        """Return how far every body is from where the scene has it, ``(T, K, 4, 4)``."""
        if not self.bodies:
            return np.zeros((len(seconds), 0, 4, 4))
        return np.stack([body.world_from_rest(seconds) for body in self.bodies], 1)


Build = Callable[[int, Extras], Stage]


def camera_path(motion: str, rng: Rng, space: Space) -> Path:
    """Return a way through a scene.

    Args:
        motion: ``walk``: a camera in the hand; ``robot``: low, planar, with stops and turns in
            place; ``car``: behind a windscreen; ``drone``: fast, in all six degrees of freedom.
        rng: Which way.
        space: Where there is room for it.

    Raises:
        WorldError: There is no such motion, or no road for a car.
    """
    if motion == 'walk':
        return Walk(rng, space)
    if motion == 'robot':
        return Robot(rng, space)
    if motion == 'drone':
        return Drone(rng, space)
    if motion != 'car':
        raise WorldError(f'no motion {motion!r}; there are {", ".join(MOTIONS)}')
    if space.road is None:
        others = ', '.join(name for name in MOTIONS if name != 'car')
        raise WorldError(f'there is no road for a car here; there is room for {others}')
    return Car(rng, space.road)


def with_gait(gait: str, rng: Rng, path: Path, start_s: float) -> Path:
    """Return a path gone in another way.

    Args:
        gait: ``steady``: as it is; ``still``: at rest where the path is at ``start_s``;
            ``turning``: there, too, but turning on the spot; ``halting``: along the path, with
            stops.
        rng: When it turns, or stops.
        path: The path.
        start_s: Seconds.

    Raises:
        WorldError: There is no such gait.
    """
    if gait == 'still':
        return Still(path, start_s)
    if gait == 'turning':
        return Pivot(rng, path, start_s)
    if gait == 'halting':
        return Halting(rng, path)
    if gait != 'steady':
        raise WorldError(f'no gait {gait!r}; there are {", ".join(GAITS)}')
    return path


def add_flyers(
    builder: SceneBuilder, count: int, voids: Sequence[tuple[Array, float]]
) -> list[BodyMotion]:
    """Add boxes that tumble through the given balls (centre, radius in metres), by turns."""
    rng = builder.rng
    motions: list[BodyMotion] = []
    for i in range(count):
        centre, radius = voids[i % len(voids)]
        size = rng.uniform(0.15, 0.5, 3) * radius
        look = Surface(texture=f'poster {rng.integers(3)}')
        side = Surface(texture='paint', tint=tuple(rng.uniform(0.1, 1.0, 3).tolist()))
        with builder.body(), builder.thing('box'):
            low = place(centre[0], centre[1], centre[2] - size[2] / 2)
            faces = {'top': side, 'bottom': side, 'left': side}
            builder.box(low, (size[0], size[1], size[2]), look, **faces)
        motions.append(Tumble(rng, centre, radius))
    return motions
