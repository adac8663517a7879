"""How much a residual counts, by how improbable it is.

A residual of an image point, divided by its standard deviation, has a squared length ``s`` that is
chi-squared with two degrees of freedom. Weights are those of iteratively reweighted least squares
(Zhang, "Parameter estimation techniques", 1997): the derivative of the cost by ``s``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]
Kernel = Literal['huber', 'cauchy', 'truncated']

GATE = 13.816
"""Squared length that one true image point in a thousand exceeds (chi-squared, two degrees)."""
_QUARTILE = 0.575  # a quarter of chi-squared with two degrees of freedom is below
_HUBER = 3.0  # squared length up to which Huber's kernel is least squares: three of four points
_CAUCHY = 5.99  # squared length at which Cauchy's kernel halves the weight: one point in twenty


def weights(squared: FloatArray, kernel: Kernel) -> Matrix:
    """Return the weight, 0 to 1, of residuals of a squared length ``(M,)``."""
    if kernel == 'huber':
        return np.sqrt(_HUBER / np.maximum(squared, _HUBER))
    if kernel == 'cauchy':
        return np.asarray(1 / (1 + squared / _CAUCHY))
    return (squared <= GATE).astype(np.float64)


def cost(squared: FloatArray, kernel: Kernel) -> float:
    """Return the sum of the costs of residuals of a squared length ``(M,)``."""
    if kernel == 'huber':
        beyond = 2 * np.sqrt(_HUBER * np.maximum(squared, _HUBER)) - _HUBER
        return float(np.where(squared <= _HUBER, squared, beyond).sum())
    if kernel == 'cauchy':
        return float(_CAUCHY * np.log1p(squared / _CAUCHY).sum())
    return float(np.minimum(squared, GATE).sum())


def spread(squared: FloatArray) -> float:
    """Return how many times the stated variance the residuals have; at least 1.

    A kernel that is widened by it pulls from afar too: with a poor start all residuals are large,
    and each would look like an outlier. It is told by the lower quartile, since more than half of
    the residuals may be wrong.
    """
    if not len(squared):
        return 1.0
    place, share = divmod((len(squared) - 1) / 4, 1)  # np.quantile takes ten times as long
    at = int(place), min(int(place) + 1, len(squared) - 1)
    low, high = np.partition(squared, at)[list(at)]
    return max(float(low + share * (high - low)) / _QUARTILE, 1.0)
