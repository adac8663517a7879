"""Generated worlds visited again: by another way, in another light, while other things move by.

For whoever tells places. Unlike a recording, a visit is a walk with few pictures, each a piece of
way after the last, and the world around it changes: where the sun stands, which lamps are lit, how
the materials look this season, how far one sees through the air, and the camera.

Letters in this file: V views, h w size in samples of a view, S = h*w.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.data.world.noise import Rng
from dlcv.data.world.recording import (
    START_NS,
    any_camera,
    any_sensor,
    check_kinds,
    motions_in,
    stage_of,
)
from dlcv.data.world.scene import Array, Photos, Scene, WorldError
from dlcv.data.world.sensor import Sensor
from dlcv.data.world.stage import Extras, Stage, camera_path
from dlcv.types import ByteImage, Camera, FloatArray, Frame

SPACING = {'room': 0.4, 'corridor': 1.0, 'street': 4.0}
"""Metres between two pictures of a visit, if it does not turn."""

_USUAL = 0.7  # share of the visits of a world with its usual motion
_TURN = 0.35  # radians that count as the spacing
_LONGEST_S, _RATE_HZ = 300.0, 5.0
_SAMPLE = 8  # pixels between two samples of the depth that is kept
_FOG = (25.0, 150.0)  # metres at which a third of the contrast is left


@dataclass(frozen=True, kw_only=True, slots=True)
class VisitConfig:
    """What the visits show.

    Attributes:
        scenes: Kinds of world, drawn evenly.
        motions: How the camera is carried, drawn evenly among those that the scene has room for,
            mostly in the same way in all visits of a world.
        size: Width and height of the pictures, multiples of 8.
        fov: Least and greatest horizontal field of view in degrees.
        visits: Of each world.
        views: Most pictures of a visit.
        changed: Whether light, materials, air and camera differ from visit to visit.
        flyers: Most boxes that tumble through the air, besides the usual traffic.
        finest: Octaves of detail to leave out of the textures.
    """

    scenes: tuple[str, ...] = ('room', 'corridor', 'street')
    motions: tuple[str, ...] = ('walk', 'robot', 'car')
    size: tuple[int, int] = (320, 240)
    fov: tuple[float, float] = (60.0, 85.0)
    visits: int = 2
    views: int = 30
    changed: bool = True
    flyers: int = 3
    finest: int = 1

    def __post_init__(self) -> None:
        check_kinds(self.scenes, self.motions)
        if min(self.visits, self.views) < 1 or self.flyers < 0 or any(n % 8 for n in self.size):
            raise WorldError(
                'visits need visits and views >= 1, flyers >= 0 and a size of multiples of 8, got '
                f'{self.visits}, {self.views}, {self.flyers} and {list(self.size)}'
            )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlaceView:
    """A picture of a visit, and where it was taken.

    Attributes:
        frame: The picture with its camera.
        world_from_camera: ``(4, 4)`` metres.
        depth: ``(h, w)`` float32 metres at every eighth pixel, the first at (4, 4); inf in the sky.
        still: ``(h, w)`` bool: of nothing that moves by itself.
        world: Number of its world.
        visit: Number of its visit.
    """

    frame: Frame
    world_from_camera: Array
    depth: FloatArray
    still: npt.NDArray[np.bool_]
    world: int
    visit: int


class WorldVisits:
    """Worlds, numbered without end, and their visits.

    Args:
        config: What they show.
        seed: Two seeds share no world.
        photos: For the walls; must be the same for the views to be the same.
    """

    def __init__(self, config: VisitConfig, seed: int = 0, *, photos: Photos | None = None) -> None:
        self.config, self._seed, self._photos = config, seed, photos

    def scene(self, world: int) -> str:
        """Return the kind of a world."""
        return self._place(world)[0]

    def __getitem__(self, world: int) -> list[PlaceView]:
        """Return the views of all visits of a world, one visit after the other."""
        return [view for visit in range(self.config.visits) for view in self.visit(world, visit)]

    def visit(self, world: int, visit: int) -> Iterator[PlaceView]:
        """Yield the views of a visit.

        Raises:
            IndexError: A number is negative.
        """
        if min(world, visit) < 0:
            raise IndexError(f'worlds and visits are numbered from 0, got {world} and {visit}')
        from dlcv.data.world.render import Renderer

        config = self.config
        name, seed, usual, flyers = self._place(world)
        rng = np.random.default_rng([self._seed, 51, world, visit])
        stage = stage_of(name, seed, Extras(flyers=flyers, photos=self._photos))
        camera = any_camera(rng, config.size, config.fov)
        motion = usual if rng.random() < _USUAL else self._motion(name, rng)
        seconds, poses = _stops(stage, motion, rng, SPACING[name], config.views)
        sensor = Sensor(any_sensor(rng), (self._seed, world, visit))
        scene, reach = stage.scene, 0.0
        if config.changed:
            scene = other_season(other_light(scene, rng), rng)
            reach = float(np.exp(rng.uniform(*np.log(_FOG)))) if _foggy(scene, rng) else 0.0
        renderer = Renderer(scene, finest=config.finest)
        moved = stage.world_from_rest(seconds + rng.uniform(0, 1000))
        for i, pose in enumerate(poses):
            view = renderer.render(camera, pose[None], moved[i : i + 1])
            depth = (1 / view.inverse_depth[0]).float().cpu().numpy()
            image = view.image[0].cpu().numpy()
            if reach:
                image = through_air(image, depth, reach)
            if config.changed:
                image = sensor.develop(image, float(seconds[i]), (i, 0), None)
            samples = np.s_[_SAMPLE // 2 :: _SAMPLE, _SAMPLE // 2 :: _SAMPLE]
            still = ~renderer.moving(view.patch)[0].cpu().numpy()
            yield PlaceView(
                frame=Frame(stamp_ns=START_NS + i * 10**9, image=image, camera=camera),
                world_from_camera=pose,
                depth=depth[samples].copy(),
                still=still[samples].copy(),
                world=world,
                visit=visit,
            )

    def _place(self, world: int) -> tuple[str, int, str, int]:
        """Return kind and seed of a world, the usual motion in it, and how many boxes fly there."""
        rng = np.random.default_rng([self._seed, 50, world])
        name = str(rng.choice(self.config.scenes))
        seed, flyers = int(rng.integers(2**31)), int(rng.integers(self.config.flyers + 1))
        return name, seed, self._motion(name, rng), flyers

    def _motion(self, scene: str, rng: Rng) -> str:
        return str(rng.choice([m for m in motions_in(scene) if m in self.config.motions]))


def shown_by(first: Sequence[PlaceView], second: Sequence[PlaceView]) -> FloatArray:
    """Return how much of what the first views show the second ones show too.

    Of the samples of a view that stand still and are not sky, those count that lie in the other
    picture at the depth that it has there, to 5 % and 5 cm.

    Returns:
        ``(V1, V2)`` float32 shares in [0, 1]; 0 for views of different worlds.
    """
    found = np.zeros((len(first), len(second)), np.float32)
    for i, view in enumerate(first):
        points = _points(view)
        if not len(points):
            continue
        for j, other in enumerate(second):
            if other.world == view.world:
                found[i, j] = _seen(points, other).mean()
    return found


def other_light(scene: Scene, rng: Rng) -> Scene:
    """Return a scene at another time of day, or with other lamps lit."""
    warmth = np.array([1.15, 1.0, 0.8]) ** rng.uniform(-1, 1)
    if scene.sun.any():
        turn, height = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 1.2)
        sun = np.array([*(np.cos(height) * np.array([np.cos(turn), np.sin(turn)])), np.sin(height)])
        overcast = rng.uniform() ** 2
        return replace(
            scene,
            sun=sun,
            sun_colour=scene.sun_colour * (1 - overcast) * warmth * rng.uniform(0.6, 1.2),
            sky_colour=scene.sky_colour * rng.uniform(0.5, 1.2),
        )
    lit = rng.random(len(scene.lamps)) < rng.uniform(0.5, 1.0)
    if len(lit):  # one burns at least; under an overcast sky there may be none
        lit[int(rng.integers(len(lit)))] = True
    return replace(
        scene,
        lamps=scene.lamps[lit],
        lamp_colour=scene.lamp_colour * warmth * rng.uniform(0.5, 1.4),
        sky_colour=scene.sky_colour * rng.uniform(0.5, 1.3),
    )


def other_season(scene: Scene, rng: Rng) -> Scene:
    """Return a scene in which some materials are lighter, darker, or of another tone."""
    count = len(scene.textures)
    changes = rng.random(count) < 0.5
    tone = np.exp(rng.uniform(-0.35, 0.35, (count, 1)) + rng.uniform(-0.12, 0.12, (count, 3)))
    factor = np.where(changes[:, None], tone, 1.0)
    return replace(scene, tint=scene.tint * factor[scene.texture])


def through_air(image: ByteImage, depth: FloatArray, reach: float) -> ByteImage:
    """Return a picture through fog.

    Args:
        image: ``(H, W, 3)``.
        depth: ``(H, W)`` metres.
        reach: Metres at which a third (1/e) of the contrast is left.
    """
    left = np.exp(-np.minimum(depth, 1e4) / reach).astype(np.float32)[..., None]
    return np.asarray(np.rint(image * left + 190 * (1 - left)), np.uint8)


def _foggy(scene: Scene, rng: Rng) -> bool:
    return bool(scene.sun.any()) and rng.random() < 0.3


def _stops(stage: Stage, motion: str, rng: Rng, spacing: float, most: int) -> tuple[Array, Array]:
    """Return seconds and poses of a visit's pictures: some of the stops of several rounds."""
    path = camera_path(motion, rng, stage.space)
    seconds: Array = rng.uniform(0, 100) + np.arange(round(_LONGEST_S * _RATE_HZ)) / _RATE_HZ
    poses = path.world_from_camera(seconds)
    step = np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1) / spacing
    cosine = (poses[1:, :3, 2] * poses[:-1, :3, 2]).sum(1)
    step += np.arccos(np.clip(cosine, -1, 1)) / _TURN
    way = np.floor(np.concatenate(([0.0], np.cumsum(step))))
    stops = np.flatnonzero(np.diff(way, prepend=-1) > 0)
    chosen = np.sort(rng.permutation(stops)[:most])
    return seconds[chosen], poses[chosen]


