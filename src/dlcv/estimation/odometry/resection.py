"""Where in the window a picture was taken, from the landmarks that it shows again.

The pose that is predicted is refined; where it explains too little, or no depth is known yet, poses
that need no prediction are refined beside it (P3P, or what two pictures tell of each other), and
the one that agrees best is taken.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.initial import motions_of_rays, pose_of_points
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import LEAST, Sighting
from dlcv.estimation.odometry.pose import Landmarks, PosePrior, RefinedPose, refine_pose
from dlcv.estimation.odometry.robust import GATE
from dlcv.estimation.odometry.tracks import FINE
from dlcv.estimation.odometry.triangulation import triangulate
from dlcv.estimation.odometry.view import Points
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

Weigh = Callable[[FloatArray, FloatArray, FloatArray], FloatArray]
"""Weights ``(N,)`` of sum one of matches, of their pixels ``(N, 2)`` in the older and the newer
picture and the cosines ``(N,)`` of their descriptors."""

FEWEST = 15
"""Landmarks that agree, below which there is no pose."""
PARALLAX = 0.003
"""Rad that a pair of pictures must show to tell a depth."""

_TRUSTED = 0.6  # share of agreeing landmarks above which the predicted pose is not doubted
_MOST = 0.5  # share of landmarks with a depth, below which guesses would rule a prediction
_BELIEVED = 0.2  # of the mean weight, that a match must have to count
_KNOWN = 0.2  # relative standard deviation below which a depth is one
_PARALLAX = 0.003  # rad that a pair of pictures must show to tell a depth
_UNMOVED = 0.02  # pixels by which points of the guessed depth may have moved in a mere turn


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Location:
    """A camera in the window.

    Attributes:
        pose: With what agrees with it, window_from_camera.
        sure: Whether depths were known when it was looked for.
        turns: Whether the picture shows no more than a turn since the last keyframe.
    """

    pose: RefinedPose
    sure: bool
    turns: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Resection:
    """The search for the camera that shows landmarks.

    Attributes:
        window: The landmarks.
        seen: Those in the picture.
        points: The picture.
        weigh: Says which matches count, where no prediction holds; None for all alike.
        guess: Depth in units that points of no known depth are taken to have.
        length: Of the last motion, in units; taken where nothing tells how long this one is.
    """

    window: Keyframes
    seen: Sighting
    points: Points
    weigh: Weigh | None
    guess: float
    length: float

    def locate(self, predicted: Matrix) -> Location:
        """Find the camera; ``predicted`` is ``(4, 4)`` window_from_camera."""
        known = known_depths(self.window, self.seen.rows)
        sure = np.count_nonzero(known) >= FEWEST
        judges = known if sure else np.ones(len(known), np.bool_)
        found = []
        if sure:
            best = self._refined(predicted)
            if np.mean(known) > _MOST and np.mean(best.inliers[known]) >= _TRUSTED:
                return Location(pose=best, sure=True, turns=False)
            found.append(best)
        starts, turns = self._starts(known)
        found += [self._refined(start, prior, near=True) for start, prior in starts]
        if not found:
            found.append(self._refined(predicted))
        best = min(found, key=lambda one: _disagreement(one, judges))
        return Location(pose=best, sure=sure, turns=turns)

    def turned(self, pose: Matrix) -> Location:
        """Find the camera that turned only; ``pose`` is ``(4, 4)`` where and how it is thought."""
        found = self._refined(pose, self._unmoved(pose), near=True)
        return Location(pose=found, sure=False, turns=True)

    def _starts(self, known: Mask) -> tuple[list[tuple[Matrix, PosePrior | None]], bool]:
        """Return poses to start from with what holds them, and whether they are a mere turn."""
        rows = self.seen.rows
        points = self.window.points_of(rows[known])
        pose = pose_of_points(points, self.seen.xy[known], self.points.focal)
        if pose is not None:
            return [(pose, None)], False
        # The way since the last keyframe is longer than that since the last picture.
        marks, last = self.window.landmarks, self.window.frames[-1]
        of = np.flatnonzero(marks.anchor[rows] == last.number)
        earlier, later = marks.rays[rows[of]], self.seen.xy[of]
        count = self._believed(of)
        pairs = motions_of_rays(earlier[count], later[count], self.points.focal)
        starts: list[tuple[Matrix, PosePrior | None]] = []
        for pair in pairs:
            motion = self._sized(rows[of], earlier, later, pair.older_from_newer)
            start = last.window_from_camera @ motion
            starts.append((start, self._unmoved(start) if pair.kind == 'turn' else None))
        return starts, any(pair.kind == 'turn' for pair in pairs)

    def _believed(self, of: Indices) -> Mask:
        """Return which of some matches with the last keyframe count."""
        if self.weigh is None or len(of) < FEWEST:
            return np.ones(len(of), np.bool_)
        marks, rows = self.window.landmarks, self.seen.rows[of]
        found = self.points.descriptors[self.seen.points[of]]
        likeness = (marks.descriptors[rows] * found).sum(1)
        weights = self.weigh(marks.origin[rows], self.seen.pixels[of], likeness)
        believed = weights * len(weights) > _BELIEVED
        return believed if np.count_nonzero(believed) >= FEWEST else np.ones(len(of), np.bool_)

    def _unmoved(self, pose: Matrix) -> PosePrior:
        """Hold a camera's place as firmly as a turn says that it did not move."""
        shift = _UNMOVED * self.guess / self.points.focal
        deviation = np.repeat((shift, np.pi), 3)
        return PosePrior(odom_from_camera=pose, covariance=np.diag(deviation**2))

    def _refined(
        self, start: Matrix, prior: PosePrior | None = None, *, near: bool = False
    ) -> RefinedPose:
        seen = self.seen
        return refined_on(
            self.window, seen.rows, seen.xy, seen.stddev, start, prior=prior, near=near
        )

    def _sized(self, rows: Indices, earlier: Matrix, later: Matrix, motion: Matrix) -> Matrix:
        """Give a motion of length one the length that fits the landmarks' depths."""
        unit = triangulate(
            np.stack((np.eye(4), motion)),
            anchor=np.zeros(len(rows), np.intp),
            rays=earlier,
            keyframe=np.ones(len(rows), np.intp),
            landmark=np.arange(len(rows)),
            xy=later,
            stddev=FINE / self.points.focal,
            least_parallax=PARALLAX,
        )
        depth = 1 / np.maximum(self.window.landmarks.inverse_depth[rows], LEAST)
        good = unit.accepted & (depth > 0) & (unit.inverse_depth > LEAST)
        length = self.length
        if np.count_nonzero(good) >= FEWEST:
            length = float(np.median(unit.inverse_depth[good] * depth[good]))
        sized = motion.copy()
        sized[:3, 3] *= length
        return sized


