"""How far a map is off as a whole, by keyframes that are looked up in what the others know.

What landmarks state holds for each by itself. That poses of a map and its depths are a little off
moves them together, which their agreement cannot tell; but a picture that the map was not made of
does. Keyframes are such pictures, once what they and their neighbours saw is left out. Their own
poses are off too, some by far: the median counts.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dlcv.estimation.slam.locate import Localizer
from dlcv.estimation.slam.place import Keyframe, Landmarks, PlaceMap
from dlcv.types import Keypoints

Matrix = npt.NDArray[np.float64]

_ASKED = 30  # keyframes that are looked up, evenly out of all
_FEWEST = 10  # that must be found, for the figure to say something
_BESIDE = 2  # keyframes before and after one that are left out with it
_LEAST, _MOST = 1e-4, 4e-2  # shares of the distance; less is nothing beside what keypoints wander


def common_error(place: PlaceMap) -> float:
    """Return by which share of their distance a map's landmarks are off together.

    With it, the ellipsoids that should hold half of the poses hold half of left-out keyframes'; see
    `LocateSettings`.

    Args:
        place: The map, in metres.

    Returns:
        The share; 0 where too few keyframes are found for that to be known.
    """
    asked = np.unique(np.linspace(0, len(place) - 1, _ASKED).astype(np.int64))
    errors, alone, together = [], [], []
    for k in asked.tolist() if len(place) > 2 * _BESIDE + 1 else []:
        frame, pose = place.keyframes[k], place.poses[k]
        found = Localizer(_without(place, k)).locate(
            _keypoints(frame), frame.camera, frame.place, [pose]
        )
        if found.map_from_camera is not None:
            errors.append(_error(found.map_from_camera, pose))
            alone.append(found.alone)
            together.append(found.together)
    if len(errors) < _FEWEST:
        return 0.0
    off, own, shared = np.array(errors), np.array(alone), np.array(together)
    bound = chi2.ppf(0.5, 6)
    for share in np.geomspace(_LEAST, _MOST, 60).tolist():
        known = np.linalg.solve(own + share**2 * shared, off[..., None])[..., 0]
        if np.median(np.einsum('ni,ni->n', off, known)) <= bound:
            return float(share)
    return _MOST


def _without(place: PlaceMap, keyframe: int) -> PlaceMap:
    """Return what the others know; landmarks are where these see them."""
    numbers = np.arange(len(place))
    kept = numbers[np.abs(numbers - keyframe) > _BESIDE]
    return replace(
        place,
        keyframes=[place.keyframes[k] for k in kept.tolist()],
        poses=place.poses[kept],
        log_scale=place.log_scale[kept],
        edges=[],
        trusted=[],
        landmarks=Landmarks.none(),
        common=0.0,
    )


def _keypoints(frame: Keyframe) -> Keypoints:
    scores = np.ones(len(frame), np.float32)
    return Keypoints(
        stamp_ns=frame.stamp_ns, xy=frame.xy, scores=scores, descriptors=frame.descriptors
    )


def _error(found: Matrix, true: Matrix) -> Matrix:
    turn = Rotation.from_matrix(found[:3, :3] @ true[:3, :3].T).as_rotvec()
    return np.concatenate((found[:3, 3] - true[:3, 3], turn))
