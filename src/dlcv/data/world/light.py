"""Light, computed once per scene: sun and lamps with shadows, and ambient occlusion.

Each patch carries a small grid of samples. At each of them the light is the Lambert term of the sun
and of the lamps, as far as they are not hidden, plus the sky's light times the openness of the
surroundings: the mean distance at which rays over the hemisphere meet something, cut off at
``Scene.ambient_reach`` metres. What moves is shaded by itself only, and shades nothing else.

N: patches  O: possible occluders  P: samples of a patch  R: rays per sample
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.data.world.scene import Array, Scene

MOST = 24  # samples along one edge
RAYS = 12
LAMP_REACH = 9.0  # metres; beyond that a lamp is not counted
LIFT = 2e-3  # metres above the surface at which rays start


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LightMap:
    """Tint times light of all patches.

    Attributes:
        texels: ``(X, 4)`` float32 linear colours, the fourth unused.
        grid: ``(N, 3)`` int32 first texel, columns and rows of each patch.
    """

    texels: npt.NDArray[np.float32]
    grid: npt.NDArray[np.int32]


def bake(scene: Scene) -> LightMap:
    """Return the light on every patch of a scene."""
    lengths = np.stack(
        (np.linalg.norm(scene.edge_u, axis=1), np.linalg.norm(scene.edge_v, axis=1)), 1
    )
    counts = np.clip(np.ceil(lengths / scene.light_spacing), 1, MOST).astype(np.int32)
    counts[scene.infinite | scene.unlit | scene.two_sided] = 1
    start = np.concatenate(([0], np.cumsum(counts.prod(1))[:-1])).astype(np.int32)
    solver = _Solver(scene)
    parts = [solver.light(i, counts[i]) * scene.tint[i] for i in range(len(scene))]
    texels = np.pad(np.concatenate(parts), ((0, 0), (0, 1))).astype(np.float32)
    return LightMap(texels=texels, grid=np.concatenate((start[:, None], counts), 1))


class _Solver:
    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._normal = scene.normal
        self._middle = scene.origin + (scene.edge_u + scene.edge_v) / 2
        corner = np.maximum(
            np.linalg.norm(scene.edge_u + scene.edge_v, axis=1),
            np.linalg.norm(scene.edge_u - scene.edge_v, axis=1),
        )
        self._radius = corner / 2
        self._blocks = ~scene.infinite & (self._radius > 0.4 * scene.light_spacing)
        self._hemisphere = _hemisphere(RAYS)
        self._planes = _Planes.of(scene)
        self._body = scene.body

    def light(self, index: int, counts: npt.NDArray[np.int32]) -> Array:
        """Return the light ``(P, 3)`` at the samples of one patch, row by row."""
        scene = self._scene
        if scene.infinite[index] or scene.unlit[index]:
            return np.ones((1, 3))
        u, v = np.meshgrid(*((np.arange(n) + 0.5) / n for n in counts))
        points = (
            scene.origin[index]
            + u.reshape(-1, 1) * scene.edge_u[index]
            + v.reshape(-1, 1) * scene.edge_v[index]
        )
        normal = self._normal[index]
        if scene.two_sided[index] and normal @ scene.sun < 0:
            normal = -normal
        points = points + LIFT * normal
        total = scene.sky_colour * self._openness(index, points, normal)[:, None]
        if scene.sun.any():
            total = total + scene.sun_colour * self._sunlit(index, points, normal)[:, None]
        for lamp in scene.lamps:
            total = total + scene.lamp_colour * self._lamp(index, points, normal, lamp)[:, None]
        return np.asarray(total, np.float64)

    def _openness(self, index: int, points: Array, normal: Array) -> Array:
        facing_up = 0.75 + 0.25 * normal[2]
        if self._scene.two_sided[index]:
            return np.full(len(points), 0.85 * facing_up)
        reach = self._scene.ambient_reach
        near = self._gap(index) < (self._radius + (self._radius[index] + reach)) ** 2
        near &= self._above(index, normal)
        rays = self._hemisphere @ _basis(normal)  # (R, 3)
        distance = self._planes.hit(points, rays, self._others(index, near), reach)
        openness: Array = facing_up * (0.25 + 0.75 * (distance / reach).mean(1))
        return openness

    def _above(self, index: int, normal: Array) -> npt.NDArray[np.bool_]:
        """Return which patches rise above the plane of this one."""
        scene = self._scene
        extent = (np.abs(scene.edge_u @ normal) + np.abs(scene.edge_v @ normal)) / 2
        above: npt.NDArray[np.bool_] = (self._middle - self._middle[index]) @ normal + extent > LIFT
        return above

    def _gap(self, index: int) -> Array:
        """Return the squared distance of every patch's middle from this one's."""
        offset = self._middle - self._middle[index]
        gap: Array = np.einsum('ij,ij->i', offset, offset)
        return gap

    def _sunlit(self, index: int, points: Array, normal: Array) -> Array:
        sun = self._scene.sun
        cosine = self._lambert(index, float(normal @ sun))
        if cosine <= 0:
            return np.zeros(len(points))
        offset = self._middle - self._middle[index]
        along = offset @ sun
        beside = np.einsum('ij,ij->i', offset, offset) - along**2
        reach = self._radius + self._radius[index]
        near = (beside < reach**2) & (along > -reach)
        distance = self._planes.hit(points, sun[None], self._others(index, near), np.inf)
        return cosine * np.isinf(distance[:, 0])

    def _lamp(self, index: int, points: Array, normal: Array, lamp: Array) -> Array:
        away = lamp - self._middle[index]
        apart = float(np.linalg.norm(away)) + self._radius[index]
        if apart > LAMP_REACH + 2 * self._radius[index] or away @ normal < -self._radius[index]:
            return np.zeros(len(points))
        ray = lamp - points
        distance = np.linalg.norm(ray, axis=1)
        cosine = np.maximum((ray / distance[:, None]) @ normal, 0)
        near = self._gap(index) < (self._radius + apart) ** 2
        hidden = self._planes.between(points, ray, self._others(index, near))
        lit: Array = np.where(hidden, 0, cosine / np.maximum(distance, 0.5) ** 2)
        return lit

    def _lambert(self, index: int, cosine: float) -> float:
        soft = bool(self._scene.two_sided[index])  # leaves let light through
        return 0.45 + 0.55 * abs(cosine) if soft else max(cosine, 0)

    def _others(self, index: int, near: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        chosen = near & self._blocks & (self._body == self._body[index])  # shadows stay, it moves
        chosen[index] = False
        if self._scene.two_sided[index]:  # leaves do not shade one another, they would be black
            chosen &= ~self._scene.two_sided
        return np.flatnonzero(chosen)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Planes:
    """Patches as three linear functions each: distance from the plane, u and v of a point."""

    normal: npt.NDArray[np.float32]  # (N, 3)
    u: npt.NDArray[np.float32]
    v: npt.NDArray[np.float32]
    origin: npt.NDArray[np.float32]

    @classmethod
    def of(cls, scene: Scene) -> _Planes:
        matrix = np.stack((scene.edge_u, scene.edge_v, np.cross(scene.edge_u, scene.edge_v)), -1)
        inverse = np.linalg.inv(matrix).astype(np.float32)  # rows give u, v and the height
        return cls(
            normal=inverse[:, 2],
            u=inverse[:, 0],
            v=inverse[:, 1],
            origin=scene.origin.astype(np.float32),
        )

    def hit(self, points: Array, rays: Array, among: npt.NDArray[np.int64], reach: float) -> Array:
        """Return the distance ``(P, R)`` at which parallel rays meet something, at most reach."""
        if not len(among):
            return np.full((len(points), len(rays)), reach)
        at, d = points.astype(np.float32), rays.astype(np.float32)
        height, u, v = self._coordinates(at, among)  # (P, O)
        fall, du, dv = (d @ part[among].T for part in (self.normal, self.u, self.v))  # (R, O)
        with np.errstate(divide='ignore', invalid='ignore'):
            t = -height[:, None] / fall
            hu, hv = u[:, None] + t * du, v[:, None] + t * dv
            inside = (t > 0) & (hu >= 0) & (hu <= 1) & (hv >= 0) & (hv <= 1)
        return np.asarray(np.where(inside, t, np.inf).min(2).clip(max=reach), np.float64)

    def between(
        self, points: Array, rays: Array, among: npt.NDArray[np.int64]
    ) -> npt.NDArray[np.bool_]:
        """Return whether something lies between each point and ``point + ray``, ``(P,)``."""
        at, d = points.astype(np.float32), rays.astype(np.float32)
        height, u, v = self._coordinates(at, among)
        fall, du, dv = (d @ part[among].T for part in (self.normal, self.u, self.v))  # (P, O)
        with np.errstate(divide='ignore', invalid='ignore'):
            t = -height / fall
            hu, hv = u + t * du, v + t * dv
            inside = (t > 0) & (t < 0.98) & (hu >= 0) & (hu <= 1) & (hv >= 0) & (hv <= 1)
        return np.asarray(inside.any(1))

    def _coordinates(
        self, at: npt.NDArray[np.float32], among: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.float32], ...]:
        """Return height over each plane, u and v of points ``(P, 3)``, each ``(P, O)``."""
        origin = self.origin[among]
        return tuple(
            at @ part[among].T - (part[among] * origin).sum(1)
            for part in (self.normal, self.u, self.v)
        )


def _hemisphere(count: int) -> Array:
    """Return directions ``(R, 3)`` about +z, spread by the cosine (golden-angle spiral)."""
    height = np.sqrt(1 - (np.arange(count) + 0.5) / count)
    angle = np.arange(count) * np.pi * (3 - np.sqrt(5))
    flat = np.sqrt(1 - height**2)
    return np.stack((flat * np.cos(angle), flat * np.sin(angle), height), 1)


def _basis(normal: Array) -> Array:
    """Return rows x, y, z of a frame whose z is the normal (Duff et al., JCGT 2017)."""
    nx, ny, nz = normal.tolist()
    sign = 1.0 if nz >= 0 else -1.0
    a = -1 / (sign + nz)
    b = nx * ny * a
    return np.array(
        ((1 + sign * nx * nx * a, sign * b, -sign * nx), (b, sign + ny * ny * a, -ny), (nx, ny, nz))
    )
