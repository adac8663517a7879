"""What visual odometry adds to SuperPoint's own time, and whether it stays flat, memory too.

    python benchmarks/odometry.py [--frames 10000] [--threads 2] [--rate 30] [--aid depth]

A camera goes round in a made-up room of points that are drawn as small patches: 640x480 pictures,
1,000 points with descriptors, of which a tenth have nothing to do with those of any other picture.
The points come beside the pictures (as from the node ``superpoint``), so what is timed is all that
visual odometry adds. Beside it, in turn: SuperPoint on such a picture, and OpenCV's five-point
method with its recovered pose on the mutual nearest neighbours of the same points. Without
``--lockstep`` the window is adjusted beside the answers, as in the node; with ``--rate 0`` pictures
come without a pause, so that it always competes with the next one. On a machine that others use,
the processor time of the asking thread says more than the wall time: both are printed.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any

import cv2
import numpy as np
import torch

from dlcv.estimation.device import set_threads
from dlcv.estimation.load import load_features, load_visual_odometry
from dlcv.estimation.memory import keep_freed_memory
from dlcv.estimation.superpoint import FeatureSettings
from dlcv.estimation.visual_odometry import VisualOdometrySettings
from dlcv.geometry.camera import pixel_rays
from dlcv.host import processor, resident
from dlcv.networks.layers.keypoints import match_mutual
from dlcv.types import Aids, Camera, DepthMap, FloatArray, Frame, Keypoints, Lost

WIDTH, HEIGHT, POINTS, WIDE = 640, 480, 1000, 256
CAMERA = Camera(width=WIDTH, height=HEIGHT, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
LAP = 200  # pictures of a round
STRANGE = POINTS // 10
BLOCKS = 10  # parts of the run that are compared
BESIDE = 40  # runs of SuperPoint and of the five-point method
PATCH = 6  # half the side of a point's patch, pixels


@dataclass(frozen=True, kw_only=True)
class Room:
    """Points on the walls of a room of 12 x 12 x 4 m, with their looks.

    Attributes:
        points: ``(N, 3)`` metres; y is down.
        descriptors: ``(N, 256)`` of length 1.
        patches: ``(N, 13, 13)`` uint8.
    """

    points: FloatArray
    descriptors: FloatArray
    patches: np.ndarray

    @staticmethod
    def drawn(rng: np.random.Generator, count: int = 9000) -> Room:
        """Return a random one."""
        points = rng.uniform((-6, -2, -6), (6, 2, 6), (count, 3))
        axis, wall = rng.choice((0, 2), count), rng.choice((-6.0, 6.0), count)
        points[np.arange(count), axis] = wall
        descriptors = rng.normal(size=(count, WIDE)).astype(np.float32)
        corners = rng.integers(0, 256, (count, 3, 3), np.uint8)  # smooth, as things in focus are
        side = (2 * PATCH + 1,) * 2
        patches = np.stack([cv2.resize(c, side, interpolation=cv2.INTER_CUBIC) for c in corners])
        return Room(points=points, descriptors=unit(descriptors), patches=patches)


@dataclass(frozen=True, kw_only=True)
class Sight:
    """What is seen from one place of the round.

    Attributes:
        index: ``(K,)`` which points.
        depth: ``(K,)`` of them, metres.
        keypoints: They, and strange ones behind them.
    """

    index: np.ndarray
    depth: FloatArray
    keypoints: Keypoints


@dataclass(kw_only=True)
class Times:
    """Seconds of each way to spend them, by the wall and by the processor, and memory in MB."""

    added: list[tuple[float, float]] = field(default_factory=list)
    superpoint: list[tuple[float, float]] = field(default_factory=list)
    five_points: list[tuple[float, float]] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    lost: int = 0


def unit(vectors: FloatArray) -> FloatArray:
    """Return vectors of length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), np.float32)


