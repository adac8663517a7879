"""The things that a picture of a world shows: where they are seen, how much of them, how far off.

A box is put around the pixels that show a thing, never around what is hidden. How much of a thing
is seen is told by points spread over its patches: of the solid angle that all who face the camera
fill, as if nothing hid them and the picture had no edge, the part whose pixels do show the thing.

Letters in this file: H W size in pixels, N things seen, P their patches, S points on each.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.data.world.scene import Array, Scene
from dlcv.types import Camera, FloatArray, Objects

_SIDE = 4  # points along each edge of a patch
_NEAREST = 0.05  # metres; nearer points of a thing weigh no more


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Instant:
    """Where everything is while the picture is taken.

    Attributes:
        camera: Its intrinsics, without distortion.
        world_from_camera: ``(4, 4)`` metres.
        world_from_rest: ``(K, 4, 4)`` how far each body is from where the scene has it.
        later: The same a little later.
        seconds: How much later.
    """

    camera: Camera
    world_from_camera: Array
    world_from_rest: Array
    later: Array
    seconds: float


def objects_seen(
    scene: Scene, patch: npt.NDArray[np.int64], depth: FloatArray, instant: Instant
) -> Objects:
    """Return the things that a picture shows.

    Args:
        scene: The world.
        patch: ``(H, W)`` number of the patch that each pixel sees, -1 for none.
        depth: ``(H, W)`` metres.
        instant: Where everything is.
    """
    shown = np.where(patch >= 0, scene.thing[patch], -1)
    rows, columns = np.nonzero(shown >= 0)
    things, pixels, who = _grouped(shown[rows, columns])
    count = len(things)
    box = np.empty((count, 4), np.float32)
    for sides, at in ((slice(0, None, 2), columns), (slice(1, None, 2), rows)):
        low, high = np.full(count, np.inf), np.full(count, -np.inf)
        np.minimum.at(low, who, at)
        np.maximum.at(high, who, at)
        box[:, sides] = np.stack((low - 0.5, high + 0.5), 1)
    away = depth[rows, columns] * _stretch(instant.camera, rows, columns)
    order = np.lexsort((away, who))
    middle = np.cumsum(pixels) - pixels + pixels // 2
    return Objects(
        kind=scene.kinds[things],
        box=box,
        pixels=pixels,
        share=_shares(scene, shown, things, instant),
        distance=away[order][middle].astype(np.float32),
        speed=_speeds(scene, things, instant),
        thing=things,
    )


def _grouped(
    values: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Return which values there are, how often, and for each value which of them it is."""
    who: npt.NDArray[np.int64]
    there, who, counts = np.unique(values, return_inverse=True, return_counts=True)
    return there, counts.astype(np.int64), who


