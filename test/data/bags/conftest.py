"""A small recording in memory, and bags made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from dlcv.data.bags import BagWriter, write_recording
from dlcv.data.bags.vocabulary import COMPOSER
from dlcv.types import Camera, Frame, Snapshot

CAMERA = Camera(width=24, height=16, fx=20.0, fy=21.0, cx=11.5, cy=7.5, distortion=(0.1, 0, 0, 0))


@dataclass
class SmallRecording:
    """Random pictures of a camera that drives a circle, with all truth there can be."""

    count: int = 12
    stereo: bool = False
    grey: bool = False
    name: str = 'small'
    camera: Camera = CAMERA
    fails_at: int | None = None
    stamps: list[int] = field(default_factory=list)
    speed: float = 2.0
    yaw_rate: float = 0.5

    def __post_init__(self):
        self.baseline = 0.25 if self.stereo else 0.0
        self.stamps = self.stamps or [1_000_000_007 + i * 100_000_000 for i in range(self.count)]

    def __len__(self):
        return self.count

    def __iter__(self) -> Iterator[Snapshot]:
        for i in range(self.count):
            if i == self.fails_at:
                raise OSError('the disk of the source is gone')
            yield self.snapshot(i)

    def snapshot(self, i):
        rng = np.random.default_rng(i)
        shape = (16, 24) if self.grey else (16, 24, 3)
        left, right = (rng.integers(0, 256, shape, np.uint8) for _ in range(2))
        depth = rng.uniform(1, 9, (16, 24)).astype(np.float32)
        depth[0, :3] = np.nan
        stamp = self.stamps[i]
        return Snapshot(
            frame=Frame(stamp_ns=stamp, image=left, camera=self.camera),
            world_from_camera=self.pose((stamp - self.stamps[0]) * 1e-9),
            depth=depth,
            flow=rng.normal(size=(16, 24, 2)).astype(np.float32),
            right=Frame(stamp_ns=stamp, image=right, camera=self.camera) if self.stereo else None,
        )

    def pose(self, t):
        """World z up; the camera looks along the tangent of a circle to the left."""
        a, radius = self.yaw_rate * t, self.speed / self.yaw_rate
        link = np.eye(4)
        link[:2, :2] = [[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]
        link[:3, 3] = [radius * np.sin(a), radius * (1 - np.cos(a)), 1.5]
        optical = np.array([[0, 0, 1, 0], [-1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1.0]])
        return link @ optical


@pytest.fixture
def small_recording() -> type[SmallRecording]:
    return SmallRecording


@pytest.fixture
def small_bag(tmp_path: Path) -> Path:
    write_recording(SmallRecording(), tmp_path / 'small')
    return tmp_path / 'small'


@pytest.fixture
def header() -> Callable[..., object]:
    return COMPOSER.header


@pytest.fixture
def make_bag(tmp_path: Path) -> Callable[..., Path]:
    """Write (topic, type, stamp, message) rows to a bag."""

    def make(rows, name='made.mcap'):
        seen = set()
        with BagWriter(tmp_path / name) as bag:
            for topic, msgtype, stamp_ns, message in rows:
                if topic not in seen:
                    bag.add_topic(topic, msgtype)
                    seen.add(topic)
                bag.write(topic, stamp_ns, message)
        return tmp_path / name

    return make


@pytest.fixture
def make_pose() -> Callable[..., object]:
    """Make a geometry_msgs/Pose at x metres; ``w`` scales the quaternion."""

    def make(x, w=1.0):
        m = COMPOSER.make
        return m(
            'geometry_msgs/msg/Pose',
            position=m('geometry_msgs/msg/Point', x=float(x), y=2.0, z=3.0),
            orientation=m('geometry_msgs/msg/Quaternion', x=0.0, y=0.0, z=0.0, w=float(w)),
        )

    return make
