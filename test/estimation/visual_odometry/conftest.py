"""Ways through generated rooms, what may befall the pictures of a way, and who follows them.

Everything is seeded; the points of a picture are computed once, however often it is shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np
import pytest
from scipy.stats import chi2

from dlcv.data.augment.photometric import motion_blur
from dlcv.data.synthetic.silhouettes import raster
from dlcv.data.world.recording import WorldRecording, ideal_camera
from dlcv.data.world.stage import Extras
from dlcv.estimation.load import load_features, load_visual_odometry
from dlcv.estimation.superpoint import FeatureSettings
from dlcv.estimation.visual_odometry import VisualOdometrySettings
from dlcv.metrics.consistency import nees
from dlcv.metrics.trajectory import motion_error
from dlcv.types import (
    Aids,
    ByteImage,
    DepthMap,
    FloatArray,
    Keypoints,
    Lost,
    Motion,
    Snapshot,
    Tracking,
)

SIZE, RATE_HZ = (320, 192), 20.0
CAMERA = ideal_camera(*SIZE)
STEP_NS = round(1e9 / RATE_HZ)
LEAST_VARIANCE = 1e-10  # m^2, rad^2: of a first pose that is certain

Change = Callable[[ByteImage, np.random.Generator], ByteImage]


# --- ways ---


def rendered(scene: str, motion: str, frames: int, seed: int, gait: str = 'steady', **more):
    """Return a way through a world in which nothing moves by itself, with faint noise."""
    recording = WorldRecording(
        scene, seed=seed, motion=motion, gait=gait, frames=frames, rate_hz=RATE_HZ, camera=CAMERA,
        noise=1.0, extras=Extras(traffic=False), workers=1, finest=1, **more,
    )  # fmt: skip
    return list(recording)


@pytest.fixture(scope='session')
def walk() -> list[Snapshot]:
    """Thirty-six pictures of somebody who walks through a room, 2.5 cm apart."""
    return rendered('room', 'walk', 36, seed=5)


@pytest.fixture(scope='session')
def elsewhere() -> list[Snapshot]:
    """Twelve pictures of a walk through another room."""
    return rendered('room', 'walk', 12, seed=11)


@pytest.fixture(scope='session')
def turning() -> list[Snapshot]:
    """Twenty pictures of a camera that turns on the spot in the first room."""
    return rendered('room', 'robot', 20, seed=5, gait='turning', start_s=4.0)


@pytest.fixture(scope='session')
def far(walk: list[Snapshot]) -> list[Snapshot]:
    """Sixteen pictures of hills two kilometres away, 5 cm and half a degree apart.

    The sideways motion moves no point by more than a hundredth of a pixel.
    """
    wide = np.concatenate([cv2.flip(walk[0].frame.image, 1), walk[0].frame.image], axis=1)
    distance, made = 2000.0, []
    for i in range(16):
        pose = np.eye(4)
        pose[:3, :3], _ = cv2.Rodrigues(np.array([0.0, np.radians(0.5 * i), 0.0]))
        pose[0, 3] = 0.05 * i
        # the plane z = distance of the first camera, in whose middle the picture hangs
        plane = np.outer(pose[:3, 3], (0, 0, 1)) / distance
        hung = CAMERA.matrix @ pose[:3, :3].T @ (np.eye(3) - plane) @ np.linalg.inv(CAMERA.matrix)
        hung = hung @ np.array([[1, 0, -SIZE[0] / 2], [0, 1, 0], [0, 0, 1]])
        image = cv2.warpPerspective(wide, hung, SIZE, flags=cv2.INTER_LINEAR)
        frame = replace(walk[0].frame, stamp_ns=i * STEP_NS, image=image)
        nothing = np.full(SIZE[::-1], np.nan, np.float32)  # beyond a depth camera
        made.append(Snapshot(frame=frame, world_from_camera=pose, depth=nothing))
    return made


@pytest.fixture(scope='session')
def still(walk: list[Snapshot]) -> list[Snapshot]:
    """One minute of one picture with noise that changes, in steps of 0.48 s."""
    rng = np.random.default_rng(0)
    pictures = [noisy(walk[8].frame.image, rng) for _ in range(8)]
    return [
        at(replace(walk[8], frame=replace(walk[8].frame, image=pictures[i % 8])), i, 480_000_000)
        for i in range(126)
    ]


# --- what befalls them ---


def at(view: Snapshot, index: float, step_ns: int = STEP_NS) -> Snapshot:
    """Return a view as the ``index``-th of a way."""
    return replace(view, frame=replace(view.frame, stamp_ns=10**18 + round(index * step_ns)))


def noisy(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    return (image + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)


def black(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    return rng.poisson(0.3, image.shape).astype(np.uint8)


def white(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    return np.full_like(image, 255)


def noise(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    return rng.integers(0, 256, image.shape, np.uint8)


def covered(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    """Something dark that shimmers before all of the lens."""
    veil = 0.1 * cv2.GaussianBlur(image, (0, 0), SIZE[0] / 4).astype(np.float32)
    return (veil + 20 + rng.normal(0, 2, image.shape)).clip(0, 255).astype(np.uint8)


def half_covered(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    """The same before its right half."""
    half = SIZE[0] // 2
    return np.concatenate([image[:, :half], covered(image, rng)[:, half:]], axis=1)


def blurred(image: ByteImage, rng: np.random.Generator) -> ByteImage:
    return noisy(motion_blur(image, 30.0, 0.4), rng)


def exposed(image: ByteImage, rng: np.random.Generator, gain: float) -> ByteImage:
    return (gain * image.astype(np.float32)).clip(0, 255).astype(np.uint8)


def changed(views: Sequence[Snapshot], which: Sequence[int], change: Change) -> list[Snapshot]:
    """Return the views, those of the indices with their picture changed."""
    rng = np.random.default_rng(1)
    made = list(views)
    for i in which:
        frame = views[i].frame
        made[i] = replace(views[i], frame=replace(frame, image=change(frame.image, rng)))
    return made


def peopled(views: Sequence[Snapshot]) -> list[Snapshot]:
    """Return the views with three people who walk through them, before a fifth of the pixels."""
    rng = np.random.default_rng(2)
    (width, height), (wide, tall) = SIZE, (40, 120)
    clothes = rng.integers(0, 256, (3, 15, 5, 3), np.uint8)
    looks = [cv2.resize(look, (wide, tall), interpolation=cv2.INTER_LINEAR) for look in clothes]
    body = np.array([[-0.5, -1], [0.5, -1], [0.9, 1], [-0.9, 1]])
    shape = raster(((body,),), tall, wide) > 0
    starts, speeds = (40.0, 170.0, 290.0), (5.0, -4.0, 6.0)  # pixels, and pixels a frame
    made = list(views)
    for i, view in enumerate(views):
        image = view.frame.image.copy()
        for look, start, speed in zip(looks, starts, speeds, strict=True):
            left = round((start + speed * i) % (width + wide)) - wide
            inside = slice(max(left, 0), min(left + wide, width))
            own = slice(inside.start - left, inside.stop - left)
            image[height - tall :, inside][shape[:, own]] = look[:, own][shape[:, own]]
        made[i] = replace(view, frame=replace(view.frame, image=image))
    return made


# --- who follows them ---


@dataclass(frozen=True, kw_only=True, repr=False)
class Said:
    """What visual odometry said of one view."""

    answer: Motion | Lost | None
    tracking: Tracking
    pose: FloatArray
    covariance: FloatArray
    truth: FloatArray  # in the axes of odom, if the first view is the origin

    def __repr__(self) -> str:
        return (
            f'{self.tracking.state}({self.metres:.4f} m, {self.degrees:.3f} deg, '
            f'{self.stddev:.4f} m{", " + self.tracking.reason if self.lost else ""})'
        )

    @property
    def lost(self) -> bool:
        return isinstance(self.answer, Lost)

    @property
    def metres(self) -> float:
        return float(np.linalg.norm(self.pose[:3, 3] - self.truth[:3, 3]))

    @property
    def degrees(self) -> float:
        return float(np.degrees(np.linalg.norm(motion_error(self.pose, self.truth)[3:])))

    @property
    def stddev(self) -> float:
        """Metres by which it says that the position may be off, in the worst direction."""
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance[:3, :3])[-1]))

    @property
    def honest(self) -> bool:
        """Whether the pose's error is one of 99.9 % that the stated covariance allows."""
        error = motion_error(self.pose, self.truth)
        covariance = self.covariance + LEAST_VARIANCE * np.eye(6)
        return bool(nees(error[None], covariance[None])[0] < chi2.ppf(0.999, 6))


