"""From odometry to a map: keyframes, what they share, loops, and one place on which all agrees.

What odometry says is never changed: the map says where odometry's frame is in it,
``map_from_odom``, and moves that when a loop is closed.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.slam.graph import GATE, solve, surprises
from dlcv.estimation.slam.loops import (
    Candidates,
    Found,
    LoopSettings,
    agreed,
    around,
    edge_of,
    find,
    merge,
    same,
)
from dlcv.estimation.slam.place import Edge, Keyframe, Landmarks, PlaceMap, encoded
from dlcv.estimation.slam.points import in_camera, located, matches, plausible, rays_of
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import scaled
from dlcv.types import Camera, FloatArray, Trajectory

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_GUESS = 5.0  # metres that points are away of which nothing is known
_OVERCONFIDENT = 3.0  # times the deviations that odometry states, by which a loop may contradict it
_FLOOR = np.repeat((1e-3, 5e-4), 3)  # m and rad by which a way between keyframes is off at least
_SHARE = 0.002  # of a way's length, by which it is off at least
_SCALE_DRIFT = 0.01  # change of the unit between two keyframes where nothing measures it
_FIRM = 1e-3  # the same where something does


@dataclass(frozen=True, kw_only=True, slots=True)
class MapSettings:
    """How a map is made.

    Attributes:
        overlap: Share of a keyframe's points that the next one still shows.
        shift: Share of the picture's width that points move from one to the next.
        loops: When a place counts as seen again.
        scaled: Whether each keyframe has a unit of its own: nothing measures the metre.
        held: Whether poses of odometry are those of the map, as where others measured them: loops
            merge landmarks and move nothing.
    """

    overlap: float = 0.75
    shift: float = 0.12
    loops: LoopSettings = field(default_factory=LoopSettings)
    scaled: bool = False
    held: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class View:
    """A picture that is to become a keyframe.

    Attributes:
        stamp_ns: When it was taken.
        camera: What took it.
        xy: ``(N, 2)`` keypoints, pixels.
        descriptors: ``(N, D)`` of length one.
        inverse_depth: ``(N,)`` measured, 1/m; NaN where nothing was.
        inverse_stddev: ``(N,)`` of that.
        place: ``(P,)`` what it looks like as a whole, of length one.
    """

    stamp_ns: int
    camera: Camera
    xy: FloatArray
    descriptors: FloatArray
    inverse_depth: FloatArray
    inverse_stddev: FloatArray
    place: FloatArray


class Mapper:
    """Makes a map, or goes on making one, of what odometry says and keyframes show.

    Every picture is told by `step`, which says whether it is wanted as a keyframe; those that are
    come by `keep`.

    Args:
        settings: How.
        place: A map to go on with, which is changed; a new one by default.

    Attributes:
        place: The map.
        refused: Why candidates for loops were none -> how often.
        joined: Whether it is known how what is mapped now lies in the map that was given.
    """

    def __init__(self, settings: MapSettings | None = None, place: PlaceMap | None = None) -> None:
        self.settings = settings or MapSettings()
        self.place = place or PlaceMap(scaled=self.settings.scaled)
        self.refused: Counter[str] = Counter()
        self._session = self.place.sessions
        self.joined = not self._session
        self._candidates = Candidates(self.settings.loops)
        self._odom: Matrix = np.eye(4)  # of the last picture
        self._since: Matrix = np.eye(4)  # keyframe_from_camera
        self._spread: Matrix = np.zeros((6, 6))  # of that, in the keyframe's axes
        self._shown: Matrix = np.empty((0, 3))  # points before the newest keyframe
        self._way: list[tuple[int, int, Matrix]] = []

    # every picture --------------------------------------------------------------------------

    def step(self, stamp_ns: int, odom_from_camera: FloatArray, covariance: FloatArray) -> bool:
        """Take note of where odometry has a picture; return whether it should be a keyframe.

        Args:
            stamp_ns: Its time.
            odom_from_camera: ``(4, 4)`` metres.
            covariance: ``(6, 6)`` of the motion since the last picture that was told, in that one's
                axes.
        """
        pose = np.asarray(odom_from_camera, np.float64)
        motion = inverse(self._odom) @ pose
        since, self._spread = compounded(self._since, self._spread, motion, np.asarray(covariance))
        self._since, self._odom = orthonormal(since), pose
        newest = self._newest
        if newest is None:
            self._since, self._spread = np.eye(4), np.zeros((6, 6))
            return True
        self._way.append((stamp_ns, newest, self._since))
        return self._due(self.place.keyframes[newest].camera)

    @property
    def map_from_odom(self) -> Matrix:
        """``(4, 4)`` by the newest keyframe; the identity before the first."""
        newest = self._newest
        if newest is None:
            return np.eye(4)
        frame = self.place.keyframes[newest]
        return np.asarray(self.place.poses[newest] @ inverse(frame.odom_from_camera))

    def path(self) -> Trajectory:
        """Return where the pictures of this session were, by the map as it is now."""
        poses = []
        for _, keyframe, since in self._way:
            moved = scaled(since, np.exp(self.place.log_scale[keyframe]))
            poses.append(self.place.poses[keyframe] @ moved)
        return Trajectory(
            stamps_ns=np.array([stamp for stamp, _, _ in self._way], np.int64),
            world_from_body=np.array(poses).reshape(-1, 4, 4),
            frame_id=self.place.frame,
        )

    @property
    def _newest(self) -> int | None:
        """Number of this session's newest keyframe; None before the first."""
        last = len(self.place) - 1
        own = last >= 0 and self.place.keyframes[last].session == self._session
        return last if own else None

    def _due(self, camera: Camera) -> bool:
        """Whether much of what the newest keyframe shows is gone or elsewhere in the picture."""
        if not len(self._shown):
            return False
        focal = camera.focal
        seen = (self._shown - self._since[:3, 3]) @ self._since[:3, :3]
        ahead = seen[:, 2] > 0
        xy = seen[:, :2] / np.where(ahead, seen[:, 2], 1.0)[:, None]
        limits = np.array((camera.width / camera.fx, camera.height / camera.fy)) / 2
        inside = ahead & (np.abs(xy) < limits).all(axis=1)
        if inside.mean() < self.settings.overlap:
            return True
        before = self._shown[:, :2] / self._shown[:, 2:]
        moved = np.median(np.linalg.norm(xy - before, axis=1)[inside])
        return bool(moved * focal > self.settings.shift * camera.width)

    # keyframes ------------------------------------------------------------------------------

    def keep(self, view: View) -> list[Edge]:
        """Make a keyframe of the picture that was told last; return the loops that it closes."""
        before = self._newest
        frame = Keyframe(
            stamp_ns=view.stamp_ns,
            session=self._session,
            camera=view.camera,
            odom_from_camera=self._odom,
            xy=np.asarray(view.xy, np.float32),
            codes=encoded(view.descriptors),
            inverse_depth=np.asarray(view.inverse_depth, np.float32),
            inverse_stddev=np.asarray(view.inverse_stddev, np.float32),
            landmark=np.full(len(view.xy), -1, np.int64),
            place=np.asarray(view.place, np.float32),
        )
        newest = self._add(frame, before)
        self._since, self._spread = np.eye(4), np.zeros((6, 6))
        if before is None:
            self._way.append((view.stamp_ns, newest, np.eye(4)))
        else:
            self._way[-1] = (view.stamp_ns, newest, np.eye(4))
            self._associate(before, newest)
        self._name(frame)
        self._show(newest)
        return self._close(newest)

    def finish(self) -> PlaceMap:
        """Find where all landmarks are; return the map."""
        self.place.landmarks = located(self.place, np.arange(len(self.place)))
        return self.place

    def _add(self, frame: Keyframe, before: int | None) -> int:
        place = self.place
        if before is None:
            return place.add(frame, self._odom)
        motion, unit = self._since, float(place.log_scale[before])
        grown = scaled(motion, np.exp(unit))
        newest = place.add(frame, orthonormal(place.poses[before] @ grown), unit)
        covariance = np.zeros((7, 7))
        length = float(np.linalg.norm(motion[:3, 3]))
        floor = np.hypot(_FLOOR, np.repeat((_SHARE * length, 0.0), 3))
        covariance[:6, :6] = self._spread + np.diag(np.square(floor))
        covariance[6, 6] = (_SCALE_DRIFT if place.scaled else _FIRM) ** 2
        place.connect(
            Edge(
                older=before,
                newer=newest,
                motion=motion,
                log_scale=0.0,
                covariance=covariance,
                loop=False,
            )
        )
        return newest

    def _associate(self, before: int, newest: int) -> None:
        """Let the newest keyframe see again what the one before it saw."""
        place = self.place
        old, new = place.keyframes[before], place.keyframes[newest]
        a, b = matches(old.descriptors, new.descriptors)
        good = plausible(place, before, newest, a, b)
        a, b = a[good], b[good]
        unnamed = old.landmark[a] < 0
        old.landmark[a[unnamed]] = place.named + np.arange(np.count_nonzero(unnamed))
        place.named += int(np.count_nonzero(unnamed))
        new.landmark[b] = old.landmark[a]

    def _name(self, frame: Keyframe) -> None:
        """Let every point of known depth be a landmark."""
        alone = np.flatnonzero((frame.landmark < 0) & np.isfinite(frame.inverse_depth))
        frame.landmark[alone] = self.place.named + np.arange(len(alone))
        self.place.named += len(alone)

    def _show(self, newest: int) -> None:
        """Remember points before the newest keyframe, for when it is to be followed by another."""
        frame = self.place.keyframes[newest]
        near = around(self.place, newest)
        marks = located(self.place, near, frame.landmark[frame.landmark >= 0])
        rows, there = marks.rows_of(frame.landmark)
        pose, unit = self.place.poses[newest], float(self.place.log_scale[newest])
        points, _ = in_camera(marks, rows[there], pose, unit)
        points = points[points[:, 2] > 0]
        guess = float(np.median(points[:, 2])) if len(points) else _GUESS
        rest = np.column_stack((rays_of(frame)[~there], np.ones(int((~there).sum()))))
        self._shown = np.concatenate((points, guess * rest))

    # loops ----------------------------------------------------------------------------------

    def _close(self, newest: int) -> list[Edge]:
        """Look for the newest keyframe elsewhere in the map; return what was found."""
        place, found = self.place, []
        for candidate in self._candidates.of(place, newest).tolist():
            seen = self._seen(candidate, newest)
            if isinstance(seen, str):
                self.refused[seen] += 1
                continue
            edge = edge_of(place, candidate, newest, seen)
            place.connect(edge)
            if not self.joined and place.keyframes[candidate].session != self._session:
                self._join(edge)
            found.append((len(place.edges) - 1, candidate, seen))
        if not found:
            return []
        self.optimise()
        closed = []
        for number, candidate, seen in found:
            if place.trusted[number]:
                merge(place, candidate, newest, seen)
                closed.append(place.edges[number])
            else:
                self.refused['the rest of the map contradicts it'] += 1
        return closed

    def _seen(self, candidate: int, newest: int) -> Found | str:
        """Return where a candidate sees the newest keyframe, if every guard lets it pass."""
        place, settings = self.place, self.settings.loops
        frame = place.keyframes[newest]
        found = find(place, candidate, frame, settings)
        if isinstance(found, str):
            return 'too few landmarks agree on a pose'
        if not agreed(place, candidate, found, frame, settings):
            return 'the keyframe beside it does not see the same'
        if self.settings.held:
            given = inverse(place.poses[candidate]) @ place.poses[newest]
            if not same(found.motion, given, found.covariance):
                return 'the poses that are given rule it out'
        elif not self._possible(edge_of(place, candidate, newest, found)):
            return 'odometry rules it out'
        return found

    def _possible(self, edge: Edge) -> bool:
        """Whether odometry allows a loop, if it is off by a few times what it states."""
        place = self.place
        place.connect(edge)
        edges = place.graph()
        place.edges.pop()
        place.trusted.pop()
        size = 7 if place.scaled else 6
        wide = np.where(edges.doubted, 1.0, _OVERCONFIDENT**2)[:, None, None]
        edges = replace(edges, covariance=edges.covariance * wide)
        return bool(surprises(place.poses, place.log_scale, edges, size)[-1] < GATE[size])

    def _join(self, edge: Edge) -> None:
        """Move what is mapped now to where the first loop with the map that was given has it."""
        place = self.place
        own = [k for k, one in enumerate(place.keyframes) if one.session == self._session]
        motion = scaled(edge.motion, np.exp(place.log_scale[edge.older]))
        target = place.poses[edge.older] @ motion
        grown = place.log_scale[edge.older] + edge.log_scale - place.log_scale[edge.newer]
        change = target @ inverse(place.poses[edge.newer])
        middle = place.poses[edge.newer][:3, 3].copy()
        for k in own:
            pose = place.poses[k].copy()
            pose[:3, 3] = middle + np.exp(grown) * (pose[:3, 3] - middle)
            place.poses[k] = change @ pose
            place.log_scale[k] += grown
        self.joined = True

    def optimise(self) -> None:
        """Move the keyframes until they agree with all edges that are no false loops."""
        place = self.place
        if self.settings.held:
            return
        solved = solve(place.poses, place.graph(), log_scale=place.log_scale, scaled=place.scaled)
        place.poses, place.log_scale = solved.poses, solved.log_scale
        place.trusted = [bool(weight > 0) for weight in solved.weights]
        place.landmarks = Landmarks.none()  # they are where they were
