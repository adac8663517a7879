"""The adjustment of the newest keyframes of a window and of the landmarks they see.

It takes longer than all else that is done with a picture, and nothing waits for it: it may go on
beside the pictures after the keyframe, whose window it then corrects.
"""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import LEAST
from dlcv.estimation.odometry.resection import FEWEST
from dlcv.estimation.odometry.window import Adjusted, Window, adjust

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_LOG = logging.getLogger(__name__)

GUESSED = 1.0
"""Relative standard deviation of a guessed depth."""

_FREE = 3  # newest keyframes that move
_STEPS = 5


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
    def of(cls, keyframes: Keyframes) -> Adjustment | None:
        """Take what there is to adjust; None where too little is seen twice.

        Only the newest keyframes move: what held the older ones to each other has been forgotten in
        part, and with the rest alone they would be worse than they were.
        """
        marks = keyframes.landmarks
        keyframe, rows, xy, stddev = keyframes.observations()
        free = keyframe >= len(keyframes) - _FREE
        there = np.unique(rows[free])  # the others would find everything where it was
        if len(there) < FEWEST:
            return None
        told = np.isin(rows, there)
        keyframe, rows, xy, stddev = keyframe[told], rows[told], xy[told], stddev[told]
        prior_stddev = marks.prior_stddev[there]
        fixed = max(1, len(keyframes) - _FREE)
        if np.count_nonzero(np.isfinite(prior_stddev)) < FEWEST:  # no unit but the window's own
            fixed = 1 if len(keyframes) <= 2 else max(fixed, 2)
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
        numbers = np.array([one.number for one in keyframes.frames])
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
                newest keyframe that was adjusted.

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
        return carry


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
        """Begin; what was begun before and has not been taken is lost."""
        self._task = task
        self._found = task.solved() if self._worker is None else self._worker.submit(task.solved)

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
