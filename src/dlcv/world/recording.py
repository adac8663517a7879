"""Recordings of the generated world: pictures with exact depth, pose, flow and right view."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, Camera, Frame, Snapshot
from dlcv.world.room import build_room
from dlcv.world.scene import Array, Scene, WorldError
from dlcv.world.street import build_street
from dlcv.world.trajectory import Path

if TYPE_CHECKING:  # torch takes seconds to import; only who renders needs it
    from dlcv.world.render import Renderer, View

SCENES: dict[str, Callable[[int], tuple[Scene, Path]]] = {
    'room': build_room,
    'street': build_street,
}
BASELINES = {'room': 0.12, 'street': 0.54}
START_NS = 1_700_000_000_000_000_000


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class WorldSnapshot(Snapshot):
    """A snapshot with the truths that only a generated world knows.

    Depth is +inf in the sky; the flow of the sky is that of the camera's rotation.

    Attributes:
        patch: ``(H, W)`` int64 number of the surface seen, the same in all snapshots of a world.
        hidden: ``(H, W)`` bool; pixels of the *previous* picture whose point this one does not
            show: hidden by something nearer, or out of the picture. None in the first snapshot.
    """

    patch: npt.NDArray[np.int64]
    hidden: npt.NDArray[np.bool_] | None = None


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
    """A camera's way through a generated world; the same seed gives the same bytes.

    Args:
        scene: ``room`` (a walk) or ``street`` (a drive).
        seed: Which world and which way through it.
        camera: Intrinsics without distortion; 320 x 240 with 70 degrees by default.
        frames: Number of snapshots.
        rate_hz: Snapshots per second.
        baseline: Distance of the right camera in metres; 0 for no right view.
        noise: Standard deviation of the sensor noise, in steps of the 8-bit image.
        device: Torch device that renders.
        workers: Pictures rendered at the same time, each by one thread; for the CPU. The result
            does not depend on it.
        start_ns: Time of the first snapshot.

    Raises:
        WorldError: An argument is out of range; the message names it.
    """

    def __init__(
        self,
        scene: str = 'room',
        *,
        seed: int = 0,
        camera: Camera | None = None,
        frames: int = 100,
        rate_hz: float = 10.0,
        baseline: float = 0.0,
        noise: float = 0.0,
        device: str = 'cpu',
        workers: int = 2,
        start_ns: int = START_NS,
    ) -> None:
        if scene not in SCENES:
            raise WorldError(f'no scene {scene!r}; there are {", ".join(SCENES)}')
        if min(frames, workers) < 1 or rate_hz <= 0 or min(baseline, noise, seed) < 0:
            raise WorldError(
                'a recording needs frames and workers >= 1, rate_hz > 0, and baseline, noise and '
                f'seed >= 0; got frames={frames}, workers={workers}, rate_hz={rate_hz}, '
                f'baseline={baseline}, noise={noise}, seed={seed}'
            )
        self._scene, self._seed, self._device, self._workers = scene, seed, device, workers
        self._camera = camera or ideal_camera(320, 240)
        if self._camera.distorted:
            raise WorldError('the world renders ideal cameras; use camera.undistorted()')
        self._frames, self._rate_hz = frames, rate_hz
        self._baseline, self._noise, self._start_ns = baseline, noise, start_ns

    @property
    def name(self) -> str:
        """Scene and seed."""
        return f'{self._scene}-{self._seed}'

    @property
    def camera(self) -> Camera:
        """Intrinsics of both cameras."""
        return self._camera

    @property
    def baseline(self) -> float:
        """Distance of the right camera in metres along +x; 0 when there is none."""
        return self._baseline

    @property
    def stamps_ns(self) -> npt.NDArray[np.int64]:
        """Times of the snapshots."""
        steps = np.arange(self._frames, dtype=np.int64)
        offset: npt.NDArray[np.int64] = np.round(steps * (1e9 / self._rate_hz)).astype(np.int64)
        return offset + self._start_ns

    @property
    def world_from_camera(self) -> Array:
        """Poses of the left camera, ``(frames, 4, 4)`` in metres."""
        _, path = _built(self._scene, self._seed)
        return path.world_from_camera((self.stamps_ns - self._start_ns) / 1e9)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[WorldSnapshot]:
        renderer = _renderer(self._scene, self._seed, self._device)
        poses = self.world_from_camera
        if self._workers > 1 and self._device == 'cpu':
            yield from self._in_parallel(renderer, poses)
            return
        previous: View | None = None
        for i in range(self._frames):
            view = renderer.render(self._camera, self._eyes(poses[i]))
            yield self._snapshot(renderer, poses, i, (previous, view))
            previous = view

    def _in_parallel(self, renderer: Renderer, poses: Array) -> Iterator[WorldSnapshot]:
        """Yield the snapshots in order; the pool renders ahead of the one that is asked for."""
        views: deque[Future[View]] = deque()
        snapshots: deque[Future[WorldSnapshot]] = deque()
        previous: View | None = None
        with ThreadPoolExecutor(self._workers, initializer=_one_thread) as pool:
            for i in range(self._frames):
                while len(views) <= self._workers and i + len(views) < self._frames:
                    eyes = self._eyes(poses[i + len(views)])
                    views.append(pool.submit(renderer.render, self._camera, eyes))
                view = views.popleft().result()
                pair = previous, view
                snapshots.append(pool.submit(self._snapshot, renderer, poses, i, pair))
                previous = view
                if len(snapshots) > 1:
                    yield snapshots.popleft().result()
            yield snapshots.popleft().result()

    def _snapshot(
        self, renderer: Renderer, poses: Array, index: int, views: tuple[View | None, View]
    ) -> WorldSnapshot:
        previous, view = views
        stamp_ns = int(self.stamps_ns[index])
        flow = hidden = None
        if previous is not None:
            motion = np.linalg.inv(poses[index]) @ poses[index - 1]
            displacement, lost = renderer.flow(self._camera, previous, view, motion)
            flow, hidden = displacement.float().cpu().numpy(), lost.cpu().numpy()
        return WorldSnapshot(
            frame=self._frame(view, 0, index, stamp_ns),
            world_from_camera=poses[index],
            depth=(1 / view.inverse_depth[0]).float().cpu().numpy(),
            flow=flow,
            right=self._frame(view, 1, index, stamp_ns) if self._baseline else None,
            patch=view.patch[0].cpu().numpy(),
            hidden=hidden,
        )

    def _eyes(self, world_from_left: Array) -> Array:
        """Return the poses of the left and, if there is one, of the right camera."""
        if not self._baseline:
            return world_from_left[None]
        world_from_right = world_from_left.copy()
        world_from_right[:3, 3] += self._baseline * world_from_left[:3, 0]
        return np.stack((world_from_left, world_from_right))

    def _frame(self, view: View, eye: int, index: int, stamp_ns: int) -> Frame:
        image: ByteImage = view.image[eye].cpu().numpy()
        if self._noise:
            rng = np.random.default_rng([self._seed, index, eye])
            grain = rng.normal(0, self._noise, image.shape)
            image = np.clip(np.round(image + grain), 0, 255).astype(np.uint8)
        frame_id = 'camera_right' if eye else 'camera'
        return Frame(stamp_ns=stamp_ns, image=image, camera=self._camera, frame_id=frame_id)


def _one_thread() -> None:
    """Let a worker compute alone: several pictures at once beat several threads at one picture."""
    import torch

    torch.set_num_threads(1)  # of this thread


@lru_cache(maxsize=4)
def _built(scene: str, seed: int) -> tuple[Scene, Path]:
    return SCENES[scene](seed)


@lru_cache(maxsize=2)
def _renderer(scene: str, seed: int, device: str) -> Renderer:
    from dlcv.world.render import Renderer

    return Renderer(_built(scene, seed)[0], device)
