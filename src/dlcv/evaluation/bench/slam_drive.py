"""A drive of hours through a town of points: what a map that never ends costs, without pictures.

Keypoints, their descriptors and depths, and what odometry says are made up; all that makes the map
is as on a robot: keyframes, loops and their solver, the limit of keyframes, `map -> odom`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from time import process_time

import numpy as np
import numpy.typing as npt
from scipy.ndimage import uniform_filter1d
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from dlcv.estimation.slam.mapping import View
from dlcv.estimation.slam.online import Online
from dlcv.estimation.slam.online_settings import OnlineSettings
from dlcv.estimation.slam.place import PlaceMap
from dlcv.estimation.slam.places import HashedVlad
from dlcv.evaluation.bench.options import Progress
from dlcv.host import resident
from dlcv.types import Camera, Frame, Keypoints
from dlcv.view.trajectory import path_length

Matrix = npt.NDArray[np.float64]

CAMERA = Camera(width=320, height=240, fx=228.5, fy=228.5, cx=159.5, cy=119.5)


@dataclass(frozen=True, kw_only=True, slots=True)
class Drive:
    """A drive along the streets of a town, at each crossing another way, never back.

    Attributes:
        hours: How long.
        speed: Metres per second.
        rate_hz: Of the pictures.
        blocks: Of the town, along each side.
        block: Length of one, from crossing to crossing, metres.
        width: Of a street, from house to house, metres.
        density: Points of a metre of house front.
        seen_to: Metres to which points are seen.
        drift: Deviations by which odometry is off in each step: a share of its length, and rad.
        keyframes: Most of the map.
        seed: Of everything.
    """

    hours: float = 2.0
    speed: float = 4.0
    rate_hz: float = 5.0
    blocks: int = 3
    block: float = 60.0
    width: float = 16.0
    density: float = 5.0
    seen_to: float = 40.0
    drift: tuple[float, float] = (0.005, 2e-4)
    keyframes: int = 800
    seed: int = 7


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Driven:
    """What became of the map.

    Attributes:
        pictures: How many there were.
        made: Keyframes that were made.
        kept: Keyframes of the map at the end.
        loops: That are believed at the end.
        way: Metres that were driven.
        off: RMS distance in metres of ``map_from_odom`` applied to odometry from the truth, over
            the second half.
        odometry: The same of odometry without a map.
        step_ms: CPU of a keyframe's step: median of those between a fifth and two fifths of the
            time, median of those in the last fifth, and the longest.
        memory_mb: Of the process, more than at the start: after two fifths of the time, and at the
            end.
    """

    pictures: int
    made: int
    kept: int
    loops: int
    way: float
    off: float
    odometry: float
    step_ms: tuple[float, float, float]
    memory_mb: tuple[float, float]


class Town:
    """House fronts of points, each of its own look.

    Args:
        drive: How large it is.
    """

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        rng = np.random.default_rng(drive.seed)
        lines = np.arange(drive.blocks + 1) * drive.block
        half = drive.width / 2
        parts = []
        for line in lines:
            for begin in lines[:-1]:
                count = round(drive.density * (drive.block - drive.width))
                for side in (-half, half):
                    along = rng.uniform(begin + half, begin + drive.block - half, count)
                    across = line + side + rng.normal(0, 0.2, count)
                    height = rng.uniform(-1.5, 6.0, count)
                    parts.append(np.stack((along, across, height), 1))
                    parts.append(np.stack((across, rng.permutation(along), height), 1))
        self.points: Matrix = np.concatenate(parts)
        looks = rng.normal(size=(len(self.points), 64)).astype(np.float32)
        self.looks = looks / np.linalg.norm(looks, axis=1, keepdims=True)
        self._near = cKDTree(self.points[:, :2])
        self._describer = HashedVlad()

    def view(self, pose: Matrix, stamp_ns: int) -> View:
        """Return what a camera at a pose shows; what stands behind other houses is not hidden."""
        rng, drive = np.random.default_rng(stamp_ns % 2**32), self._drive
        rows = np.array(self._near.query_ball_point(pose[:2, 3], drive.seen_to), np.int64)
        seen = (self.points[rows] - pose[:3, 3]) @ pose[:3, :3]
        z = np.maximum(seen[:, 2], 1e-3)
        xy = seen[:, :2] / z[:, None] * CAMERA.fx + (CAMERA.cx, CAMERA.cy)
        inside = (seen[:, 2] > 1) & ((xy > 0) & (xy < (CAMERA.width, CAMERA.height))).all(1)
        inside &= self._in_street(pose[:2, 3], self.points[rows, :2])
        rows, xy, z = rows[inside], xy[inside], z[inside]
        looks = self.looks[rows] + rng.normal(0, 0.04, (len(rows), 64)).astype(np.float32)
        looks /= np.linalg.norm(looks, axis=1, keepdims=True)
        points = Keypoints(
            stamp_ns=stamp_ns,
            xy=(xy + rng.normal(0, 0.5, xy.shape)).astype(np.float32),
            scores=np.ones(len(rows), np.float32),
            descriptors=looks,
        )
        frame = Frame(stamp_ns=stamp_ns, image=np.zeros((1, 1), np.uint8))
        return View(
            stamp_ns=stamp_ns,
            camera=CAMERA,
            xy=points.xy,
            descriptors=looks,
            inverse_depth=(1 + rng.normal(0, 0.02, len(z))) / z,
            inverse_stddev=0.02 / z,
            place=self._describer.describe(frame, points),
        )

    def _in_street(self, at: Matrix, points: Matrix) -> npt.NDArray[np.bool_]:
        """Return which points stand along a street that a place is in."""
        drive = self._drive
        lines = np.rint(at / drive.block) * drive.block  # of the nearest streets
        in_street = np.abs(at - lines) < drive.width / 2  # whose line runs along the other axis
        return np.asarray(((np.abs(points - lines) < drive.width) & in_street).any(axis=1))

    def way(self) -> Matrix:
        """Return the poses of the drive, ``(T, 4, 4)`` world_from_camera."""
        drive = self._drive
        rng = np.random.default_rng(drive.seed + 1)
        metres = 3600 * drive.hours * drive.speed
        here, step = np.zeros(2, np.int64), np.array((1, 0))
        corners = [here]
        while (len(corners) - 1) * drive.block < metres + drive.block:
            here = here + step
            corners.append(here)
            turned = [step, np.array((-step[1], step[0])), np.array((step[1], -step[0]))]
            there = [one for one in turned
                     if ((here + one >= 0) & (here + one <= drive.blocks)).all()]  # fmt: skip
            step = there[rng.integers(len(there))]
        every = drive.speed / drive.rate_hz
        along = np.arange(0, metres, every)
        line = np.stack(
            [
                np.interp(along, drive.block * np.arange(len(corners)), drive.block * axis)
                for axis in np.array(corners, np.float64).T
            ],
            axis=1,
        )
        line = uniform_filter1d(line, max(round(8.0 / every), 1), axis=0, mode='nearest')
        ahead = np.gradient(line, axis=0)
        ahead /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), 1e-9)
        poses: Matrix = np.tile(np.eye(4), (len(line), 1, 1))
        poses[:, 0, 0], poses[:, 1, 0] = ahead[:, 1], -ahead[:, 0]
        poses[:, 1, 1] = 0.0
        poses[:, 2, 1] = -1.0
        poses[:, :2, 2], poses[:, 2, 2] = ahead, 0.0
        poses[:, :2, 3] = line
        return poses


def driven(drive: Drive, progress: Progress) -> Driven:
    """Drive, and map on the way."""
    town = Town(drive)
    truth = town.way()
    online = Online(OnlineSettings(max_keyframes=drive.keyframes, lockstep=True), PlaceMap())
    begun = resident()
    memory: list[float] = []
    steps: list[tuple[float, float]] = []  # share of the time, and seconds
    errors: list[tuple[Matrix, Matrix]] = []
    covariance = np.diag(np.square(np.repeat((drive.drift[0] * drive.speed / drive.rate_hz,
                                              drive.drift[1]), 3)))  # fmt: skip
    made, total = 0, len(truth)
    for k, odom in enumerate(_odometry(truth, drive)):
        stamp = round(k * 1e9 / drive.rate_hz)
        begin = process_time()
        wanted = online.step(stamp, odom, covariance)
        took = process_time() - begin
        if wanted:
            view = town.view(truth[k], stamp)
            begin = process_time()
            online.show(view)
            made += 1
            steps.append((k / total, took + process_time() - begin))
        if k >= total / 2:
            known = online.map_from_odom
            assert known is not None
            errors.append((truth[0] @ known @ odom, truth[0] @ odom))
        if k in (2 * total // 5, total - 1):
            memory.append((resident() - begun) / 1e6)
        progress('a long drive', k + 1, total)
    online.close()
    at, seconds = np.array(steps).T
    early, late = (at > 0.2) & (at < 0.4), at > 0.8
    there = truth[total - len(errors) :, :3, 3]
    off, odometry = (
        float(np.sqrt(np.square(np.stack(some)[:, :3, 3] - there).sum(1).mean()))
        for some in zip(*errors, strict=True)
    )
    return Driven(
        pictures=total,
        made=made,
        kept=len(online.place),
        loops=len(online.place.loops),
        way=path_length(truth),
        off=off,
        odometry=odometry,
        step_ms=(
            1e3 * float(np.median(seconds[early])),
            1e3 * float(np.median(seconds[late])),
            1e3 * float(seconds.max()),
        ),
        memory_mb=(memory[0], memory[1]),
    )


def _odometry(truth: Matrix, drive: Drive) -> Iterator[Matrix]:
    """Return where odometry has each picture, by steps that are each a little off."""
    rng = np.random.default_rng(drive.seed + 2)
    pose: Matrix = np.eye(4)
    yield pose
    for before, after in pairwise(truth):
        step = np.linalg.inv(before) @ after
        step[:3, 3] *= 1 + rng.normal(0, drive.drift[0])
        step[:3, :3] @= Rotation.from_rotvec(rng.normal(0, drive.drift[1], 3)).as_matrix()
        pose = pose @ step
        yield pose