def _stretch(camera: Camera, rows: npt.NDArray[np.intp], columns: npt.NDArray[np.intp]) -> Array:
    """Return by how much the way to what a pixel shows is longer than its depth."""
    x, y = (columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy
    return np.asarray(np.sqrt(x * x + y * y + 1))


def _motion_of(scene: Scene, patches: npt.NDArray[np.int64], moved: Array) -> Array:
    """Return how far the bodies of patches are from where the scene has them, ``(P, 4, 4)``."""
    still = np.eye(4)[None]
    motions: Array = np.concatenate((still, moved))[scene.body[patches]]
    return motions


def _shares(
    scene: Scene, shown: npt.NDArray[np.int64], things: npt.NDArray[np.int64], instant: Instant
) -> FloatArray:
    """Return how much of each thing is seen, ``(N,)`` in [0, 1]."""
    place = np.full(len(scene.kinds) + 1, -1)
    place[things] = np.arange(len(things))
    patches = np.flatnonzero(place[scene.thing] >= 0)
    camera_from_rest = np.linalg.inv(instant.world_from_camera) @ _motion_of(
        scene, patches, instant.world_from_rest
    )
    turn = camera_from_rest[:, :3, :3]
    edge_u, edge_v = (
        np.einsum('pij,pj->pi', turn, edge[patches]) for edge in (scene.edge_u, scene.edge_v)
    )
    corner = np.einsum('pij,pj->pi', turn, scene.origin[patches]) + camera_from_rest[:, :3, 3]
    u, v = (at.ravel() for at in np.meshgrid(*[(np.arange(_SIDE) + 0.5) / _SIDE] * 2))
    points = corner[:, None] + u[:, None] * edge_u[:, None] + v[:, None] * edge_v[:, None]

    area = np.cross(edge_v, edge_u)  # along the outward normal
    away = np.linalg.norm(points, axis=2)
    towards = -(points * area[:, None]).sum(2) / np.maximum(away, _NEAREST) ** 3
    weight = np.where(scene.two_sided[patches, None], np.abs(towards), np.maximum(towards, 0))
    weight *= _solid(scene, patches, u, v)
    owner = place[scene.thing[patches]]
    seen = _sees(shown, points, scene.thing[patches], instant.camera)
    whole, part = (
        np.bincount(owner, amount.sum(1), len(things)) for amount in (weight, weight * seen)
    )
    return np.divide(part, whole, out=np.ones(len(things)), where=whole > 0).astype(np.float32)


def _solid(scene: Scene, patches: npt.NDArray[np.int64], u: Array, v: Array) -> Array:
    """Return 1 at the points of patches that exist, 0 where a stencil leaves a hole, ``(P, S)``."""
    cutout = scene.cutout[patches]
    size = scene.cutouts.shape[1]
    row, column = ((at * size).astype(np.int64) for at in (v, u))
    there = scene.cutouts[cutout][:, row, column] > 0.5
    return np.asarray(np.where(cutout[:, None] < 0, True, there), np.float64)


def _sees(
    shown: npt.NDArray[np.int64], points: Array, thing: npt.NDArray[np.int64], camera: Camera
) -> npt.NDArray[np.bool_]:
    """Return at which points ``(P, S, 3)`` a pixel around shows the thing, ``(P, S)``."""
    height, width = shown.shape
    ahead = points[..., 2] > _NEAREST
    z = np.where(ahead, points[..., 2], 1.0)
    x = np.floor(points[..., 0] / z * camera.fx + camera.cx).clip(-2, width + 1).astype(np.int64)
    y = np.floor(points[..., 1] / z * camera.fy + camera.cy).clip(-2, height + 1).astype(np.int64)
    bordered = np.pad(shown, 2, constant_values=-1)
    found = np.zeros(ahead.shape, np.bool_)
    for dy in (0, 1):  # a leg of a chair may be thinner than a pixel
        for dx in (0, 1):
            there = (y + dy + 2).clip(0, height + 3), (x + dx + 2).clip(0, width + 3)
            found |= bordered[there] == thing[:, None]
    return found & ahead


def _speeds(scene: Scene, things: npt.NDArray[np.int64], instant: Instant) -> FloatArray:
    """Return how fast the middle of each thing moves over ground, ``(N,)`` m/s."""
    patches = np.flatnonzero(np.isin(scene.thing, things))
    owner = np.searchsorted(things, scene.thing[patches])
    middle = (scene.origin + (scene.edge_u + scene.edge_v) / 2)[patches]
    points = np.concatenate((middle, np.ones((len(middle), 1))), 1)
    moved = _motion_of(scene, patches, instant.later) - _motion_of(
        scene, patches, instant.world_from_rest
    )
    steps = np.einsum('pij,pj->pi', moved, points)[:, :3]
    count = np.bincount(owner, minlength=len(things))
    step = np.stack([np.bincount(owner, axis, len(things)) for axis in steps.T], 1)
    speed = np.linalg.norm(step, axis=1) / np.maximum(count, 1) / instant.seconds
    return np.asarray(speed, np.float32)