@dataclass(kw_only=True)
class Follower:
    """Shows views to visual odometry, with their depth; remembers the points of pictures."""

    features: object
    estimator: object
    known: dict[bytes, Keypoints] = field(default_factory=dict, repr=False)

    def __call__(self, views: Sequence[Snapshot], *, depth: bool = True) -> list[Said]:
        """Follow views from the first on; it is the origin."""
        self.estimator.reset()
        first = np.linalg.inv(views[0].world_from_camera)
        return [self.push(view, first @ view.world_from_camera, depth=depth) for view in views]

    def push(self, view: Snapshot, truth: FloatArray, *, depth: bool = True) -> Said:
        aids = Aids(keypoints=self.points(view), depth=seen(view) if depth else None)
        answer = self.estimator.push(view.frame, aids)
        here = self.estimator if answer is None else answer
        covariance = self.estimator.pose_covariance
        if isinstance(answer, Lost):
            covariance = answer.pose_covariance
        return Said(
            answer=answer,
            tracking=self.estimator.tracking,
            pose=np.array(here.odom_from_camera),
            covariance=np.array(covariance),
            truth=truth,
        )

    def points(self, view: Snapshot) -> Keypoints:
        frame = view.frame
        key = frame.image.tobytes() + repr(frame.camera).encode()
        if key not in self.known:
            self.known[key] = self.features.push(frame)
        return replace(self.known[key], stamp_ns=frame.stamp_ns)


def seen(view: Snapshot) -> DepthMap | None:
    if view.depth is None:
        return None
    depth = np.where(np.isfinite(view.depth), view.depth, np.nan).astype(np.float32)
    return DepthMap(
        stamp_ns=view.frame.stamp_ns,
        disparity=np.full_like(depth, np.nan),
        depth=depth,
        camera=view.frame.camera,
    )


@pytest.fixture(scope='session')
def _follower() -> Follower:
    points = VisualOdometrySettings().max_keypoints
    return Follower(
        features=load_features(settings=FeatureSettings(max_keypoints=points), device='cpu'),
        estimator=load_visual_odometry(device='cpu'),
    )


@pytest.fixture
def follow(_follower: Follower) -> Follower:
    """Visual odometry with the shipped weights and its own settings, at the origin."""
    _follower.estimator.reset()
    return _follower


@dataclass(frozen=True)
class Scenes:
    """What may befall the pictures of a way."""

    at = staticmethod(at)
    changed = staticmethod(changed)
    peopled = staticmethod(peopled)
    black, white, noise, covered = map(staticmethod, (black, white, noise, covered))
    half_covered, blurred = map(staticmethod, (half_covered, blurred))

    @staticmethod
    def exposed(gain: float) -> Change:
        return partial(exposed, gain=gain)


@pytest.fixture(scope='session')
def scenes() -> type[Scenes]:
    return Scenes
