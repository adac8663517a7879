"""How far a map is off as a whole, by keyframes that are looked up in what the others know.

What landmarks state holds for each by itself. That poses of a map and its depths are a little off
moves them together, which their agreement cannot tell; but a picture that the map was not made of
does. Keyframes are such pictures, once what they and their neighbours saw is left out.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy.spatial.transform import Rotation
from scipy.stats import chi2

from dlcv.estimation.slam.doubt import shared_covariance
from dlcv.estimation.slam.locate import Localizer, Located, LocateSettings
from dlcv.estimation.slam.place import Keyframe, Landmarks, PlaceMap
from dlcv.types import Keypoints

Matrix = npt.NDArray[np.float64]

_ASKED = 30  # keyframes that are looked up, evenly out of all
_FEWEST = 10  # that must be found, for the figure to say something
_BESIDE = 2  # keyframes before and after one that are left out with it
_INSIDE = 0.95  # of the errors, that the ellipsoid of this share should hold
_LEAST, _MOST = 8e-4, 4e-2  # shares of the distance; less cannot be told by so few


def common_error(place: PlaceMap) -> float:
    """Return by which share of their distance a map's landmarks are off together.

    With it, the ellipsoids that `Localizer` states for 95 % of its poses hold 95 % of left-out
    keyframes'; see `LocateSettings`.

    Args:
        place: The map, in metres.

    Returns:
        The share; 0 where too few keyframes are found for that to be known.
    """
    asked = np.unique(np.linspace(0, len(place) - 1, _ASKED).astype(np.int64))
    exact = LocateSettings(common=0.0)
    found: list[tuple[Matrix, Located]] = []
    for k in asked.tolist() if len(place) > 2 * _BESIDE + 1 else []:
        frame, pose = place.keyframes[k], place.poses[k]
        answer = Localizer(_without(place, k), exact).locate(
            _keypoints(frame), frame.camera, frame.place, [pose]
        )
        if answer.map_from_camera is not None:
            found.append((_error(answer.map_from_camera, pose), answer))
    if len(found) < _FEWEST:
        return 0.0
    bound = chi2.ppf(_INSIDE, 6)
    for share in np.geomspace(_LEAST, _MOST, 60).tolist():
        held = [
            error @ np.linalg.solve(_covariance(answer, share), error) <= bound
            for error, answer in found
        ]
        if np.mean(held) >= _INSIDE:
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


def _covariance(answer: Located, share: float) -> Matrix:
    assert answer.covariance is not None
    return answer.covariance + shared_covariance(share, answer.away, answer.noise)


def _error(found: Matrix, true: Matrix) -> Matrix:
    turn = Rotation.from_matrix(found[:3, :3] @ true[:3, :3].T).as_rotvec()
    return np.concatenate((found[:3, 3] - true[:3, 3], turn))
