"""The first depths of a camera that nothing helps, from all pictures since a first one.

Two pictures are not enough: before a plane two motions move all points alike (Longuet-Higgins, "The
reconstruction of a plane surface from two perspective projections", 1986), and with little parallax
many do. So each motion that the newest picture may show is followed by all pictures in between,
adjusted with them, and believed when no other explains them nearly as well.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation

from dlcv.estimation.odometry.bundle import MotionPriors
from dlcv.estimation.odometry.initial import LEAST as FEWEST
from dlcv.estimation.odometry.initial import possible_motions, turn_of_rays
from dlcv.estimation.odometry.landmarks import LEAST, rows_among
from dlcv.estimation.odometry.reprojection import reproject, squares
from dlcv.estimation.odometry.triangulation import Triangulated, triangulate
from dlcv.estimation.odometry.window import Adjusted, Window, adjust
from dlcv.geometry.frames import inverse

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

PARALLAX = 2.0
"""Pixels by which a quarter of the points must have moved, but for the turn, to tell depths."""

_QUARTER = 75  # percentile
_PICTURES, _POINTS = 6, 150  # at most so many are adjusted
_STEPS = 8
_NOISE = 0.35  # pixels, of a point in two pictures
# By how many deviations of what single points say, and how many times, all others must explain the
# pictures worse; or by the first again and again: patches that are off in common prefer one, too.
_SURE, _CLEARLY, _ROW = 3.0, 1.3, 3
_APART = 0.15  # rad by which directions of the way differ
_GROWN = 1.25  # how many times the parallax must be what it was, to look again
_KNOWN = 0.2  # relative standard deviation below which a depth is one
_ENOUGH = 0.2  # share of the points whose depth must be known
_LONGEST = 20  # pictures with parallax after which the best is taken
_FADED = 0.5  # share of the points that are left, with which less must do
_REMEMBERED = 40  # pictures
_FIRM = 1e-3  # standard deviation of the length that is the unit


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Beginning:
    """How the pictures since the first are understood.

    Attributes:
        first: Number of the first picture.
        poses: ``{number: (4, 4)}`` first_from_camera of it and of some since; the unit is the
            distance of the newest.
        names: ``(L,)`` of points of the first picture, rising.
        inverse_depth: ``(L,)`` of them there.
        variance: ``(L,)`` of that.
        decided: Whether no other understanding is nearly as good.
        rival: The poses of the best other understanding, in the same unit; None for none.
    """

    first: int
    poses: dict[int, Matrix]
    names: Indices
    inverse_depth: Matrix
    variance: Matrix
    decided: bool
    rival: dict[int, Matrix] | None

    def ambiguity(self, older: int, newer: int, poses: dict[int, Matrix]) -> Matrix:
        """Return the ``(6, 6)`` covariance of a motion by how else it is understood.

        Args:
            older: Number of a picture.
            newer: Number of another.
            poses: ``{number: (4, 4)}`` in the window, in whose axes and unit it is.
        """
        if self.rival is None:
            return np.zeros((6, 6))
        unit = np.linalg.norm(poses[newer][:3, 3] - poses[self.first][:3, 3])
        ours, theirs = (inverse(one[older]) @ one[newer] for one in (self.poses, self.rival))
        shift = unit * (theirs - ours)[:3, 3]
        turn = Rotation.from_matrix(theirs[:3, :3] @ ours[:3, :3].T).as_rotvec()
        axes = poses[older][:3, :3]
        off = np.concatenate((axes @ shift, axes @ turn))
        return np.outer(off, off)


@dataclass(frozen=True, slots=True, eq=False)
class _Picture:
    """What a picture shows of the points: rows, where, and how exactly; its turn and parallax."""

    number: int
    rows: Indices
    xy: Matrix
    stddev: Matrix
    turn: Matrix
    parallax: float


class Pictures:
    """The pictures since a first one, and what they show of its points.

    Args:
        number: Of the first picture.
        names: ``(L,)`` of its points, rising.
        rays: ``(L, 2)`` x/z and y/z of them.
        focal: Pixels per unit of them.

    Attributes:
        number: Of the first picture.
        parallax: Pixels by which a quarter of the points moved since then, but for the turn.
    """

    def __init__(self, number: int, names: Indices, rays: Matrix, focal: float) -> None:
        self.number, self._names, self._rays, self._focal = number, names, rays, focal
        self._pictures: list[_Picture] = []
        self.parallax = 0.0
        self._most = self._left = 0  # points that one picture showed, and the newest
        self._judged = 0.0  # parallax when they were last understood
        self._since = 0  # pictures with parallax
        self._believed: dict[int, Matrix] = {}  # the newest pose when they were last understood
        self._row = 0  # how often in a row they were understood so

    @property
    def left(self) -> float:
        """How many of the points the newest picture shows, as a share of the most that one did."""
        return self._left / max(self._most, 1)

    def note(self, number: int, names: Indices, xy: Matrix, stddev: Matrix) -> Matrix | None:
        """Take down what a picture shows of landmarks.

        Args:
            number: Of the picture.
            names: ``(N,)`` of the landmarks.
            xy: ``(N, 2)`` where, as x/z and y/z.
            stddev: ``(N,)`` how exactly.

        Returns:
            ``(3, 3)`` the turn first_from_newest; None if it shows too few of the points.
        """
        rows, ours = rows_among(self._names, names)
        order = np.flatnonzero(ours)[np.argsort(rows[ours])]
        rows, xy = rows[order], xy[order]
        self.parallax = 0.0
        self._left = len(rows)
        self._most = max(self._most, self._left)
        if len(rows) < FEWEST:
            return None
        turn, self.parallax = self._moved(self._rays[rows], xy)
        self._pictures.append(_Picture(number, rows, xy, stddev[order], turn, self.parallax))
        self._since += self.parallax >= PARALLAX
        if len(self._pictures) > _REMEMBERED:  # none of those shows parallax
            del self._pictures[-_REMEMBERED // 2]
        return turn

    def tell(self) -> bool:
        """Whether it is time to understand them: they show parallax, and more than before."""
        least = PARALLAX / 2 if self.left < _FADED else PARALLAX  # it will not be more
        return self.parallax >= max(least, _GROWN * self._judged)

    def understood(self, needed: set[int]) -> Beginning | None:
        """Return how the pictures are understood best; None if nothing explains them.

        Args:
            needed: Numbers of pictures whose poses are asked for, if they were noted.
        """
        self._judged = self.parallax
        chosen = self._chosen(needed | set(self._believed))
        newest = chosen[0]
        window = self._window(chosen)
        found = []
        for motion in possible_motions(self._rays[newest.rows], newest.xy, self._focal):
            adjusted = adjust(self._started(window, chosen, motion), iterations=_STEPS)
            found.append((adjusted, _squared(window, adjusted)))
        if not found:
            return None
        width = min(float(np.median(squared)) for _, squared in found)
        costs = [
            np.bincount(window.landmark, np.log1p(squared / width), len(window.rays))
            for _, squared in found
        ]
        order = np.argsort([cost.sum() for cost in costs])
        best = found[order[0]][0]
        others = [
            (found[i][0].odom_from_camera, costs[i])
            for i in order[1:]
            if _angle(found[i][0].odom_from_camera[1], best.odom_from_camera[1]) > _APART
        ]
        numbers = [self.number, *(one.number for one in chosen)]
        poses = dict(zip(numbers, best.odom_from_camera, strict=True))
        again = self._believe(poses, newest.number)
        rival = next(
            (one for one, cost in others if not _worse(costs[order[0]], cost, again)), None
        )
        depths = self._depths(chosen, best.odom_from_camera)
        known = depths.accepted & (depths.stddev < _KNOWN * depths.inverse_depth)
        if np.count_nonzero(known) < FEWEST:
            return None
        told = np.count_nonzero(known) >= _ENOUGH * len(newest.rows)
        if self._since >= _LONGEST:
            told, rival = True, None
        return Beginning(
            first=self.number,
            poses=poses,
            names=self._names[known],
            inverse_depth=depths.inverse_depth[known],
            variance=np.square(depths.stddev[known]),
            decided=told and rival is None,
            rival=None if rival is None else dict(zip(numbers, rival, strict=True)),
        )

    def _believe(self, poses: dict[int, Matrix], newest: int) -> bool:
        """Take note of what is believed; return whether it was so the last times as well."""
        same = all(
            number in poses and _angle(poses[number], before) < _APART
            for number, before in self._believed.items()
        )
        self._row = self._row + 1 if same else 1
        self._believed = {newest: poses[newest]}
        return self._row >= _ROW

    def _chosen(self, needed: set[int]) -> list[_Picture]:
        """Return the pictures to look at, the newest first."""
        *older, newest = self._pictures
        wanted = [one for one in older if one.number in needed]
        spare = [one for one in older if one.number not in needed]
        count = min(len(spare), max(0, _PICTURES - 1 - len(wanted)))
        at = np.unique(np.linspace(0, len(spare) - 1, count).round().astype(np.int64))
        return [newest, *sorted(wanted + [spare[i] for i in at], key=lambda one: one.number)]

    def _moved(self, rays: Matrix, xy: Matrix) -> tuple[Matrix, float]:
        """Return the turn of a picture, and by how many pixels the points moved beside it."""
        turn = turn_of_rays(rays, xy, _NOISE / self._focal)
        turned = np.column_stack((rays, np.ones(len(rays)))) @ turn
        shift = np.linalg.norm(turned[:, :2] / turned[:, 2:] - xy, axis=1)
        return turn, self._focal * float(np.percentile(shift, _QUARTER))

    def _depths(self, chosen: list[_Picture], poses: Matrix) -> Triangulated:
        """Return the depths of all points, by poses of the first picture and the chosen ones."""
        count = len(self._rays)
        return triangulate(
            poses,
            anchor=np.zeros(count, np.intp),
            rays=self._rays,
            keyframe=np.repeat(np.arange(1, 1 + len(chosen)), [len(one.rows) for one in chosen]),
            landmark=np.concatenate([one.rows for one in chosen]),
            xy=np.concatenate([one.xy for one in chosen]),
            stddev=np.concatenate([one.stddev for one in chosen]),
            least_parallax=0.0,
        )

    def _window(self, chosen: list[_Picture]) -> Window:
        """Return what the pictures show of some points; its length from the first is the unit."""
        rows = chosen[0].rows
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, _POINTS).round().astype(np.int64))]
        kept = [np.flatnonzero(np.isin(one.rows, rows)) for one in chosen]
        landmark, xy, stddev = (
            np.concatenate([getattr(one, name)[at] for one, at in zip(chosen, kept, strict=True)])
            for name in ('rows', 'xy', 'stddev')
        )
        count, unknown = len(chosen), np.full(len(rows), np.inf)
        return Window(
            odom_from_camera=np.tile(np.eye(4), (1 + count, 1, 1)),
            fixed=1,
            anchor=np.zeros(len(rows), np.intp),
            rays=self._rays[rows],
            ray_stddev=0.0,  # a patch is where its anchor shows it, by definition
            inverse_depth=np.ones(len(rows)),
            keyframe=np.repeat(np.arange(1, 1 + count), [len(one) for one in kept]),
            landmark=np.searchsorted(rows, landmark),
            xy=xy,
            stddev=stddev,
            prior_inverse_depth=np.zeros(len(rows)),
            prior_stddev=unknown,
            motion=MotionPriors(
                turn=np.tile(np.eye(3), (count, 1, 1)),
                turn_stddev=np.full(count, np.inf),
                length=np.ones(count),
                length_stddev=np.where(np.arange(count) == 0, _FIRM, np.inf),
            ),
        )

    def _started(self, window: Window, chosen: list[_Picture], motion: Matrix) -> Window:
        """Return it with poses and depths that a motion to the newest picture gives it."""
        turns = np.stack([one.turn for one in chosen])
        share = np.array([[one.parallax / chosen[0].parallax] for one in chosen])
        rest = Rotation.from_matrix(motion[:3, :3] @ turns[0].T).as_rotvec()
        poses = np.array(window.odom_from_camera)
        poses[1:, :3, :3] = Rotation.from_rotvec(share * rest).as_matrix() @ turns
        poses[1:, :3, 3] = share * motion[:3, 3]
        start = triangulate(
            poses,
            anchor=window.anchor,
            rays=window.rays,
            keyframe=window.keyframe,
            landmark=window.landmark,
            xy=window.xy,
            stddev=window.stddev,
            least_parallax=0.0,
        )
        inverse_depth = np.maximum(start.inverse_depth, LEAST)
        return replace(window, odom_from_camera=poses, inverse_depth=inverse_depth)


def _worse(best: Matrix, other: Matrix, again: bool) -> bool:
    """Whether another explanation is clearly the worse one.

    Args:
        best: ``(L,)`` costs of the points by the best explanation.
        other: ``(L,)`` those by the other.
        again: Whether the best one was the best several times in a row.
    """
    excess = other - best
    sure = excess.sum() > _SURE * np.linalg.norm(excess)
    return bool(sure and (again or other.sum() > _CLEARLY * best.sum()))


def _squared(window: Window, found: Adjusted) -> Matrix:
    """Return ``(M,)`` squared residuals of what was seen."""
    poses = np.moveaxis(found.odom_from_camera[window.keyframe], 0, -1)
    rays = np.column_stack((window.rays, np.ones(len(window.rays)))).T[:, window.landmark]
    seen = reproject(poses[:3, :3], rays, -poses[:3, 3], found.inverse_depth[window.landmark])
    return squares((seen.xy - window.xy.T) / window.stddev, seen.ahead)


def _angle(one: Matrix, other: Matrix) -> float:
    """Return the angle in rad between the ways to two poses."""
    a, b = one[:3, 3], other[:3, 3]
    return float(np.arctan2(np.linalg.norm(np.cross(a, b)), a @ b))
