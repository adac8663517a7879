"""How far off a picture's pose may be that landmarks agree on: each by itself, and together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.robust import spread
from dlcv.estimation.slam.points import NOISE
from dlcv.types import FloatArray

Matrix = npt.NDArray[np.float64]

_NOISIEST = 2.5  # times the usual deviation of a keypoint, that is believed of all


def together(covariance: Matrix, count: int, stddev: float) -> Matrix:
    """Return ``(6, 6)`` of a pose if its landmarks were off by their distance, all together.

    What moves landmarks together (poses and depths of the map, a lens that is not quite as the
    calibration says, keypoints that wander as they are seen from elsewhere) is no less by their
    number: they tell as much as one of them would. It bends the pose the way noise of single ones
    does, a turn being mistaken for a shift, so that it has the same shape.

    Args:
        covariance: ``(6, 6)`` of the pose by landmarks that are each off by themselves.
        count: Of them.
        stddev: By which they are, rad.
    """
    return np.asarray(count / stddev**2 * covariance)


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