def sight(room: Room, place: int) -> Sight:
    """Look at the room from a place of the round, with 0.3 pixels of noise."""
    rng = np.random.default_rng([1, place])
    angle = 2 * np.pi * place / LAP
    centre = 2.5 * np.array([np.cos(angle), 0.0, np.sin(angle)])
    ahead = np.array([-np.sin(angle), 0.0, np.cos(angle)])  # along the circle
    down = np.array([0.0, 1.0, 0.0])
    camera_from_world = np.stack((np.cross(down, ahead), down, ahead))
    seen = (room.points - centre) @ camera_from_world.T
    front = np.flatnonzero(seen[:, 2] > 0.3)
    xy = seen[front, :2] / seen[front, 2:] * (CAMERA.fx, CAMERA.fy) + (CAMERA.cx, CAMERA.cy)
    margin = PATCH + 4
    low, high = (margin, margin), (WIDTH - margin, HEIGHT - margin)
    inside = ((xy > low) & (xy < high)).all(axis=1)
    chosen = rng.permutation(np.flatnonzero(inside))[: POINTS - STRANGE]
    index = front[chosen]
    strange = rng.uniform(low, high, (STRANGE, 2))
    noise = 0.02 * rng.normal(size=(len(index), WIDE))
    described = np.concatenate((
        room.descriptors[index] + noise.astype(np.float32),
        rng.normal(size=(STRANGE, WIDE)).astype(np.float32),
    ))  # fmt: skip
    both = np.concatenate((xy[chosen] + rng.normal(0, 0.3, (len(index), 2)), strange))
    both = both.astype(np.float32)
    return Sight(
        index=index,
        depth=seen[index, 2],
        keypoints=Keypoints(
            stamp_ns=0,
            xy=both,
            scores=np.sort(rng.uniform(0.01, 0.9, len(both)).astype(np.float32))[::-1],
            descriptors=unit(described),
            rays=pixel_rays(CAMERA, both),
        ),
    )


def picture(room: Room, view: Sight, stamp_ns: int, *, depth: bool) -> tuple[Frame, Aids]:
    """Draw what is seen: a patch for every point, and its depth where that is asked for."""
    image = np.full((HEIGHT, WIDTH), 128, np.uint8)
    at = np.round(view.keypoints.xy[: len(view.index)]).astype(int)
    reach = np.arange(-PATCH, PATCH + 1)
    rows, columns = at[:, 1, None, None] + reach[:, None], at[:, 0, None, None] + reach
    image[rows, columns] = room.patches[view.index]
    frame = Frame(stamp_ns=stamp_ns, image=image, camera=CAMERA)
    points = replace(view.keypoints, stamp_ns=stamp_ns)
    if not depth:
        return frame, Aids(keypoints=points)
    metres = np.full((HEIGHT, WIDTH), np.nan, np.float32)
    metres[rows, columns] = view.depth[:, None, None]
    unknown = np.full_like(metres, np.nan)
    measured = DepthMap(stamp_ns=stamp_ns, disparity=unknown, depth=metres, camera=CAMERA)
    return frame, Aids(keypoints=points, depth=measured)


def five_points(older: Keypoints, newer: Keypoints) -> Callable[[], object]:
    """Return OpenCV's way from the mutual nearest neighbours to a motion."""
    pairs, _ = match_mutual(
        torch.from_numpy(older.descriptors), torch.from_numpy(newer.descriptors), ratio=0.9
    )
    before, after = (
        np.ascontiguousarray(k.rays[pairs[:, i].numpy(), :2], np.float64)
        for i, k in enumerate((older, newer))
    )

    def solve() -> object:
        essential, inliers = cv2.findEssentialMat(
            before, after, np.eye(3), cv2.RANSAC, 0.999, 1 / CAMERA.fx
        )
        return cv2.recoverPose(essential, before, after, np.eye(3), mask=inliers)

    return solve


def wait_until(due: float) -> float:
    """Wait until this time; return it, or the present one if it has passed."""
    now = time.perf_counter()
    if now < due:
        time.sleep(due - now)
    return max(now, due)


def seconds(work: Callable[[], Any]) -> tuple[tuple[float, float], Any]:
    """Return how long some work takes, by the wall and of this thread, and what it gives."""
    begin, own = time.perf_counter(), time.thread_time()
    made = work()
    return (time.perf_counter() - begin, time.thread_time() - own), made


