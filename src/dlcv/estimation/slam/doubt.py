"""How far off a picture's pose may be that landmarks agree on, by what moves them all together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.robust import spread
from dlcv.estimation.slam.points import NOISE
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

_NOISIEST = 2.5  # times the usual deviation of a keypoint, that is believed of all


def shared_covariance(share: float, away: float, noise: float) -> Matrix:
    """Return ``(6, 6)`` of what moves all landmarks that agree together.

    Args:
        share: Of their distance, by which they are off where keypoints are where they should be.
            What is farther off than these is so together, as poses of the map are.
        away: Their distance, metres.
        noise: Deviation in pixels of where they are seen.
    """
    common = share * (noise / NOISE) ** 2
    return np.diag(np.square(np.repeat((common * away, common), 3)))


def noise_of(points: FloatArray, xy: Matrix, focal: float) -> float:
    """Return the deviation in pixels of where landmarks are seen, by the better of the matches.

    Where poses of the map and depth are a little off, all landmarks are: what is thought to be
    wrong then is right.

    Args:
        points: ``(N, 3)`` landmarks in the camera.
        xy: ``(N, 2)`` x/z and y/z where they are seen.
        focal: Pixels per unit of ``xy``.
    """
    off = points[:, :2] / np.maximum(points[:, 2:], 1e-3) - xy
    squared = np.square(off * (focal / NOISE)).sum(axis=1)
    return float(NOISE * min(np.sqrt(spread(squared)), _NOISIEST))
