"""How deep points are by a right picture, to a tenth of a pixel of disparity.

A small pair is matched everywhere (semi-global matching: Hirschmueller, "Stereo processing by
semiglobal matching and mutual information", 2008): what is around a patch says which of several
alike it is, where a wide baseline moves it far. The patch itself, fitted to the large right picture
(Lucas and Kanade 1981), then says where exactly; a fit that left the small pair's answer shows
something else, or two depths at once.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray

Matrix = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

_COLUMNS = 320  # of the small pair, at most
_WIDEST = 1 / 3  # of the width, that a disparity may be
_SIXTEEN = 16  # disparities are searched in multiples of so many, and told in parts of it
_BLOCK = 5  # side of what is compared
_SMOOTH = 8 * _BLOCK**2, 32 * _BLOCK**2  # price of a slope, and of an edge
_UNIQUE = 10  # percent by which the best disparity must be better than the second
_SIDE = 9  # of the patch that is fitted, pixels: a larger one shows more than one depth
_AWAY = 0.5  # pixels of the small pair by which the fit may leave it
_BACK = 0.5  # pixels by which the way back may miss
_ROWS = 1.0  # pixels by which rows of a pair may miss each other
_STDDEV = 0.2  # pixels of disparity: two thirds are within 0.1 to 0.17, a twentieth beyond 0.5


def stereo_depths(
    left: ByteImage, right: ByteImage, pixels: FloatArray, focal: float, baseline: float
) -> tuple[Matrix, Matrix]:
    """Return the inverse depth of points of a rectified pair.

    Args:
        left: ``(H, W)`` grey.
        right: ``(H, W)`` grey.
        pixels: ``(N, 2)`` in the left picture.
        focal: Pixels.
        baseline: Metres.

    Returns:
        ``(N,)`` 1/m, NaN where the patch does not fit; ``(N,)`` its standard deviation.
    """
    start = np.ascontiguousarray(pixels, np.float32).reshape(-1, 2)
    stddev = np.full(len(start), _STDDEV / (focal * baseline))
    if not len(start):
        return np.empty(0), stddev
    shrink = max(1, -(-left.shape[1] // _COLUMNS))
    rough = shrink * _at(_small_disparities(left, right, shrink), start, shrink)
    found, good = _fitted(left, right, start, rough, shrink)
    good &= np.abs(found - rough) < _AWAY * shrink
    inverse = np.where(good, np.maximum(found, 0.01) / (focal * baseline), np.nan)
    return inverse, stddev


def _small_disparities(left: ByteImage, right: ByteImage, shrink: int) -> Matrix:
    """Return the disparity ``(h, w)`` of a smaller pair in its pixels; NaN where unknown."""
    height, width = left.shape
    size = max(1, width // shrink), max(1, height // shrink)
    most = _SIXTEEN * int(np.ceil(_WIDEST * size[0] / _SIXTEEN))
    small = [
        # at its left edge too, all disparities are to be tried
        cv2.copyMakeBorder(
            cv2.resize(image, size, interpolation=cv2.INTER_AREA),
            0, 0, most, 0, cv2.BORDER_CONSTANT, value=(0.0,),
        )
        for image in (left, right)
    ]  # fmt: skip
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=most,
        blockSize=_BLOCK,
        P1=_SMOOTH[0],
        P2=_SMOOTH[1],
        disp12MaxDiff=1,
        uniquenessRatio=_UNIQUE,
        mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
    )
    found = np.asarray(matcher.compute(small[0], small[1])[:, most:], np.float64)
    return np.where(found < 0, np.nan, found / _SIXTEEN)


def _at(disparities: Matrix, pixels: FloatArray, shrink: int) -> Matrix:
    """Return what the small pair says of pixels ``(N, 2)`` of the large one."""
    height, width = disparities.shape
    x, y = np.rint((pixels + 0.5) / shrink - 0.5).astype(np.intp).T
    return np.asarray(disparities[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)])


def _fitted(
    left: ByteImage, right: ByteImage, start: FloatArray, rough: Matrix, shrink: int
) -> tuple[Matrix, Mask]:
    """Return the disparity ``(N,)`` of the best fit to a rough one, and whether there is one."""
    found, good = np.full(len(start), np.nan), np.isfinite(rough)
    if not good.any():
        return found, good
    here = start[good][:, None]
    guess = here.copy()
    guess[:, 0, 0] -= rough[good].astype(np.float32)
    there, seen = _flow(left, right, here, guess, int(np.log2(shrink)))
    back, returned = _flow(right, left, there, here, 0)
    found[good] = (here - there)[:, 0, 0]
    fits = seen & returned & (np.abs(back - here).max(axis=(1, 2)) < _BACK)
    good[good] = fits & (np.abs(there - here)[:, 0, 1] < _ROWS)
    return found, good


def _flow(
    first: ByteImage, second: ByteImage, points: FloatArray, guess: FloatArray, levels: int
) -> tuple[FloatArray, Mask]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        points,
        guess.copy(),
        winSize=(_SIDE, _SIDE),
        maxLevel=levels,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved, np.float32), status[:, 0].astype(np.bool_)