def measure(args: argparse.Namespace) -> Times:
    """Go round and round."""
    room = Room.drawn(np.random.default_rng(0))
    round_trip = [sight(room, place) for place in range(LAP)]
    settings = VisualOdometrySettings(
        max_keypoints=POINTS, lockstep=args.lockstep, scale_source=args.aid
    )
    odometry = load_visual_odometry(settings=settings, device='cpu')
    features = load_features(settings=FeatureSettings(max_keypoints=POINTS), device='cpu')
    times = Times()
    every = max(1, args.frames // BESIDE)
    edges = np.linspace(0, args.frames, BLOCKS + 1).astype(int)[1:]
    print(f'{"frames":>16}{"median":>9}{"95 %":>8}{"processor":>11}{"95 %":>8}{"memory MB":>11}')
    due = time.perf_counter()
    for i in range(args.frames + LAP):
        view, stamp = round_trip[i % LAP], i * 10**8
        frame, aids = picture(room, view, stamp, depth=args.aid == 'depth')
        due = wait_until(due) + (1 / args.rate if args.rate else 0)
        took, answer = seconds(lambda f=frame, a=aids: odometry.push(f, a))
        if i < LAP:  # warm up
            continue
        times.added.append(took)
        times.memory.append(resident() / 2**20)
        times.lost += isinstance(answer, Lost)
        if i % every == 0:
            times.superpoint.append(seconds(lambda f=frame: features.push(f))[0])
            solve = five_points(round_trip[(i - 1) % LAP].keypoints, view.keypoints)
            times.five_points.append(seconds(solve)[0])
        if len(times.added) in edges:
            print_part(times, len(times.added) - args.frames // BLOCKS, len(times.added))
    return times


def spread(taken: list[tuple[float, float]]) -> str:
    """Return medians and high percentiles in ms, by the wall and by the processor."""
    wall, own = 1e3 * np.quantile(np.array(taken), (0.5, 0.95), axis=0).T
    return f'{wall[0]:>9.1f}{wall[1]:>8.1f}{own[0]:>11.1f}{own[1]:>8.1f}'


def print_part(times: Times, first: int, end: int) -> None:
    """Print what a part of the run took, and the memory at its end."""
    taken = spread(times.added[first:end])
    print(f'{first:>7} - {end - 1:<6}{taken}{times.memory[end - 1]:>11.1f}', flush=True)


def report(times: Times) -> None:
    """Print medians, high percentiles and ratios; then how the end compares with the beginning."""
    rows = {
        'added': times.added,
        'SuperPoint': times.superpoint,
        'five points': times.five_points,
    }
    base = np.median(np.array(times.five_points)[:, 1])
    print(f'\n{"ms":16}{"median":>9}{"95 %":>8}{"processor":>11}{"95 %":>8}{"to five points":>16}')
    for name, taken in rows.items():
        print(f'{name:16}{spread(taken)}{np.median(np.array(taken)[:, 1]) / base:>16.2f}')
    part = len(times.added) // BLOCKS
    own = np.array(times.added)[:, 1]
    ratio = np.median(own[-part:]) / np.median(own[:part])
    print(f'\nlost: {times.lost} of {len(times.added)} frames')
    print(f'last part to first: processor time {ratio:.2f}, memory '
          f'{times.memory[-1] - times.memory[part - 1]:+.1f} MB')  # fmt: skip


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--frames', type=int, default=10_000, help='after a round to warm up')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rate', type=float, default=30.0, help='pictures a second; 0: no pauses')
    parser.add_argument('--aid', choices=('none', 'depth'), default='none')
    parser.add_argument('--lockstep', action='store_true', help='adjust the window at once')
    args = parser.parse_args()
    keep_freed_memory()
    threads = set_threads(args.threads)
    cv2.setNumThreads(threads)
    print(f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.node()}, {processor()}')
    print(
        f'{threads} threads, load {os.getloadavg()[0]:.1f}, PyTorch '
        f'{torch.__version__}, OpenCV {cv2.__version__}, NumPy {np.__version__}'
    )
    lockstep = ', lock-step' if args.lockstep else ''
    rate = f'{args.rate:g} Hz' if args.rate else 'no pauses'
    print(f'{WIDTH}x{HEIGHT}, {POINTS} points, {rate}, aid: {args.aid}{lockstep}\n')
    report(measure(args))


if __name__ == '__main__':
    main()
