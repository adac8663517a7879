"""Write a recording (a folder, the generated world) to a bag."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.layout import BagLayout
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPOSER, COMPRESSED_IMAGE, IMAGE, ODOMETRY, TF
from dlcv.data.bags.writer import BagWriter, Compression
from dlcv.geometry.frames import BODY_FROM_OPTICAL
from dlcv.interface.messages import MessageError
from dlcv.types import FloatArray, Frame, Recording, Snapshot

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class WriteOptions:
    """What goes into the bag.

    Attributes:
        codec: ``raw`` images, or ``jpeg`` or ``png`` on ``.../image_raw/compressed``.
        jpeg_quality: 1 to 100.
        depth: Write the true depth where it is known.
        flow: Write the true flow where it is known.
        compression: Of the file's chunks.
    """

    codec: Literal['raw', 'jpeg', 'png'] = 'raw'
    jpeg_quality: int = 95
    depth: bool = True
    flow: bool = True
    compression: Compression = 'none'

    def __post_init__(self) -> None:
        if not 1 <= self.jpeg_quality <= 100:
            raise BagError(f'the JPEG quality is 1 to 100, got {self.jpeg_quality}')


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What was written.

    Attributes:
        path: The bag.
        snapshots: Moments.
        messages: Messages on all topics.
        first_ns: Stamp of the first moment.
        last_ns: Stamp of the last moment.
        poses: Moments whose true pose is known.
        topics: Topics and their types, in the order of first use.
    """

    path: Path
    snapshots: int
    messages: int
    first_ns: int
    last_ns: int
    poses: int
    topics: tuple[tuple[str, str], ...]


def write_recording(
    recording: Recording,
    path: Path | str,
    *,
    progress: Progress | None = None,
    options: WriteOptions | None = None,
    layout: BagLayout | None = None,
    overwrite: bool = False,
) -> Written:
    """Write every snapshot of a recording: images, calibration, truth and transforms.

    Each moment is written under its own stamp, the CameraInfo before its image. Only three
    snapshots are in memory at a time. When the recording breaks off with an error, the bag is
    completed with what came before it.

    Args:
        recording: What to write; stamps must increase.
        path: ``NAME.mcap`` for a single file, else the folder to make.
        progress: Called with (snapshots written, snapshots in all) after each.
        options: Encodings and optional topics.
        layout: Topic and frame names, and where the camera sits.
        overwrite: Replace a bag that is there already.

    Raises:
        BagError: The path is taken or unwritable, the recording is empty, or stamps do not
            increase.
    """
    options, layout = options or WriteOptions(), layout or BagLayout()
    notes = {'recording': recording.name, 'writer': 'dlcv'}
    bag = BagWriter(path, compression=options.compression, overwrite=overwrite, notes=notes)
    with bag:
        sink = _Sink(bag, options, layout, recording.baseline)
        total = len(recording)
        for before, now, after in _neighbours(recording):
            try:
                sink.add(now, _velocity(before, now, after))
            except MessageError as err:
                raise BagError(f'{recording.name}: {err}') from err
            if progress is not None:
                progress(sink.snapshots, total)
    if not sink.snapshots:
        raise BagError(f'{recording.name}: a recording without pictures makes no bag')
    return sink.summary()


