"""Metres per unit from depth, wheels and the height: known ratios, liars, stated deviations."""

from __future__ import annotations

import numpy as np
import pytest

from dlcv.estimation.odometry.ground import Ground
from dlcv.estimation.odometry.ratios import (
    Ratio,
    depth_ratio,
    height_ratio,
    wheels_ratio,
)


def lengths(seed, count=60, ratio=2.5, noise=0.05, liars=0):
    """Depths in units and metres with their deviations; the first ``liars`` are of other things."""
    rng = np.random.default_rng(seed)
    units = rng.uniform(1, 12, count)
    ours, theirs = noise * rng.uniform(0.5, 2, (2, count))
    metres = ratio * units * np.exp(theirs * rng.standard_normal(count))
    seen = units * np.exp(ours * rng.standard_normal(count))
    metres[:liars] *= rng.uniform(1.5, 3, liars)
    return seen, ours * seen, metres, theirs * metres


def test_a_ratio_without_noise_is_exact():
    found = depth_ratio(*lengths(0, noise=1e-6))
    assert np.exp(found.log) == pytest.approx(2.5, rel=1e-5)
    assert found.support == 60


def test_a_third_of_liars_is_left_out():
    found = depth_ratio(*lengths(0, liars=20))
    assert np.exp(found.log) == pytest.approx(2.5, rel=0.04)
    assert 35 <= found.support <= 45


def test_what_is_stated_of_a_ratio_is_what_is_found():
    found = [depth_ratio(*lengths(seed)) for seed in range(300)]
    off = np.array([(r.log - np.log(2.5)) / r.stddev for r in found])
    assert 0.75 < np.mean(np.square(off)) < 1.35
    assert abs(np.mean(off)) < 0.2


def test_deviations_that_are_too_small_are_seen_through():
    """Everything is three times as far off as it says."""
    found = []
    for seed in range(100):
        units, ours, metres, theirs = lengths(seed, noise=0.1)
        found.append(depth_ratio(units, ours / 3, metres, theirs / 3, least=5))
    kept = [r for r in found if isinstance(r, Ratio)]
    assert len(kept) > 90
    assert np.mean([((r.log - np.log(2.5)) / r.stddev) ** 2 for r in kept]) < 2.0


def test_where_there_is_no_ratio_it_says_so():
    units, ours, _, theirs = lengths(0)
    assert depth_ratio(units, ours, np.full(60, np.nan), theirs) == (
        '0 lengths are known in units and in metres; 10 are needed'
    )
    wild = np.random.default_rng(0).uniform(0.1, 100, 60)
    assert 'agree on a ratio' in depth_ratio(units, 0.01 * units, wild, 0.01 * wild)


def drive(seed, steps=20, ratio=0.7, slip=0.02):
    rng = np.random.default_rng(seed)
    metres = rng.uniform(0.02, 0.12, steps)
    told = metres * np.exp(slip * rng.standard_normal(steps))
    told += 0.002 * rng.standard_normal(steps)
    return metres / ratio, told


def test_wheels_tell_the_ratio_and_how_sure_it_is():
    off = []
    for seed in range(200):
        found = wheels_ratio(*drive(seed))
        off.append((found.log - np.log(0.7)) / found.stddev)
    assert 0.6 < np.mean(np.square(off)) < 1.5
    assert abs(np.mean(off)) < 0.3


def test_steps_that_stand_or_slip_do_not_count():
    units, metres = drive(0, slip=0.001)
    resting = np.full(30, 0.01), np.full(30, 0.001)
    spinning = np.array([0.01, 0.01]), np.array([0.3, 0.4])
    parts = (units, metres), resting, spinning
    found = wheels_ratio(*(np.concatenate(part) for part in zip(*parts, strict=True)))
    assert np.exp(found.log) == pytest.approx(0.7, rel=0.03)
    assert wheels_ratio(*resting) == 'the wheels went 0.00 m; 0.2 are needed'
    assert wheels_ratio(units[:2], metres[:2] / 2).startswith('the wheels went 0.')


def test_the_height_of_the_camera_is_a_ratio():
    ground = Ground(up=np.array((0.0, -1.0, 0.0)), height=0.5, stddev=0.02, support=40)
    assert height_ratio(ground, 1.5) == Ratio(log=np.log(3.0), stddev=0.04, support=40)
