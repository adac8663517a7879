"""Stereo disparity by OpenCV."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from dlcv.estimation.pictures import grey
from dlcv.types import ByteImage, FloatArray

Stereo = Callable[[ByteImage, ByteImage], FloatArray]
"""Left and right ``(H, W, 3)`` RGB picture, rectified, to ``(H, W)`` pixels; NaN is unknown."""

_STEPS = 16  # OpenCV's disparities are whole numbers of sixteenths


def block_matching(max_disparity: int, window: int = 15) -> Stereo:
    """Return disparity by block matching (Konolige's, OpenCV's StereoBM).

    Args:
        max_disparity: Disparities that are looked at, pixels; rounded up to a multiple of 16.
        window: Side of a block, pixels, odd.
    """
    matcher = cv2.StereoBM.create(numDisparities=_in_sixteens(max_disparity), blockSize=window)
    return _matched_by(matcher, _in_sixteens(max_disparity))


def semi_global_matching(max_disparity: int, window: int = 3) -> Stereo:
    """Return disparity by semi-global matching (Hirschmueller, PAMI 2008; OpenCV's StereoSGBM).

    The penalties are those of OpenCV's own example, its speckle filter and check of the right
    picture as well.

    Args:
        max_disparity: Disparities that are looked at, pixels; rounded up to a multiple of 16.
        window: Side of a block, pixels, odd.
    """
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=_in_sixteens(max_disparity),
        blockSize=window,
        P1=8 * 3 * window**2,
        P2=32 * 3 * window**2,
        disp12MaxDiff=1,
        uniquenessRatio=10,
        speckleWindowSize=100,
        speckleRange=32,
        mode=cv2.STEREO_SGBM_MODE_SGBM,
    )
    return _matched_by(matcher, _in_sixteens(max_disparity))


def filled(disparity: FloatArray) -> FloatArray:
    """Return a disparity ``(H, W)`` whose unknown pixels have the smaller of their row neighbours'.

    As KITTI's own evaluation fills them: what is hidden from the other camera belongs to the
    background. A row without any stays unknown.
    """
    known = np.isfinite(disparity)
    width = disparity.shape[1]
    columns = np.broadcast_to(np.arange(width), disparity.shape)
    left = np.maximum.accumulate(np.where(known, columns, -1), axis=1)
    right = np.minimum.accumulate(np.where(known, columns, width)[:, ::-1], axis=1)[:, ::-1]
    beside = []
    for index, inside in ((left, left >= 0), (right, right < width)):
        found = np.take_along_axis(disparity, index.clip(0, width - 1), axis=1)
        beside.append(np.where(inside, found, np.nan))
    nearest: FloatArray = np.fmin(*beside).astype(np.float32)
    return nearest


def _matched_by(matcher: cv2.StereoMatcher, reach: int) -> Stereo:
    def disparity(left: ByteImage, right: ByteImage) -> FloatArray:
        # OpenCV leaves out as many columns as it looks at disparities: a border gives them back.
        a, b = (
            cv2.copyMakeBorder(grey(image), 0, 0, reach, 0, cv2.BORDER_REPLICATE)
            for image in (left, right)
        )
        found = np.asarray(matcher.compute(a, b), np.float32)[:, reach:] / _STEPS
        answer: FloatArray = np.where(found >= 0, found, np.nan).astype(np.float32)
        return answer

    return disparity


def _in_sixteens(disparities: int) -> int:
    return -(-disparities // 16) * 16
