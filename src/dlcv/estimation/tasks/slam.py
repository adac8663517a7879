"""SLAM: images with their odometry in; a map, and where the body is in it, out."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from dlcv.estimation.body import flattened, on_body, swung
from dlcv.estimation.slam.anchor import Correction
from dlcv.estimation.slam.files import PlaceError
from dlcv.estimation.slam.online import Online
from dlcv.estimation.slam.places import Describer, HashedVlad
from dlcv.estimation.slam.views import strongest, view_of
from dlcv.estimation.tasks.aids import AidReader, of_use
from dlcv.estimation.tasks.base import Estimator, Host, Level, Task, Verdict, settings
from dlcv.estimation.tasks.odometry_topic import OdometryReader, Told
from dlcv.estimation.tasks.slam_map import SlamMap
from dlcv.geometry.frames import Mount, TransformBuffer, inverse
from dlcv.interface import messages
from dlcv.interface.messages import Composer
from dlcv.interface.nodes import SLAM, Topic
from dlcv.interface.slam_parameters import SlamParameters
from dlcv.types import Aids, Frame

POSE, PATH, LANDMARKS, GRAPH, GRID, INFO, TF = (
    '~/pose', '~/path', '~/landmarks', '~/graph', 'map', '~/info', '/tf',
)  # fmt: skip
PATH_NS, LANDMARKS_NS, GRAPH_NS = 10**9, 2 * 10**9, 10**9  # between two messages

Matrix = npt.NDArray[np.float64]
_POINT = np.dtype([(name, '<f4') for name in 'xyz'])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Placed:
    """Where the body is in the map.

    Attributes:
        map_from_odom: ``(4, 4)`` as it is published.
        map_from_base: ``(4, 4)``.
        covariance: ``(6, 6)`` of that in the map's axes.
        known: Whether the map says so; else it is what was known last.
    """

    map_from_odom: Matrix
    map_from_base: Matrix
    covariance: Matrix
    known: bool


class SlamTask(Task[SlamParameters, Placed]):
    """Shows pictures to a map, and says where the body is in it.

    Attributes:
        frames: Where the camera sits; whoever runs the task fills it.
        correction: How ``map_from_odom`` is published.
        odom_frame: The child of that, as odometry calls it.
    """

    spec = SLAM

    def __init__(self, host: Host, compose: Composer) -> None:
        super().__init__(host, compose)
        self.frames = TransformBuffer()
        self.correction = Correction()
        self.odom_frame = ''
        self.describer: Describer = HashedVlad()
        self._mount = Mount(self.frames, host.warn)
        self._odometry = OdometryReader(self.beside)
        self._reader = AidReader(
            self.beside, self.frames, self._mount, lambda: self.parameters, host.complain
        )
        self._map: SlamMap | None = None
        self._told: Told | None = None
        self._wanted, self._aids = False, Aids()
        self._seat: Matrix = np.eye(4)
        self._last_ns: int | None = None
        self._sent: dict[str, int] = {}
        self._jumps = 0

    # the map ------------------------------------------------------------------------------------

    @property
    def map(self) -> SlamMap:
        """The map, between configure and the end.

        Raises:
            PlaceError: There is none.
        """
        if self._map is None:
            raise PlaceError('the node is not configured')
        return self._map

    @property
    def online(self) -> Online:
        """What makes or uses it; raises as `map`."""
        return self.map.online

    @property
    def unsaved(self) -> bool:
        """Whether there is a file for what was mapped since it was written."""
        return self._map is not None and self._map.unsaved

    def load(self, device: str, precision: str) -> Estimator:
        """Build the estimator of keypoints."""
        from dlcv.estimation.load import load_features
        from dlcv.estimation.superpoint import FeatureSettings

        return load_features(
            settings=settings(FeatureSettings, self.parameters), **self.loading(device, precision)
        )

    def configure(self) -> None:
        """Read the map, or begin one.

        Raises:
            PlaceError: The map cannot be read, or is of no use.
        """
        self.close()
        self._map = SlamMap(lambda: self.parameters, self.describer, self.host.warn)
        self.correction.clear()

    def close(self) -> None:
        """Give the map back."""
        if self._map is not None:
            self._map.close()
        self._map = None

    def save(self) -> str:
        """See `SlamMap.save`."""
        return self.map.save()

    def open(self) -> str:
        """See `SlamMap.open`."""
        said = self.map.open()
        self.correction.clear()
        return said

    def renew(self) -> None:
        """See `SlamMap.renew`."""
        self.map.renew()
        self.correction.clear()

    # pictures -----------------------------------------------------------------------------------

    def listens(self, topic: Topic) -> bool:
        """Whether an input beside the images is of use under the present parameters."""
        return of_use(topic, self.parameters)

    def due(self, stamp_ns: int) -> bool:
        """Every image: a map is not made by looking away."""
        return True

    def gather(self, frame: Frame) -> None:
        """Wait for the image's odometry, and if the map wants it for what is measured beside it."""
        p = self.parameters
        self._wanted, self._aids = False, Aids()
        self._told = self._told_of(frame)
        told, last = self._told, self._last_ns
        if told is None:
            return
        self.odom_frame = told.odom or p.odom_frame
        self._seat = self._mount.base_from_camera(
            told.base or p.base_frame, p.camera_frame or frame.frame_id, frame.stamp_ns
        )
        back = inverse(self._seat)
        _, spread = on_body(np.eye(4), told.spread, back)
        self._wanted = self.online.step(
            frame.stamp_ns, told.odom_from_base @ self._seat, spread, broken=told.broken
        )
        if self._wanted:
            self._aids = self._reader.read(frame, last)
        self._last_ns = frame.stamp_ns

    def infer(self, frame: Frame) -> Placed | None:
        """Show the image to the map if it wants it; None where the body is not known to be."""
        if self._told is None:
            self.host.judge(Verdict(Level.WARN, 'there is no odometry of the images'))
            return None
        if self._wanted:
            self._show(frame)
        return self._placed(frame, self._told)

    def tell(self, frame: Frame) -> None:
        """Send what is listened to of the map and of what became of the image."""
        make, online, stamp = self.compose, self.online, frame.stamp_ns
        in_map = make.header(stamp, self.parameters.map_frame)
        if self.wanted(INFO):
            told = self._described(stamp)
            level = Level.OK if told['state'] != 'lost' else Level.WARN
            text = ': '.join(filter(None, (told['state'], told['reason'])))
            self.send(INFO, make.diagnostic_status(level, self.spec.doc, text, told))
        if self.wanted(PATH) and self._period(PATH, stamp, PATH_NS):
            way = online.path()
            poses = way.world_from_body @ inverse(self._seat)
            self.send(PATH, make.path(in_map, [
                make.pose_stamped(make.header(int(at), self.parameters.map_frame), pose)
                for at, pose in zip(way.stamps_ns, poses, strict=True)
            ]))  # fmt: skip
        if self.wanted(LANDMARKS) and self._period(LANDMARKS, stamp, LANDMARKS_NS):
            known = online.landmarks()
            points = np.empty(len(known), _POINT)
            points['x'], points['y'], points['z'] = known.T
            self.send(LANDMARKS, make.cloud(in_map, points))
        if self.wanted(GRAPH) and self._period(GRAPH, stamp, GRAPH_NS):
            self.send(GRAPH, messages.graph_markers(make, in_map, *online.graph()))
        every = round(1e9 * self.parameters.grid_period)
        if self.wanted(GRID) and self._period(GRID, stamp, every):
            found = self.map.grid()
            if found is not None:
                grid = make.occupancy_grid(in_map, found.values, found.resolution, found.origin)
                self.send(GRID, grid)

    def publish(self, frame: Frame, header: Any, result: Placed) -> None:
        """Send where the body is, and where odometry began."""
        p, make = self.parameters, self.compose
        in_map = make.header_in(p.map_frame, header.stamp)
        if result.known:
            pose = make.pose_with_covariance(in_map, result.map_from_base, result.covariance)
            self.send(POSE, pose)
        if p.publish_tf and self.wanted(TF):
            self.send(TF, make.tf(make.transform(in_map, self.odom_frame, result.map_from_odom)))

    def reset(self) -> None:
        """Take note that time, and odometry with it, begins anew; the map stays."""
        self._told, self._last_ns = None, None
        self._sent.clear()
        self._odometry.clear()
        self.correction.clear()
        if self._map is not None:
            self._map.online.forget_odometry()
        self.host.judge(None)

    def interrupt(self) -> None:
        """Nothing to do: the map has what it has."""

    def values(self) -> dict[str, str]:
        """Return what the map is, and what became of what was measured beside the images."""
        known = {} if self._map is None else self._counts()
        return {**known, **super().values()}

    # --------------------------------------------------------------------------------------------

    def _told_of(self, frame: Frame) -> Told | None:
        p = self.parameters
        try:
            until = monotonic() + p.odometry_patience
            return self._odometry.read(frame.stamp_ns, p.odometry_gap, until)
        except messages.MessageError as err:
            self.host.complain(f'odometry is not used: {err}')
            return None

    def _show(self, frame: Frame) -> None:
        p, aids = self.parameters, self._aids
        keypoints = aids.keypoints
        if keypoints is None and p.keypoints != 'topic':
            keypoints = self.estimator.push(frame)
        if keypoints is None:
            return
        keypoints = strongest(keypoints, p.max_keypoints, aids.mask)
        self.map.show(view_of(frame, keypoints, aids, self.describer), aids)

    def _placed(self, frame: Frame, told: Told) -> Placed | None:
        online, p = self.online, self.parameters
        state, target = online.state, online.map_from_odom
        reason = online.reason
        self.host.judge(Verdict(Level.WARN, f'lost: {reason}') if state == 'lost' else None)
        if target is None:
            return None
        if p.two_d_mode:
            target = flattened(target)
        found = online.jumps != self._jumps
        self._jumps = online.jumps
        seconds = 0.0 if found else p.correction_time
        self.correction.to(target, told.odom_from_base, frame.stamp_ns, round(1e9 * seconds))
        shown = self.correction.at(frame.stamp_ns)
        assert shown is not None
        lever = (target @ told.odom_from_base)[:3, :3] @ -self._seat[:3, 3]
        return Placed(
            map_from_odom=shown,
            map_from_base=target @ told.odom_from_base,
            covariance=swung(online.covariance, lever),
            known=state != 'lost',
        )

    def _period(self, name: str, stamp_ns: int, every_ns: int) -> bool:
        last = self._sent.get(name)
        if last is not None and 0 <= stamp_ns - last < every_ns:
            return False
        self._sent[name] = stamp_ns
        return True

    def _counts(self) -> dict[str, str]:
        online = self.online
        refused = online.refusals()
        return {
            'state': online.state,
            'keyframes': str(len(online.place)),
            'loops': str(len(online.place.loops)),
            'jumps': str(online.jumps),
            'refused': '; '.join(f'{count} {why}' for why, count in refused.items()),
        }

    def _described(self, stamp_ns: int) -> dict[str, str]:
        counts = self._counts()
        state = counts.pop('state')
        reason = self.online.reason if self._told else 'there is no odometry of the image'
        return {
            'stamp': f'{stamp_ns // 10**9}.{stamp_ns % 10**9:09d}',
            'state': state if self._told else 'lost',
            'reason': reason,
            'wanted': str(self._wanted).lower(),
            **counts,
            'used': ' '.join(self._reader.used) if self._wanted else '',
        }
