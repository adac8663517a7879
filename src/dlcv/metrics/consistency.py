"""Whether stated covariances are true: errors should lie where they say.

The normalised estimation error squared (NEES) of an error e with covariance P is ``e^T P^-1 e``.
If P is true and e normal with k numbers, it is chi-square distributed with k degrees of freedom:
its mean is k, and the share p of errors lies inside the ellipsoid of ``chi2.ppf(p, k)``
(Bar-Shalom et al., Estimation with Applications to Tracking and Navigation, 2001, 5.4).
"""

from __future__ import annotations

from math import nan

import numpy as np

from dlcv.types import FloatArray


class ConsistencyError(ValueError):
    """Errors and covariances that do not fit each other; the message says how."""


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
    from scipy.stats import chi2

    if not 0 < share < 1:
        raise ConsistencyError(f'the share must lie between 0 and 1, got {share}')
    values = nees(errors, covariances)
    if not len(values):
        return nan
    return float(np.mean(values <= chi2.ppf(share, errors.shape[1])))
