"""Places that are seen again: candidates by what pictures look like, and the guards of a loop.

A wrong loop costs more than ten that are missed. A candidate counts once pictures in a row had
candidates near it; its landmarks must be seen from one pose, many of them, in most of the picture;
the keyframe beside it must say the same; and the way round must not rule it out.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.pose import Landmarks as Seen
from dlcv.estimation.odometry.pose import RefinedPose, refine_pose
from dlcv.estimation.slam.place import Edge, Keyframe, Landmarks, Looks, PlaceMap
from dlcv.estimation.slam.points import NOISE, in_camera, located, matches, rays_of
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import extent, rigid, scaled
from dlcv.types import Camera, FloatArray

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_AROUND = 4  # keyframes before and after one that say where its landmarks are
FEWEST = 12
"""Matches that are tried at all."""
_LEAST = 8  # of them, that must agree on a pose for it to be refined
_TRIES, _CONFIDENCE, _PIXELS = 500, 0.999, 2.0  # of the consensus
_RATIO = 0.95  # seen from elsewhere patches look less alike
_SCALE_UNKNOWN = 1.0  # standard deviation of a logarithm of which nothing is known


@dataclass(frozen=True, kw_only=True, slots=True)
class Guards:
    """When a picture counts as one of a keyframe's place.

    Attributes:
        candidates: Keyframes that are tried, at most.
        likeness: Cosine of two places' descriptors from which on they may be one.
        near: Keyframes that are near each other, by their numbers.
        inliers: Landmarks that must agree on the pose.
        share: Of the matches with a keyframe, that must.
        area: Of the picture, that the inliers must span.
    """

    candidates: int = 3
    likeness: float = 0.5
    near: int = 4
    inliers: int = 30
    share: float = 0.3
    area: float = 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSettings(Guards):
    """When a place counts as seen again.

    Attributes:
        recent: Newest keyframes that are none of them looked for.
        votes: Keyframes in a row that must have candidates near each other.
    """

    recent: int = 15
    votes: int = 2


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Found:
    """A picture among the landmarks of a keyframe.

    Attributes:
        motion: ``(4, 4)`` keyframe_from_camera, in the keyframe's unit.
        covariance: ``(6, 6)`` of that, in the keyframe's axes.
        matches: How many landmarks were tried.
        own: ``(M,)`` keypoints of the picture that agree.
        theirs: ``(M,)`` keypoints of the keyframe that they are.
    """

    motion: Matrix
    covariance: Matrix
    matches: int
    own: Indices
    theirs: Indices


class Candidates:
    """Keyframes that look like the newest one, and have done so for some keyframes in a row.

    Args:
        settings: When they do.
        first: Keyframe that the newest one's session began with: all before it are of others.
    """

    def __init__(self, settings: LoopSettings, first: int = 0) -> None:
        self.settings, self._first = settings, first
        self._before: list[Indices] = []
        self._looks = Looks()

    def of(self, place: PlaceMap, newest: int) -> Indices:
        """Return candidates, the likeliest first."""
        s = self.settings
        until = max(newest - s.recent, self._first)
        found: Indices = np.empty(0, np.int64)
        if until > 0:
            found = alike(self._looks.of(place)[:until], place.keyframes[newest].place, s)
        supported = [
            one
            for one in found
            if sum(bool((np.abs(old - one) <= s.near).any()) for old in self._before) >= s.votes - 1
        ]
        self._before = [*self._before, found][-s.votes :]
        return np.array(supported[: s.candidates], np.int64)


def alike(
    places: FloatArray, place: FloatArray, settings: Guards, most: int | None = None
) -> Indices:
    """Return the most alike of places ``(K, P)``, the best first; one of each neighbourhood.

    Args:
        places: What they look like.
        place: The same of the picture.
        settings: How alike they must be.
        most: That are returned; twice the candidates by default.
    """
    most = 2 * settings.candidates if most is None else most
    likeness = places @ place
    kept: list[int] = []
    for one in np.argsort(-likeness, kind='stable'):
        if likeness[one] < settings.likeness or len(kept) == most:
            break
        if all(abs(int(one) - other) > settings.near for other in kept):
            kept.append(int(one))
    return np.array(kept, np.int64)


def find(
    place: PlaceMap,
    keyframe: int,
    picture: Keyframe,
    settings: Guards,
    marks: Landmarks | None = None,
) -> Found | str:
    """Look for a picture among the landmarks of a keyframe; say why it is not there.

    Args:
        place: The map.
        keyframe: Which of its keyframes.
        picture: It may be one of them.
        settings: How much must agree.
        marks: Where landmarks are; by default as the keyframes around see them.
    """
    one = place.keyframes[keyframe]
    if marks is None:
        marks = located(place, around(place, keyframe), one.landmark[one.landmark >= 0])
    rows, there = marks.rows_of(one.landmark)
    points, variance = in_camera(
        marks, rows[there], place.poses[keyframe], float(place.log_scale[keyframe])
    )
    theirs = np.flatnonzero(there)
    ahead = points[:, 2] > 0 if len(points) else np.zeros(0, np.bool_)
    points, variance, theirs = points[ahead], variance[ahead], theirs[ahead]
    a, b = matches(one.descriptors[theirs], picture.descriptors, _RATIO)
    if len(a) < max(FEWEST, settings.inliers):
        return f'{len(a)} of its landmarks look like points of the picture'
    focal = picture.camera.focal
    xy = rays_of(picture)[b]
    start = pose_of_matches(points[a], xy, focal)
    if start is None:
        return f'{len(a)} matches agree on no pose'
    seen = Seen.seen_by(np.eye(4), points[a], variance[a])
    refined = refine_pose(start, seen, xy, np.sqrt(2) * NOISE / focal, near=True)
    return _judged(refined, picture, (theirs[a], b), settings)


def pose_of_matches(points: FloatArray, xy: FloatArray, focal: float) -> Matrix | None:
    """Return the pose that most matches agree on, of which many may be wrong; None for none.

    Args:
        points: ``(N, 3)``, four at least.
        xy: ``(N, 2)`` x/z and y/z in the camera.
        focal: Pixels per unit of ``xy``.

    Returns:
        ``(4, 4)`` points_from_camera.
    """
    params = cv2.UsacParams()
    params.threshold, params.maxIterations, params.confidence = _PIXELS, _TRIES, _CONFIDENCE
    params.sampler, params.score = cv2.SAMPLING_UNIFORM, cv2.SCORE_METHOD_MSAC
    params.loMethod = cv2.LOCAL_OPTIM_INNER_LO
    good, _, turn, shift, agree = cv2.solvePnPRansac(
        np.ascontiguousarray(points, np.float64),
        np.ascontiguousarray(xy * focal, np.float64),
        np.diag((focal, focal, 1.0)),
        None,
        params=params,
    )
    if not good or agree is None or len(agree) < _LEAST:
        return None
    rotation = np.asarray(cv2.Rodrigues(turn)[0], np.float64)
    camera_from_points = rigid(rotation, np.asarray(shift[:, 0], np.float64))
    return inverse(np.asarray(camera_from_points, np.float64))


def around(place: PlaceMap, keyframe: int) -> Indices:
    """Return the keyframes that say where a keyframe's landmarks are: it and its neighbours."""
    near = range(max(0, keyframe - _AROUND), min(len(place), keyframe + _AROUND + 1))
    session = place.keyframes[keyframe].session
    return np.array([k for k in near if place.keyframes[k].session == session], np.int64)


