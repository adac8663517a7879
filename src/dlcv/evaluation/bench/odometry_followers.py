"""Who follows a camera in ``dlcv bench odometry``, and what is remembered of it."""

from __future__ import annotations

from collections.abc import Mapping
from time import perf_counter
from typing import Protocol

import numpy as np

from dlcv.estimation.body import LEAST_VARIANCE
from dlcv.metrics.baselines.odometry import Odometry
from dlcv.metrics.consistency import Beliefs, Stretches
from dlcv.types import FloatArray, Lost, Motion, Snapshot

LOST = -1
"""The part of a pose that nothing is known of."""


class Follower(Protocol):
    """Follows a camera along a way, and remembers where it went.

    Attributes:
        poses: ``(4, 4)`` of every view.
        parts: Of every pose, which continuous part of the way it belongs to; `LOST` for none.
        seconds: That every view took.
    """

    poses: list[FloatArray]
    parts: list[int]
    seconds: list[float]

    def push(self, view: Snapshot) -> None:
        """Take the next view."""


class Classic:
    """A method without a network as a `Follower`."""

    def __init__(self, odometry: Odometry) -> None:
        self._odometry = odometry
        self.poses: list[FloatArray] = []
        self.parts: list[int] = []
        self.seconds: list[float] = []

    def push(self, view: Snapshot) -> None:
        """See `Follower`."""
        begin = perf_counter()
        motion = self._odometry.push(view)
        self.seconds.append(perf_counter() - begin)
        self.poses.append(self.poses[-1] @ motion if self.poses else np.eye(4))
        self.parts.append(0)


class Reckoner(Protocol):
    """What DeepVO's and visual odometry's estimators know of the way so far."""

    @property
    def odom_from_camera(self) -> FloatArray:
        """``(4, 4)`` the pose so far."""

    @property
    def pose_covariance(self) -> FloatArray:
        """``(6, 6)`` of that pose in odom axes."""

    def reset(self) -> None:
        """Forget it."""

    def set_pose(self, odom_from_camera: FloatArray, covariance: FloatArray | None = None) -> None:
        """Go on from this pose."""


class Estimated:
    """Remembers where an estimator went, what it believed and when it was lost.

    A part of the way is continuous if each motion of it begins where the one before it ended. After
    that the estimator begins anew: who does not know the metre does so in another unit.

    Args:
        estimator: Is reset.
        frames: Of the way.
        horizons: Frames after which poses are judged.
        metric: Whether its unit is the metre; if not, no pose is judged by one of another part.
        timing: Standard deviation of the times of true poses, seconds.

    Attributes:
        poses: See `Follower`.
        parts: See `Follower`.
        seconds: See `Follower`.
        metric: As above.
        lost: Views of which it said so.
    """

    def __init__(
        self,
        estimator: Reckoner,
        frames: int,
        horizons: tuple[int, ...] = (),
        *,
        metric: bool = True,
        timing: float = 0.0,
    ) -> None:
        estimator.reset()
        self._estimator = estimator
        self._timing = timing
        self._frames, self._horizons, self.metric = frames, horizons, metric
        self._truths: dict[int, FloatArray] = {}
        self._numbers: dict[int, int] = {}  # of the views, by their time
        self._part, self._known_ns = -1, -1  # until when its motions are known
        self._motions: dict[int, list[tuple[FloatArray, FloatArray, FloatArray]]] = {}
        self._stretches = {0: Stretches(frames, horizons)}
        self.poses: list[FloatArray] = []
        self.parts: list[int] = []
        self.seconds: list[float] = []
        self.lost = 0

    def take(self, view: Snapshot, answer: Motion | Lost | None, seconds: float = 0.0) -> None:
        """Take the answer to the next view, and how long it took."""
        truth, stamp = view.world_from_camera, view.frame.stamp_ns
        assert truth is not None
        self.seconds.append(seconds)
        self._truths[stamp], self._numbers[stamp] = truth, len(self.poses)
        at = self._estimator.odom_from_camera if answer is None else answer.odom_from_camera
        covariance = self._estimator.pose_covariance
        if lost := isinstance(answer, Lost):
            covariance = answer.pose_covariance
            self.lost += 1
        self.poses.append(np.array(at))
        self.parts.append(LOST)
        if isinstance(answer, Motion):
            self._moved(answer, truth)
        covariance = covariance + LEAST_VARIANCE * np.eye(6)  # as the node publishes it
        if self._judge().push(at, truth, covariance, lost=lost):
            self._estimator.set_pose(at)

    @property
    def stretches(self) -> int:
        """How many continuous parts there are."""
        return len(self._motions)

    def beliefs(self, units: Mapping[int, float]) -> dict[str, Beliefs]:
        """Return what was believed of motions and poses, by its name.

        Args:
            units: Metres per unit of each part; of those that are not named it is the metre.
        """
        motions = [Beliefs.of(of).scaled(units.get(p, 1.0)) for p, of in self._motions.items()]
        off = self._timing / self._interval
        known = {'motions': Beliefs.joined(motions).timed(off)}
        for n in sorted(self._horizons):
            poses = [of.after(n).scaled(units.get(p, 1.0)) for p, of in self._stretches.items()]
            known[f'poses after {n}'] = Beliefs.joined(poses).timed(off / n)
        return known

    @property
    def _interval(self) -> float:
        """Mean time from view to view, seconds."""
        stamps = list(self._truths)
        return (stamps[-1] - stamps[0]) / 1e9 / (len(stamps) - 1) if len(stamps) > 1 else 1.0

    def _moved(self, answer: Motion, truth: FloatArray) -> None:
        """Take down a motion, and whether it follows the one before it."""
        if answer.previous_stamp_ns != self._known_ns:
            self._part += 1
            self.parts[self._numbers[answer.previous_stamp_ns]] = self._part
        self._known_ns, self.parts[-1] = answer.stamp_ns, self._part
        true = np.linalg.inv(self._truths[answer.previous_stamp_ns]) @ truth
        belief = answer.previous_from_current, true, answer.covariance
        self._motions.setdefault(self._part, []).append(belief)

    def _judge(self) -> Stretches:
        """Return the stretches that the newest pose belongs to."""
        part = 0 if self.metric else max(self._part, 0)
        if part not in self._stretches:
            left = self._frames - len(self.poses) + 1
            self._stretches[part] = Stretches(left, self._horizons)
        return self._stretches[part]
