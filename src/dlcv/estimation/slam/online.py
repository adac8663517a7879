"""A map that is made, or used, while pictures come in.

`Online.step` says where odometry has a picture, and is told whether it is wanted; then
`Online.show` brings what it shows. Loops are solved in a thread beside the pictures. However long
it goes on, memory and the time of a step stay bounded.
"""

from __future__ import annotations

import threading
from collections import Counter, deque
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np
import numpy.typing as npt

from dlcv.estimation.slam.anchor import Anchor, Fix
from dlcv.estimation.slam.cloud import Cloud
from dlcv.estimation.slam.locate import Localizer
from dlcv.estimation.slam.mapping import Mapper, Tie, View
from dlcv.estimation.slam.online_settings import OnlineSettings
from dlcv.estimation.slam.place import Edge, PlaceMap
from dlcv.estimation.slam.stable import StableNumbers
from dlcv.geometry.frames import inverse
from dlcv.types import FloatArray, Keypoints, Trajectory

Matrix = npt.NDArray[np.float64]
State = Literal['mapping', 'paused', 'localizing', 'lost']

_EAGER = 5.0  # Hz of fixes while nobody knows where the robot is
_LEAP = 0.5  # m that odometry may be off in a step beyond what the speed allows
_ANYWHERE = np.repeat((30.0, 1.0), 3)  # m and rad by which a robot may be elsewhere after a break
_CRUMB_NS = 500_000_000  # between two poses of the way while nothing is mapped
_CRUMBS = 2000


