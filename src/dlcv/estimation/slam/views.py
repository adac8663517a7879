"""What a picture shows, for a map: its strongest keypoints with what was measured beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.disparity import stereo_depths
from dlcv.estimation.odometry.metre import depths_at, inverse_depths
from dlcv.estimation.pictures import grey
from dlcv.estimation.slam.mapping import View
from dlcv.estimation.slam.places import Describer
from dlcv.geometry.camera import pixel_rays
from dlcv.types import Aids, Frame, Keypoints

Matrix = npt.NDArray[np.float64]


def view_of(frame: Frame, keypoints: Keypoints, aids: Aids, describer: Describer) -> View:
    """Return what is to become a keyframe.

    Args:
        frame: The picture, with its camera.
        keypoints: Of it.
        aids: A right picture or depth; without, depths are not known.
        describer: Says what it looks like as a whole.
    """
    assert frame.camera is not None
    inverse: Matrix = np.full(len(keypoints.xy), np.nan)
    stddev: Matrix = inverse
    if aids.right is not None:
        left, right = grey(frame.image), grey(aids.right.image)
        inverse, stddev = stereo_depths(left, right, keypoints.xy, frame.camera.fx, aids.baseline)
    elif aids.depth is not None:
        rays = np.asarray(pixel_rays(frame.camera, keypoints.xy)[:, :2], np.float64)
        inverse, stddev = inverse_depths(*depths_at(aids.depth, frame.camera, rays))
    return View(
        stamp_ns=frame.stamp_ns,
        camera=frame.camera,
        xy=keypoints.xy,
        descriptors=keypoints.descriptors,
        inverse_depth=inverse,
        inverse_stddev=stddev,
        place=describer.describe(frame, keypoints),
    )


def strongest(
    keypoints: Keypoints, most: int, mask: npt.NDArray[np.bool_] | None = None
) -> Keypoints:
    """Return the strongest keypoints of what a mask ``(H, W)`` lets through."""
    keep: npt.NDArray[np.int64] = np.arange(len(keypoints.xy))
    if mask is not None and len(keep):
        x, y = np.rint(keypoints.xy).astype(int).T
        height, width = mask.shape
        keep = keep[mask[y.clip(0, height - 1), x.clip(0, width - 1)]]
    keep = keep[:most]
    return replace(
        keypoints,
        xy=keypoints.xy[keep],
        scores=keypoints.scores[keep],
        descriptors=keypoints.descriptors[keep],
        rays=None if keypoints.rays is None else keypoints.rays[keep],
    )
