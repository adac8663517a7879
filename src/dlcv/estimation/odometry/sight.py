"""What geometry is given of a picture, from the picture and from what was measured beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.disparity import stereo_depths
from dlcv.estimation.odometry.flat import flat
from dlcv.estimation.odometry.metre import Metre, depths_at, inverse_depths
from dlcv.estimation.odometry.scale import ScaleSource
from dlcv.estimation.odometry.view import Points
from dlcv.estimation.pictures import grey
from dlcv.types import Aids, Camera, FloatArray, Frame, Keypoints

Matrix = npt.NDArray[np.float64]


def look(
    number: int,
    frame: Frame,
    camera: Camera,
    keypoints: Keypoints,
    aids: Aids,
    metre: Metre,
    limit: int,
) -> tuple[Points, Matrix]:
    """Return the points of a picture, and how far away they are by a network.

    Args:
        number: Of the picture.
        frame: It.
        camera: What took it.
        keypoints: Of it, strongest first.
        aids: What was measured beside it; what the metre may not come from is not looked at.
        metre: What is known of the metre.
        limit: Most points that are taken.

    Returns:
        The points, and ``(N,)`` metres along z; NaN where no network says any.
    """
    pixels, descriptors = _chosen(keypoints, aids, limit)
    unknown = np.full(len(pixels), np.nan)
    picture = grey(frame.image)
    points = Points(
        number=number,
        stamp_ns=frame.stamp_ns,
        grey=picture,
        flat=flat(picture),
        camera=camera,
        pixels=pixels,
        descriptors=descriptors,
        inverse_depth=unknown,
        inverse_stddev=unknown,
    )
    if aids.right is not None and aids.baseline > 0 and metre.allowed('stereo'):
        right = flat(grey(aids.right.image))
        inverse, stddev = stereo_depths(points.flat, right, pixels, camera.fx, aids.baseline)
        return _measured(points, metre, 'stereo', inverse, stddev), unknown
    if aids.depth is None or aids.depth.depth is None:
        return points, unknown
    metres, spread = depths_at(aids.depth, camera, points.rays(pixels))
    if aids.depth_source == 'network':
        if metre.allowed('network'):
            inverse = metre.filter.scale / metres
            points = replace(points, inverse_depth=inverse, inverse_stddev=inverse / 2)
        return points, metres
    if not metre.allowed('depth'):
        return points, unknown
    return _measured(points, metre, 'depth', *inverse_depths(metres, spread)), unknown


def _chosen(keypoints: Keypoints, aids: Aids, limit: int) -> tuple[FloatArray, FloatArray]:
    """Return the strongest points outside of the mask, and their descriptors."""
    pixels = np.asarray(keypoints.xy, np.float32)
    which: slice | npt.NDArray[np.intp] = slice(limit)
    if aids.mask is not None and len(pixels):
        height, width = aids.mask.shape
        x, y = np.rint(pixels).astype(np.intp).T
        inside = aids.mask[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)]
        which = np.flatnonzero(inside)[:limit]
    return pixels[which], np.asarray(keypoints.descriptors[which], np.float32)


def _measured(
    points: Points, metre: Metre, source: ScaleSource, inverse: Matrix, stddev: Matrix
) -> Points:
    return replace(
        points,
        inverse_depth=inverse,
        inverse_stddev=stddev,
        source=source,
        metric=metre.metric != 'none',
    )