class Online:
    """A map and where the robot is in it; every method may be called in any thread.

    Args:
        settings: May be replaced between two pictures.
        place: The map; an empty one is begun.
        localize_only: Change nothing of it.

    Attributes:
        reason: What became of the last picture that was shown, in words for a person.
    """

    def __init__(
        self, settings: OnlineSettings, place: PlaceMap, *, localize_only: bool = False
    ) -> None:
        self.settings = settings
        self._lock = threading.RLock()
        self._beside = None if settings.lockstep else ThreadPoolExecutor(1, 'loops')
        self.renew(place, localize_only=localize_only)

    def renew(self, place: PlaceMap, *, localize_only: bool = False) -> None:
        """Go on with another map, of which nobody knows where the robot is in it.

        Raises:
            ValueError: Nothing can be found in a map that is empty.
        """
        if localize_only and not len(place):
            raise ValueError('there is no map to be localized in')
        with self._lock:
            self.place = place
            self._refused: Counter[str] = Counter()
            self.reason = ''
            self.paused, self.localize_only = False, localize_only
            self._mapper = Mapper(
                self.settings.keyframes, place, beside=self._beside, whole_way=False
            )
            self._first = place.sessions  # of this run
            self._cloud = Cloud(place)
            self._numbers = StableNumbers(place)
            self._localizer = Localizer(place, self.settings.found)
            self._anchor = Anchor(self.settings.anchor)
            self._mapping, self._unsure = not len(place), False  # the latter: by a guess
            self._last: tuple[int, Matrix] | None = None
            self._forgotten, self._vain = False, 0  # the latter: fixes that were tried in vain
            self._tried_ns: int | None = None
            self._crumbs: deque[tuple[int, Matrix]] = deque(maxlen=_CRUMBS)
            self.version = 0  # of where keyframes are

    def close(self) -> None:
        """Let the thread end."""
        if self._beside is not None:
            self._beside.shutdown(cancel_futures=True)

    def step(
        self,
        stamp_ns: int,
        odom_from_camera: FloatArray,
        covariance: FloatArray,
        *,
        broken: bool = False,
    ) -> bool:
        """Take note of where odometry has a picture; return whether what it shows is wanted.

        Args:
            stamp_ns: Its time.
            odom_from_camera: ``(4, 4)`` metres.
            covariance: ``(6, 6)`` of the motion since the last picture that was told, in that one's
                axes.
            broken: Whether odometry was lost in between.
        """
        pose = np.asarray(odom_from_camera, np.float64)
        with self._lock:
            self._settle()
            if self._last is not None:
                jumped = self._jumped(stamp_ns, pose)
                if broken or jumped or self._forgotten:
                    self._break_off(pose, jumped=jumped)
            self._last, self._forgotten = (stamp_ns, pose), False
            if self._mapping:
                return self._mapper.step(stamp_ns, pose, covariance) and not self.paused
            self._anchor.move(pose, covariance)
            self._drop_crumb(stamp_ns)
            if self._anchor.tie is not None and not (self.localize_only or self.paused):
                return self._begin_mapping(stamp_ns, pose)
            rate = self.settings.rate if self._anchor.sure else max(_EAGER, self.settings.rate)
            tried = self._tried_ns
            return tried is None or not 0 <= stamp_ns - tried < 0.95e9 / rate

    def show(self, view: View) -> None:
        """Take what the picture shows that was told last: as a keyframe, or for a fix."""
        with self._lock:
            assert self._last is not None
            if not self._mapping:
                self._locate(view)
                return
            mapper = self._mapper
            mapper.closing.reason = ''
            closed = mapper.keep(view)
            outlook, newest = mapper.outlook, self.place.keyframes[-1]
            self._cloud.add(outlook.names, outlook.landmarks, newest.landmark)
            self._numbers.add()
            self._told(closed)
            self._leave_out()

    @property
    def state(self) -> State:
        """What it does; ``lost`` where the map does not say where the robot is."""
        with self._lock:
            if self._mapping:
                if self._unsure:
                    return 'lost'
                return 'paused' if self.paused else 'mapping'
            fixed, last = self._anchor.fixed_ns, self._last
            if not self._anchor.sure or last is None:
                return 'lost'
            late = fixed is not None and last[0] - fixed > 1e9 * self.settings.lost_after
            return 'lost' if late else 'localizing'

    @property
    def map_from_odom(self) -> Matrix | None:
        """``(4, 4)``, by the last that was known; None before anything was."""
        with self._lock:
            if self._mapping:
                return self._mapper.map_from_odom
            return self._anchor.map_from_odom

    @property
    def covariance(self) -> Matrix:
        """``(6, 6)`` of where the last picture is, in the map's axes."""
        with self._lock:
            return self._mapper.covariance if self._mapping else self._anchor.covariance

    @property
    def jumps(self) -> int:
        """See `Anchor.jumps`."""
        return self._anchor.jumps

    def perch(self) -> tuple[int, Matrix] | None:
        """Return on which keyframe the last picture hangs; None where nobody knows where it is.

        Returns:
            A number that stays with the keyframe, and ``(4, 4)`` keyframe_from_camera.
        """
        with self._lock:
            known = self.map_from_odom
            keyframe = len(self.place) - 1 if self._mapping else self._anchor.keyframe
            if self._last is None or known is None or keyframe < 0 or self.state == 'lost':
                return None
            there = inverse(self.place.poses[keyframe]) @ known @ self._last[1]
            return self._numbers.of(keyframe), there

    def poses(self) -> Matrix:
        """Return ``(N, 4, 4)`` map_from_keyframe by the numbers of `perch`."""
        with self._lock:
            return self._numbers.poses(self.place.poses)

    def path(self) -> Trajectory:
        """Return the way of this run, by the map as it is now: its keyframes, or its fixes."""
        with self._lock:
            own = [k for k, one in enumerate(self.place.keyframes) if one.session >= self._first]
            stamps = [stamp for stamp, _ in self._crumbs]
            poses = [pose for _, pose in self._crumbs]
            stamps += [self.place.keyframes[k].stamp_ns for k in own]
            poses += [self.place.poses[k] for k in own]
            order = np.argsort(stamps, kind='stable')
            return Trajectory(
                stamps_ns=np.array(stamps, np.int64)[order],
                world_from_body=np.array(poses).reshape(-1, 4, 4)[order],
                frame_id=self.place.frame,
            )

    def graph(self) -> tuple[Matrix, dict[str, npt.NDArray[np.int64]]]:
        """Return ``(K, 3)`` where keyframes are, and of each kind of edge the ends ``(E, 2)``."""
        with self._lock:
            return self.place.poses[:, :3, 3].copy(), self.place.links()

    def refusals(self) -> dict[str, int]:
        """Return why fixes and loops were not believed -> how often."""
        return dict(self._refused + self._mapper.refused)

    def landmarks(self) -> npt.NDArray[np.float32]:
        """Return ``(L, 3)`` where landmarks are in the map, metres."""
        with self._lock:
            return self._cloud.points(self.place)

    def snapshot(self) -> PlaceMap:
        """Return the map as it is now, for another thread to look at."""
        with self._lock:
            return self.place.copied()

    def pause(self, paused: bool) -> None:
        """Map nothing for a while, or go on."""
        with self._lock:
            self.paused = paused

    def localize(self, only: bool) -> None:
        """Change nothing of the map from now on, or go on mapping.

        Raises:
            ValueError: Nothing can be found in a map that is empty.
        """
        with self._lock:
            if only and not len(self.place):
                raise ValueError('there is no map to be localized in')
            self.localize_only = only
            if not (only and self._mapping):
                return
            if self._last is not None:
                stamp, pose = self._last
                self._anchor.put(self._mapper.map_from_odom @ pose, self._mapper.covariance, pose)
                self._anchor.fixed_ns, self._anchor.keyframe = stamp, len(self.place) - 1
                self._anchor.sure = not self._unsure
            self._mapping = self._unsure = False

    def forget_odometry(self) -> None:
        """Take note that odometry, and time with it, begins anew."""
        with self._lock:
            self._forgotten, self._tried_ns = True, None
            self._crumbs.clear()

    def _jumped(self, stamp_ns: int, pose: Matrix) -> bool:
        before, last = self._last or (stamp_ns, pose)
        way = float(np.linalg.norm(pose[:3, 3] - last[:3, 3]))
        return way > self.settings.max_speed * abs(stamp_ns - before) / 1e9 + _LEAP

    def _break_off(self, pose: Matrix, *, jumped: bool) -> None:
        """Go on after odometry was lost: from where it goes on, or if it jumped from the place."""
        assert self._last is not None
        if not self._mapping:
            known = self._anchor.map_from_camera
            if known is not None and not jumped:
                self._anchor.move(pose, np.diag(np.square(_ANYWHERE)))
            self._anchor.doubt(pose)
            self.reason = 'odometry was lost'
            return
        if not len(self.place):
            return
        mapper = self._mapper
        before = mapper.map_from_odom @ self._last[1]
        anchor = before @ inverse(pose) if jumped else mapper.map_from_odom
        covariance = mapper.covariance + np.diag(np.square(_ANYWHERE))
        mapper.begin(anchor, Tie(keyframe=len(self.place) - 1, covariance=covariance))
        self._unsure = True
        self.reason = 'odometry was lost, and where it goes on is a guess until a place is known'

    def _begin_mapping(self, stamp_ns: int, pose: Matrix) -> bool:
        self._mapper.begin(self._anchor.map_from_odom, self._anchor.tie)
        self._mapping = True
        return self._mapper.step(stamp_ns, pose, np.zeros((6, 6)))

    def _locate(self, view: View) -> None:
        assert self._last is not None
        stamp, pose = self._last
        self._tried_ns = stamp
        keypoints = Keypoints(
            stamp_ns=stamp,
            xy=view.xy,
            scores=np.ones(len(view.xy), np.float32),
            descriptors=view.descriptors,
        )
        # now and then those less like it are tried: who stands still sees the same again
        skip = self.settings.found.candidates * (self._vain // 3 + 1) * (self._vain % 3 == 2)
        near = self._anchor.guesses
        found = self._localizer.locate(keypoints, view.camera, view.place, near, skip)
        if found.map_from_camera is None or found.covariance is None:
            self._vain = 0 if skip * self.settings.found.near > len(self.place) else self._vain + 1
            self.reason = found.reason
            self._refused['the picture was not found in the map'] += 1
            return
        fix = Fix(
            stamp_ns=stamp,
            map_from_camera=found.map_from_camera,
            covariance=found.covariance,
            keyframe=found.keyframe,
        )
        doubt = self._anchor.take(fix)
        self.reason = doubt or found.reason
        if doubt:
            self._refused['other fixes are waited for'] += 1
        elif not (self.localize_only or self.paused) and self._anchor.tie is not None:
            self._begin_mapping(stamp, pose)
            self.show(view)

    def _settle(self) -> None:
        """Take what was solved beside the pictures."""
        running = self._mapper.closing.busy
        closed = self._mapper.closing.settle()
        if running:
            self._told(closed)
            self._leave_out()

    def _leave_out(self) -> None:
        before = self.place.poses
        gone = self._mapper.leave_out(self.settings.max_keyframes)
        if len(gone):
            self._cloud.leave_out(gone)
            self._numbers.leave_out(gone, before)
            self.version += 1

    def _told(self, closed: list[Edge]) -> None:
        """Take note of loops that were closed."""
        closing, frames = self._mapper.closing, self.place.keyframes
        self.reason = closing.reason or self.reason
        self.version += bool(closed)
        if any(frames[edge.older].session != frames[edge.newer].session for edge in closed):
            self._unsure = False

    def _drop_crumb(self, stamp_ns: int) -> None:
        known = self._anchor.map_from_camera
        if known is None or not self._anchor.sure:
            return
        if not self._crumbs or stamp_ns - self._crumbs[-1][0] >= _CRUMB_NS:
            self._crumbs.append((stamp_ns, known))
