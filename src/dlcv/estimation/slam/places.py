"""What a picture looks like as a whole, told by its keypoints alone.

Residuals summed for each cluster (VLAD; Jegou et al., "Aggregating local descriptors into a compact
image representation", CVPR 2010), but for the clusters: descriptors are told apart by the sides of
fixed planes through the origin on which they lie, as hashing does. So nothing is learned, and the
same keypoints have the same descriptor everywhere.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from dlcv.types import FloatArray, Frame, Keypoints

_PLANES = 5  # sides of which make 32 clusters
_SEED = 0


class Describer(Protocol):
    """Says what a picture looks like as a whole.

    Attributes:
        name: Which; descriptors of different ones are not compared.
        likeness: Cosine of two descriptors from which on they may be of one place.
    """

    name: str
    likeness: float

    def describe(self, frame: Frame, keypoints: Keypoints, /) -> FloatArray:
        """Return ``(P,)`` float32 of length one."""


class HashedVlad:
    """A `Describer` that needs nothing but the keypoints."""

    name = 'hashed-vlad'
    likeness = 0.45

    def __init__(self) -> None:
        self._planes: npt.NDArray[np.float32] | None = None

    def describe(self, _frame: Frame, keypoints: Keypoints) -> FloatArray:
        """See `Describer`; the strongest points of a picture without any are a place of its own."""
        given = keypoints.descriptors
        width = given.shape[1]
        if self._planes is None or self._planes.shape[0] != width:
            rng = np.random.default_rng(_SEED)
            self._planes = rng.normal(size=(width, _PLANES)).astype(np.float32)
        cluster = (given @ self._planes > 0) @ (1 << np.arange(_PLANES))
        summed = np.zeros((1 << _PLANES, width), np.float32)
        np.add.at(summed, cluster, given)
        count = np.bincount(cluster, minlength=len(summed))[:, None]
        middle = given.mean(axis=0) if len(given) else np.zeros(width, np.float32)
        residual = summed - count * middle
        residual /= np.maximum(np.linalg.norm(residual, axis=1, keepdims=True), 1e-6)
        whole = residual.ravel()
        whole[0] += 1e-6
        return np.asarray(whole / np.linalg.norm(whole), np.float32)
