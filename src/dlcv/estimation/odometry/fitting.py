"""Patches of earlier pictures, moved until they fit a later one (Lucas and Kanade 1981).

Points that hang on ten keyframes would need ten pairs of pictures, each with its pyramids; what is
around a point is a thousandth of them. So the surroundings of all points are cut out, turned as the
camera has turned since, and laid under one another: one pair of tall pictures, gone through once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, Camera, FloatArray

Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]

_SIDE = 11  # of a patch, pixels
_LEVELS = 1  # pyramid levels above the picture: a detection is off by a pixel or two, not by ten
_STEPS = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 12, 0.02)
_BACK = 0.4  # pixels by which the way back may miss
_TURNED = 1 + 2 * np.cos(0.04)  # trace of a turn of so many rad, below which patches look alike
_TILE = 32  # side of what is cut out: a patch at half the resolution, its slopes and its way
_MANY = 150  # points from which on whole pictures cost less than so many tiles


@dataclass(frozen=True, slots=True, eq=False)
class Earlier:
    """Points of an earlier picture.

    Attributes:
        flat: ``(H, W)`` its pixels; see `dlcv.estimation.odometry.flat`.
        xy: ``(N, 2)`` pixels in it, to any fraction.
        bend: ``(3, 3)`` homography from its pixels to where the later camera looks; None where that
            is where this one looked.
    """

    flat: ByteImage
    xy: FloatArray
    bend: Matrix | None = None


def bend(camera: Camera, before: FloatArray | None, now: FloatArray | None) -> Matrix | None:
    """Return how a picture is to be turned for its patches to look as they do in a later one.

    What comes from the edge of a picture to its middle is stretched less: a patch that may only be
    moved would fit beside it.

    Args:
        camera: Of both pictures.
        before: ``(4, 4)`` window_from_camera of the earlier one; None if nobody knows.
        now: ``(4, 4)`` that of the later one, as far as it is known; None if nobody knows.

    Returns:
        ``(3, 3)`` homography of pixels; None for a camera that has hardly turned.
    """
    if before is None or now is None or camera.distorted:
        return None
    turn = now[:3, :3].T @ before[:3, :3]
    if np.trace(turn) > _TURNED:
        return None
    return np.asarray(camera.matrix @ turn @ np.linalg.inv(camera.matrix), np.float64)


def fitted(
    earlier: Sequence[Earlier], later: ByteImage, later_xy: FloatArray, away: float
) -> tuple[FloatArray, Mask]:
    """Move detected points to where the patches around them fit best.

    Args:
        earlier: Points of earlier pictures, N in all.
        later: ``(H, W)`` flat picture.
        later_xy: ``(N, 2)`` pixels in it, where they were detected again.
        away: Pixels by which a fitted point may leave the detected one.

    Returns:
        ``(N, 2)`` float32 pixels in the later picture: the fitted ones, where the way there and
        back ends where it began, else the detected ones; and ``(N,)`` bool which are fitted.
    """
    detected = np.ascontiguousarray(later_xy, np.float32)
    if not len(detected):
        return detected.reshape(0, 2), np.zeros(0, np.bool_)
    if len(earlier) == 1 and earlier[0].bend is None and len(detected) > _MANY:
        first, second = earlier[0].flat, later
        start, guess = np.ascontiguousarray(earlier[0].xy, np.float32), detected
        corner = np.zeros_like(detected)
    else:
        tiles, starts = zip(*(_tiles(one) for one in earlier if len(one.xy)), strict=True)
        first, start = np.concatenate(tiles), np.concatenate(starts)
        second, guess = _tiles(Earlier(later, detected))
        corner = detected - guess
        down = np.zeros_like(guess)
        down[:, 1] = np.arange(len(guess)) * _TILE
        first, second = first.reshape(-1, _TILE), second.reshape(-1, _TILE)
        start, guess, corner = start + down, guess + down, corner - down
    there, found = _flow(first, second, start, guess, _LEVELS)
    back, returned = _flow(second, first, there, start, 0)  # it begins where it should end
    good = found & returned
    good &= np.abs(back - start).max(axis=1) < _BACK
    good &= np.abs(there - guess).max(axis=1) < away
    return np.where(good[:, None], there + corner, detected), good


def _tiles(points: Earlier) -> tuple[ByteImage, FloatArray]:
    """Return ``(N, T, T)`` what is around points, and ``(N, 2)`` where in it they are."""
    xy = np.asarray(points.xy, np.float64)
    if points.bend is not None:
        xy = np.asarray(cv2.perspectiveTransform(xy[:, None], points.bend)[:, 0], np.float64)
    corner = np.asarray(np.round(xy) - _TILE // 2, np.float64)
    if points.bend is None:
        padded = cv2.copyMakeBorder(points.flat, *(_TILE,) * 4, cv2.BORDER_REPLICATE)
        all_tiles = np.lib.stride_tricks.sliding_window_view(padded, (_TILE, _TILE))
        corner = np.clip(corner, -_TILE, points.flat.shape[::-1])
        column, row = (corner + _TILE).astype(np.int64).T
        tiles = all_tiles[row, column]
    else:
        tiles = _bent(points.flat, np.linalg.inv(points.bend), corner)
    return tiles, np.asarray(xy - corner, np.float32)


def _bent(picture: ByteImage, back: FloatArray, corner: FloatArray) -> ByteImage:
    """Return ``(N, T, T)`` tiles of a turned picture, that begin at ``(N, 2)`` corners of it.

    Args:
        picture: ``(H, W)`` as it is.
        back: ``(3, 3)`` homography from pixels of the turned picture to its own.
        corner: ``(N, 2)`` in the turned picture.
    """
    along = np.arange(_TILE)
    x, y = (corner[:, i, None] + along for i in range(2))  # (N, T) each
    # x and y apart, as long as they only add up
    u, v, w = (
        (a * x).astype(np.float32)[:, None] + (b * y + c).astype(np.float32)[:, :, None]
        for a, b, c in back
    )
    u /= w
    v /= w
    size = (-1, _TILE)
    turned = cv2.remap(
        picture, u.reshape(size), v.reshape(size), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(turned, np.uint8).reshape(-1, _TILE, _TILE)


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
