"""The spread of an odometry: found again from errors that were drawn with it."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.estimation.deepvo import OdometrySettings
from dlcv.metrics.consistency import inside
from dlcv.networks.deepvo import DeepVO, DeepVOConfig, Spread
from dlcv.training.calibration import Errors, fit_spread, odometry_errors
from dlcv.training.recipe import TrainError

SPREAD = Spread(
    per_meter=(0.02, 0.01, 0.1), per_radian=(0.05, 0.2, 0.1),
    rest=(0.01, 0.02, 0.05, 0.002, 0.004, 0.001),
)  # fmt: skip


def variances(spread, extents, seconds):
    share = np.concatenate((spread.per_meter, spread.per_radian))
    sizes = np.repeat(extents, 3, axis=1)
    return (share * sizes) ** 2 + (np.array(spread.rest) * seconds[:, None]) ** 2


def drawn(count, tail=False):
    rng = np.random.default_rng(0)
    extents = np.abs(rng.normal(0, (1.0, 0.2), (count, 2)))
    seconds = rng.uniform(0.03, 0.15, count)
    errors = rng.normal(0, np.sqrt(variances(SPREAD, extents, seconds)))
    if tail:
        errors *= rng.standard_t(3, (count, 1))
    return Errors(errors=errors, extents=extents, seconds=seconds)


def test_a_normal_spread_is_found_again():
    found = fit_spread(drawn(8000))
    for name in ('per_meter', 'per_radian', 'rest'):
        assert np.allclose(getattr(found, name), getattr(SPREAD, name), rtol=0.2), name


@pytest.mark.parametrize('tail', [False, True])
def test_the_ellipsoid_holds_the_share_that_it_should(tail):
    errors = drawn(4000, tail)
    every = variances(fit_spread(errors), errors.extents, errors.seconds)
    covariances = np.stack([np.diag(row) for row in every])
    assert inside(errors.errors, covariances) == pytest.approx(0.95, abs=0.002)


def test_too_few_motions_are_refused():
    with pytest.raises(TrainError, match='needs 20 motions or more, got 5'):
        fit_spread(drawn(5))


def test_an_odometry_is_run_over_whole_drives():
    network = DeepVO(DeepVOConfig(input_size=(64, 64), width=1 / 16, memory=8)).eval()
    walk = WorldRecording(
        'room', seed=5, frames=4, rate_hz=10, camera=ideal_camera(64, 64, 70), workers=1
    )
    found = odometry_errors(network, [walk, walk])
    assert found.errors.shape == (6, 6)
    assert np.array_equal(found.errors[:3], found.errors[3:])  # each drive starts anew
    assert np.allclose(found.seconds, 0.1)
    assert (found.extents > 0).all()


def test_settings_of_the_user_go_before_the_measured_spread():
    from dataclasses import replace

    from dlcv.estimation.deepvo import OdometryEstimator

    network = DeepVO(DeepVOConfig(input_size=(64, 64), width=1 / 16, memory=8, spread=SPREAD))
    estimator = OdometryEstimator(network, device='cpu')
    assert estimator._spread() == SPREAD
    estimator.settings = replace(OdometrySettings(), pose_stddev_per_meter=0.3)
    assert estimator._spread().per_meter == (0.3, 0.3, 0.3)
    assert estimator._spread().rest == OdometrySettings().twist_stddev