def _points(view: PlaceView) -> Array:
    """Return the samples ``(S', 3)`` of a view that stand still, in the world."""
    camera = _camera_of(view)
    rows, columns = np.nonzero(view.still & np.isfinite(view.depth))
    z = view.depth[rows, columns].astype(np.float64)
    x = (columns * _SAMPLE + _SAMPLE // 2 - camera.cx) / camera.fx
    y = (rows * _SAMPLE + _SAMPLE // 2 - camera.cy) / camera.fy
    pose = view.world_from_camera
    return np.asarray(np.stack((x * z, y * z, z), 1) @ pose[:3, :3].T + pose[:3, 3], np.float64)


def _seen(points: Array, other: PlaceView) -> npt.NDArray[np.bool_]:
    camera, pose = _camera_of(other), other.world_from_camera
    x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
    ahead = np.maximum(z, 1e-3)
    column, row = (
        np.rint((at - _SAMPLE // 2) / _SAMPLE).astype(np.intp)
        for at in (x / ahead * camera.fx + camera.cx, y / ahead * camera.fy + camera.cy)
    )
    height, width = other.depth.shape
    inside = (z > 0.05) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = column.clip(0, width - 1), row.clip(0, height - 1)
    nearest = np.full(len(points), np.inf)
    for dr in (-1, 0, 1):  # the samples are coarse: the neighbours' depth will do
        for dc in (-1, 0, 1):
            there = other.depth[(row + dr).clip(0, height - 1), (column + dc).clip(0, width - 1)]
            nearest = np.minimum(nearest, np.abs(there - z))
    return np.asarray(inside & (nearest < 0.05 * z + 0.05), np.bool_)


def _camera_of(view: PlaceView) -> Camera:
    assert view.frame.camera is not None
    return view.frame.camera
