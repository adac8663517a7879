"""The sample consensus beside OpenCV's and a plain one, on the same matches by turns.

4,800 matches with one pixel of noise, depths of 0.5 to 6 m, a share of the scene points replaced
by points anywhere in the scene; every method gets the same matches and threshold, and one thread.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

from dlcv.estimation.consensus import ConsensusSettings, solve_pose
from dlcv.estimation.memory import keep_freed_memory
from dlcv.evaluation.bench.options import Progress, silent
from dlcv.evaluation.bench.report import Row, Table
from dlcv.evaluation.speed.plain.dsac import one_by_one
from dlcv.evaluation.speed.timing import Spent, spend
from dlcv.geometry.rotation import from_parts, invert, so3_exp, transform
from dlcv.metrics.quantity import Quantity
from dlcv.networks.losses.dsac import rotation_error, translation_error
from dlcv.types import Camera

CAMERA = Camera(width=640, height=480, fx=525.0, fy=525.0, cx=319.5, cy=239.5)
MATCHES = 4800
THRESHOLD = 10.0  # pixels, for every method
OUTLIERS = (0.30, 0.50, 0.70, 0.85)
HYPOTHESES = 256
GOAL = 1.5  # most of OpenCV's time
_PLAIN_RUNS = 2  # of a plain program that takes seconds

Method = Callable[[Tensor, Tensor, int], Tensor | None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """One pose: what it took and how wrong it was."""

    spent: Spent
    degrees: float
    metres: float


COLUMNS = (
    Quantity(name='time', unit='ms', better='low', digits=1, doc='median wall time of one pose'),
    Quantity(name='CPU', unit='ms', better='low', digits=1, doc='median time of the processor'),
    Quantity(
        name='over MAGSAC',
        better='low',
        digits=2,
        doc="time of the processor over that of OpenCV's USAC_MAGSAC, median of turns; the goal "
        f'is {GOAL} at equal accuracy',
    ),
    Quantity(name='turn', unit='deg', better='low', digits=4, doc='median error of the rotation'),
    Quantity(name='shift', unit='cm', better='low', digits=3, doc='median error of the position'),
    Quantity(
        name='failed', better='low', digits=0, doc='poses off by more than 0.5 degrees or 5 cm'
    ),
)


def view(seed: int, outliers: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return scene coordinates ``(N, 3)``, pixels ``(N, 2)`` and the true world_from_camera."""
    draw: dict[str, Any] = {
        'generator': torch.Generator().manual_seed(seed),
        'dtype': torch.float64,
    }
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


def plain(coordinates: Tensor, pixels: Tensor, seed: int) -> Tensor | None:
    """Take one hypothesis after another."""
    found = one_by_one(
        coordinates.numpy(),
        pixels.numpy(),
        CAMERA,
        hypotheses=HYPOTHESES,
        threshold=THRESHOLD,
        seed=seed,
    )
    return None if found is None else invert(torch.from_numpy(found))


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
        turns, shifts = torch.from_numpy(turn[:, 0]), torch.from_numpy(shift[:, 0])
        return invert(from_parts(so3_exp(turns), shifts))

    return method


MAGSAC = 'OpenCV USAC_MAGSAC'
METHODS: dict[str, Method] = {
    MAGSAC: opencv(cv2.USAC_MAGSAC, 10_000),
    f'dlcv, {HYPOTHESES} hypotheses': ours(HYPOTHESES),
    'dlcv, 64 hypotheses': ours(64),
    'OpenCV P3P, 1000 iterations': opencv(cv2.SOLVEPNP_P3P, 1000),
    'plain, one after another': plain,
}


def measure(method: Method, seed: int, outliers: float) -> Run:
    """Time one pose and compare it with the truth."""
    coordinates, pixels, truth = view(seed, outliers)
    found: list[Tensor | None] = []
    spent = spend(lambda: found.append(method(coordinates, pixels, seed)))
    pose = found[0]
    if pose is None:
        return Run(spent=spent, degrees=math.inf, metres=math.inf)
    return Run(
        spent=spent,
        degrees=float(rotation_error(pose, truth)),
        metres=float(translation_error(pose, truth)),
    )


def consensus(runs: int, progress: Progress = silent) -> list[Table]:
    """Measure the sample consensus: a table for each share of outliers.

    Args:
        runs: Seeds for each share.
        progress: Told how far it is.
    """
    keep_freed_memory()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        tables = []
        for number, share in enumerate(OUTLIERS):
            progress('sample consensus', number, len(OUTLIERS))
            tables.append(_table(share, runs))
    finally:
        cv2.setNumThreads(threads)
    progress('sample consensus', len(OUTLIERS), len(OUTLIERS))
    return tables


def _table(outliers: float, runs: int) -> Table:
    taken: dict[str, list[Run]] = {name: [] for name in METHODS}
    for method in METHODS.values():
        if method is not plain:
            measure(method, 0, outliers)  # warm up
    for seed in range(runs):
        for name, method in METHODS.items():
            if method is not plain or seed < _PLAIN_RUNS:
                taken[name].append(measure(method, seed, outliers))
    return Table(
        name=f'consensus/{outliers:.0%}'.rstrip('%'),
        title=f'Sample consensus, {MATCHES} matches, {outliers:.0%} outliers',
        columns=COLUMNS,
        rows=tuple(
            Row(name=name, values=_row(found, taken[MAGSAC])) for name, found in taken.items()
        ),
    )


def _row(found: list[Run], base: list[Run]) -> tuple[float, ...]:
    pairs = zip(found, base, strict=False)  # the plain program runs less often
    return (
        median(run.spent.wall_ms for run in found),
        median(run.spent.cpu_ms for run in found),
        median(run.spent.cpu_ms / other.spent.cpu_ms for run, other in pairs),
        median(run.degrees for run in found),
        1e2 * median(run.metres for run in found),
        float(np.sum([not (run.degrees < 0.5 and run.metres < 0.05) for run in found])),
    )
