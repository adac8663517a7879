"""Where points of an earlier picture are in a later one, to a tenth of a pixel.

Descriptors find a point again wherever it went, but only to the pixel in which it was detected; the
patch around it, moved until it fits (Lucas and Kanade 1981), says where in that pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Sighting
from dlcv.estimation.odometry.matching import matched, matched_near
from dlcv.estimation.odometry.patches import bends, fitted_from_anchors
from dlcv.estimation.odometry.view import Points
from dlcv.types import ByteImage, Camera, FloatArray

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

FINE, COARSE = 0.25, 2.0  # standard deviations in pixels: of a fitted point, of a detected one

_SIDE = 11  # of a patch, pixels
_LEVELS = 1  # pyramid levels above the picture: a detection is off by a pixel or two, not by ten
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02)
_BACK = 0.4  # pixels by which the way back may miss
_AWAY = 3.0  # pixels by which a fitted point may leave the detected one
_WANDERED = 1.0  # pixels by which it may leave it by having been fitted from picture to picture
_TURNED = 1 + 2 * np.cos(0.04)  # trace of a turn of so many rad, below which patches look alike
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
    flat, start = turned(last.flat, marks.pixels[rows[recent]], points.camera, before, now)
    pixels[recent], good = fitted(flat, points.flat, start, pixels[recent], _AWAY)
    links[recent[good]] = marks.links[rows[recent[good]]] + 1
    near = np.flatnonzero(links < _LOOSE)  # the anchor's own patch does not wander
    bend = None if now is None else bends(window, rows[near], now, points.camera)
    moved, good = fitted_from_anchors(
        window, rows[near], points.flat, pixels[near], bend, _WANDERED
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


def turned(
    earlier: ByteImage,
    xy: FloatArray,
    camera: Camera,
    before: FloatArray | None,
    now: FloatArray | None,
) -> tuple[ByteImage, FloatArray]:
    """Turn a picture as the camera has turned since, if it has.

    What comes from the edge of a picture to its middle is stretched less: a patch that may only be
    moved would fit beside it.

    Args:
        earlier: ``(H, W)`` grey picture.
        xy: ``(N, 2)`` pixels in it.
        camera: Of both pictures.
        before: ``(4, 4)`` window_from_camera of it; None if nobody knows.
        now: ``(4, 4)`` that of the later picture, as far as it is known; None if nobody knows.

    Returns:
        The picture as it would look from where the later one looks, and the pixels in that.
    """
    if before is None or now is None or camera.distorted or not len(xy):
        return earlier, xy
    turn = now[:3, :3].T @ before[:3, :3]
    if np.trace(turn) > _TURNED:
        return earlier, xy
    bend = camera.matrix @ turn @ np.linalg.inv(camera.matrix)
    moved = cv2.perspectiveTransform(np.asarray(xy, np.float64)[:, None], bend)[:, 0]
    bent = cv2.warpPerspective(earlier, bend, earlier.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(bent, np.uint8), moved.astype(np.float32)


def fitted(
    earlier: ByteImage,
    later: ByteImage,
    earlier_xy: FloatArray,
    later_xy: FloatArray,
    away: float,
) -> tuple[FloatArray, Mask]:
    """Move detected points to where the patches around them fit best.

    Args:
        earlier: ``(H, W)`` grey picture.
        later: ``(H, W)`` grey picture.
        earlier_xy: ``(N, 2)`` pixels in the earlier picture, to any fraction.
        later_xy: ``(N, 2)`` pixels in the later picture, where they were detected again.
        away: Pixels by which a fitted point may leave the detected one.

    Returns:
        ``(N, 2)`` float32 pixels in the later picture: the fitted ones, where the way there and
        back ends where it began, else the detected ones; and ``(N,)`` bool which are fitted.
    """
    detected = np.ascontiguousarray(later_xy, np.float32)
    if not len(detected):
        return detected.reshape(0, 2), np.zeros(0, np.bool_)
    start = np.ascontiguousarray(earlier_xy, np.float32)
    there, found = _flow(earlier, later, start, detected, _LEVELS)
    back, returned = _flow(later, earlier, there, start, 0)  # it begins where it should end
    good = found & returned
    good &= np.abs(back - start).max(axis=1) < _BACK
    good &= np.abs(there - detected).max(axis=1) < away
    return np.where(good[:, None], there, detected), good


def _flow(
    first: ByteImage, second: ByteImage, xy: FloatArray, guess: FloatArray, levels: int
) -> tuple[FloatArray, Mask]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        xy[:, None],
        guess[:, None].copy(),
        winSize=(_SIDE, _SIDE),
        maxLevel=levels,
        criteria=_STEPS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved[:, 0], np.float32), status[:, 0].astype(np.bool_)
