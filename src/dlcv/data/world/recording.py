"""Recordings of the generated world: pictures with everything that is true about them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dlcv.data.world.corridor import build_corridor
from dlcv.data.world.objects import Instant, objects_seen
from dlcv.data.world.room import build_room
from dlcv.data.world.scene import Array, WorldError
from dlcv.data.world.sensor import Sensor, SensorConfig
from dlcv.data.world.stage import GAITS, MOTIONS, Build, Extras, Stage, camera_path, with_gait
from dlcv.data.world.street import build_street
from dlcv.types import ByteImage, Camera, FloatArray, Frame, Objects, Snapshot

if TYPE_CHECKING:  # torch takes seconds to import; only who renders needs it
    from torch import Tensor

    from dlcv.data.world.render import Renderer, View

SCENES: dict[str, Build] = {
    'room': build_room,
    'corridor': build_corridor,
    'street': build_street,
}
BASELINES = {'room': 0.12, 'corridor': 0.12, 'street': 0.54}
NATURAL = {'room': 'walk', 'corridor': 'robot', 'street': 'car'}
_MOMENT_S = 0.1  # over which the speed of things is told
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorldSnapshot(Snapshot):
    """A snapshot with the truths that only a generated world knows.

    Depth is +inf in the sky; the flow of the sky is that of the camera's rotation. The disparity of
    a pixel is ``fx * baseline / depth``. What is about the previous snapshot is None in the first.

    Attributes:
        patch: ``(H, W)`` int64 number of the surface seen, the same in all snapshots of a world.
        moving: ``(H, W)`` bool; pixels of things that move by themselves.
        labels: ``(H, W)`` uint8 class of each pixel in `dlcv.classes`; None if not asked for.
        objects: The things that the picture shows, the smallest too; None if not asked for.
        hidden: ``(H, W)`` bool; pixels of the *previous* picture whose point this one does not
            show: hidden by something nearer, or out of the picture.
        backward: ``(H, W, 2)`` float32 flow from this picture to the previous one.
        backward_hidden: ``(H, W)`` bool; pixels of this picture whose point the previous one does
            not show.
        right_depth: ``(H, W)`` float32 depth of the right picture; None without one.
        right_hidden: ``(H, W)`` bool; pixels of this picture whose point the right one does not
            show.
    """

    patch: npt.NDArray[np.int64]
    moving: npt.NDArray[np.bool_]
    labels: ByteImage | None = None
    objects: Objects | None = None
    hidden: npt.NDArray[np.bool_] | None = None
    backward: FloatArray | None = None
    backward_hidden: npt.NDArray[np.bool_] | None = None
    right_depth: FloatArray | None = None
    right_hidden: npt.NDArray[np.bool_] | None = None


def ideal_camera(width: int, height: int, fov: float = 70.0) -> Camera:
    """Return a camera without distortion and with square pixels.

    Args:
        width: Pixels.
        height: Pixels.
        fov: Horizontal field of view in degrees, between 1 and 170.

    Raises:
        WorldError: The field of view is out of range.
    """
    if not 1 <= fov <= 170:
        raise WorldError(f'the field of view must be between 1 and 170 degrees, got {fov}')
    focal = width / 2 / np.tan(np.radians(fov) / 2)
    return Camera(
        width=width, height=height, fx=focal, fy=focal, cx=(width - 1) / 2, cy=(height - 1) / 2
    )


class WorldRecording:
    """A camera's way through a generated world; the same arguments give the same bytes.

    Args:
        scene: ``room``, ``corridor`` or ``street``.
        seed: Which world.
        motion: ``walk``, ``robot``, ``car`` (in the street) or ``drone``; by default what is
            natural in the scene.
        way: Which way through the world; another number is another way of the same kind.
        gait: How it is gone: ``steady``, ``still`` (at rest where the way is at ``start_s``),
            ``turning`` (there, on the spot) or ``halting``. Other things move in all of them.
        camera: Intrinsics without distortion; 320 x 240 with 70 degrees by default.
        frames: Number of snapshots.
        rate_hz: Snapshots per second.
        start_s: Seconds into the way at which the recording begins.
        baseline: Distance of the right camera in metres; 0 for no right view.
        noise: Standard deviation of Gaussian noise, in steps of the 8-bit image.
        labels: Whether the snapshots tell the class of each pixel.
        objects: Whether they tell the things that are seen.
        sensor: What else the camera does to its pictures.
        extras: What moves, what flies, photos on the walls.
        device: Torch device that renders.
        workers: Pictures rendered at the same time, each by one thread; for the CPU. The result
            does not depend on it.
        finest: Octaves of detail to leave out of the textures; see :class:`dlcv.data.world.render`.
        start_ns: Time stamp of the first snapshot.

    Raises:
        WorldError: An argument is out of range; the message names it.
    """

    def __init__(
        self,
        scene: str = 'room',
        *,
        seed: int = 0,
        motion: str = '',
        way: int = 0,
        gait: str = 'steady',
        camera: Camera | None = None,
        frames: int = 100,
        rate_hz: float = 10.0,
        start_s: float = 0.0,
        baseline: float = 0.0,
        noise: float = 0.0,
        labels: bool = False,
        objects: bool = False,
        sensor: SensorConfig | None = None,
        extras: Extras | None = None,
        device: str = 'cpu',
        workers: int = 2,
        finest: int = 0,
        start_ns: int = START_NS,
    ) -> None:
        if scene not in SCENES:
            raise WorldError(f'no scene {scene!r}; there are {", ".join(SCENES)}')
        self._motion = motion or NATURAL[scene]
        _check_motion(scene, self._motion)
        if min(frames, workers) < 1 or rate_hz <= 0 or min(baseline, noise, start_s) < 0:
            raise WorldError(
                'a recording needs frames and workers >= 1, rate_hz > 0, and baseline, noise and '
                f'start_s >= 0; got frames={frames}, workers={workers}, rate_hz={rate_hz}, '
                f'baseline={baseline}, noise={noise}, start_s={start_s}'
            )
        if min(seed, way, finest) < 0:
            raise WorldError(
                f'seed, way and finest must be >= 0, got seed={seed}, way={way}, finest={finest}'
            )
        if gait not in GAITS:
            raise WorldError(f'no gait {gait!r}; there are {", ".join(GAITS)}')
        self._gait = gait
        self._camera = camera or ideal_camera(320, 240)
        if self._camera.distorted:
            raise WorldError('the world renders ideal cameras; use camera.undistorted()')
        self._scene, self._seed, self._way = scene, seed, way
        self._extras = extras or Extras()
        self._device, self._workers, self._finest = device, workers, finest
        self._frames, self._rate_hz, self._start_s = frames, rate_hz, start_s
        self._baseline, self._noise, self._start_ns = baseline, noise, start_ns
        self._labels, self._objects = labels, objects
        self._sensor = Sensor(sensor or SensorConfig(), (seed, way))

    @property
    def name(self) -> str:
        """Scene and seed, motion and gait if they are not the usual ones, and the way if not 0."""
        parts = [self._scene, str(self._seed)]
        parts += [self._motion] if self._motion != NATURAL[self._scene] else []
        parts += [self._gait] if self._gait != 'steady' else []
        return '-'.join([*parts, *([str(self._way)] if self._way else [])])

    @property
    def scene(self) -> str:
        """Name of the scene."""
        return self._scene

    @property
    def motion(self) -> str:
        """Name of the motion."""
        return self._motion

    @property
    def gait(self) -> str:
        """How the way is gone."""
        return self._gait

    @property
    def camera(self) -> Camera:
        """Intrinsics of both cameras."""
        return self._camera

    @property
    def baseline(self) -> float:
        """Distance of the right camera in metres along +x; 0 when there is none."""
        return self._baseline

    @property
    def ground(self) -> float:
        """Height in the world of what the camera's way leads over, in metres: floor or road."""
        return 0.0 if self._motion == 'car' else self._stage.space.floor

    @property
    def sunlit(self) -> bool:
        """Whether the sun shines in the world."""
        return bool(self._stage.scene.sun.any())

    @property
    def stamps_ns(self) -> npt.NDArray[np.int64]:
        """Times of the snapshots."""
        steps = np.arange(self._frames, dtype=np.int64)
        offset: npt.NDArray[np.int64] = np.round(steps * (1e9 / self._rate_hz)).astype(np.int64)
        return offset + self._start_ns

    @property
    def world_from_camera(self) -> Array:
        """Poses of the left camera, ``(frames, 4, 4)`` in metres."""
        return self._poses(self._seconds())

    @property
    def world_from_rest(self) -> Array:
        """How far each moving thing is from where the scene has it, ``(frames, K, 4, 4)``."""
        return self._stage.world_from_rest(self._seconds())

    @property
    def _stage(self) -> Stage:
        return stage_of(self._scene, self._seed, self._extras)

    def _seconds(self) -> Array:
        """Return the times of the snapshots on the way's own clock, ``(frames,)``."""
        return (self.stamps_ns - self._start_ns) / 1e9 + self._start_s

    def _poses(self, seconds: Array) -> Array:
        rng = np.random.default_rng([self._seed, 2, MOTIONS.index(self._motion), self._way])
        path = camera_path(self._motion, rng, self._stage.space)
        return with_gait(self._gait, rng, path, self._start_s).world_from_camera(seconds)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[WorldSnapshot]:
        renderer = renderer_of(self._scene, self._seed, self._extras, self._device, self._finest)
        shots = self._shots()
        if self._workers > 1 and self._device == 'cpu':
            yield from self._in_parallel(renderer, shots)
            return
        previous: View | None = None
        for shot in shots:
            view = self._render(renderer, shot)
            yield self._snapshot(renderer, shot, (previous, view))
            previous = view

    def _shots(self) -> list[_Shot]:
        seconds = self._seconds()
        shutter = self._sensor.config.shutter
        times = np.concatenate((seconds, seconds + shutter)) if shutter else seconds
        poses, moved = self._poses(times), self._stage.world_from_rest(times)
        count = len(seconds)
        return [
            _Shot(
                index=i,
                seconds=float(seconds[i]),
                pose=poses[i],
                moved=moved[i],
                later=(poses[count + i], moved[count + i]) if shutter else None,
            )
            for i in range(count)
        ]

    def _in_parallel(self, renderer: Renderer, shots: list[_Shot]) -> Iterator[WorldSnapshot]:
        """Yield the snapshots in order; the pool renders ahead of the one that is asked for."""
        views: deque[Future[View]] = deque()
        snapshots: deque[Future[WorldSnapshot]] = deque()
        previous: View | None = None
        with ThreadPoolExecutor(self._workers, initializer=_one_thread) as pool:
            for i, shot in enumerate(shots):
                while len(views) <= self._workers and i + len(views) < len(shots):
                    views.append(pool.submit(self._render, renderer, shots[i + len(views)]))
                view = views.popleft().result()
                pair = previous, view
                snapshots.append(pool.submit(self._snapshot, renderer, shot, pair))
                previous = view
                if len(snapshots) > 1:
                    yield snapshots.popleft().result()
            yield snapshots.popleft().result()

    def _render(self, renderer: Renderer, shot: _Shot) -> View:
        eyes = self._eyes(shot.pose)
        moved = np.broadcast_to(shot.moved, (len(eyes), *shot.moved.shape))
        return renderer.render(self._camera, eyes, moved)

    def _snapshot(
        self, renderer: Renderer, shot: _Shot, views: tuple[View | None, View]
    ) -> WorldSnapshot:
        previous, view = views
        left = view[:1]
        flow = hidden = backward = backward_hidden = right_hidden = None
        if previous is not None:
            flow, hidden = _truths(renderer.flow(previous[:1], left))
            backward, backward_hidden = _truths(renderer.flow(left, previous[:1]))
        if self._baseline:
            right_hidden = renderer.hidden(left, view[1:])[0].cpu().numpy()
        frames = self._frames_of(renderer, shot, view)
        depth = (1 / view.inverse_depth).float().cpu().numpy()
        return WorldSnapshot(
            frame=frames[0],
            world_from_camera=shot.pose,
            depth=depth[0],
            flow=flow,
            right=frames[1] if self._baseline else None,
            patch=left.patch[0].cpu().numpy(),
            moving=renderer.moving(left.patch)[0].cpu().numpy(),
            labels=renderer.labels(left.patch)[0].cpu().numpy() if self._labels else None,
            objects=self._seen(shot, left, depth[0]) if self._objects else None,
            hidden=hidden,
            backward=backward,
            backward_hidden=backward_hidden,
            right_depth=depth[1] if self._baseline else None,
            right_hidden=right_hidden,
        )

    def _seen(self, shot: _Shot, view: View, depth: FloatArray) -> Objects:
        stage = self._stage
        instant = Instant(
            camera=self._camera,
            world_from_camera=shot.pose,
            world_from_rest=shot.moved,
            later=stage.world_from_rest(np.array([shot.seconds + _MOMENT_S]))[0],
            seconds=_MOMENT_S,
        )
        return objects_seen(stage.scene, view.patch[0].cpu().numpy(), depth, instant)

    def _eyes(self, world_from_left: Array) -> Array:
        """Return the poses of the left and, if there is one, of the right camera."""
        if not self._baseline:
            return world_from_left[None]
        world_from_right = world_from_left.copy()
        world_from_right[:3, 3] += self._baseline * world_from_left[:3, 0]
        return np.stack((world_from_left, world_from_right))

    def _frames_of(self, renderer: Renderer, shot: _Shot, view: View) -> list[Frame]:
        streaks: list[FloatArray | None] = [None] * len(view)
        if shot.later is not None:
            eyes = self._eyes(shot.later[0])
            moved = np.broadcast_to(shot.later[1], (len(eyes), *shot.later[1].shape))
            streaks = list(renderer.displacement(view, self._camera, eyes, moved).cpu().numpy())
        images = view.image.cpu().numpy()
        return [self._frame(shot, eye, images[eye], streak) for eye, streak in enumerate(streaks)]

    def _frame(self, shot: _Shot, eye: int, image: ByteImage, streak: FloatArray | None) -> Frame:
        image = self._sensor.develop(image, shot.seconds, (shot.index, eye), streak)
        if self._noise:
            rng = np.random.default_rng([self._seed, shot.index, eye])
            grain = rng.normal(0, self._noise, image.shape)
            image = np.clip(np.round(image + grain), 0, 255).astype(np.uint8)
        return Frame(
            stamp_ns=int(self.stamps_ns[shot.index]),
            image=image,
            camera=self._camera,
            frame_id='camera_right' if eye else 'camera',
        )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Shot:
    """Where camera and things are at one instant, and when the shutter closes."""

    index: int
    seconds: float
    pose: Array
    moved: Array
    later: tuple[Array, Array] | None


