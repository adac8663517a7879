"""From picture to picture: points found again, the pose that explains them, and the window kept.

Lengths are in units of the window. The tracker says where the camera is in its window; what that is
in metres, and in which frame, is its owner's business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.hypotheses import by_depth, by_rays
from dlcv.estimation.odometry.keyframes import LEAST, Fresh, Keyframes, Sighting
from dlcv.estimation.odometry.pose import Landmarks, PosePrior, RefinedPose, refine_pose
from dlcv.estimation.odometry.tracks import COARSE, FINE, fitted, matched
from dlcv.estimation.odometry.triangulation import triangulate
from dlcv.estimation.odometry.view import Points
from dlcv.estimation.odometry.window import Window, adjust
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

DISTANCE = 0.8  # of descriptors that may be one point's
FEWEST = 15  # landmarks that agree, below which there is no pose
_SHARE = 0.3  # of the matches that must agree
_TRUSTED = 0.6  # share above which the predicted pose is not doubted
_LOOSE = 50  # links of a chain that is broken
_STILL, _STEADY = 0.15, 0.6  # median shift in pixels, and share of points that must stand
_SHIFT = 0.4  # pixels that a standing point may move by its own noise
_KNOWN = 0.3  # relative standard deviation below which a depth is one
_GUESS = 1.0  # relative standard deviation of a depth that is guessed from its neighbours
_REMEMBERED = 8  # pictures for which a landmark is looked for
_UNCONFIRMED = 3  # pictures for which one is that only its own keyframe has seen
_NEW_SHARE, _NEW_SHIFT, _NEW_AFTER = 0.75, 0.03, 20  # when a picture becomes a keyframe


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Step:
    """What a picture says of the way.

    Attributes:
        state: Whether the camera moved, stood, or is lost.
        reason: Why it is lost.
        window_from_camera: ``(4, 4)`` where it is now.
        covariance: ``(6, 6)`` of that as (x, y, z, rx, ry, rz) in the window's axes.
        matches: Landmarks found again.
        inliers: Those that agree.
        earlier: ``(N, 2)`` pixels of these in the picture before.
        pixels: ``(N, 2)`` pixels of these in this one.
    """

    state: Literal['tracking', 'standing', 'lost']
    reason: str = ''
    window_from_camera: Matrix
    covariance: Matrix
    matches: int = 0
    inliers: int = 0
    earlier: FloatArray
    pixels: FloatArray


class Tracker:
    """Follows a camera through a window of keyframes.

    Args:
        size: Keyframes of the window.
        guess: Depth in units that points are taken to have where nothing is known.
    """

    def __init__(self, size: int, guess: float = 5.0) -> None:
        self._size, self._guess = size, guess
        self.window: Keyframes | None = None

    def begin(self, points: Points) -> None:
        """Start a window with this picture as its origin."""
        self.window = Keyframes(self._size, points.descriptors.shape[1])
        self._last, self._pose = points, np.eye(4)
        self._motion = np.eye(4)
        self._uncertainty = np.zeros((6, 6))
        self._kept, self._shared = points, 0
        nothing = Sighting.none()
        self._keep(points, np.eye(4), nothing)

    def track(self, points: Points, motion: FloatArray | None = None) -> Step:
        """Find the camera of the next picture.

        Args:
            points: What is seen.
            motion: ``(4, 4)`` what is thought to have been its motion, ``older_from_newer``; the
                last one goes on where nothing is.
        """
        window = self.window
        assert window is not None, 'begin() comes first'
        seen = self._found(window, points)
        if self._stands(window, points, seen):
            return self._step('standing', points, seen, seen)
        if len(seen) < FEWEST:
            return self._lost(
                points, seen, f'{len(seen)} of {len(points.pixels)} points are found again'
            )
        moved = self._motion if motion is None else motion
        refined = self._located(window, points, seen, self._pose @ moved)
        agree = seen.only(refined.inliers)
        if len(agree) < max(FEWEST, _SHARE * len(seen)):
            return self._lost(
                points, seen, f'{len(agree)} of {len(seen)} points agree on a motion'
            )
        older = self._pose
        self._uncertainty = refined.covariance
        step = self._step('tracking', points, seen, agree, refined)
        self._note(window, points, agree)
        pose = refined.odom_from_camera
        if self._due(window, points, agree):
            self._keep(points, pose, agree)
            self._adjust(window)
            pose = window.frames[-1].window_from_camera
        self._motion = np.linalg.inv(older) @ pose
        self._pose, self._last = pose, points
        return step

    # what is seen again ---------------------------------------------------------------------

    def _found(self, window: Keyframes, points: Points) -> Sighting:
        marks = window.landmarks
        rows, at = matched(marks.descriptors, points.descriptors, DISTANCE).T
        pixels = points.pixels[at].copy()
        fine = np.zeros(len(rows), np.bool_)
        recent = np.flatnonzero(marks.last_seen[rows] == self._last.number)
        pixels[recent], fine[recent] = fitted(
            self._last.grey, points.grey, marks.pixels[rows[recent]], pixels[recent]
        )
        anchors = window.anchors[rows]
        anchored = np.zeros(len(rows), np.bool_)
        for number, frame in enumerate(window.frames):
            of = np.flatnonzero((anchors == number) & fine)
            moved, good = fitted(
                frame.grey, points.grey, marks.origin[rows[of]], pixels[of], away=1.5
            )
            pixels[of[good]] = moved[good]
            anchored[of[good]] = True
        links = np.where(fine, marks.links[rows] + 1, _LOOSE)
        links[anchored] = 1
        return Sighting(
            rows=rows,
            points=at,
            xy=points.rays(pixels),
            pixels=pixels,
            stddev=np.where(fine, FINE * np.sqrt(links), COARSE) / points.focal,
            links=links,
        )

    def _stands(self, window: Keyframes, points: Points, seen: Sighting) -> bool:
        marks = window.landmarks
        recent = marks.last_seen[seen.rows] == self._last.number
        if recent.sum() < FEWEST:
            return False
        shift = np.linalg.norm(seen.pixels[recent] - marks.pixels[seen.rows[recent]], axis=1)
        return bool(np.median(shift) < _STILL and np.mean(shift < _SHIFT) > _STEADY)

    def _note(self, window: Keyframes, points: Points, agree: Sighting) -> None:
        marks = window.landmarks
        marks.descriptors[agree.rows] = points.descriptors[agree.points]
        marks.pixels[agree.rows] = agree.pixels
        marks.last_seen[agree.rows] = points.number
        marks.links[agree.rows] = agree.links

    # where the camera is --------------------------------------------------------------------

    def _located(
        self, window: Keyframes, points: Points, seen: Sighting, predicted: Matrix
    ) -> RefinedPose:
        best = self._refined(window, seen, predicted)
        known = self._known(window, seen.rows)
        if known.sum() >= FEWEST and best.inliers[known].mean() >= _TRUSTED:
            return best
        for start in self._hypotheses(window, points, seen, known):
            other = self._refined(window, seen, start)
            if other.inliers.sum() > best.inliers.sum() or not known.sum() >= FEWEST:
                best = other
        return best

    def _known(self, window: Keyframes, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        marks = window.landmarks
        return np.sqrt(marks.variance[rows]) < _KNOWN * marks.inverse_depth[rows]

    def _refined(self, window: Keyframes, seen: Sighting, start: Matrix) -> RefinedPose:
        marks, rows = window.landmarks, seen.rows
        landmarks = Landmarks(
            odom_from_anchor=window.poses,
            anchor=window.anchors[rows],
            rays=marks.rays[rows],
            inverse_depth=marks.inverse_depth[rows],
            variance=marks.variance[rows],
        )
        return refine_pose(start, landmarks, seen.xy, seen.stddev * np.sqrt(2))

    def _hypotheses(
        self,
        window: Keyframes,
        points: Points,
        seen: Sighting,
        known: npt.NDArray[np.bool_],
    ) -> list[Matrix]:
        marks, rows = window.landmarks, seen.rows
        found = []
        by_points = by_depth(window.points_of(rows[known]), seen.xy[known], points.focal)
        if by_points is not None:
            found.append(by_points)
        recent = np.flatnonzero(marks.last_seen[rows] == self._last.number)
        earlier = self._last.rays(marks.pixels[rows[recent]])
        motion = by_rays(earlier, seen.xy[recent], points.focal)
        if motion is not None:
            found.append(self._pose @ self._sized(window, rows[recent], earlier, seen.xy[recent], motion))
        return found

    def _sized(self, window, rows, earlier, later, motion):
        """Give a motion of length one the length that fits the landmarks' depths."""
        count = np.arange(len(rows))
        unit = triangulate(
            np.stack((np.eye(4), motion)),
            anchor=np.zeros(len(rows), np.int64),
            rays=earlier,
            keyframe=np.ones(len(rows), np.int64),
            landmark=count,
            xy=later,
            stddev=FINE / self._last.focal,
            least_parallax=0.003,
        )
        depth = window.depths_in(self._pose, rows)
        good = unit.accepted & (depth > 0) & (unit.inverse_depth > LEAST)
        if good.sum() < FEWEST:
            length = np.linalg.norm(self._motion[:3, 3])
        else:
            length = np.median(unit.inverse_depth[good] * depth[good])
        sized = motion.copy()
        sized[:3, 3] *= length
        return sized

    # the window -----------------------------------------------------------------------------

    def _due(self, window: Keyframes, points: Points, agree: Sighting) -> bool:
        """Whether a picture is to be a keyframe."""
        last = window.frames[-1]
        marks = window.landmarks
        names = marks.name[agree.rows]
        at = np.searchsorted(last.landmarks, names)
        at[at == len(last.landmarks)] = 0
        common = last.landmarks[at] == names
        kept = common.sum()
        shift = np.median(np.abs(agree.xy[common] - last.xy[at[common]]).max(axis=1)) if kept else 1
        width = points.camera.width / points.focal
        if points.number == self._kept.number + 1:
            self._shared = kept
        return bool(
            kept < _NEW_SHARE * self._shared
            or shift > _NEW_SHIFT * width
            or points.number - self._kept.number >= _NEW_AFTER
        )

    def _keep(self, points: Points, pose: Matrix, agree: Sighting) -> None:
        window = self.window
        assert window is not None
        new = np.ones(len(points.pixels), np.bool_)
        new[agree.points] = False
        value, stddev, measured = self._depths(window, points, pose, agree, np.flatnonzero(new))
        window.add(
            points.stamp_ns,
            pose,
            points.grey,
            agree,
            Fresh(
                number=points.number,
                xy=points.rays(points.pixels[new]),
                stddev=np.full(len(value), COARSE / points.focal),
                pixels=points.pixels[new],
                descriptors=points.descriptors[new],
                inverse_depth=value,
                inverse_stddev=stddev,
                measured=measured,
            ),
        )
        window.forget_unseen(points.number - _REMEMBERED, points.number - _UNCONFIRMED)
        window.forget_oldest()
        self._kept, self._shared = points, 0

    def _depths(
        self, window: Keyframes, points: Points, pose: Matrix, agree: Sighting, new: npt.NDArray
    ) -> tuple[Matrix, Matrix, npt.NDArray[np.bool_]]:
        """Return inverse depths of new points: measured, or those of neighbours, or a guess."""
        value, stddev = points.inverse_depth[new].copy(), points.inverse_stddev[new].copy()
        measured = np.isfinite(value)
        marks = window.landmarks
        if len(agree):
            known = np.sqrt(marks.variance[agree.rows]) < _KNOWN * marks.inverse_depth[agree.rows]
        else:
            known = np.zeros(0, np.bool_)
        if known.sum() >= FEWEST:
            from scipy.spatial import cKDTree

            inverse = 1 / np.maximum(window.depths_in(pose, agree.rows[known]), 1e-3)
            _, near = cKDTree(agree.pixels[known]).query(points.pixels[new], k=3)
            guess = np.median(inverse[near], axis=1)
        else:
            guess = np.full(len(value), 1 / self._guess)
        value[~measured] = guess[~measured]
        stddev[~measured] = _GUESS * guess[~measured]
        return value, stddev, measured

    def _adjust(self, window: Keyframes) -> None:
        marks = window.landmarks
        keyframe, rows, xy, stddev = window.observations(); ff = stddev * self._last.focal < 1.5; keyframe, rows, xy, stddev = keyframe[ff], rows[ff], xy[ff], stddev[ff]
        there = np.unique(rows)
        if len(there) < FEWEST:
            return
        metric = np.isfinite(marks.prior_stddev[there]).sum() >= FEWEST
        young = len(window) < 3
        weak = _GUESS * marks.inverse_depth[there]
        prior_stddev = marks.prior_stddev[there]
        if young and not metric:
            prior_stddev = np.minimum(prior_stddev, 1.0 * marks.prior[there])
        found = adjust(
            Window(
                odom_from_camera=window.poses,
                fixed=max(1 if metric or young else 2, len(window) - 3),
                anchor=window.anchors[there],
                rays=marks.rays[there],
                ray_stddev=0.0,
                inverse_depth=marks.inverse_depth[there],
                keyframe=keyframe,
                landmark=np.searchsorted(there, rows),
                xy=xy,
                stddev=stddev,
                prior_inverse_depth=marks.prior[there],
                prior_stddev=prior_stddev,
            ),
            iterations=5,
        )
        window.move(found.odom_from_camera)
        marks.inverse_depth[there] = np.maximum(found.inverse_depth, LEAST)
        marks.variance[there] = found.inverse_depth_variance

    # answers --------------------------------------------------------------------------------

    def _step(
        self, state: str, points: Points, seen: Sighting, agree: Sighting,
        refined: RefinedPose | None = None,
    ) -> Step:
        assert self.window is not None
        marks = self.window.landmarks
        recent = marks.last_seen[agree.rows] == self._last.number
        return Step(
            state=state,
            window_from_camera=self._pose if refined is None else refined.odom_from_camera,
            covariance=self._uncertainty if refined is None else refined.covariance,
            matches=len(seen),
            inliers=len(agree),
            earlier=marks.pixels[agree.rows[recent]],
            pixels=agree.pixels[recent],
        )

    def _lost(self, points: Points, seen: Sighting, reason: str) -> Step:
        none = np.empty((0, 2), np.float32)
        return Step(
            state='lost', reason=reason, window_from_camera=self._pose,
            covariance=self._uncertainty, matches=len(seen), earlier=none, pixels=none,
        )
