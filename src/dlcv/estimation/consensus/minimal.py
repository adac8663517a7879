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

import torch
from torch import Tensor

from dlcv.estimation.consensus.correspondences import NEAREST, Correspondences
from dlcv.estimation.consensus.p3p import rays_of, solve_p3p

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
    pool = matches.usable.nonzero()[:, 0]
    poses, cells = [matches.points.new_empty(0, 4, 4)], [pool.new_empty(0, 4)]
    found = tries = 0
    while found < count and tries < max_tries and (tries == 0 or time.monotonic() < deadline):
        rate = (found + 1) / (tries + 4)  # before the first round: one set in four
        size = min(max(int(1.2 * (count - found) / rate), 64), _ROUND, max_tries - tries)
        drawn = pool[draw_distinct(len(pool), size, fourths, generator).to(pool.device)]
        pose, cell = _solve(matches, drawn, threshold)
        poses.append(pose)
        cells.append(cell)
        found, tries = found + len(pose), tries + size
    stopped: StoppedBy = 'tries' if tries >= max_tries else 'time'
    return MinimalPoses(
        camera_from_world=torch.cat(poses)[:count],
        cells=torch.cat(cells)[:count],
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


def _solve(matches: Correspondences, drawn: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Return the poses ``(k, 4, 4)`` and cells ``(k, 4)`` of the accepted among drawn sets."""
    triples = drawn[:, :3]
    rays = rays_of(matches.pixels[triples], matches.focal, matches.centre)
    poses, owner = solve_p3p(rays, matches.points[triples])  # (S, 4, 4), (S,)
    fourths = drawn[owner, 3:]  # (S, F)
    error = _fourth_errors(poses, matches, fourths)
    error = torch.where(error < threshold, error, torch.inf)  # (S, F)
    smallest = error.new_full((len(drawn), error.shape[1]), torch.inf)
    smallest.scatter_reduce_(0, owner[:, None].expand_as(error), error, 'amin')  # (B, F)
    agrees = smallest.isfinite()
    first = agrees.to(torch.int8).argmax(1)  # the first fourth cell with which a solution agrees
    own = first[owner][:, None]
    best = smallest[owner].gather(1, own)
    chosen = ((error.gather(1, own) == best) & best.isfinite())[:, 0]
    cells = torch.cat((triples[owner], fourths.gather(1, own)), 1)
    return poses[chosen], cells[chosen]


def _fourth_errors(poses: Tensor, matches: Correspondences, fourths: Tensor) -> Tensor:
    """Return the reprojection errors ``(S, F)`` of cells under poses; inf behind the camera."""
    a, b, c = (axis[fourths] for axis in matches.points.unbind(1))  # (S, F) each
    x, y, z = (
        row[:, 0:1] * a + row[:, 1:2] * b + row[:, 2:3] * c + row[:, 3:4]
        for row in poses[:, :3].unbind(1)
    )
    target = (matches.pixels - matches.centre) / matches.focal
    dx = (x / z - target[:, 0][fourths]) * matches.focal[0]
    dy = (y / z - target[:, 1][fourths]) * matches.focal[1]
    return torch.where(z > NEAREST, torch.hypot(dx, dy), torch.inf)
