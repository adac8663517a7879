"""A bag as a recording: its pictures, and where the camera was when they were taken."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import numpy.typing as npt

from dlcv.data.bags import Bag
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.truth import TruthOptions, find_truth
from dlcv.geometry.trajectory import NEAR_NS, pose_at
from dlcv.interface.messages import MessageError, baseline, stamp_ns
from dlcv.types import Camera, FloatArray, Frame, Snapshot, Trajectory

T = TypeVar('T')
APART_NS = 20_000_000  # greatest distance in time of a picture and its depth


@dataclass(frozen=True, kw_only=True, slots=True)
class BagOptions:
    """What a bag does not say itself.

    Attributes:
        image_topic: Of the pictures; empty for the only camera.
        camera_info_topic: Its calibration; empty for the one beside it.
        rectified: Whether the pictures are rectified already, see `is_rectified`.
        truth: Where the poses are, see `TruthOptions.source`; empty for the only topic of poses.
        truth_frame: Frame that the poses place, see `TruthOptions.frame`.
        depth_topic: Of the depth of the pictures' pixels, 32FC1 in metres or 16UC1 in millimetres;
            empty for none.
        right_topic: Of the right camera's pictures, rectified; empty for none.
        posed: Whether poses are looked for.
        base_frame: Body frame.
        extrinsics: How the camera sits on the frame that the poses place, see `read_extrinsics`;
            empty for what the bag says.
        time_offset: Seconds to add to the times of the poses.
        max_gap: Seconds between two poses beyond which none is taken between them.
        tolerance: Seconds by which the times of a single pose and of a picture may differ.
    """

    image_topic: str = ''
    camera_info_topic: str = ''
    rectified: str = 'auto'
    truth: str = ''
    truth_frame: str = ''
    depth_topic: str = ''
    right_topic: str = ''
    posed: bool = True
    base_frame: str = 'base_link'
    extrinsics: str = ''
    time_offset: float = 0.0
    max_gap: float = 0.2
    tolerance: float = NEAR_NS / 1e9

    def __post_init__(self) -> None:
        _ = self.truth_options  # says what is wrong about them

    @property
    def truth_options(self) -> TruthOptions:
        """What of these is about the truth."""
        return TruthOptions(
            source=self.truth,
            frame=self.truth_frame,
            base_frame=self.base_frame,
            extrinsics=self.extrinsics,
            time_offset=self.time_offset,
            max_gap=self.max_gap,
            tolerance=self.tolerance,
        )

    @property
    def truth_is_moved(self) -> bool:
        """Whether the truth is not simply the camera's own poses by the pictures' clock."""
        return bool(self.extrinsics or self.time_offset or self.truth_frame)

    @property
    def topics(self) -> list[str]:
        """The topics that are named."""
        names = (self.image_topic, self.camera_info_topic, self.depth_topic, self.right_topic)
        return [name for name in names if name]


class BagRecording:
    """The pictures of one camera of a bag, in the order of the bag, with the poses it knows.

    Attributes:
        path: The bag.
        trajectory: ``world_from_camera`` over time; None where the bag has no poses and none were
            asked for.
        notes: What is to be said of these poses, such as how many were left out.
        frame_id: Name of the camera's optical frame.
        baseline: Distance of the right camera in metres; 0 where none was named.

    Raises:
        RecordingError: See `RecordingError`.
        BagError: The bag cannot be read; several topics fit and none is named.
    """

    def __init__(self, path: Path | str, options: BagOptions | None = None) -> None:
        self.path = Path(path)
        self._options = options or BagOptions()
        self.notes: tuple[str, ...] = ()
        with Bag(self.path) as bag:
            self._image_topic = self._options.image_topic or bag.find_images()
            self._count = bag.topic(self._image_topic).count
            first = next(self._frames(bag), None)
            if first is None:
                raise RecordingError(f'{self.path}: {self._image_topic} has no pictures')
            self._camera, self.frame_id = first.camera, first.frame_id
            self.trajectory = self._trajectory(bag) if self._options.posed else None
            self.baseline = self._baseline(bag) if self._options.right_topic else 0.0

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

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Snapshot]:
        gap, near = (round(1e9 * s) for s in (self._options.max_gap, self._options.tolerance))
        with Bag(self.path) as bag:
            depths = Beside(bag, self._options.depth_topic)
            rights = _Matched(self._right(bag))
            for frame in self._frames(bag):
                known = self.trajectory
                pose = None if known is None else pose_at(known, frame.stamp_ns, gap, near)
                depth = depths.at(frame.stamp_ns)
                yield Snapshot(
                    frame=frame,
                    world_from_camera=pose,
                    depth=depth,
                    right=rights.at(frame.stamp_ns),
                )

    def _frames(self, bag: Bag) -> Iterator[Frame]:
        return bag.frames(
            self._image_topic,
            self._options.camera_info_topic or None,
            rectified=self._options.rectified,
        )

    def _right(self, bag: Bag) -> Iterator[tuple[int, Frame]]:
        topic = self._options.right_topic
        found = bag.frames(topic, rectified='always') if topic else iter(())
        return ((frame.stamp_ns, frame) for frame in found)

    def _baseline(self, bag: Bag) -> float:
        topic = bag.find_camera_info(self._options.right_topic)
        info = next((info for _, info in bag.read([topic])), None) if topic else None
        if info is None:
            raise RecordingError(f'{self.path}: no CameraInfo beside {self._options.right_topic}')
        try:
            return baseline(info)
        except MessageError as err:
            raise RecordingError(f'{self.path}: {topic}: {err}') from None

    def _trajectory(self, bag: Bag) -> Trajectory | None:
        """Return the camera's way by what the bag or a file says of some body's way."""
        truth = find_truth(
            bag, self._options.truth_options, self.frame_id, lambda: self._stamps(bag)
        )
        if truth is None:
            return None
        self.notes = truth.notes
        return truth.world_from_camera

    def _stamps(self, bag: Bag) -> npt.NDArray[np.int64]:
        pictures = (message for _, message in bag.read([self._image_topic]))
        return np.array([stamp_ns(message.header.stamp) for message in pictures], np.int64)


class _Matched(Generic[T]):
    """What belongs to pictures, by times that need not be quite the same.

    Args:
        rest: Times in nanoseconds, ascending, and what is of them.
    """

    def __init__(self, rest: Iterator[tuple[int, T]]) -> None:
        self._rest = rest
        self._waiting: deque[tuple[int, T]] = deque()

    def at(self, stamp_ns: int) -> T | None:
        """Return the values at a time, None where there are none; times must not decrease."""
        while not self._waiting or self._waiting[-1][0] <= stamp_ns + APART_NS:
            if (found := next(self._rest, None)) is None:
                break
            self._waiting.append(found)
        while self._waiting and self._waiting[0][0] < stamp_ns - APART_NS:
            self._waiting.popleft()
        near = min(self._waiting, key=lambda one: abs(one[0] - stamp_ns), default=None)
        return near[1] if near is not None and abs(near[0] - stamp_ns) <= APART_NS else None


class Beside(_Matched[FloatArray]):
    """Images of numbers on a topic of a bag, such as depth, read as far as they are asked for.

    Args:
        bag: The open bag.
        topic: Empty for none.
    """

    def __init__(self, bag: Bag, topic: str) -> None:
        super().__init__(bag.arrays(topic) if topic else iter(()))
