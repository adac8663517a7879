"""Where points of an earlier picture are in a later one, to a tenth of a pixel.

Descriptors find a point again wherever it went, but only to the pixel in which it was detected; the
patch around it, moved until it fits (Lucas and Kanade 1981), says where in that pixel.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.landmarks import Sighting
from dlcv.estimation.odometry.view import Points
from dlcv.types import ByteImage, FloatArray

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

FINE, COARSE = 0.25, 2.0  # standard deviations in pixels: of a fitted point, of a detected one

_SIDE = 11  # of a patch, pixels
_LEVELS = 1  # pyramid levels above the picture: a guess is off by a pixel or two, not by ten
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02)
_BACK = 0.4  # pixels by which the way back may miss
_AWAY = 3.0  # pixels by which a fitted point may leave the detected one
_WANDERED = 1.5  # pixels by which it may leave it by having been fitted from picture to picture
_LOOSE = 50  # links of a chain that is broken
_DISTANCE = 0.8  # of descriptors that may be one point's
_ENOUGH = 60  # landmarks that fit, with which the others are not needed


def found_again(window: Keyframes, last: Points, points: Points) -> Sighting:
    """Find landmarks in a picture.

    Only what a patch fits is taken, where that is enough: what is detected again without fitting is
    off by pixels, or something else.

    Args:
        window: The landmarks, and the keyframes that show them.
        last: The last picture that showed some.
        points: The picture.
    """
    marks = window.landmarks
    rows, at = matched(marks.descriptors, points.descriptors, _DISTANCE).T
    pixels = points.pixels[at].copy()
    links = np.full(len(rows), _LOOSE)
    recent = np.flatnonzero(marks.last_seen[rows] == last.number)
    pixels[recent], good = fitted(
        last.grey, points.grey, marks.pixels[rows[recent]], pixels[recent], _AWAY
    )
    links[recent[good]] = marks.links[rows[recent[good]]] + 1
    anchors = window.anchors_of(rows)
    for number, frame in enumerate(window.frames):  # the anchor's own patch does not wander
        if frame.number == last.number:  # that was fitted just now
            continue
        of = np.flatnonzero((anchors == number) & (links < _LOOSE))
        moved, good = fitted(frame.grey, points.grey, marks.origin[rows[of]], pixels[of], _WANDERED)
        pixels[of[good]] = moved[good]
        links[of[good]] = 1
    fine = links < _LOOSE
    seen = Sighting(
        rows=rows,
        points=at,
        xy=points.rays(pixels),
        pixels=pixels,
        stddev=np.where(fine, FINE * np.sqrt(links), COARSE) / points.focal,
        links=links,
    )
    return seen.only(fine) if np.count_nonzero(fine) >= _ENOUGH else seen


def matched(reference: FloatArray, descriptors: FloatArray, distance: float) -> Indices:
    """Return the mutual nearest neighbours of two sets of descriptors.

    Args:
        reference: ``(R, D)`` float32, each of length 1.
        descriptors: ``(N, D)`` float32, each of length 1.
        distance: Largest Euclidean distance of a match.

    Returns:
        ``(M, 2)`` indices into both.
    """
    if not len(reference) or not len(descriptors):
        return np.empty((0, 2), np.int64)
    likeness = reference @ descriptors.T  # (R, N)
    best = likeness.argmax(axis=1)
    value = likeness[np.arange(len(best)), best]
    mutual = value >= likeness.max(axis=0)[best]  # many times as fast as argmax down the columns
    rows = np.flatnonzero(mutual & (value >= 1 - distance**2 / 2))
    _, first = np.unique(best[rows], return_index=True)  # of equal ones, the first
    rows = rows[np.sort(first)]
    return np.column_stack((rows, best[rows]))


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
    there, found = _flow(earlier, later, start, detected)
    back, returned = _flow(later, earlier, there, start)
    good = found & returned
    good &= np.abs(back - start).max(axis=1) < _BACK
    good &= np.abs(there - detected).max(axis=1) < away
    return np.where(good[:, None], there, detected), good


def _flow(
    first: ByteImage, second: ByteImage, xy: FloatArray, guess: FloatArray
) -> tuple[FloatArray, Mask]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        xy[:, None],
        guess[:, None].copy(),
        winSize=(_SIDE, _SIDE),
        maxLevel=_LEVELS,
        criteria=_STEPS,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved[:, 0], np.float32), status[:, 0].astype(np.bool_)
