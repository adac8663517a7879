"""From odometry to a map: keyframes, what they share, loops, and one place on which all agrees.

What odometry says is never changed: the map says where odometry's frame is in it,
``map_from_odom``, and moves that when a loop is closed.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import Executor
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import compounded, orthonormal
from dlcv.estimation.slam.certainty import Certainty
from dlcv.estimation.slam.closing import Closing
from dlcv.estimation.slam.loops import LoopSettings
from dlcv.estimation.slam.outlook import Outlook
from dlcv.estimation.slam.place import Edge, Keyframe, PlaceMap, encoded
from dlcv.estimation.slam.points import every_landmark, matches, plausible
from dlcv.estimation.slam.thin import leave_out, superfluous
from dlcv.geometry.frames import inverse
from dlcv.geometry.trajectory import scaled
from dlcv.types import Camera, FloatArray, Trajectory

Matrix = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_FLOOR = np.repeat((1e-3, 5e-4), 3)  # m and rad by which a way between keyframes is off at least
_SHARE = 0.002  # of a way's length, by which it is off at least
_SCALE_DRIFT = 0.01  # change of the unit between two keyframes where nothing measures it
_FIRM = 1e-3  # the same where something does
_SPARE = 0.05  # of the most keyframes, that are left out at once


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


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Tie:
    """How the first keyframe of a session hangs on the rest of the map.

    Attributes:
        keyframe: Of the rest.
        covariance: ``(6, 6)`` of where the first one is, in the map's axes.
    """

    keyframe: int
    covariance: Matrix


class Mapper:
    """Makes a map, or goes on making one, of what odometry says and keyframes show.

    Every picture is told by `step`, which says whether it is wanted as a keyframe; those that are
    come by `keep`.

    Args:
        settings: How.
        place: A map to go on with, which is changed; a new one by default.
        beside: Runs the solver of loops; at once by default.
        whole_way: Whether all pictures are remembered, for `path`.

    Attributes:
        place: The map.
        closing: What closes its loops.
        outlook: What the newest keyframe shows.
    """

    def __init__(
        self,
        settings: MapSettings | None = None,
        place: PlaceMap | None = None,
        *,
        beside: Executor | None = None,
        whole_way: bool = True,
    ) -> None:
        self.settings = settings or MapSettings()
        # an empty map is false
        self.place = PlaceMap(scaled=self.settings.scaled) if place is None else place
        self.closing = Closing(self.place, self.settings.loops, beside, measured=self.settings.held)
        self._whole_way = whole_way
        self.outlook = Outlook(self.settings.overlap, self.settings.shift)
        self._certainty = Certainty()
        self.begin()

    @property
    def refused(self) -> Counter[str]:
        """Why candidates for loops were none -> how often."""
        return self.closing.refused

    @property
    def joined(self) -> bool:
        """Whether it is known how what is mapped now lies in the map that was given."""
        return self.closing.joined

    def begin(self, map_from_odom: FloatArray | None = None, tie: Tie | None = None) -> None:
        """Let what comes be a session of its own: odometry has begun anew, or was lost.

        Args:
            map_from_odom: ``(4, 4)`` where its frame is; by default nobody knows, and a loop with
                the rest of the map is to tell.
            tie: What says so.
        """
        self._session = self.place.sessions
        self._start: Matrix = np.eye(4) if map_from_odom is None else np.array(map_from_odom)
        self._tie = tie
        self._odom: Matrix = np.eye(4)  # of the last picture
        self._since: Matrix = np.eye(4)  # keyframe_from_camera
        self._spread: Matrix = np.zeros((6, 6))  # of that, in the keyframe's axes
        self.outlook.clear()
        self._way: list[tuple[int, int, Matrix]] = []
        self._heard = self.closing.solved
        self.closing.begin(self._session, joined=not self._session or tie is not None)

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
        if self._whole_way:
            self._way.append((stamp_ns, newest, self._since))
        return self.outlook.due(self._since, self.place.keyframes[newest].camera)

    @property
    def map_from_odom(self) -> Matrix:
        """``(4, 4)`` by the newest keyframe; before the first, where the session is to begin."""
        newest = self._newest
        if newest is None:
            return self._start
        frame = self.place.keyframes[newest]
        return np.asarray(self.place.poses[newest] @ inverse(frame.odom_from_camera))

    @property
    def covariance(self) -> Matrix:
        """``(6, 6)`` of where the camera is, in the map's axes, given the first keyframe."""
        newest = self._newest
        if newest is None:
            return np.zeros((6, 6)) if self._tie is None else self._tie.covariance
        self._hear()
        unit = np.exp(self.place.log_scale[newest])
        lengths = np.repeat((unit, 1.0), 3)
        spread = self._spread * np.outer(lengths, lengths)
        since = scaled(self._since, unit)
        pose = self.place.poses[newest]
        return compounded(pose, self._certainty.covariance, since, spread)[1]

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
        if self._whole_way:
            del self._way[-1:]  # this picture's, if it is not the first
            self._way.append((view.stamp_ns, newest, np.eye(4)))
        if before is not None:
            self._associate(before, newest)
        self._name(frame)
        self.outlook.show(self.place, newest)
        return self.closing.look(newest)

    def finish(self) -> PlaceMap:
        """Wait for loops, and find where all landmarks are; return the map."""
        self.closing.settle(wait=True)
        self.place.landmarks = every_landmark(self.place)
        return self.place

    def leave_out(self, most: int) -> Indices:
        """Make the map smaller if it has more keyframes, once nothing is being solved.

        Returns:
            Those that are gone, by the numbers that all had before.
        """
        place, closing = self.place, self.closing
        closing.held = len(place) > most and closing.busy
        if len(place) <= most or closing.busy:
            return np.empty(0, np.int64)
        count = len(place) - most + round(_SPARE * most)
        gone = superfluous(place, count, self.settings.loops.recent)
        if len(gone):
            self._hear()
            closing.renumber(*leave_out(place, gone))
            self._certainty.forget_numbers()
        return gone

    def _add(self, frame: Keyframe, before: int | None) -> int:
        place = self.place
        if before is None:
            newest = place.add(frame, self._start @ self._odom)
            self._hang(newest)
            return newest
        motion, unit = self._since, float(place.log_scale[before])
        grown = scaled(motion, np.exp(unit))
        newest = place.add(frame, orthonormal(place.poses[before] @ grown), unit)
        length = float(np.linalg.norm(motion[:3, 3]))
        floor = np.hypot(_FLOOR, np.repeat((_SHARE * length, 0.0), 3))
        covariance = self._spread + np.diag(np.square(floor))
        edge = self._edge(before, newest, motion, 0.0, covariance)
        place.connect(edge)
        self._certainty.step(place, edge)
        return newest

    def _hang(self, newest: int) -> None:
        """Tie the first keyframe of a session to the rest of the map."""
        place, tie = self.place, self._tie
        self._certainty.begin(np.zeros((6, 6)) if tie is None else tie.covariance)
        if tie is None:
            return
        older = place.poses[tie.keyframe]
        unit = float(place.log_scale[tie.keyframe])
        motion = scaled(inverse(older) @ place.poses[newest], np.exp(-unit))
        into = np.kron(np.diag((np.exp(-unit), 1.0)), older[:3, :3].T)
        covariance = into @ tie.covariance @ into.T
        place.connect(self._edge(tie.keyframe, newest, motion, -unit, covariance))

    def _edge(
        self, older: int, newer: int, motion: Matrix, log_scale: float, covariance: Matrix
    ) -> Edge:
        whole = np.zeros((7, 7))
        whole[:6, :6] = covariance
        whole[6, 6] = (_SCALE_DRIFT if self.place.scaled else _FIRM) ** 2
        return Edge(
            older=older,
            newer=newer,
            motion=motion,
            log_scale=log_scale,
            covariance=whole,
            loop=False,
        )

    def _hear(self) -> None:
        """Take note of what solutions say of how certain keyframes are."""
        heard, solved = self._heard, self.closing.solved
        self._heard = solved
        if solved is None or solved is heard:
            return
        if self.place.keyframes[solved[0]].session == self._session:
            self._certainty.know(self.place, *solved)

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
