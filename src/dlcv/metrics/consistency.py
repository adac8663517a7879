"""Whether stated covariances are true: errors should lie where they say.

The normalised estimation error squared (NEES) of an error e with covariance P is ``e^T P^-1 e``.
If P is true and e normal with k numbers, it is chi-square distributed with k degrees of freedom:
its mean is k, and the share p of errors lies inside the ellipsoid of ``chi2.ppf(p, k)``
(Bar-Shalom et al., Estimation with Applications to Tracking and Navigation, 2001, 5.4).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from dlcv.metrics.trajectory import motion_error
from dlcv.types import FloatArray

HORIZONS = (10, 50, 100)
"""Frames after which poses are judged by what they have drifted since they were known."""


class ConsistencyError(ValueError):
    """Errors and covariances that do not fit each other; the message says how."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Beliefs:
    """Motions, or poses, with what they were believed to be.

    Attributes:
        found: ``(N, 4, 4)`` as they were estimated, metres.
        true: ``(N, 4, 4)`` as they are.
        covariances: ``(N, 6, 6)`` stated of ``found`` as (x, y, z, rx, ry, rz), m and rad.
    """

    found: FloatArray
    true: FloatArray
    covariances: FloatArray

    @staticmethod
    def of(parts: Iterable[tuple[FloatArray, FloatArray, FloatArray]]) -> Beliefs:
        """Return beliefs of (found, true, covariance) one by one."""
        rows = list(parts)
        found, true, covariances = (
            np.array([row[i] for row in rows], np.float64).reshape(-1, side, side)
            for i, side in enumerate((4, 4, 6))
        )
        return Beliefs(found=found, true=true, covariances=covariances)

    @staticmethod
    def joined(parts: Iterable[Beliefs]) -> Beliefs:
        """Return all beliefs of several lots in their order."""
        return Beliefs.of(
            row for p in parts for row in zip(p.found, p.true, p.covariances, strict=True)
        )

    def __len__(self) -> int:
        return len(self.found)

    @property
    def errors(self) -> FloatArray:
        """``(N, 6)`` of `motion_error`: m and rad."""
        made = [motion_error(f, t) for f, t in zip(self.found, self.true, strict=True)]
        return np.array(made, np.float64).reshape(-1, 6)

    def scaled(self, scale: float) -> Beliefs:
        """Return them in another unit of length: lengths and their deviations times ``scale``."""
        found = self.found.copy()
        found[:, :3, 3] *= scale
        unit = np.repeat((scale, 1.0), 3)
        return replace(self, found=found, covariances=unit[:, None] * self.covariances * unit)

    def timed(self, share: float) -> Beliefs:
        """Return them judged by truths whose times are off: both ends of a motion, each by itself.

        Args:
            share: Standard deviation of a time, as a share of that between both ends. The body is
                taken to go evenly meanwhile.
        """
        twists = np.array([motion_error(true, np.eye(4)) for true in self.true]).reshape(-1, 6)
        off = 2 * share**2 * twists[:, :, None] * twists[:, None, :]
        return replace(self, covariances=self.covariances + off)


