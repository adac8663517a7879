"""Patches of the last picture, moved until they fit the next one (Lucas and Kanade 1981)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, Camera, FloatArray

Mask = npt.NDArray[np.bool_]

_SIDE = 11  # of a patch, pixels
_LEVELS = 1  # pyramid levels above the picture: a detection is off by a pixel or two, not by ten
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02)
_BACK = 0.4  # pixels by which the way back may miss
_TURNED = 1 + 2 * np.cos(0.04)  # trace of a turn of so many rad, below which patches look alike


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