class _Sink:
    """Turns snapshots into messages."""

    def __init__(
        self, bag: BagWriter, options: WriteOptions, layout: BagLayout, baseline: float
    ) -> None:
        self.bag = bag
        self.options = options
        self.layout = layout
        self.baseline = baseline
        self.snapshots = 0
        self.poses = 0
        self.first_ns = 0
        self.last_ns = 0
        self.topics: dict[str, str] = {}

    def add(self, snapshot: Snapshot, velocity: tuple[FloatArray, FloatArray]) -> None:
        """Write all messages of one moment."""
        frame, layout, options = snapshot.frame, self.layout, self.options
        if self.snapshots and frame.stamp_ns <= self.last_ns:
            raise BagError(
                f'stamps must increase, but picture {self.snapshots + 1} is of {frame.stamp_ns} ns '
                f'and the one before of {self.last_ns} ns'
            )
        if not self.snapshots:
            self._add_static(frame.stamp_ns)
            self.first_ns = frame.stamp_ns
        self.last_ns = frame.stamp_ns
        self._add_pose(frame.stamp_ns, snapshot.world_from_camera, velocity)
        self._add_frame(frame, layout.camera, layout.optical_frame, 0.0)
        if snapshot.right is not None:
            self._add_frame(
                snapshot.right, layout.right_camera, layout.right_optical_frame, self.baseline
            )
        if options.depth and snapshot.depth is not None:
            self._add_depth(frame, snapshot.depth)
        if options.flow and snapshot.flow is not None:
            head = COMPOSER.header(frame.stamp_ns, layout.optical_frame)
            flow = snapshot.flow.astype('<f4', copy=False)
            self._write(layout.flow, IMAGE, frame.stamp_ns, COMPOSER.image(head, flow))
        self.snapshots += 1

    def summary(self) -> Written:
        """Tell what was written."""
        return Written(
            path=self.bag.path,
            snapshots=self.snapshots,
            messages=self.bag.messages,
            first_ns=self.first_ns,
            last_ns=self.last_ns,
            poses=self.poses,
            topics=tuple(self.topics.items()),
        )

    def _write(self, topic: str, msgtype: str, stamp_ns: int, message: object) -> None:
        if topic not in self.topics:
            self.bag.add_topic(
                topic, msgtype, qos='latched' if topic == '/tf_static' else 'reliable'
            )
            self.topics[topic] = msgtype
        self.bag.write(topic, stamp_ns, message)

    def _add_static(self, stamp_ns: int) -> None:
        names = self.layout
        mount = COMPOSER.transform(
            COMPOSER.header(stamp_ns, names.base_frame),
            names.camera_frame,
            names.base_from_camera_frame,
        )
        head = COMPOSER.header(stamp_ns, names.camera_frame)
        transforms = [mount, COMPOSER.transform(head, names.optical_frame, BODY_FROM_OPTICAL)]
        if self.baseline:
            link_from_right = BODY_FROM_OPTICAL.copy()
            link_from_right[1, 3] = -self.baseline  # to the right is -y of body axes
            transforms.append(COMPOSER.transform(head, names.right_optical_frame, link_from_right))
        self._write('/tf_static', TF, stamp_ns, COMPOSER.tf(*transforms))

    def _add_pose(
        self,
        stamp_ns: int,
        world_from_camera: FloatArray | None,
        velocity: tuple[FloatArray, FloatArray],
    ) -> None:
        if world_from_camera is None:
            return
        names = self.layout
        map_from_base = world_from_camera @ names.camera_from_base
        linear, angular = _carried(velocity, names.camera_from_base)
        head = COMPOSER.header(stamp_ns, names.map_frame)
        truth = COMPOSER.transform(head, names.truth_frame, map_from_base)
        self._write('/tf', TF, stamp_ns, COMPOSER.tf(truth))
        unknown = np.zeros((6, 6))
        odometry = COMPOSER.odometry(
            head, names.truth_frame, map_from_base, unknown, np.hstack((linear, angular)), unknown
        )
        self._write(names.odometry, ODOMETRY, stamp_ns, odometry)
        self.poses += 1

    def _add_frame(self, frame: Frame, namespace: str, frame_id: str, baseline: float) -> None:
        head = COMPOSER.header(frame.stamp_ns, frame_id)
        size = frame.height, frame.width
        info = COMPOSER.camera_info(head, frame.camera, size, baseline=baseline)
        self._write(f'{namespace}/camera_info', CAMERA_INFO, frame.stamp_ns, info)
        topic, msgtype = f'{namespace}/image_raw', IMAGE
        codec = self.options.codec
        if codec == 'raw':
            picture = COMPOSER.image(head, frame.image)
        else:
            topic, msgtype = f'{topic}/compressed', COMPRESSED_IMAGE
            quality = self.options.jpeg_quality
            picture = COMPOSER.compressed_image(head, frame.image, codec, quality)
        self._write(topic, msgtype, frame.stamp_ns, picture)

    def _add_depth(self, frame: Frame, depth: FloatArray) -> None:
        head = COMPOSER.header(frame.stamp_ns, self.layout.optical_frame)
        camera = frame.camera
        if camera is not None and depth.shape != (camera.height, camera.width):
            camera = camera.scaled(depth.shape[1], depth.shape[0])
        info = COMPOSER.camera_info(head, camera, (depth.shape[0], depth.shape[1]))
        stamp_ns = frame.stamp_ns
        self._write(self.layout.depth_camera_info, CAMERA_INFO, stamp_ns, info)
        self._write(
            self.layout.depth,
            IMAGE,
            stamp_ns,
            COMPOSER.image(head, depth.astype('<f4', copy=False)),
        )


def _neighbours(
    recording: Recording,
) -> Iterator[tuple[Snapshot | None, Snapshot, Snapshot | None]]:
    """Give each snapshot with the one before and the one after it."""
    before: Snapshot | None = None
    now: Snapshot | None = None
    source = iter(recording)
    while True:
        try:
            after = next(source, None)
        except Exception:
            if now is not None:  # the one in hand was read well: it is not lost with the next
                yield before, now, None
            raise
        if now is not None:
            yield before, now, after
        if after is None:
            return
        before, now = now, after


def _velocity(
    before: Snapshot | None, now: Snapshot, after: Snapshot | None
) -> tuple[FloatArray, FloatArray]:
    """Return the camera's velocity in its own axes, m/s and rad/s, by (central) differences."""
    known = [s for s in (before, now, after) if s is not None and s.world_from_camera is not None]
    if now.world_from_camera is None or len(known) < 2:
        return np.zeros(3), np.zeros(3)
    from scipy.spatial.transform import Rotation

    first, last = known[0].world_from_camera, known[-1].world_from_camera
    assert first is not None and last is not None
    seconds = (known[-1].frame.stamp_ns - known[0].frame.stamp_ns) * 1e-9
    if seconds <= 0:
        return np.zeros(3), np.zeros(3)
    turn = Rotation.from_matrix(first[:3, :3].T @ last[:3, :3]).as_rotvec()
    # A steady turn has the same rotation vector in the axes of every moment of it.
    linear = now.world_from_camera[:3, :3].T @ (last[:3, 3] - first[:3, 3])
    return linear / seconds, turn / seconds


def _carried(
    velocity: tuple[FloatArray, FloatArray], camera_from_base: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Carry a camera's velocity to the body it is fixed to: ``v + w x r``, in body axes."""
    linear, angular = velocity
    base_axes = camera_from_base[:3, :3].T
    return (
        base_axes @ (linear + np.cross(angular, camera_from_base[:3, 3])),
        base_axes @ angular,
    )
