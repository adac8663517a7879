"""Whether a picture shows what a map says that it must, if it was taken from some pose.

Landmarks that agree on a pose are no proof of it: rooms share furniture, posters, doors, and what
hangs on one such thing is seen from one pose, however many points it has. But from a true pose all
that the map knows must be there, not the one thing alone. So what is *not* seen counts: in each
part of the picture the share is taken of the landmarks in sight which a keypoint near by looks
like; and the part in the middle of all is what counts, so that neither one thing that is the same
makes a place, nor one that was moved unmakes it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from dlcv.types import Camera, FloatArray

Indices = npt.NDArray[np.int64]

_COLUMNS, _ROWS = 4, 3  # parts of a picture
_FEWEST = 6  # landmarks and keypoints of a part that says something
_ALIKE = 0.75  # cosine of descriptors from which on a keypoint looks like a landmark
_MARGIN = 4.0  # pixels at the border where no keypoints are looked for


def shown(
    marks: FloatArray,
    codes: FloatArray,
    xy: FloatArray,
    descriptors: FloatArray,
    camera: Camera,
    reach: float,
) -> float:
    """Return which share of what is in sight a picture shows, in the middle one of its parts.

    Of landmarks and keypoints in a part, the fewer count as all that there could be. Parts where
    the map knows nothing, or the picture has no keypoints, say nothing.

    Args:
        marks: ``(L, 2)`` pixels where landmarks in front of the camera must be; any number of them
            may lie outside of the picture.
        codes: ``(L, D)`` what they look like, of length one.
        xy: ``(N, 2)`` keypoints, pixels.
        descriptors: ``(N, D)`` of them, of length one.
        camera: Of the picture.
        reach: Pixels within which a landmark is seen where it must be.

    Returns:
        0 to 1; 0 where no part says anything.
    """
    far = np.array((camera.width, camera.height)) - 1 - _MARGIN
    inside = np.flatnonzero(((marks >= _MARGIN) & (marks <= far)).all(axis=1))
    if not len(inside) or not len(xy):
        return 0.0
    marks, at = np.asarray(marks[inside], np.float64), np.asarray(xy, np.float64)
    near = cKDTree(marks).sparse_distance_matrix(cKDTree(at), reach, output_type='coo_matrix')
    alike = np.einsum('nd,nd->n', codes[inside[near.row]], descriptors[near.col]) > _ALIKE
    seen = np.unique(near.col[alike])
    known, own, again = (_counts(points, camera) for points in (marks, at, at[seen]))
    most = np.minimum(known, own)
    telling = most >= _FEWEST
    return float(np.median(again[telling] / most[telling])) if telling.any() else 0.0


def _counts(xy: FloatArray, camera: Camera) -> Indices:
    """Return how many points ``(N, 2)`` lie in each part of a picture."""
    column = np.clip(xy[:, 0] * _COLUMNS / camera.width, 0, _COLUMNS - 1).astype(np.int64)
    row = np.clip(xy[:, 1] * _ROWS / camera.height, 0, _ROWS - 1).astype(np.int64)
    return np.bincount(row * _COLUMNS + column, minlength=_COLUMNS * _ROWS)
