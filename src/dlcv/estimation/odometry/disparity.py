"""How deep points are by a right picture, to a tenth of a pixel of disparity.

A small pair is matched everywhere (semi-global matching: Hirschmueller, "Stereo processing by
semiglobal matching and mutual information", 2008): what is around a patch says which of several
alike it is, where a wide baseline moves it far. By these disparities the right picture is bent to
the left one, or floors would be sheared in it by a pixel a row and walls squeezed. What is left,
patches that are fitted tell exactly (Lucas and Kanade 1981); a fit that leaves the small pair's
answer shows something else, or two depths at once.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.types import ByteImage, FloatArray

Matrix = npt.NDArray[np.float64]

_COLUMNS = 320  # of the small pair, at most
_WIDEST = 1 / 3  # of the width, that a disparity may be
_SIXTEEN = 16  # disparities are searched in multiples of so many, and told in parts of it
_BLOCK = 5  # side of what is compared
_SMOOTH = 8 * _BLOCK**2, 32 * _BLOCK**2  # price of a slope, and of an edge
_UNIQUE = 10  # percent by which the best disparity must be better than the second
_SMOOTHED = 7  # side of the box that disparities are smoothed over, pixels of the small pair
_STEP = 1.0  # pixels of the small pair by which neighbours of one surface differ
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
    rough = shrink * _small_disparities(left, right, shrink)
    known = cv2.remap(rough, *_in_small(start, shrink), cv2.INTER_NEAREST)[:, 0]
    smooth, size = _smooth(rough, shrink), left.shape[::-1]
    bend = np.asarray(cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR), np.float32)
    found, good = _fitted(left, right, start, bend)
    good &= np.abs(found - known) < _AWAY * shrink
    inverse = np.where(good, np.maximum(found, 0.01) / (focal * baseline), np.nan)
    return inverse, stddev


def _small_disparities(left: ByteImage, right: ByteImage, shrink: int) -> FloatArray:
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
    found = np.asarray(matcher.compute(small[0], small[1])[:, most:], np.float32)
    return np.where(found < 0, np.float32(np.nan), found / _SIXTEEN)


def _in_small(pixels: FloatArray, shrink: int) -> tuple[FloatArray, FloatArray]:
    """Return where pixels ``(N, 2)`` of the large picture are in the small one, ``(N, 1)`` each."""
    small = ((pixels + 0.5) / shrink - 0.5).astype(np.float32)
    return small[:, :1], small[:, 1:]


def _smooth(disparities: FloatArray, shrink: int) -> FloatArray:
    """Return disparities ``(h, w)`` smoothed where they are those of one surface; 0 for unknown."""
    known = np.isfinite(disparities)
    filled = np.where(known, disparities, 0)
    box = (_SMOOTHED, _SMOOTHED)
    count = np.maximum(cv2.blur(known.astype(np.float32), box), 1e-6)
    mean = cv2.blur(filled, box) / count
    return np.where(known & (np.abs(mean - filled) < _STEP * shrink), mean, filled)


def _fitted(
    left: ByteImage, right: ByteImage, start: FloatArray, bend: FloatArray
) -> tuple[Matrix, npt.NDArray[np.bool_]]:
    """Return the disparities ``(N,)`` of the best fits, and which are good.

    Args:
        left: ``(H, W)`` grey.
        right: ``(H, W)`` grey.
        start: ``(N, 2)`` pixels of the left picture.
        bend: ``(H, W)`` disparities by which the right picture is bent to the left one.
    """
    height, width = left.shape
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    bent = np.asarray(cv2.remap(right, x - bend, y, cv2.INTER_LINEAR), np.uint8)
    here = start[:, None]
    there, seen = _flow(left, bent, here, here)
    back, returned = _flow(bent, left, there, here)
    off = (there - here)[:, 0].astype(np.float64)
    found = cv2.remap(bend, there[..., 0], there[..., 1], cv2.INTER_LINEAR)[:, 0] - off[:, 0]
    good = seen & returned & (np.abs(back - here).max(axis=(1, 2)) < _BACK)
    return np.asarray(found, np.float64), good & (np.abs(off[:, 1]) < _ROWS)


def _flow(
    first: ByteImage, second: ByteImage, points: FloatArray, guess: FloatArray
) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
    moved, status, _ = cv2.calcOpticalFlowPyrLK(
        first,
        second,
        points,
        guess.copy(),
        winSize=(_SIDE, _SIDE),
        maxLevel=0,
        flags=cv2.OPTFLOW_USE_INITIAL_FLOW,
    )
    return np.asarray(moved, np.float32), status[:, 0].astype(np.bool_)
