"""From picture to picture: points found again, the pose that explains them, and the window kept.

Lengths are in units of the window. The tracker says where the camera is in its window; what that is
in metres, and in which frame, is its owner's business.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.adjustment import (
    Adjuster,
    Adjustment,
    Held,
    give_depths,
)
from dlcv.estimation.odometry.guesses import new_depths
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Fresh, Sighting, rows_among
from dlcv.estimation.odometry.pose import RefinedPose
from dlcv.estimation.odometry.resection import FEWEST, Location, Resection, Weigh
from dlcv.estimation.odometry.start import Start
from dlcv.estimation.odometry.step import Step
from dlcv.estimation.odometry.tracks import Expectation, found_again
from dlcv.estimation.odometry.view import Points
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_SHARE = 0.3  # of the matches that must agree
_LEFT = 0.1  # of the landmarks that agreed in the last picture, that must agree in this one
_NEARBY = 0.5  # of these, that must be found where they are expected, or anywhere else is looked
_HERE = 0.8  # of these, that must be found as near as they were of late, or farther off is looked
_MARGIN, _MOST = 3.0, 0.95  # times what that share of landmarks was off where it was expected
_STILL, _STEADY = 0.15, 0.6  # median shift in pixels, and share of points that must stand
_SHIFT = 0.4  # pixels that a standing point may seem to move
_REMEMBERED, _UNCONFIRMED = 8, 3  # pictures without which landmarks are forgotten
_SHARED, _MOVED, _LATEST = 0.75, 0.03, 20  # when a picture becomes a keyframe
_FIRST_MOVED = 0.06  # the same for one that is to tell the first depths
_YOUNG = 5  # pictures of a window that is given up at once
_PATIENCE = 3  # pictures in a row that are not found in the window before it is given up


class Tracker:
    """Follows a camera through a window of keyframes, which begins with a picture.

    Args:
        points: What the first picture shows.
        size: Keyframes of the window.
        guess: Depth in units that points are taken to have where nothing is known.
        adjuster: Adjusts the window; nobody else's meanwhile.
        weigh: See `Resection`.

    Attributes:
        window: The keyframes.
        pose: ``(4, 4)`` window_from_camera of the last picture that was found.
        covariance: ``(6, 6)`` of that as (x, y, z, rx, ry, rz) in the window's axes.
        fruitless: Pictures in a row that were not found.
        keyframes: How many there were so far.
        settled: The keyframe that has been adjusted since the picture before the last, or that asks
            for no adjustment: its number; None for none. Others may have come after it.
        motion_covariance: ``(6, 6)`` of the motion from the keyframe before the last that was
            adjusted to that, as (x, y, z, rx, ry, rz) in the older one's axes.
        unit_lost: Whether all depths that were known are out of sight now, by a mere turn.
        before: ``(4, 4)`` window_from_camera of the picture before the last, if both are understood
            anew since the last; None if not.
    """

    def __init__(
        self,
        points: Points,
        size: int,
        guess: float,
        adjuster: Adjuster,
        weigh: Weigh | None = None,
    ) -> None:
        self._weigh = weigh
        self._adjuster = adjuster
        self.before: Matrix | None = None
        self.unit_lost = False
        self._wanted = False  # whether a keyframe waits to be adjusted
        self.settled: int | None = None
        self._adjusted = points.number  # the newest keyframe that was
        self.window = Keyframes(size, points.descriptors.shape[1])
        self.pose: Matrix = np.eye(4)
        self.fruitless = self.keyframes = 0
        self.motion_covariance: Matrix = np.zeros((6, 6))
        self._again: dict[int, tuple[Indices, Indices]] = {}  # what keyframes saw again
        self._held: Held | None = None  # what the last picture was found by
        self._held_by = points.number  # that picture
        self._guess = guess
        self.covariance: Matrix = np.zeros((6, 6))
        self._last = points  # the last picture in which the camera was found and not standing
        self._motion: Matrix = np.eye(4)
        self._sure = False  # whether depths were known when it was looked for
        self._turns = False  # whether the last picture showed no more than a turn
        self._found_so_far = 0  # pictures that were found
        self._agreed = 0  # landmarks that agreed in the last picture
        self._reach = np.inf  # how far off in the last picture these may have been, and then some
        self._shared = 0  # landmarks of the last keyframe that the picture after it showed too
        self._keep(points, Sighting.none())
        self._start = Start.where_needed(self.window, points.focal)

    @property
    def exhausted(self) -> bool:
        """Whether it should be given up: too many pictures in a row were not found.

        A young window is given up at once: it may have begun with a bad picture.
        """
        return self.fruitless >= (1 if self._found_so_far < _YOUNG else _PATIENCE)

    @property
    def motion(self) -> Matrix:
        """``(4, 4)`` the last motion, ``older_from_newer``."""
        return self._motion.copy()

    @property
    def depth(self) -> float:
        """How far away most landmarks are of those that the newest keyframe sees again."""
        rows, _ = self.seen_again(self.window.frames[-1].number)
        ahead = self.window.depths_in(self.pose, rows)
        ahead = ahead[ahead > 0]
        return float(np.median(ahead)) if len(ahead) else self._guess

    def is_keyframe(self, number: int) -> bool:
        """Whether a picture is the newest keyframe."""
        return self.window.frames[-1].number == number

    def seen_again(self, number: int) -> tuple[Indices, Indices]:
        """What a keyframe sees again: rows of the landmarks, and its points."""
        names, points = self._again[number]
        rows, there = self.window.landmarks.rows_of(names)
        return rows[there], points[there]

    def rescale(self, factor: float) -> None:
        """Make all lengths ``factor`` times as long."""
        self._wanted |= self._adjuster.busy
        self._adjuster.drop()  # it has the old lengths
        self.window.rescale(factor)
        self.pose[:3, 3] *= factor
        self._motion[:3, 3] *= factor
        self._guess *= factor
        self.covariance[:3] *= factor
        self.covariance[:, :3] *= factor
        self.motion_covariance[:3] *= factor
        self.motion_covariance[:, :3] *= factor

    def track(self, points: Points, motion: FloatArray | None = None) -> Step:
        """Find the camera of the next picture.

        Args:
            points: What it shows.
            motion: ``(4, 4)`` how the camera is thought to have moved, ``older_from_newer``; as
                from the picture before the last to the last where nobody says.
        """
        self.settled, self.before, self.unit_lost = None, None, False
        self._adjust()
        if self._start is not None:
            self._start.watch()
        predicted = self.pose @ (self._motion if motion is None else motion)
        near, fewest = _HERE * self._agreed, _NEARBY * self._agreed
        expected = Expectation(predicted, self.pose, self._reach, near, fewest)
        follows = self._agreed and not self.fruitless
        seen = found_again(self.window, self._last, points, expected if follows else None)
        if self._stands(seen):
            self._motion = np.eye(4)
            return self._step('standing', seen, seen)
        if len(seen) < FEWEST:
            return self._lost(
                seen, f'{len(seen)} of {len(self.window.landmarks)} landmarks are found again'
            )
        search = Resection(
            window=self.window,
            seen=seen,
            points=points,
            weigh=self._weigh,
            guess=self._guess,
            length=float(np.linalg.norm(self._motion[:3, 3])),
        )
        found = self._begun(search, predicted) if self._start else search.locate(predicted)
        self._sure, self._turns = found.sure, found.turns
        step = self.believe(points, seen, found.pose)
        if step.state == 'tracking' and self._start is None and self._turns and not found.sure:
            self._start = Start.where_needed(self.window, points.focal)
            if self._start is not None:
                self._adjuster.drop()
                self.unit_lost, self._wanted = True, False
        return step

    def _begun(self, search: Resection, predicted: Matrix) -> Location:
        """Find the camera while no depth is known for sure."""
        assert self._start is not None
        start = self._start
        found = start.locate(search, predicted, self.pose, self._last.number)
        if start.last is not None:
            self._adjuster.drop()
            self.before, self.pose = start.last.copy(), start.last
        if start.over:
            self._start, self._wanted = None, True
        return found

    def believe(self, points: Points, seen: Sighting, refined: RefinedPose) -> Step:
        """Take a pose for that of a picture, if enough agrees with it.

        Args:
            points: What the picture shows.
            seen: The landmarks in it.
            refined: The pose.
        """
        agree = seen.only(refined.inliers)
        if len(agree) < max(FEWEST, _SHARE * len(seen)):
            return self._lost(seen, f'{len(agree)} of {len(seen)} landmarks agree on a motion')
        if len(agree) < _LEFT * self._agreed:  # blurred points agree too, on something else
            return self._lost(seen, f'{len(agree)} landmarks are left of {self._agreed}')
        self._agreed = len(agree)
        self._reach = _MARGIN * float(np.quantile(agree.away, _MOST, method='higher'))
        self._found_so_far += 1
        step = self._step('tracking', seen, agree)
        self.window.landmarks.note(agree, points.descriptors[agree.points], points.number)
        older = self.pose
        self.pose = refined.odom_from_camera
        self._held_by = points.number
        self._held = Held(self.window.landmarks.name[agree.rows], agree.xy, agree.stddev)
        self.covariance = refined.stated
        if self._start is not None:
            self.covariance = self.covariance + self._start.ambiguity
        if self._due(points, agree):
            self._keep(points, agree)
            self._wanted = not self._turns and self._start is None
            if self._turns:
                self.settled = points.number
            self._adjust()
            if self._wanted:  # later
                give_depths(self.window)
        self._motion = np.asarray(np.linalg.inv(older) @ self.pose)
        self._last = points
        self.fruitless = 0
        return replace(step, window_from_camera=self.pose, covariance=self.covariance)

    def _step(
        self, state: Literal['tracking', 'standing'], seen: Sighting, agree: Sighting
    ) -> Step:
        marks = self.window.landmarks
        recent = self._recent(agree)
        return Step(
            state=state,
            window_from_camera=self.pose,
            covariance=self.covariance,
            turn_only=state == 'tracking' and self._turns,
            matches=len(seen),
            inliers=len(agree),
            earlier=marks.pixels[agree.rows[recent]],
            pixels=agree.pixels[recent].astype(np.float32),
        )

    def _lost(self, seen: Sighting, reason: str) -> Step:
        self.fruitless += 1
        self._motion = np.eye(4)
        return Step(
            state='lost',
            reason=reason,
            window_from_camera=self.pose,
            covariance=self.covariance,
            matches=len(seen),
        )

    # what is seen again ---------------------------------------------------------------------

    def _recent(self, seen: Sighting) -> Indices:
        """Return which of them the last picture showed too."""
        return np.flatnonzero(self.window.landmarks.last_seen[seen.rows] == self._last.number)

    def _stands(self, seen: Sighting) -> bool:
        """Whether all is where it was: the reference is the picture in which the camera stopped."""
        recent = self._recent(seen)
        if len(recent) < FEWEST or self.fruitless:
            return False
        shift = np.linalg.norm(
            seen.pixels[recent] - self.window.landmarks.pixels[seen.rows[recent]], axis=1
        )
        return bool(np.median(shift) < _STILL and np.mean(shift < _SHIFT) > _STEADY)

    # the window -----------------------------------------------------------------------------

    def _due(self, points: Points, agree: Sighting) -> bool:
        """Whether a picture is to be a keyframe: much is new, or much has moved."""
        last = self.window.frames[-1]
        names = self.window.landmarks.name[agree.rows]
        at, common = rows_among(last.landmarks, names)
        shared = int(np.count_nonzero(common))
        if not self._shared:
            self._shared = shared
        if shared < max(FEWEST, _SHARED * self._shared):
            return True
        if self._turns:  # and no depth is known: a keyframe here would know none either
            return False
        shift = np.median(np.abs(agree.xy[common] - last.xy[at[common]]).max(axis=1))
        least = _MOVED if self._sure else _FIRST_MOVED
        return bool(
            shift > least * points.camera.width / points.focal
            or points.number - last.number >= _LATEST
        )

    def _keep(self, points: Points, agree: Sighting) -> None:
        new = np.ones(len(points.pixels), np.bool_)
        new[agree.points] = False
        depth, stddev, measured = new_depths(
            self.window, self.pose, points, agree, new, self._guess
        )
        fresh = Fresh(
            xy=points.rays(points.pixels[new]),
            pixels=points.pixels[new],
            descriptors=points.descriptors[new],
            inverse_depth=depth,
            inverse_stddev=stddev,
            measured=measured,
        )
        self.keyframes += 1
        self._again[points.number] = self.window.landmarks.name[agree.rows], agree.points
        self.window.add(points, self.pose, agree, fresh)
        self.window.forget_unseen(points.number - _REMEMBERED, points.number - _UNCONFIRMED)
        self.window.forget_oldest()
        self._again = {one.number: self._again[one.number] for one in self.window.frames}
        self._shared = 0

    def _adjust(self) -> None:
        """Let the newest keyframes and the landmarks agree, now or as soon as it is possible."""
        self._take()
        if self._wanted and not self._adjuster.busy:
            self._wanted = False
            task = Adjustment.of(self.window, self._adjusted)
            if task is None:
                self.settled = self.window.frames[-1].number
                return
            self._adjuster.submit(task)
            self._take()

    def _take(self) -> None:
        """Take over an adjustment, if there is one."""
        done = self._adjuster.take()
        if done is None:
            return
        task, found = done
        carry = task.apply(found, self.window)
        self.pose = np.asarray(carry @ self.pose)
        count, newest = len(task.numbers), int(task.numbers[-1])
        self.motion_covariance = found.relative_covariance(count - 2, count - 1)
        self._adjusted = newest
        self.settled = newest if newest in self._again else None
        if self._held is not None and self._held_by > newest:
            self.pose = self._held.found_again(self.pose, self.window)
