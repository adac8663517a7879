"""The adjustment of the newest keyframes of a window and of the landmarks they see.

It takes longer than all else that is done with a picture, and nothing waits for it: it may go on
beside the pictures after the keyframe, whose window it then corrects.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import LEAST
from dlcv.estimation.odometry.resection import FEWEST, PARALLAX, known_depths, refined_on
from dlcv.estimation.odometry.triangulation import triangulate
from dlcv.estimation.odometry.window import Adjusted, Window, adjust

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_LOG = logging.getLogger(__name__)

GUESSED = 1.0
"""Relative standard deviation of a guessed depth."""

_FREE = 3  # newest keyframes that move
_FIRST = 4  # keyframes of a window that has just begun
_STEPS = 3
_ROUGH = 2.0  # how many times its deviation a depth is off, between keyframes that are not adjusted
_HELD = 0.6  # of the landmarks with which a camera was found, that must agree again
_UNIT = 0.3  # of the way through the window, that keyframes must span to hold its unit


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Adjustment:
    """What is to be adjusted, apart from the window that goes on meanwhile.

    Attributes:
        numbers: ``(K,)`` of the keyframes, oldest first.
        names: ``(L,)`` of the landmarks, rising.
        anchors: ``(L,)`` numbers of the keyframes on whose rays they lie.
        window: Poses and landmarks, and what was seen.
    """

    numbers: Indices
    names: Indices
    anchors: Indices
    window: Window

    @classmethod
    def of(cls, keyframes: Keyframes, adjusted: int | None = None) -> Adjustment | None:
        """Take what there is to adjust; None where too little is seen twice.

        Only the newest keyframes move: what held the older ones to each other has been forgotten in
        part, and with the rest alone they would be worse than they were.

        Args:
            keyframes: The window.
            adjusted: Number of the newest keyframe that was adjusted before; None for the last but
                one. Where more have come since, more move.
        """
        marks = keyframes.landmarks
        keyframe, rows, xy, stddev = keyframes.observations()
        numbers = np.array([one.number for one in keyframes.frames])
        come = 1 if adjusted is None else int(np.count_nonzero(numbers > adjusted))
        moving = _FREE - 1 + max(come, 1)
        free = keyframe >= len(keyframes) - moving
        seen = np.bincount(rows[free], minlength=len(marks))
        there = np.flatnonzero(seen)  # the others would find everything where it was
        if len(there) < FEWEST:
            return None
        within = np.zeros(len(marks), np.bool_)
        within[there] = True
        told = within[rows]
        keyframe, rows, xy, stddev = keyframe[told], rows[told], xy[told], stddev[told]
        prior_stddev = marks.prior_stddev[there]
        fixed = max(1, len(keyframes) - moving)
        if np.count_nonzero(np.isfinite(prior_stddev)) < FEWEST:  # no unit but the window's own
            fixed = max(fixed, _unit_holders(keyframes.poses))
        # What was not measured is held to what it is, loosely: a turn would make depths of noise.
        depth = np.maximum(marks.inverse_depth[there], LEAST)
        prior = np.where(np.isfinite(prior_stddev), marks.prior[there], depth)
        prior_stddev = np.minimum(prior_stddev, GUESSED * depth)
        window = Window(
            odom_from_camera=keyframes.poses,
            fixed=fixed,
            anchor=keyframes.anchors_of(there),
            rays=marks.rays[there],
            ray_stddev=0.0,  # a patch is where its anchor shows it, by definition
            inverse_depth=marks.inverse_depth[there],
            keyframe=keyframe,
            landmark=np.searchsorted(there, rows),
            xy=xy,
            stddev=stddev,
            prior_inverse_depth=prior,
            prior_stddev=prior_stddev,
        )
        return cls(
            numbers=numbers, names=marks.name[there], anchors=marks.anchor[there], window=window
        )

    def solved(self) -> Adjusted:
        """Move keyframes and landmarks until the landmarks are seen where they were seen."""
        return adjust(self.window, iterations=_STEPS)

    def apply(self, found: Adjusted, keyframes: Keyframes) -> Matrix:
        """Take over what was found, for keyframes and landmarks that are still there.

        Args:
            found: The solution.
            keyframes: The window, which may have gone on since. What was added to it moves with the
                newest keyframe that was adjusted, and is found again on the landmarks as they are
                now: on those of before, another shape and scale was true.

        Returns:
            ``(4, 4)`` newer from older coordinates of the window around its newest keyframes.
        """
        before, after = self.window.odom_from_camera[-1], found.odom_from_camera[-1]
        carry = np.asarray(after @ np.linalg.inv(before), np.float64)
        poses = dict(zip(self.numbers.tolist(), found.odom_from_camera, strict=True))
        newest = int(self.numbers[-1])
        keyframes.move(
            np.stack([
                poses[one.number] if one.number in poses
                else carry @ one.window_from_camera if one.number > newest
                else one.window_from_camera
                for one in keyframes.frames
            ])
        )  # fmt: skip
        marks = keyframes.landmarks
        rows, there = marks.rows_of(self.names)
        there[there] = marks.anchor[rows[there]] == self.anchors[there]
        marks.inverse_depth[rows[there]] = np.maximum(found.inverse_depth[there], LEAST)
        marks.variance[rows[there]] = found.inverse_depth_variance[there]
        for index, one in enumerate(keyframes.frames):
            if one.number > newest:
                rows, at = keyframes.rows_in(one)
                other = marks.anchor[rows] != one.number
                seen = Held(marks.name[rows[other]], one.xy[at[other]], one.stddev[at[other]])
                pose = seen.found_again(one.window_from_camera, keyframes)
                keyframes.frames[index] = replace(one, window_from_camera=pose)
        return carry


def give_depths(keyframes: Keyframes) -> None:
    """Give depths to landmarks that have none, by the keyframes where they stand.

    For the time until an adjustment comes: a camera that is followed on guesses alone gets lost.
    """
    marks = keyframes.landmarks
    keyframe, rows, xy, stddev = keyframes.observations()
    known = known_depths(keyframes, np.arange(len(marks)))
    told = ~known[rows]
    there, landmark = np.unique(rows[told], return_inverse=True)
    found = triangulate(
        keyframes.poses,
        anchor=keyframes.anchors_of(there),
        rays=marks.rays[there],
        keyframe=keyframe[told],
        landmark=landmark,
        xy=xy[told],
        stddev=stddev[told] * np.sqrt(2),  # of both pictures
        least_parallax=PARALLAX,
    )
    variance = np.square(_ROUGH * found.stddev)
    good = found.accepted & (found.inverse_depth > LEAST) & (variance < marks.variance[there])
    marks.inverse_depth[there[good]] = found.inverse_depth[good]
    marks.variance[there[good]] = variance[good]


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """Landmarks with which a camera was found: ``(N,)`` names, where, ``(N, 2)``, how exactly."""

    names: Indices
    xy: Matrix
    stddev: Matrix

    def found_again(self, pose: Matrix, keyframes: Keyframes) -> Matrix:
        """Return the pose ``(4, 4)`` of the camera on the landmarks as they are now.

        Args:
            pose: Where to start; it stays where too few agree with another.
            keyframes: The landmarks.
        """
        rows, there = keyframes.landmarks.rows_of(self.names)
        if np.count_nonzero(there) < FEWEST:
            return pose
        found = refined_on(keyframes, rows[there], self.xy[there], self.stddev[there], pose)
        agree = np.count_nonzero(found.inliers)
        return found.odom_from_camera if agree >= _HELD * np.count_nonzero(there) else pose


class Adjuster:
    """Solves one adjustment at a time, at once or in a thread beside its owner.

    Args:
        lockstep: Solve at once.
    """

    def __init__(self, *, lockstep: bool) -> None:
        self._worker = None if lockstep else ThreadPoolExecutor(1, 'adjustment')
        self._task: Adjustment | None = None
        self._found: Adjusted | Future[Adjusted] | None = None

    @property
    def busy(self) -> bool:
        """Whether the last adjustment has not been taken yet."""
        return self._task is not None

    def submit(self, task: Adjustment) -> None:
        """Begin; what was begun before and has not been taken is lost.

        A window that has just begun is solved at once: it is small, and pictures that are followed
        on the first guesses of depths, or before any metre is known, are followed badly.
        """
        self._task = task
        if self._worker is None:
            self._found = task.solved()
            return
        self._found = self._worker.submit(task.solved)
        if len(task.numbers) <= _FIRST:
            wait([self._found])

    def take(self) -> tuple[Adjustment, Adjusted] | None:
        """Return what was solved, once; None where there is nothing new."""
        task, found = self._task, self._found
        if isinstance(found, Future):
            if not found.done():
                return None
            error = found.exception()
            if error is not None:
                _LOG.warning('a window was not adjusted: %s: %s', type(error).__name__, error)
                self.drop()
                return None
            found = found.result()
        self.drop()
        return None if task is None or found is None else (task, found)

    def drop(self) -> None:
        """Let nobody take what was begun."""
        self._task = self._found = None

    def close(self) -> None:
        """Wait for what was begun, and drop it."""
        self.drop()
        if self._worker is not None:
            self._worker.shutdown(cancel_futures=True)


def _unit_holders(poses: Matrix) -> int:
    """Return how many of the oldest keyframes are to stay where they are, to hold the unit.

    Two, unless the camera turned on the spot at first: then as many as reach some way.

    Args:
        poses: ``(K, 4, 4)`` odom_from_camera, oldest first.
    """
    if len(poses) <= 2:
        return 1
    away = np.linalg.norm(poses[:, :3, 3] - poses[0, :3, 3], axis=1)
    reached = int(np.argmax(away >= _UNIT * away.max()))
    return min(max(2, reached + 1), len(poses) - 1)
