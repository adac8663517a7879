"""Where in a map a picture was taken, by the landmarks that it shows; or why that is not known.

Keyframes that look like the picture are tried, the likeliest first. Landmarks that the best of them
and its neighbours know are matched with the picture, a pose that many agree with is refined on all
of them, each as exactly as it is known, and refused where the picture does not show what it must.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.odometry.pose import Landmarks as Seen
from dlcv.estimation.odometry.pose import refine_pose
from dlcv.estimation.slam.doubt import noise_of, together
from dlcv.estimation.slam.evidence import shown
from dlcv.estimation.slam.loops import FEWEST, Found, Guards, alike, find, same, spanned_area
from dlcv.estimation.slam.place import ASIDE, Keyframe, Landmarks, Looks, PlaceMap, decoded, encoded
from dlcv.estimation.slam.points import NOISE, in_camera, located, matches, rays_of
from dlcv.geometry.camera import project
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import extent, moved, scaled
from dlcv.types import Camera, FloatArray, Keypoints

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_NEIGHBOURS = 6  # keyframes whose landmarks are tried
_RATIO = 0.95
_NEAREST = 0.05  # metres before the camera
_APART = 0.3, 0.2  # metres or rad, that two answers are apart which are of two places
_FIRST = 0.6  # of the landmarks that must agree, that one keyframe must know
_EXPECTED = 0.5  # of what must agree and be shown, where the picture is expected
_RIVALS = 3  # places that look like the picture, at most, that are looked at closely
_COVISIBLE = 15.0  # pixels from where it should be within which a landmark is looked for again
_REACH = 4.0  # the same where it is known how exact the pose is; deviations, or pixels at least


@dataclass(frozen=True, kw_only=True, slots=True)
class LocateSettings(Guards):
    """When a picture counts as found.

    Attributes:
        common: Share of the landmarks' distance by which all of them are off together, as the
            keyframes are that saw them; what their agreement cannot tell. For maps of which it was
            not measured.
        wander: Pixels by which keypoints are off together where they are seen from another way
            than the map's; what left-out keyframes of its own way cannot tell.
        vague: Deviation of the position by the landmarks that agree, as a share of their distance,
            at most: for a picture that shows all that it must, by keypoints that are where they
            should be. The less it shows and the farther off they are, the more exactly they must
            agree: a thing that several rooms have fixes a position only vaguely.
        shown: Of what is in sight at the pose, that the picture must show; see `evidence`.
    """

    candidates: int = 4
    likeness: float = 0.0
    inliers: int = 25
    share: float = 0.25
    area: float = 0.1
    common: float = 0.004
    wander: float = 0.08
    vague: float = 0.03
    shown: float = 0.15


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Located:
    """Where a picture was taken.

    Attributes:
        map_from_camera: ``(4, 4)`` metres; None where it was refused.
        covariance: ``(6, 6)`` of that as (x, y, z, rx, ry, rz) in the map's axes; None likewise.
        alone: ``(6, 6)`` the part of it by landmarks that are each off by themselves.
        together: ``(6, 6)`` what it would be by landmarks that are off together, by their distance.
        inliers: Landmarks that agree.
        matches: Landmarks that were tried.
        area: Share of the picture that the landmarks which agree span.
        keyframe: The one in which the picture was recognised; -1 for none.
        reason: Why it was accepted or refused, in words for a person.
    """

    map_from_camera: Matrix | None = None
    covariance: Matrix | None = None
    alone: Matrix | None = None
    together: Matrix | None = None
    inliers: int = 0
    matches: int = 0
    area: float = 0.0
    keyframe: int = -1
    reason: str


class Localizer:
    """Finds pictures in a map.

    Args:
        place: The map; it may go on growing.
        settings: When a picture counts as found.
    """

    def __init__(self, place: PlaceMap, settings: LocateSettings | None = None) -> None:
        self.place = place
        self.settings = settings or LocateSettings()
        self._looks = Looks()

    def locate(
        self,
        keypoints: Keypoints,
        camera: Camera,
        looks: FloatArray,
        near: Sequence[FloatArray] = (),
        skip: int = 0,
    ) -> Located:
        """Find a picture.

        Args:
            keypoints: Of it.
            camera: What took it.
            looks: ``(P,)`` what it looks like as a whole, by what described the map's.
            near: ``(4, 4)`` map_from_camera each where it may be: landmarks are looked for where
                they must be then, so that fewer make it sure.
            skip: So many of the likeliest places are passed over.
        """
        if not len(self.place):
            return Located(reason='the map has no keyframes')
        wanted = len(self.place.keyframes[0].place)
        if looks.shape != (wanted,):
            raise ValueError(
                f'the map describes places by {wanted} numbers, the picture by {len(looks)}'
            )
        picture = _picture(keypoints, camera, looks)
        settings = self.settings
        first = replace(settings, inliers=round(_FIRST * settings.inliers))
        for guess in near:
            expected = self._near(picture, np.asarray(guess, np.float64))
            if expected.map_from_camera is not None:
                return expected
        found: list[tuple[int, Found]] = []
        reasons = []
        marks = self.place.landmarks if len(self.place.landmarks) else None
        most = skip + settings.candidates
        for one in alike(self._looks.of(self.place), looks, settings, most)[skip:].tolist():
            answer = find(self.place, one, picture, first, marks)
            if isinstance(answer, str):
                reasons.append(answer)
            else:
                found.append((one, answer))
        if not found:
            return Located(reason=_refusal(reasons))
        return self._chosen(found, picture)

    def _chosen(self, found: list[tuple[int, Found]], picture: Keyframe) -> Located:
        """Look closely at places that look like a picture, most landmarks first; choose one."""
        found = sorted(found, key=lambda pair: -len(pair[1].own))
        places: list[tuple[int, Found]] = []
        for keyframe, one in found:
            if not any(self._agree(keyframe, one, *other) for other in places):
                places.append((keyframe, one))
        answers = [
            self._refined(keyframe, self._pose(keyframe, one), picture, self.settings)
            for keyframe, one in places[:_RIVALS]
        ]
        known = [answer for answer in answers if answer.map_from_camera is not None]
        if not known:
            return answers[0]
        best, *others = sorted(known, key=lambda answer: -answer.inliers)
        others = [other for other in others if _elsewhere(best, other)]
        if others and others[0].inliers > best.inliers / 2:
            return Located(
                reason=f'two places look like it: {best.inliers} landmarks agree on one, '
                f'{others[0].inliers} on another'
            )
        return best

    def _near(self, picture: Keyframe, start: Matrix) -> Located:
        """Find a picture where it is believed to be."""
        s = self.settings
        lenient = replace(
            s,
            inliers=max(FEWEST, round(_EXPECTED * s.inliers)),
            vague=s.vague / _EXPECTED,
            shown=_EXPECTED * s.shown,
        )
        return self._refined(int(self._nearest(start)[0]), start, picture, lenient)

    def _agree(self, one: int, first: Found, other: int, second: Found) -> bool:
        poses = [self._pose(k, f) for k, f in ((one, first), (other, second))]
        return same(*poses, first.covariance, second.covariance)

    def _pose(self, keyframe: int, found: Found) -> Matrix:
        motion = scaled(found.motion, np.exp(self.place.log_scale[keyframe]))
        return np.asarray(self.place.poses[keyframe] @ motion)

    def _refined(
        self, keyframe: int, start: Matrix, picture: Keyframe, s: LocateSettings
    ) -> Located:
        """Fit the pose to the landmarks of all keyframes around."""
        place, fewest = self.place, s.inliers
        marks, codes = self._around(start)
        seen, _ = in_camera(marks, np.arange(len(marks)), start, 0.0)
        a, b = matches(codes, picture.descriptors, _RATIO)
        focal = picture.camera.focal
        xy = rays_of(picture)
        z = np.maximum(seen[a, 2], 1e-3)
        off = np.linalg.norm(seen[a, :2] / z[:, None] - xy[b], axis=1) * focal
        near = (seen[a, 2] > 0) & (off < _COVISIBLE)
        a, b = a[near], b[near]
        if len(a) < fewest:
            return Located(
                keyframe=keyframe,
                matches=len(a),
                reason=f'{len(a)} landmarks are where the pose says; {fewest} are needed',
            )
        anchor = place.poses[keyframe]
        points, variance = in_camera(marks, a, anchor, 0.0)
        ahead = points[:, 2] > 0
        points, variance, b = points[ahead], variance[ahead], b[ahead]
        landmarks = Seen.seen_by(anchor, points, variance)
        refined = refine_pose(start, landmarks, xy[b], NOISE / focal, near=True)
        noise = noise_of(moved(inverse(refined.odom_from_camera) @ anchor, points), xy[b], focal)
        if noise > NOISE:
            begun = refined.odom_from_camera
            refined = refine_pose(begun, landmarks, xy[b], noise / focal, near=True)
        agree = int(np.count_nonzero(refined.inliers))
        area = spanned_area(picture.xy[b[refined.inliers]], picture.camera) if agree else 0.0
        if agree < fewest or area < s.area:
            return Located(
                keyframe=keyframe,
                inliers=agree,
                matches=len(b),
                reason=f'{agree} landmarks on {area:.0%} of the picture agree; {fewest} on '
                f'{s.area:.0%} are needed',
            )
        away = float(np.median(points[refined.inliers, 2]))
        vague = float(np.sqrt(np.trace(refined.stated[:3, :3]))) / away
        there = self._shown(marks, codes, refined.odom_from_camera, picture, noise)
        reason = f'{agree} of {len(b)} landmarks agree'
        most = s.vague * there * NOISE / noise
        if vague > most:
            reason = (
                f'{agree} landmarks agree on a position to {vague:.1%} of their distance; '
                f'{most:.1%} are needed, as it shows {there:.0%} of what is in sight there'
            )
        elif there < s.shown:
            reason = (
                f'{agree} landmarks agree, but it shows {there:.0%} of what is in sight there; '
                f'{s.shown:.0%} are needed'
            )
        if vague > most or there < s.shown:
            return Located(
                keyframe=keyframe, inliers=agree, matches=len(b), area=area, reason=reason
            )
        shared = together(refined.covariance, agree, noise / focal)
        share = np.hypot(place.common or s.common, s.wander / focal)
        return Located(
            map_from_camera=refined.odom_from_camera,
            covariance=refined.stated + share**2 * shared,
            alone=refined.stated,
            together=shared,
            inliers=agree,
            matches=len(b),
            area=area,
            keyframe=keyframe,
            reason=reason,
        )

    @staticmethod
    def _shown(
        marks: Landmarks, codes: FloatArray, pose: Matrix, picture: Keyframe, noise: float
    ) -> float:
        """Return which share the picture shows of what is in sight at a pose."""
        points, _ = in_camera(marks, np.arange(len(marks)), pose, 0.0)
        ahead = points[:, 2] > _NEAREST
        pixels, camera = project(picture.camera, points[ahead]), picture.camera
        reach = _REACH * max(noise, 1.0)
        return shown(pixels, codes[ahead], picture.xy, picture.descriptors, camera, reach)

    def _around(self, pose: Matrix) -> tuple[Landmarks, FloatArray]:
        """Return landmarks that keyframes near a pose see, and descriptors ``(L, D)`` of them.

        Of several sightings of a landmark that by the nearest keyframe counts.
        """
        place = self.place
        nearest = self._nearest(pose)[:_NEIGHBOURS]
        names = np.concatenate([place.keyframes[k].landmark for k in nearest])
        codes = np.concatenate([place.keyframes[k].codes for k in nearest])
        every, first = np.unique(names, return_index=True)
        marks = place.landmarks
        if not len(marks):
            marks = located(place, nearest, every[every >= 0])
        rows, there = marks.rows_of(every)
        return marks.only(rows[there]), decoded(codes[first[there]])

    def _nearest(self, pose: Matrix) -> Indices:
        """Return the keyframes, those first that are nearest to a pose and look where it does."""
        poses = self.place.poses
        apart = np.linalg.norm(poses[:, :3, 3] - pose[:3, 3], axis=1)
        aside = 1 - poses[:, :3, 2] @ pose[:3, 2]
        return np.asarray(np.argsort(apart + ASIDE * aside, kind='stable'), np.int64)


def _elsewhere(one: Located, other: Located) -> bool:
    """Whether two answers are of two places, not of one that the map has not quite straight."""
    assert one.map_from_camera is not None and other.map_from_camera is not None
    apart = extent(inverse(one.map_from_camera) @ other.map_from_camera)
    return bool((apart > _APART).any())


def _picture(keypoints: Keypoints, camera: Camera, looks: FloatArray) -> Keyframe:
    count = len(keypoints.xy)
    unknown = np.full(count, np.nan, np.float32)
    return Keyframe(
        stamp_ns=keypoints.stamp_ns,
        session=-1,
        camera=camera,
        odom_from_camera=np.eye(4),
        xy=np.asarray(keypoints.xy, np.float32),
        codes=encoded(keypoints.descriptors),
        inverse_depth=unknown,
        inverse_stddev=unknown,
        landmark=np.full(count, -1, np.int64),
        place=np.asarray(looks, np.float32),
    )


def _refusal(reasons: list[str]) -> str:
    if not reasons:
        return 'no keyframe of the map looks like it'
    return f'{len(reasons)} keyframes look like it, but: {reasons[0]}'
