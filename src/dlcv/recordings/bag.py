"""A bag as a recording: its pictures, and where the camera was when they were taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from dlcv.bags import Bag, BagError
from dlcv.geometry.trajectory import pose_at
from dlcv.types import Camera, FloatArray, Frame, Snapshot, Trajectory

_APART_NS = 20_000_000  # greatest distance in time of a picture and its depth

CAMERA = 'camera'
"""What `BagOptions.truth_frame` is where the poses are those of the camera itself."""


class RecordingError(ValueError):
    """A bag lacks something that is needed; the message says what there is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BagOptions:
    """What a bag does not say itself.

    Attributes:
        image_topic: Of the pictures; empty for the only camera.
        camera_info_topic: Its calibration; empty for the one beside it.
        truth: Topic of the poses (Odometry, PoseStamped, PoseWithCovarianceStamped, Path), or a
            file of ``timestamp tx ty tz qx qy qz qw`` lines; empty for the only topic of poses.
        truth_frame: Frame that the poses place: ``camera`` for the camera itself; empty for the
            messages' child frame where the bag says how the camera sits on it, else ``base_frame``.
        depth_topic: Of the depth of the pictures' pixels, 32FC1 in metres or 16UC1 in millimetres;
            empty for none.
        base_frame: Body frame.
        time_offset: Seconds to add to the times of the poses.
        max_gap: Seconds between two poses beyond which none is taken between them.
    """

    image_topic: str = ''
    camera_info_topic: str = ''
    truth: str = ''
    truth_frame: str = ''
    depth_topic: str = ''
    base_frame: str = 'base_link'
    time_offset: float = 0.0
    max_gap: float = 0.2

    def __post_init__(self) -> None:
        if not self.max_gap > 0:
            raise RecordingError(f'the greatest gap must be positive, got {self.max_gap} s')

    @property
    def topics(self) -> list[str]:
        """The topics that are named."""
        names = (self.image_topic, self.camera_info_topic, self.depth_topic)
        return [name for name in names if name]


class BagRecording:
    """The pictures of one camera of a bag, in the order of the bag, with the poses it knows.

    Attributes:
        path: The bag.
        trajectory: ``world_from_camera`` over time; None where the bag has no poses and none were
            asked for.
        frame_id: Name of the camera's optical frame.

    Raises:
        RecordingError: See `RecordingError`.
        BagError: The bag cannot be read; several topics fit and none is named.
    """

    def __init__(self, path: Path | str, options: BagOptions | None = None) -> None:
        self.path = Path(path)
        self._options = options or BagOptions()
        with Bag(self.path) as bag:
            self._image_topic = self._options.image_topic or bag.find_images()
            self._count = bag.topic(self._image_topic).count
            first = next(self._frames(bag), None)
            if first is None:
                raise RecordingError(f'{self.path}: {self._image_topic} has no pictures')
            self._camera, self.frame_id = first.camera, first.frame_id
            self.trajectory = self._trajectory(bag)

    @property
    def name(self) -> str:
        """The bag's name."""
        return self.path.stem

    @property
    def camera(self) -> Camera:
        """Intrinsics of the camera.

        Raises:
            RecordingError: They are not in the bag.
        """
        if self._camera is None:
            raise RecordingError(
                f'{self.path}: no CameraInfo for {self._image_topic}, or one without calibration'
            )
        return self._camera

    @property
    def baseline(self) -> float:
        """0: the second camera of a stereo pair is not read."""
        return 0.0

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Snapshot]:
        gap = round(1e9 * self._options.max_gap)
        with Bag(self.path) as bag:
            depths = _Depths(bag, self._options.depth_topic)
            for frame in self._frames(bag):
                known = self.trajectory
                pose = None if known is None else pose_at(known, frame.stamp_ns, gap)
                depth = depths.at(frame.stamp_ns)
                yield Snapshot(frame=frame, world_from_camera=pose, depth=depth)

    def _frames(self, bag: Bag) -> Iterator[Frame]:
        return bag.frames(self._image_topic, self._options.camera_info_topic or None)

    def _trajectory(self, bag: Bag) -> Trajectory | None:
        """Return the camera's way by what the bag or the file says of some body's way."""
        options = self._options
        if options.truth and Path(options.truth).is_file():
            from dlcv.datasets.poses import read_tum

            found = read_tum(Path(options.truth))
        elif options.truth or bag.pose_topics():
            found = bag.trajectory(options.truth or None)
        else:
            return None
        return replace(
            found,
            stamps_ns=found.stamps_ns + round(1e9 * options.time_offset),
            world_from_body=found.world_from_body @ self._mount(bag, found.child_frame_id),
            child_frame_id=self.frame_id,
        )

    def _mount(self, bag: Bag, child_frame: str) -> FloatArray:
        """Return ``body_from_camera`` of the body whose poses are known."""
        options = self._options
        if options.truth_frame:
            return self._seat(bag, options.truth_frame)
        for body in (child_frame, options.base_frame):
            if body:
                try:
                    return self._seat(bag, body)
                except BagError:
                    continue
        raise RecordingError(
            f'{self.path}: how the camera ({self.frame_id}) sits on what the poses place '
            f'({child_frame or "no name"}) or on {options.base_frame} is not in /tf_static; name '
            f'the frame they place, or say {CAMERA!r} if they are those of the camera'
        )

    def _seat(self, bag: Bag, body: str) -> FloatArray:
        if body in (CAMERA, self.frame_id):
            return np.eye(4)
        return bag.static_transform(body, self.frame_id)


class _Depths:
    """The depth pictures of a bag, read as far as they are needed."""

    def __init__(self, bag: Bag, topic: str) -> None:
        self._rest = bag.arrays(topic) if topic else iter(())
        self._waiting: deque[tuple[int, FloatArray]] = deque()

    def at(self, stamp_ns: int) -> FloatArray | None:
        """Return the depth at a time, None where there is none; times must increase."""
        while not self._waiting or self._waiting[-1][0] <= stamp_ns + _APART_NS:
            if (found := next(self._rest, None)) is None:
                break
            self._waiting.append(found)
        while self._waiting and self._waiting[0][0] < stamp_ns - _APART_NS:
            self._waiting.popleft()
        near = min(self._waiting, key=lambda one: abs(one[0] - stamp_ns), default=None)
        return near[1] if near is not None and abs(near[0] - stamp_ns) <= _APART_NS else None
