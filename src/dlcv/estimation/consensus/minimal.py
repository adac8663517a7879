"""Pose hypotheses from random minimal sets: three cells for P3P, a fourth to choose and to check.

Brachmann et al., "DSAC" (CVPR 2017): a hypothesis is kept only if all four cells of its set
reproject within the threshold. P3P is by far the dear part, so a triple whose fourth cell
disagrees may try a few other fourth cells before all of it is thrown away; the accepted sets are
the same, and at 85 % outliers the same number of tries finds five times as many good ones.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dlcv.estimation.consensus.correspondences import NEAREST, Correspondences
from dlcv.estimation.consensus.p3p import solve_p3p

Array = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]
StoppedBy = Literal['enough', 'tries', 'time', 'input']

_ROUND = 2048  # minimal sets solved at once: intermediates stay in cache


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class MinimalPoses:
    """Hypotheses in the order in which they were drawn.

    Attributes:
        camera_from_world: ``(K, 4, 4)`` float64, metres.
        cells: ``(K, 4)`` indices of the correspondences of each set, the checking one last.
        tries: Minimal sets drawn.
        stopped_by: Why no more were drawn.
    """

    camera_from_world: Tensor
    cells: Tensor
    tries: int
    stopped_by: StoppedBy


def no_poses(matches: Correspondences) -> MinimalPoses:
    """Return what sampling gives when the input is too poor to start."""
    return MinimalPoses(
        camera_from_world=matches.points.new_empty(0, 4, 4),
        cells=torch.empty(0, 4, dtype=torch.int64, device=matches.points.device),
        tries=0,
        stopped_by='input',
    )


def sample_poses(
    matches: Correspondences,
    *,
    count: int,
    threshold: float,
    fourths: int,
    max_tries: int,
    deadline: float,
    generator: torch.Generator,
) -> MinimalPoses:
    """Draw minimal sets in batched rounds until enough of them agree with themselves.

    Args:
        matches: At least four usable float64 correspondences.
        count: Hypotheses wanted.
        threshold: Largest reprojection error of each of the four cells, pixels.
        fourths: Fourth cells that a triple may try.
        max_tries: Most triples to draw.
        deadline: ``time.monotonic()`` after which no new round starts; the first always does.
        generator: Source of randomness, on any device.

    Returns:
        At most ``count`` hypotheses, perhaps none.
    """
    known, device = _Arrays.of(matches), matches.points.device
    pool = np.flatnonzero(matches.usable.cpu().numpy())
    poses: list[Array] = [np.empty((0, 4, 4))]
    cells: list[Index] = [np.empty((0, 4), np.intp)]
    found = tries = 0
    while found < count and tries < max_tries and (tries == 0 or time.monotonic() < deadline):
        rate = (found + 1) / (tries + 3)  # before the first round: one set in three
        size = min(max(int(1.2 * (count - found) / rate), 64), _ROUND, max_tries - tries)
        drawn = pool[draw_distinct(len(pool), size, fourths, generator).cpu().numpy()]
        pose, cell = _solve(known, drawn, threshold)
        poses.append(pose)
        cells.append(cell)
        found, tries = found + len(pose), tries + size
    stopped: StoppedBy = 'tries' if tries >= max_tries else 'time'
    return MinimalPoses(
        camera_from_world=torch.from_numpy(np.concatenate(poses)[:count]).to(device),
        cells=torch.from_numpy(np.concatenate(cells)[:count]).to(device),
        tries=tries,
        stopped_by='enough' if found >= count else stopped,
    )


def draw_distinct(population: int, sets: int, fourths: int, generator: torch.Generator) -> Tensor:
    """Draw sets of three distinct indices, each with candidates for a distinct fourth.

    Args:
        population: Indices are below this; at least 4.
        sets: Number of sets B.
        fourths: Candidates F for the fourth index; they may repeat each other.
        generator: Source of randomness; the result lies on its device.

    Returns:
        ``(B, 3 + F)`` int64; the first three and any one of the others are distinct.
    """
    ranks = [
        torch.randint(
            population - taken, (sets, width), generator=generator, device=generator.device
        )
        for taken, width in ((0, 1), (1, 1), (2, 1), (3, fourths))
    ]
    drawn = ranks[0]
    for rank in ranks[1:]:
        index = rank
        for taken in drawn.sort(dim=1).values.unbind(1):  # the rank-th of those not yet taken
            index = index + (index >= taken[:, None])
        drawn = torch.cat((drawn, index), 1)
    return drawn


@dataclass(frozen=True, slots=True)
class _Arrays:
    """Correspondences for NumPy: points and rays ``(3, N)``, seen at ``(2, N)`` on the plane z = 1.

    `scale` are the focal lengths ``(2, 1, 1)``, for errors in pixels.
    """

    points: Array
    rays: Array
    plane: Array
    scale: Array

    @classmethod
    def of(cls, matches: Correspondences) -> _Arrays:
        points, pixels = matches.points.cpu().numpy(), matches.pixels.cpu().numpy()
        focal, centre = matches.focal.cpu().numpy(), matches.centre.cpu().numpy()
        plane = np.ascontiguousarray(((pixels - centre) / focal).T)
        rays = np.concatenate((plane, np.ones((1, plane.shape[1]))))
        rays /= np.sqrt(np.square(rays).sum(0))
        return cls(np.ascontiguousarray(points.T), rays, plane, focal[:, None, None])


def _solve(known: _Arrays, drawn: Index, threshold: float) -> tuple[Array, Index]:
    """Return the poses ``(k, 4, 4)`` and cells ``(k, 4)`` of the accepted among drawn sets."""
    triples = drawn[:, :3].T  # (3, B)
    gathered = (axes[:, triples].transpose(1, 0, 2) for axes in (known.rays, known.points))
    poses, owner = solve_p3p(*gathered)  # (S, 4, 4), (S,)
    fourths = drawn[owner, 3:]  # (S, F)
    error = _fourth_errors(poses, known, fourths)
    error = np.where(error < threshold**2, error, np.inf)  # (S, F)
    begins = np.flatnonzero(np.diff(owner, prepend=-1))  # of the solutions of each triple
    if not len(begins):
        return poses, np.empty((0, 4), np.intp)
    smallest = np.minimum.reduceat(error, begins)  # (U, F)
    first = np.isfinite(smallest).argmax(1)  # the first fourth cell with which a solution agrees
    each = np.cumsum(np.diff(owner, prepend=-1) > 0) - 1  # (S,) which of those triples
    own = first[each]
    mine = np.take_along_axis(error, own[:, None], 1)[:, 0]
    chosen = (mine == smallest[each, own]) & np.isfinite(mine)
    cells = np.column_stack((drawn[owner, :3], np.take_along_axis(fourths, own[:, None], 1)))
    return poses[chosen], cells[chosen]


def _fourth_errors(poses: Array, known: _Arrays, fourths: Index) -> Array:
    """Return the squared reprojection errors ``(S, F)`` of cells under poses; inf behind them."""
    rows = poses[:, :3].transpose(1, 2, 0)[..., None]  # (3, 4, S, 1)
    a, b, c = known.points[:, fourths]  # (S, F) each
    x, y, z = (row[0] * a + row[1] * b + row[2] * c + row[3] for row in rows)
    with np.errstate(divide='ignore', invalid='ignore', over='ignore'):
        off = (np.stack((x, y)) / z - known.plane[:, fourths]) * known.scale
        return np.where(z > NEAREST, np.square(off).sum(0), np.inf)
