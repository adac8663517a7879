"""Errors drawn from a covariance are consistent with it, and with no other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlcv.metrics.consistency import ConsistencyError, inside, nees


@pytest.fixture
def drawn():
    """20,000 errors of six numbers, each from a covariance of its own."""
    rng = np.random.default_rng(0)
    factors = np.tril(rng.normal(0, 1, (20_000, 6, 6))) + 2 * np.eye(6)
    errors = (factors @ rng.normal(0, 1, (20_000, 6, 1)))[..., 0]
    return errors, factors @ factors.transpose(0, 2, 1)


def test_true_covariances(drawn):
    errors, covariances = drawn
    assert nees(errors, covariances).mean() == pytest.approx(6, rel=0.02)
    for share in (0.5, 0.9, 0.95, 0.99):
        assert inside(errors, covariances, share) == pytest.approx(share, abs=0.01)


def test_covariances_that_promise_too_much_or_too_little(drawn):
    errors, covariances = drawn
    assert inside(errors, covariances / 4) < 0.4
    assert inside(errors, covariances * 4) > 0.9999
    np.testing.assert_allclose(nees(errors, covariances / 4), 4 * nees(errors, covariances))


def test_known_answer():
    covariance = np.diag([4.0, 9.0])[None]
    assert nees(np.array([[2.0, 3.0]]), covariance)[0] == pytest.approx(2)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ConsistencyError, match=r'\(2, 3\) and \(2, 3\)'):
        nees(np.zeros((2, 3)), np.zeros((2, 3)))
    with pytest.raises(ConsistencyError, match='not positive definite'):
        nees(np.zeros((1, 2)), np.diag([1.0, 0.0])[None])
    with pytest.raises(ConsistencyError, match='between 0 and 1, got 95'):
        inside(np.zeros((1, 2)), np.eye(2)[None], 95)
    assert math.isnan(inside(np.zeros((0, 2)), np.zeros((0, 2, 2))))
