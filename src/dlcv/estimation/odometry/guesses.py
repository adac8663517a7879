"""How far away new points of a picture are: as was measured, else as what is around them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from dlcv.estimation.odometry.adjustment import GUESSED
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Sighting
from dlcv.estimation.odometry.resection import FEWEST, known_depths
from dlcv.estimation.odometry.view import Points

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def new_depths(
    window: Keyframes, pose: Matrix, points: Points, agree: Sighting, new: Mask, guess: float
) -> tuple[Matrix, Matrix, Mask]:
    """Return inverse depths of new points, their deviations, and which were measured.

    What was not is guessed: as its neighbours in the picture, landmarks or measured points.

    Args:
        window: The landmarks.
        pose: ``(4, 4)`` window_from_camera of the picture.
        points: What it shows.
        agree: The landmarks in it.
        new: ``(N,)`` which of the points are new; M of them.
        guess: Depth that points are taken to have where nothing is known.

    Returns:
        ``(M,)`` 1/unit, ``(M,)`` standard deviations, ``(M,)`` bool.
    """
    given, given_stddev = points.inverse_depth[new], points.inverse_stddev[new]
    there = np.isfinite(given)
    known = agree.only(known_depths(window, agree.rows)) if len(agree) else agree
    pixels = np.concatenate((known.pixels, points.pixels[new][there]))
    inverse_depth = np.full(len(given), 1 / guess)
    if len(pixels) >= FEWEST:
        seen = window.depths_in(pose, known.rows) if len(known) else np.empty(0)
        inverse = 1 / np.maximum(seen, 1e-3)
        near = cKDTree(pixels).query(points.pixels[new], k=3)[1]
        inverse_depth = np.median(np.concatenate((inverse, given[there]))[near], axis=1)
    return (
        np.where(there, given, inverse_depth),
        np.where(there, given_stddev, GUESSED * inverse_depth),
        there & points.metric,
    )
