"""Recordings of the generated world: pictures with exact depth, pose, flow and right view."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        start_ns: int = START_NS,
    ) -> None:
        if scene not in SCENES:
            raise WorldError(f'no scene {scene!r}; there are {", ".join(SCENES)}')
        if frames < 1 or rate_hz <= 0 or baseline < 0 or noise < 0 or seed < 0:
            raise WorldError(
                'a recording needs frames >= 1, rate_hz > 0, and baseline, noise and seed >= 0; '
                f'got frames={frames}, rate_hz={rate_hz}, baseline={baseline}, noise={noise}, '
                f'seed={seed}'
            )
        self._scene, self._seed, self._device = scene, seed, device
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
        previous: View | None = None
        for i, stamp_ns in enumerate(self.stamps_ns):
            view = renderer.render(self._camera, self._eyes(poses[i]))
            flow = hidden = None
            if previous is not None:
                motion = np.linalg.inv(poses[i]) @ poses[i - 1]
                motion_of, lost = renderer.flow(self._camera, previous, view, motion)
                flow, hidden = motion_of.float().cpu().numpy(), lost.cpu().numpy()
            yield WorldSnapshot(
                frame=self._frame(view, 0, i, int(stamp_ns)),
                world_from_camera=poses[i],
                depth=(1 / view.inverse_depth[0]).float().cpu().numpy(),
                flow=flow,
                right=self._frame(view, 1, i, int(stamp_ns)) if self._baseline else None,
                patch=view.patch[0].cpu().numpy(),
                hidden=hidden,
            )
            previous = view

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


@lru_cache(maxsize=2)
def _built(scene: str, seed: int) -> tuple[Scene, Path]:
    return SCENES[scene](seed)


@lru_cache(maxsize=2)
def _renderer(scene: str, seed: int, device: str) -> Renderer:
    from dlcv.world.render import Renderer

    return Renderer(_built(scene, seed)[0], device)
