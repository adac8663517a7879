"""Where points of an earlier picture are in a later one, to a tenth of a pixel.

Descriptors find a point again wherever it went, but only to the pixel in which it was detected; the
patch around it, moved until it fits (`dlcv.estimation.odometry.fitting`), says where in that pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.fitting import fitted, turned
from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Sighting
from dlcv.estimation.odometry.matching import matched, matched_near
from dlcv.estimation.odometry.patches import bends, fitted_from_anchors
from dlcv.estimation.odometry.view import Points
from dlcv.types import FloatArray

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

FINE, COARSE = 0.25, 2.0  # standard deviations in pixels: of a fitted point, of a detected one

_AWAY = 3.0  # pixels by which a fitted point may leave the detected one
_WANDERED = 1.0  # pixels by which it may leave it by having been fitted from picture to picture
_LOOSE = 50  # links of a chain that is broken
_DISTANCE = 0.8  # of descriptors that may be one point's
_ENOUGH = 60  # landmarks that fit, with which the others are not needed
_REACH = 0.1  # of the picture's width, that a landmark may be off where it is expected
_NEAREST = 0.02  # the same at least, however well they were expected of late


@dataclass(frozen=True, slots=True, eq=False)
class Expectation:
    """Where a picture may have been taken.

    Attributes:
        window_from_camera: ``(4, 4)``.
        window_from_last: ``(4, 4)`` where the last picture was taken.
        reach: How far off landmarks may be, in units of ``xy``.
        near: Landmarks that must be found within reach, or farther off is looked.
        fewest: Landmarks without which it must have been taken elsewhere.
    """

    window_from_camera: FloatArray
    window_from_last: FloatArray
    reach: float
    near: float
    fewest: float


def found_again(
    window: Keyframes,
    last: Points,
    points: Points,
    expected: Expectation | None = None,
) -> Sighting:
    """Find landmarks in a picture.

    Only what a patch fits is taken, where that is enough: what is detected again without fitting is
    off by pixels, or something else.

    Args:
        window: The landmarks, and the keyframes that show them.
        last: The last picture that showed some.
        points: The picture.
        expected: Where it may have been taken; None for anywhere.
    """
    marks = window.landmarks
    places = points.rays(points.pixels)
    there = None if expected is None else window.seen_from(expected.window_from_camera)
    rows, at = _matched(window, points, places, there, expected).T
    pixels = points.pixels[at].copy()
    links = np.full(len(rows), _LOOSE)
    recent = np.flatnonzero(marks.last_seen[rows] == last.number)
    now = None if expected is None else expected.window_from_camera
    before = None if expected is None else expected.window_from_last
    camera = points.camera
    flat, start = turned(last.flat, marks.pixels[rows[recent]], camera, before, now)
    pixels[recent], good = fitted(flat, points.flat, start, pixels[recent], _AWAY)
    links[recent[good]] = marks.links[rows[recent[good]]] + 1
    near = np.flatnonzero(links < _LOOSE)  # the anchor's own patch does not wander
    shapes = None if now is None else bends(window, rows[near], now, camera)
    moved, good = fitted_from_anchors(
        window, rows[near], points.flat, pixels[near], shapes, _WANDERED
    )
    pixels[near[good]] = moved[good]
    links[near[good]] = 1
    fine = links < _LOOSE
    seen = Sighting(
        rows=rows,
        points=at,
        xy=points.rays(pixels),
        pixels=pixels,
        stddev=np.where(fine, FINE * np.sqrt(links), COARSE) / points.focal,
        links=links,
        away=_away(places[at], there, rows),
    )
    return seen.only(fine) if np.count_nonzero(fine) >= _ENOUGH else seen


def _away(places: Matrix, there: Matrix | None, rows: Indices) -> Matrix:
    if there is None:
        return np.full(len(rows), np.inf)
    away = np.abs(places - there[rows]).max(axis=1)
    return np.where(np.isnan(away), np.inf, away)


def _matched(
    window: Keyframes,
    points: Points,
    places: Matrix,
    there: Matrix | None,
    expected: Expectation | None,
) -> Indices:
    """Return ``(M, 2)`` rows of landmarks, and the points of a picture that are most like them.

    What is compared takes the time, so it is looked for where it is expected first, then wider.
    """
    marks = window.landmarks
    if expected is not None and there is not None:
        widest = _REACH * points.camera.width / points.focal
        nearest = _NEAREST * points.camera.width / points.focal
        reach = min(max(expected.reach, nearest), widest)
        tries = ((reach, expected.near), (widest, expected.fewest))
        for distance, enough in tries if reach < widest else tries[1:]:
            found = matched_near(
                marks.descriptors, there, points.descriptors, places, _DISTANCE, distance
            )
            if len(found) >= enough:
                return found
    return matched(marks.descriptors, points.descriptors, _DISTANCE)
