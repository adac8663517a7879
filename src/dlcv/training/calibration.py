"""How far off a trained odometry is: its errors on drives that it never saw, as a `Spread`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf

import numpy as np
import numpy.typing as npt

from dlcv.estimation.deepvo import OdometryEstimator, OdometrySettings
from dlcv.geometry.trajectory import extent
from dlcv.metrics.consistency import needed
from dlcv.metrics.trajectory import motion_error
from dlcv.networks.deepvo import DeepVO, Spread
from dlcv.training.recipe import TrainError
from dlcv.types import FloatArray, Motion, Snapshot

SHARE = 0.95  # of the errors that the ellipsoid of this share is to hold
_LEAST = 1e-5  # m/s and rad/s
_GREATEST = 10.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Errors:
    """What an odometry did on some drives, motion by motion.

    Attributes:
        errors: ``(N, 6)`` x y z (m) and rx ry rz (rad) in the older camera's axes.
        extents: ``(N, 2)`` length (m) and angle (rad) of the motions as they were found.
        seconds: ``(N,)`` between the two frames.
    """

    errors: FloatArray
    extents: FloatArray
    seconds: FloatArray


def odometry_errors(network: DeepVO, drives: Iterable[Iterable[Snapshot]]) -> Errors:
    """Run an odometry over drives whose poses are known.

    Args:
        network: Trained.
        drives: Snapshots with poses, in order.
    """
    believing = OdometrySettings(max_linear_speed=inf, max_angular_speed=inf)
    estimator = OdometryEstimator(network, believing, device='cpu')
    errors, extents, seconds = [], [], []
    for drive in drives:
        estimator.reset()
        before: Snapshot | None = None
        for view in drive:
            answer = estimator.push(view.frame)
            if isinstance(answer, Motion) and before is not None:
                assert before.world_from_camera is not None
                assert view.world_from_camera is not None
                true = np.linalg.inv(before.world_from_camera) @ view.world_from_camera
                errors.append(motion_error(answer.previous_from_current, true))
                extents.append(extent(answer.previous_from_current))
                seconds.append((answer.stamp_ns - answer.previous_stamp_ns) * 1e-9)
            before = view
    return Errors(
        errors=np.array(errors).reshape(-1, 6),
        extents=np.array(extents).reshape(-1, 2),
        seconds=np.array(seconds),
    )


def fit_spread(found: Errors, share: float = SHARE) -> Spread:
    """Return the spread under which the errors are likeliest, so wide that it holds their share.

    Each axis by itself is fitted as a normal distribution whose variance grows as `Spread` says.
    Errors have longer tails than that, so all deviations are then multiplied by one number: the
    one with which ``share`` of the errors lie in the ellipsoid that should hold it.

    Raises:
        TrainError: If there are too few motions.
    """
    if len(found.errors) < 20:
        raise TrainError(f'a spread needs 20 motions or more, got {len(found.errors)}')
    lengths, angles = found.extents.T
    fits = [
        _fit(found.errors[:, axis], lengths if axis < 3 else angles, found.seconds)
        for axis in range(6)
    ]
    shares, rests = (np.array(values) for values in zip(*fits, strict=True))
    variances = Spread.of(shares, rests).variances(found.extents, found.seconds)
    covariances = np.stack([np.diag(row) for row in variances])
    wider = float(np.sqrt(needed(found.errors, covariances, share)))
    return Spread.of(_rounded(shares * wider), _rounded(np.maximum(rests * wider, _LEAST)))


def _fit(errors: FloatArray, sizes: FloatArray, seconds: FloatArray) -> tuple[float, float]:
    """Return share and rest of one axis by maximum likelihood."""
    from scipy.optimize import minimize

    def cost(logs: npt.NDArray[np.float64]) -> float:
        share, rest = np.exp(logs)
        variance = (share * sizes) ** 2 + (rest * seconds) ** 2
        return float(np.mean(np.log(variance) + errors**2 / variance))

    scale = float(np.sqrt(np.mean((errors / seconds) ** 2))) + _LEAST
    bounds = [(np.log(_LEAST), np.log(_GREATEST))] * 2
    begin = np.clip(np.log((0.1, scale)), *bounds[0])
    share, rest = np.exp(minimize(cost, begin, bounds=bounds, method='L-BFGS-B').x)
    return float(share), float(rest)


def _rounded(values: FloatArray) -> FloatArray:
    return np.array([float(f'{value:.4g}') for value in values])