class Stretches:
    """Collects poses some frames after one that was certain, on stretches that do not overlap.

    A stretch begins with a pose whose uncertainty the caller forgets, and is as long as the
    longest horizon that the way has room for; on the way there, the pose is judged at every
    horizon. Between the frames of a stretch nothing is forgotten and nothing starts anew, so what
    is common to all motions of it, such as a scale that is off, counts as it does on a robot.

    Args:
        frames: Of the way.
        horizons: Frames after which a pose is judged.

    Attributes:
        horizons: The same, rising.
    """

    def __init__(self, frames: int, horizons: Iterable[int] = HORIZONS) -> None:
        self.horizons = tuple(sorted(horizons))
        self._left = frames
        self._begin: tuple[FloatArray, FloatArray] | None = None
        self._gone = self._length = 0
        self._parts: dict[int, list[tuple[FloatArray, FloatArray, FloatArray]]] = {
            horizon: [] for horizon in self.horizons
        }

    def push(
        self, pose: FloatArray, truth: FloatArray, covariance: FloatArray, *, lost: bool = False
    ) -> bool:
        """Take the next frame's pose.

        Args:
            pose: ``(4, 4)`` odom_from_camera as it is estimated.
            truth: ``(4, 4)`` the true pose in any fixed frame.
            covariance: ``(6, 6)`` of ``pose`` in odom axes.
            lost: No stretch begins here; one that is under way goes on.

        Returns:
            Whether a stretch begins here: the pose is to be taken for certain from now on.
        """
        self._left -= 1
        self._gone += 1
        if self._begin is not None and self._gone in self._parts:
            odom, world = self._begin
            turn = np.kron(np.eye(2), odom[:3, :3].T)
            found, true = np.linalg.inv(odom) @ pose, np.linalg.inv(world) @ truth
            self._parts[self._gone].append((found, true, turn @ covariance @ turn.T))
        if self._gone < self._length:
            return False
        fitting = [horizon for horizon in self.horizons if horizon <= self._left]
        self._begin, self._gone, self._length = None, 0, 0
        if lost or not fitting:
            return False
        self._begin, self._length = (np.array(pose), np.array(truth)), fitting[-1]
        return True

    def after(self, horizon: int) -> Beliefs:
        """Return the poses ``horizon`` frames after a certain one, in the axes of that one."""
        return Beliefs.of(self._parts[horizon])


def nees(errors: FloatArray, covariances: FloatArray) -> FloatArray:
    """Return the NEES of each error.

    Args:
        errors: ``(N, k)``.
        covariances: ``(N, k, k)``, positive definite.

    Returns:
        ``(N,)``.

    Raises:
        ConsistencyError: If the shapes do not fit, or a covariance is not positive definite.
    """
    if errors.ndim != 2 or covariances.shape != (*errors.shape, errors.shape[1]):
        raise ConsistencyError(
            f'expected errors (N, k) and covariances (N, k, k), got {errors.shape} and '
            f'{covariances.shape}'
        )
    try:
        factor = np.linalg.cholesky(covariances)  # P = L L^T
    except np.linalg.LinAlgError:
        raise ConsistencyError('a covariance is not positive definite') from None
    whitened = np.linalg.solve(factor, errors[..., None])[..., 0]  # (N, k): unit covariance
    return np.asarray(np.sum(whitened**2, axis=1), np.float64)


def inside(errors: FloatArray, covariances: FloatArray, share: float = 0.95) -> float:
    """Return how many of the errors lie in the ellipsoid that should hold ``share`` of them.

    Args:
        errors: ``(N, k)``.
        covariances: ``(N, k, k)``.
        share: Between 0 and 1.

    Returns:
        Their share; NaN of none.

    Raises:
        ConsistencyError: See `nees`, or if the share is not between 0 and 1.
    """
    values = nees(errors, covariances)
    bound = _bound(share, errors.shape[1])
    return float(np.mean(values <= bound)) if len(values) else nan


def needed(errors: FloatArray, covariances: FloatArray, share: float = 0.95) -> float:
    """Return the factor on covariances with which the ellipsoids hold ``share`` of the errors.

    It is 1 where they are true, and more where they promise too much.

    Args:
        errors: ``(N, k)``.
        covariances: ``(N, k, k)``.
        share: Between 0 and 1.

    Returns:
        The factor; NaN of no errors.

    Raises:
        ConsistencyError: See `inside`.
    """
    values = nees(errors, covariances)
    bound = _bound(share, errors.shape[1])
    return float(np.quantile(values, share)) / bound if len(values) else nan


def _bound(share: float, numbers: int) -> float:
    """Return the NEES that the share of all errors of so many numbers stays below."""
    from scipy.stats import chi2

    if not 0 < share < 1:
        raise ConsistencyError(f'the share must lie between 0 and 1, got {share}')
    return float(chi2.ppf(share, numbers))