def _judged(
    refined: RefinedPose, picture: Keyframe, pairs: tuple[Indices, Indices], s: Guards
) -> Found | str:
    theirs, own = pairs
    agree = np.flatnonzero(refined.inliers)
    if len(agree) < s.inliers:
        return f'{len(agree)} of {len(own)} matches agree on a pose; {s.inliers} are needed'
    if len(agree) < s.share * len(own):
        return f'{len(agree)} of {len(own)} matches agree on a pose: too small a share'
    spanned = spanned_area(picture.xy[own[agree]], picture.camera)
    if spanned < s.area:
        return f'what agrees spans {spanned:.0%} of the picture; {s.area:.0%} are needed'
    return Found(
        motion=refined.odom_from_camera,
        covariance=refined.stated,
        matches=len(own),
        own=own[agree],
        theirs=theirs[agree],
    )


def spanned_area(xy: FloatArray, camera: Camera) -> float:
    """Return the share of a picture that the convex hull of points ``(N, 2)`` covers."""
    hull = cv2.convexHull(np.ascontiguousarray(xy, np.float32))
    return float(cv2.contourArea(hull)) / (camera.width * camera.height)


def agreed(
    place: PlaceMap, keyframe: int, found: Found, picture: Keyframe, settings: Guards
) -> bool:
    """Whether a keyframe beside one sees a picture at the same place."""
    beside = [
        k
        for k in (keyframe - 1, keyframe + 1, keyframe - 2, keyframe + 2)
        if 0 <= k < len(place) and place.keyframes[k].session == place.keyframes[keyframe].session
    ]
    for other in beside:
        again = find(place, other, picture, _lenient(settings))
        if isinstance(again, str):
            continue
        between = inverse(place.poses[keyframe]) @ place.poses[other]
        between = scaled(between, np.exp(-place.log_scale[keyframe]))
        motion = scaled(again.motion, np.exp(place.log_scale[other] - place.log_scale[keyframe]))
        if same(found.motion, between @ motion, found.covariance, again.covariance):
            return True
    return False


