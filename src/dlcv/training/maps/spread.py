"""How far off the poses in a map are, for their covariances to say so: errors on what it never saw.

The consensus states ``sigma^2 (J'J)^-1``, as if the errors of the cells were independent. What it
states has the right shape, and is too small by a factor that hardly differs between pictures of one
map: so one factor of the position and one of the turn are measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import nan

import numpy as np

from dlcv.estimation.dsac import RelocalizationEstimator
from dlcv.metrics.consistency import inside, nees
from dlcv.metrics.trajectory import motion_error
from dlcv.networks.dsac import SceneCoordinateNet
from dlcv.networks.place import AS_STATED, UNMEASURED, PoseSpread
from dlcv.training.maps.learning import Report
from dlcv.training.maps.looks import KnownView
from dlcv.types import FloatArray, Frame, Localization

LEAST = 10
"""Accepted poses of pictures that the map never saw, without which nothing is measured."""

_QUANTILES = (0.5, 0.75, 0.9)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PoseErrors:
    """Accepted poses of pictures that a map never saw.

    Attributes:
        errors: ``(N, 6)`` x y z (m) and rx ry rz (rad) in map axes.
        covariances: ``(N, 6, 6)`` of them, as the consensus states them.
    """

    errors: FloatArray
    covariances: FloatArray

    def __len__(self) -> int:
        return len(self.errors)

    @classmethod
    def none(cls) -> PoseErrors:
        """Return those of no pictures."""
        return cls(errors=np.empty((0, 6)), covariances=np.empty((0, 6, 6)))

    def inside(self, spread: PoseSpread) -> float:
        """Return how many lie in the ellipsoid that should hold 95 % of them; NaN of none."""
        if not len(self):
            return nan
        return inside(self.errors, np.array([spread.widened(c) for c in self.covariances]))

    def __add__(self, other: PoseErrors) -> PoseErrors:
        return PoseErrors(
            errors=np.concatenate([self.errors, other.errors]),
            covariances=np.concatenate([self.covariances, other.covariances]),
        )


def pose_errors(
    network: SceneCoordinateNet,
    views: Sequence[KnownView],
    report: Report = lambda _what, _done, _of: None,
) -> PoseErrors:
    """Relocalize views whose poses are known, and compare what is accepted.

    Args:
        network: A map that knows its place.
        views: What it never saw.
        report: Told how far it is.
    """
    place, config = network.config.place, network.config
    assert place is not None
    answers = []
    try:
        network.config = replace(config, place=replace(place, spread=AS_STATED))
        estimator = RelocalizationEstimator(network, device='cpu')
        for number, view in enumerate(views, start=1):
            answers.append(estimator.push(Frame(stamp_ns=0, image=view.image, camera=view.camera)))
            report('look up', number, len(views))
    finally:
        network.config = config
    return errors_of(answers, views)


def errors_of(answers: Sequence[Localization], views: Sequence[KnownView]) -> PoseErrors:
    """Compare the accepted ones of answers, whose covariances are as stated, with the truth."""
    errors, covariances = [], []
    for found, view in zip(answers, views, strict=True):
        if found.accepted_pose is not None and found.covariance is not None:
            errors.append(motion_error(found.accepted_pose, view.world_from_camera))
            covariances.append(found.covariance)
    return PoseErrors(
        errors=np.array(errors).reshape(-1, 6),
        covariances=np.array(covariances).reshape(-1, 6, 6),
    )


def fit_spread(far: PoseErrors, near: PoseErrors) -> PoseSpread | None:
    """Return the factors with which stated covariances hold the errors that they should hold.

    Args:
        far: On pictures far from all that the map learned.
        near: On others that it never saw; they count only where those do not suffice, and then the
            factors are not less than those of a map that nobody measured.

    Returns:
        The factors; None where there are too few poses.
    """
    if len(far) >= LEAST:
        return _fit(far)
    every = far + near
    if len(every) < LEAST:
        return None
    found = _fit(every)
    return replace(
        found,
        translation=max(found.translation, UNMEASURED.translation),
        rotation=max(found.rotation, UNMEASURED.rotation),
    )


def _fit(found: PoseErrors) -> PoseSpread:
    """Return the factors of both parts, then made so wide that they hold both together."""
    each = PoseSpread(
        translation=_factor(found.errors[:, :3], found.covariances[:, :3, :3]),
        rotation=_factor(found.errors[:, 3:], found.covariances[:, 3:, 3:]),
    )
    both = _factor(found.errors, np.array([each.widened(c) for c in found.covariances]))
    wider = both * (1 + 0.5 / len(found) ** 0.5)  # by as much as so few may be off
    return PoseSpread(
        translation=_rounded(each.translation * wider),
        rotation=_rounded(each.rotation * wider),
        pictures=len(found),
    )


def _factor(errors: FloatArray, covariances: FloatArray) -> float:
    """Return by how much deviations must be multiplied to be true.

    Of a few errors the outermost says little about what 95 % of many would reach; so quantiles
    farther inside are compared with those of a normal distribution.
    """
    from scipy.stats import chi2

    reached = np.quantile(nees(errors, covariances), _QUANTILES)
    return float(np.mean(np.sqrt(reached / chi2.ppf(_QUANTILES, errors.shape[1]))))


def _rounded(value: float) -> float:
    return float(f'{value:.3g}')
