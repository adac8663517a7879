"""Where the patches of keyframes are in a later picture, as it shows them from where it was taken.

A patch that comes nearer grows, and one that may only be moved then fits beside itself: by a fifth
nearer by half a pixel. So each is bent as its depth and the expected pose say, as if it faced the
keyframe, and then moved until it fits, by the inverse compositional algorithm (Baker and Matthews,
"Lucas-Kanade 20 years on", 2004): what is derived is the patch, once, for all steps.

Letters in this file: N patches of S x S pixels.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.keyframes import Keyframes
from dlcv.estimation.odometry.reprojection import NEAREST
from dlcv.types import ByteImage, Camera, FloatArray

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Matrix = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]

_REACH = 5  # pixels from the middle of a patch to its edge
_STEPS, _STEP, _SETTLED = 6, 1.0, 0.03  # at most; pixels of one at most, and of the last
_ALIKE = 0.8  # correlation of a patch with what it fits
_GROWN = 0.15, 12.0  # times its area that a patch is bent to; beyond, it is none

_AROUND = np.arange(-_REACH - 1, _REACH + 2, dtype=np.float32)  # with a pixel for the derivatives
_WIDE = len(_AROUND)
_X, _Y = (axis.ravel() for axis in np.meshgrid(_AROUND, _AROUND))
_WITHIN_X, _WITHIN_Y = (axis.ravel() for axis in np.meshgrid(_AROUND[1:-1], _AROUND[1:-1]))


def bends(
    window: Keyframes, rows: Indices, window_from_camera: FloatArray, camera: Camera
) -> Matrix:
    """Return how the patches of landmarks are bent from their anchors to another picture.

    Args:
        window: The landmarks.
        rows: ``(N,)`` which of them.
        window_from_camera: ``(4, 4)`` where that picture may have been taken.
        camera: Of all pictures.

    Returns:
        ``(N, 2, 2)`` derivative of its pixels by the anchor's; one for what it does not see.
    """
    marks, frames = window.landmarks, np.linalg.inv(window_from_camera) @ window.poses
    camera_from_anchor = frames[window.anchors_of(rows), :3]
    turn, shift = camera_from_anchor[..., :3], camera_from_anchor[..., 3]
    ray = np.column_stack((marks.rays[rows], np.ones(len(rows))))
    seen = np.einsum('nij,nj->ni', turn, ray) + marks.inverse_depth[rows, None] * shift
    depth = np.maximum(seen[:, 2], NEAREST)[:, None, None]  # in depths in the anchor
    bend = (turn[:, :2, :2] - seen[:, :2, None] / depth * turn[:, 2:, :2]) / depth
    bend *= np.outer((camera.fx, camera.fy), (1 / camera.fx, 1 / camera.fy))
    grown = np.linalg.det(bend)
    good = (seen[:, 2] > NEAREST) & (grown > _GROWN[0]) & (grown < _GROWN[1])
    bend[~good] = np.eye(2)
    return np.asarray(bend, np.float64)


def fitted_from_anchors(
    window: Keyframes,
    rows: Indices,
    later: ByteImage,
    start: FloatArray,
    bend: Matrix | None,
    away: float,
) -> tuple[Singles, Mask]:
    """Move the patches of landmarks to where they fit a picture best.

    Args:
        window: The landmarks, and the keyframes that show them.
        rows: ``(N,)`` which of them.
        later: ``(H, W)`` the picture.
        start: ``(N, 2)`` pixels in it, about where they are.
        bend: See `bends`; None for patches that are only moved.
        away: Pixels by which they may leave the start.

    Returns:
        ``(N, 2)`` float32 pixels, and ``(N,)`` bool which of them fit; the others are at the start.
    """
    begin = np.ascontiguousarray(start, np.float32)
    if not len(rows):
        return begin.reshape(0, 2), np.zeros(0, np.bool_)
    patch, inside = _patches(window, rows, bend)
    by_x, by_y = patch[:, 1:-1, 2:] - patch[:, 1:-1, :-2], patch[:, 2:, 1:-1] - patch[:, :-2, 1:-1]
    slope = _centred(0.5 * np.stack((by_x, by_y)).reshape(2, len(rows), -1))  # (2, N, S^2)
    patch = _centred(patch[:, 1:-1, 1:-1].reshape(len(rows), -1))
    gain, strength = _gain(slope), np.maximum(np.square(patch).sum(1), 1e-3)
    xy, length, alike = begin.copy(), np.full(len(rows), np.inf), np.zeros(len(rows))
    left = np.flatnonzero(inside)
    for _ in range(_STEPS):
        x, y = xy[left].T
        here = _centred(_sampled(later, x[:, None] + _WITHIN_X, y[:, None] + _WITHIN_Y))
        there, of = patch[left], slope[:, left]
        energy = np.maximum(np.square(here).sum(1), 1e-3)
        alike[left] = (here * there).sum(1) / np.sqrt(energy * strength[left])
        error = here * np.sqrt(strength[left] / energy)[:, None] - there  # whatever the exposure
        pull = (of * error).sum(2)  # (2, N)
        step = np.einsum('ijn,jn->ni', gain[..., left], pull)
        length[left] = size = np.linalg.norm(step, axis=1)
        xy[left] -= step / np.maximum(size / _STEP, 1)[:, None]
        left = left[(size > _SETTLED) & (np.abs(xy[left] - begin[left]).max(axis=1) < 2 * away)]
        if not len(left):
            break
    good = (length < 2 * _SETTLED) & (alike > _ALIKE) & (np.abs(xy - begin).max(axis=1) < away)
    return np.where(good[:, None], xy, begin), good


def _patches(window: Keyframes, rows: Indices, bend: Matrix | None) -> tuple[Singles, Mask]:
    """Return patches ``(N, S + 2, S + 2)`` as they are bent, and which their pictures hold."""
    bend = np.tile(np.eye(2), (len(rows), 1, 1)) if bend is None else bend
    back = np.linalg.inv(bend).astype(np.float32)
    centre = window.landmarks.origin[rows]
    x = centre[:, :1] + back[:, 0, :1] * _X + back[:, 0, 1:] * _Y
    y = centre[:, 1:] + back[:, 1, :1] * _X + back[:, 1, 1:] * _Y
    height, width = window.frames[0].flat.shape
    inside = (x.min(1) >= 0) & (x.max(1) <= width - 1) & (y.min(1) >= 0) & (y.max(1) <= height - 1)
    found = np.empty(x.shape, np.float32)
    anchors = window.anchors_of(rows)
    for number, frame in enumerate(window.frames):
        of = np.flatnonzero(anchors == number)
        if len(of):
            found[of] = _sampled(frame.flat, x[of], y[of])
    return found.reshape(-1, _WIDE, _WIDE), inside


def _gain(slope: Singles) -> Matrix:
    """Return the inverses ``(2, 2, N)`` of the patches' structure tensors."""
    (xx, xy), yy = (slope[0] * slope).sum(2), np.square(slope[1]).sum(1)
    adjugate = np.stack((yy, -xy, -xy, xx)).reshape(2, 2, -1)
    return np.asarray(adjugate / np.maximum(xx * yy - xy**2, 1e-3), np.float64)


def _centred(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.asarray(values - values.mean(axis=-1, keepdims=True))


def _sampled(image: ByteImage, x: Singles, y: Singles) -> Singles:
    """Return a picture at ``(N, P)`` pixels, bilinearly."""
    found = cv2.remap(image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return found.astype(np.float32)
