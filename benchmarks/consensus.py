"""Time and accuracy of the sample consensus beside OpenCV's, on the same matches in the same run.

    python benchmarks/consensus.py [--runs 50] [--hypotheses 256]

4,800 matches with one pixel of noise, depths of 0.5 to 6 m, a share of the scene points replaced
by points anywhere in the scene. Every method gets the same matches, threshold and machine, run by
turns; a run has failed when its pose is off by more than 0.5 degrees or 5 cm.
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone

import cv2
import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.consensus import ConsensusSettings, solve_pose
from dlcv.geometry.rotation import from_parts, invert, so3_exp, transform
from dlcv.networks.losses.dsac import rotation_error, translation_error
from dlcv.types import Camera

CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
MATCHES = 4800
THRESHOLD = 10.0  # pixels, for every method
OUTLIERS = (0.30, 0.50, 0.70, 0.85)

Method = Callable[[Tensor, Tensor, int], Tensor | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One pose: how long it took and how wrong it was."""

    milliseconds: float
    degrees: float
    metres: float

    @property
    def failed(self) -> bool:
        """Whether this is not the pose at all."""
        return not (self.degrees < 0.5 and self.metres < 0.05)


def view(seed: int, outliers: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return scene coordinates ``(N, 3)``, pixels ``(N, 2)`` and the true world_from_camera."""
    draw = {'generator': torch.Generator().manual_seed(seed), 'dtype': torch.float64}
    size = torch.tensor((CAMERA.width, CAMERA.height), dtype=torch.float64)
    pixels = torch.rand(MATCHES, 2, **draw) * size - 0.5
    depth = 0.5 + 5.5 * torch.rand(MATCHES, 1, **draw)
    rays = (pixels - pixels.new_tensor((CAMERA.cx, CAMERA.cy))) / CAMERA.fx
    pose = from_parts(so3_exp(torch.randn(3, **draw)), 2 * torch.randn(3, **draw))
    points = transform(pose, torch.cat((rays, torch.ones_like(depth)), 1) * depth)
    low, high = points.amin(0), points.amax(0)
    anywhere = low + (high - low) * torch.rand(MATCHES, 3, **draw)
    outlying = torch.rand(MATCHES, 1, **draw) < outliers
    noise = torch.randn(MATCHES, 2, **draw)
    return torch.where(outlying, anywhere, points), pixels + noise, pose


def ours(hypotheses: int) -> Method:
    """Return this package's consensus; without a clock, so that a busy machine changes no pose."""
    settings = ConsensusSettings(hypotheses=hypotheses, threshold=THRESHOLD, time_budget=math.inf)

    def method(coordinates: Tensor, pixels: Tensor, seed: int) -> Tensor | None:
        generator = torch.Generator().manual_seed(seed)
        found = solve_pose(coordinates, pixels, CAMERA, settings, generator=generator)
        return found.world_from_camera

    return method


def opencv(flags: int, iterations: int) -> Method:
    """Return OpenCV's solvePnPRansac with the given flags."""

    def method(coordinates: Tensor, pixels: Tensor, seed: int) -> Tensor | None:
        cv2.setRNGSeed(seed)
        found, turn, shift, _ = cv2.solvePnPRansac(
            coordinates.numpy(),
            pixels.numpy(),
            CAMERA.matrix,
            None,
            iterationsCount=iterations,
            reprojectionError=THRESHOLD,
            confidence=0.999,
            flags=flags,
        )
        if not found:
            return None
        turn, shift = torch.from_numpy(turn[:, 0]), torch.from_numpy(shift[:, 0])
        return invert(from_parts(so3_exp(turn), shift))

    return method


def measure(method: Method, seed: int, outliers: float) -> Run:
    """Time one pose and compare it with the truth."""
    coordinates, pixels, truth = view(seed, outliers)
    start = time.perf_counter()
    pose = method(coordinates, pixels, seed)
    milliseconds = 1e3 * (time.perf_counter() - start)
    if pose is None:
        return Run(milliseconds=milliseconds, degrees=math.inf, metres=math.inf)
    return Run(
        milliseconds=milliseconds,
        degrees=float(rotation_error(pose, truth)),
        metres=float(translation_error(pose, truth)),
    )


def report(outliers: float, runs: dict[str, list[Run]]) -> None:
    """Print one line for each method at one share of outliers."""
    base = statistics.median(r.milliseconds for r in next(iter(runs.values())))
    for name, results in runs.items():
        median = statistics.median(r.milliseconds for r in results)
        print(
            f'{outliers:8.0%}  {name:20s} {median:8.1f} {median / base:8.2f}'
            f' {statistics.median(r.degrees for r in results):9.4f}'
            f' {1e2 * statistics.median(r.metres for r in results):9.3f}'
            f' {max(r.degrees for r in results):9.3f} {1e2 * max(r.metres for r in results):9.2f}'
            f' {sum(r.failed for r in results):4d}/{len(results)}'
        )


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--runs', type=int, default=50, help='seeds for each share of outliers')
    parser.add_argument('--hypotheses', type=int, default=256, help='for our consensus')
    args = parser.parse_args()
    methods = {
        f'dlcv, {args.hypotheses} hyp.': ours(args.hypotheses),
        'dlcv, 64 hyp.': ours(64),
        'OpenCV USAC_MAGSAC': opencv(cv2.USAC_MAGSAC, 10_000),
        'OpenCV P3P, 1000 it.': opencv(cv2.SOLVEPNP_P3P, 1000),
    }
    print(
        f'{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {platform.node()}, '
        f'{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, torch {torch.__version__} with '
        f'{torch.get_num_threads()} threads, OpenCV {cv2.__version__} with {cv2.getNumThreads()}, '
        f'NumPy {np.__version__}\n'
        f'{MATCHES} matches, 1 px noise, threshold {THRESHOLD:g} px, {args.runs} seeds; '
        'medians, then the worst; ratio is of times, to the first line\n\n'
        'outliers  method                     ms    ratio   degrees        cm  '
        'worst deg  worst cm failed'
    )
    for outliers in OUTLIERS:
        for method in methods.values():
            measure(method, 0, outliers)  # warm up
        runs: dict[str, list[Run]] = {name: [] for name in methods}
        for seed in range(args.runs):
            for name, method in methods.items():
                runs[name].append(measure(method, seed, outliers))
        report(outliers, runs)


if __name__ == '__main__':
    main()