def motions_in(scene: str) -> tuple[str, ...]:
    """Return the motions that there is room for in a scene."""
    return tuple(name for name in MOTIONS if name != 'car' or scene == 'street')


def check_kinds(scenes: Sequence[str], motions: Sequence[str]) -> None:
    """Refuse kinds of world and of motion that cannot be drawn from.

    Raises:
        WorldError: If there is no such scene or none at all, or one has room for no motion.
    """
    unknown = [name for name in scenes if name not in SCENES]
    if unknown or not scenes:
        raise WorldError(f'no scene {unknown}; there are {", ".join(SCENES)}')
    for scene in scenes:
        if not set(motions) & set(motions_in(scene)):
            raise WorldError(
                f'none of the motions {", ".join(motions) or "(none)"} has room in the '
                f'scene {scene!r}; there are {", ".join(motions_in(scene))}'
            )


def any_camera(
    rng: np.random.Generator,
    size: tuple[int, int],
    fov: tuple[float, float],
    aspect: tuple[float, float] = (0.98, 1.02),
    offset: float = 0.05,
) -> Camera:
    """Return a camera with a random field of view and a principal point off the middle.

    Args:
        rng: Source of randomness.
        size: Width and height in pixels.
        fov: Least and greatest horizontal field of view in degrees.
        aspect: Least and greatest vertical focal length over the horizontal one, in pixels.
        offset: How far the principal point may be off, as a share of the size.
    """
    width, height = size
    ideal = ideal_camera(width, height, rng.uniform(*fov))
    shift = rng.uniform(-offset, offset, 2)
    return Camera(
        width=width,
        height=height,
        fx=ideal.fx,
        fy=ideal.fy * rng.uniform(*aspect),
        cx=ideal.cx + shift[0] * width,
        cy=ideal.cy + shift[1] * height,
    )


