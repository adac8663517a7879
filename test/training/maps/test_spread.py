"""Factors of stated deviations: synthetic errors whose true covariance is known, and a real map."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.bringup.demo.run import MAP
from dlcv.data.world import WorldRecording, ideal_camera
from dlcv.metrics.consistency import inside
from dlcv.networks.place import UNMEASURED, PoseSpread
from dlcv.networks.weights import load_network
from dlcv.training.maps.looks import known_views
from dlcv.training.maps.places import measure
from dlcv.training.maps.spread import PoseErrors, errors_of, fit_spread

NONE = PoseErrors.none()


def drawn(count, translation, rotation, seed=0):
    """Errors so many times as large as the covariances that are stated of them."""
    rng = np.random.default_rng(seed)
    factors = np.tril(rng.normal(0, 0.01, (count, 6, 6))) + 0.02 * np.eye(6)
    errors = (factors @ rng.normal(0, 1, (count, 6, 1)))[..., 0]
    wider = np.repeat((translation, rotation), 3)
    return PoseErrors(errors=errors * wider, covariances=factors @ factors.transpose(0, 2, 1))


def test_the_factors_of_many_errors_are_found():
    found = fit_spread(drawn(4000, 7.0, 3.0), NONE)
    assert found.translation == pytest.approx(7, rel=0.05)
    assert found.rotation == pytest.approx(3, rel=0.05)
    assert found.pictures == 4000


def test_true_covariances_are_left_alone():
    found = fit_spread(drawn(4000, 1.0, 1.0), NONE)
    assert (found.translation, found.rotation) == pytest.approx((1, 1), rel=0.05)


@pytest.mark.parametrize('seed', range(5))
def test_few_errors_are_enough_for_others_to_be_held(seed):
    found = fit_spread(drawn(30, 5.0, 4.0, seed), NONE)
    others = drawn(2000, 5.0, 4.0, 100 + seed)
    assert others.inside(PoseSpread(translation=1, rotation=1)) < 0.2
    assert 0.88 < others.inside(found) < 0.996


def test_a_few_outliers_do_not_widen_all_ellipsoids():
    errors = drawn(200, 3.0, 3.0)
    clean = fit_spread(errors, NONE)
    errors.errors[::25] *= 50
    assert fit_spread(errors, NONE).translation < 1.15 * clean.translation


def test_pictures_next_to_learned_ones_count_only_where_there_are_no_others():
    far, near = drawn(40, 6.0, 6.0), drawn(400, 1.0, 1.0, 1)
    assert fit_spread(far, near) == fit_spread(far, NONE)
    alone = fit_spread(NONE, near)
    assert alone.translation == UNMEASURED.translation
    assert fit_spread(NONE, drawn(400, 20.0, 20.0)).rotation > UNMEASURED.rotation
    assert fit_spread(drawn(5, 1, 1), drawn(4, 1, 1)) is None


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_poses_of_another_walk_lie_where_the_map_of_the_demo_says():
    """It was made of ways 3, 6 and 7, and calibrated by way 5."""
    network = load_network('dsac', MAP)
    camera = ideal_camera(416, 192)
    walk = WorldRecording('room', camera=camera, frames=65, rate_hz=2.5, workers=1)
    views = known_views(walk, network.config.input_height)
    found = measure(network, views)
    errors = errors_of(found.answers, views)
    assert len(errors) > 40
    assert 0.85 <= inside(errors.errors, errors.covariances) <= 0.99
    rejected = [a for a in found.answers if not a.accepted and a.covariance is not None]
    assert all(np.linalg.eigvalsh(a.covariance)[0] > 1 for a in rejected)