def refined_on(
    window: Keyframes,
    rows: Indices,
    xy: Matrix,
    stddev: Matrix,
    start: Matrix,
    *,
    prior: PosePrior | None = None,
    near: bool = False,
) -> RefinedPose:
    """Refine a camera's pose on landmarks of a window.

    Args:
        window: The landmarks.
        rows: ``(N,)`` which of them.
        xy: ``(N, 2)`` where the camera shows them, as x/z and y/z.
        stddev: ``(N,)`` how exactly.
        start: ``(4, 4)`` window_from_camera to start from.
        prior: See `refine_pose`.
        near: See `refine_pose`.
    """
    marks = window.landmarks
    landmarks = Landmarks(
        odom_from_anchor=window.poses,
        anchor=window.anchors_of(rows),
        rays=marks.rays[rows],
        inverse_depth=marks.inverse_depth[rows],
        variance=marks.variance[rows],
    )
    noise = stddev * np.sqrt(2)  # of both pictures
    return refine_pose(start, landmarks, xy, noise, prior=prior, near=near)


def known_depths(window: Keyframes, rows: Indices) -> Mask:
    """Return ``(N,)`` bool: which of some landmarks have a depth."""
    marks = window.landmarks
    return np.asarray(np.sqrt(marks.variance[rows]) < _KNOWN * marks.inverse_depth[rows])


def _disagreement(refined: RefinedPose, judges: Mask) -> float:
    agree = np.count_nonzero(refined.inliers[judges])
    return float(GATE * (np.count_nonzero(judges) - agree) + refined.chi2 * 2 * agree)