def any_sensor(rng: np.random.Generator) -> SensorConfig:
    """Return a sensor between ideal and poor."""
    badness = rng.random(6) ** 2
    return SensorConfig(
        drift=0.5 * badness[0],
        tint=0.08 * badness[1],
        shutter=0.02 * badness[2],
        flicker=0.15 * badness[3] if rng.random() < 0.3 else 0.0,
        mains_hz=float(rng.choice((50.0, 60.0))),
        readout=rng.uniform(0.01, 0.03),
        vignetting=0.5 * badness[4],
        gamma=(0.8, 1.25),
        shot_noise=10 * badness[5],
        read_noise=3 * badness[5],
    )


def _check_motion(scene: str, motion: str) -> None:
    if motion not in motions_in(scene):
        raise WorldError(
            f'no motion {motion!r} in the scene {scene!r}; there are {", ".join(motions_in(scene))}'
        )


def _truths(motion: tuple[Tensor, Tensor]) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    flow, hidden = motion
    return flow[0].float().cpu().numpy(), hidden[0].cpu().numpy()


def _one_thread() -> None:
    """Let a worker compute alone: several pictures at once beat several threads at one picture."""
    import torch

    torch.set_num_threads(1)  # of this thread


@lru_cache(maxsize=4)
def stage_of(scene: str, seed: int, extras: Extras) -> Stage:
    """Return a world, built or remembered."""
    return SCENES[scene](seed, extras)


@lru_cache(maxsize=3)
def renderer_of(scene: str, seed: int, extras: Extras, device: str, finest: int) -> Renderer:
    """Return the renderer of a world, built or remembered."""
    from dlcv.data.world.render import Renderer

    return Renderer(stage_of(scene, seed, extras).scene, device, finest=finest)