def same(one: Matrix, other: Matrix, *covariances: Matrix) -> bool:
    """Whether two poses ``(4, 4)`` are one, given what both may be off by."""
    shift, turn = extent(inverse(one) @ other)
    total = np.sum(covariances, axis=0)
    doubt = np.sqrt(np.linalg.eigvalsh(total[:3, :3])[-1])
    turned = np.sqrt(np.linalg.eigvalsh(total[3:, 3:])[-1])
    way = float(np.linalg.norm(one[:3, 3]))
    return bool(shift < 4 * doubt + 0.05 + 0.05 * way and turn < 4 * turned + 0.03)


def edge_of(place: PlaceMap, keyframe: int, newest: int, found: Found) -> Edge:
    """Return what a loop says of two keyframes, with the ratio of their units where it matters."""
    covariance = np.zeros((7, 7))
    covariance[:6, :6] = found.covariance
    covariance[6, 6] = _SCALE_UNKNOWN**2
    log_scale = 0.0
    if place.scaled:
        log_scale, deviation = _ratio(place, keyframe, newest, found)
        covariance[6, 6] = deviation**2
    return Edge(
        older=keyframe,
        newer=newest,
        motion=found.motion,
        log_scale=log_scale,
        covariance=covariance,
        loop=True,
    )


def _ratio(place: PlaceMap, keyframe: int, newest: int, found: Found) -> tuple[float, float]:
    """Return the logarithm of the newer keyframe's unit over the older one's, and its deviation.

    Depths of the same landmarks, by the keyframes around the one and around the other.
    """
    depths = []
    for k, points, camera in (
        (keyframe, found.theirs, inverse(found.motion)),
        (newest, found.own, np.eye(4)),
    ):
        frame = place.keyframes[k]
        marks = located(place, around(place, k), frame.landmark[points])
        rows, there = marks.rows_of(frame.landmark[points])
        seen, _ = in_camera(marks, rows, place.poses[k], float(place.log_scale[k]))
        z = seen @ camera[2, :3] + camera[2, 3] if len(seen) else np.empty(len(points))
        depths.append(np.where(there & (z > 0), z, np.nan))
    ratio = np.log(depths[0] / depths[1])
    ratio = ratio[np.isfinite(ratio)]
    if len(ratio) < FEWEST:
        return 0.0, _SCALE_UNKNOWN
    middle = float(np.median(ratio))
    spread = 1.4826 * float(np.median(np.abs(ratio - middle)))
    return middle, max(1.2533 * spread / np.sqrt(len(ratio)), 0.005)


def merge(place: PlaceMap, keyframe: int, newest: int, found: Found) -> int:
    """Let two keyframes see the same landmarks where they agree; return how many became one."""
    older, newer = place.keyframes[keyframe], place.keyframes[newest]
    holders = _holders(place, newer.landmark[found.own])
    merged = 0
    for theirs, own in zip(found.theirs.tolist(), found.own.tolist(), strict=True):
        kept, gone = int(older.landmark[theirs]), int(newer.landmark[own])
        if kept == gone or kept < 0:
            continue
        if gone < 0:
            if not (newer.landmark == kept).any():
                newer.landmark[own] = kept
                merged += 1
            continue
        seen_by = [place.keyframes[k] for k in holders.get(gone, ())]
        if any((one.landmark == kept).any() for one in seen_by):
            continue  # one picture shows both: they are two
        for one in seen_by:
            one.landmark[one.landmark == gone] = kept
        merged += 1
    return merged


def _holders(place: PlaceMap, names: Indices) -> dict[int, list[int]]:
    """Return the keyframes that see each of some landmarks."""
    seen = np.concatenate([one.landmark for one in place.keyframes])
    ends = np.cumsum([len(one) for one in place.keyframes])
    rows = np.flatnonzero(np.isin(seen, names[names >= 0]))
    found: dict[int, list[int]] = {}
    for name, k in zip(
        seen[rows].tolist(), np.searchsorted(ends, rows, side='right').tolist(), strict=True
    ):
        found.setdefault(name, []).append(k)
    return found


def _lenient(settings: Guards) -> Guards:
    return Guards(
        inliers=max(FEWEST, settings.inliers // 2),
        share=settings.share / 2,
        area=settings.area / 2,
    )
