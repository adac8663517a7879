"""Where the camera truly was: poses on a topic, in TF, or in a file, of whichever body."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf, isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dlcv.data.bags import Bag, BagError
from dlcv.data.bags.poses import trajectory_of
from dlcv.data.bags.reader import POSE_TYPES
from dlcv.data.bags.vocabulary import TF
from dlcv.data.recordings.clocks import clock_hint, span
from dlcv.data.recordings.errors import RecordingError
from dlcv.data.recordings.extrinsics import read_extrinsics
from dlcv.files import expanded
from dlcv.geometry.frames import TransformBuffer, TransformError, frame_name
from dlcv.geometry.trajectory import NEAR_NS, nearest, pose_at, time_order
from dlcv.interface.launch import is_output
from dlcv.types import FloatArray, Trajectory

Stamps = npt.NDArray[np.int64]

CAMERA = 'camera'
"""What `TruthOptions.frame` is where the poses are those of the camera itself."""
_BODY = 'body'  # name of what poses place where nobody names it


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TruthOptions:
    """Where the truth is, and what it does not say itself.

    Attributes:
        source: Topic of poses (Odometry, PoseStamped, PoseWithCovarianceStamped, Path);
            ``/tf:PARENT:CHILD`` for transforms, over as many as lie between the two (``/tf`` alone
            if it moves one frame only); or a file as TUM, KITTI or EuRoC write them. Empty for
            the only topic of poses that is none of our nodes'; TF is taken only when it is named.
        frame: Frame that the poses place: ``camera`` for the camera itself; empty for the messages'
            child frame where the bag says how the camera sits on it, else ``base_frame``.
        base_frame: Body frame.
        extrinsics: ``body_from_camera`` of the body that the poses place, see `read_extrinsics`;
            None or empty for what the bag's static transforms say.
        time_offset: Seconds to add to the times of the poses.
        max_gap: Seconds between two poses beyond which none is taken between them.
        tolerance: Seconds by which the times of a single pose and of a picture may differ.
    """

    source: str = ''
    frame: str = ''
    base_frame: str = 'base_link'
    extrinsics: FloatArray | str | None = None
    time_offset: float = 0.0
    max_gap: float = 0.2
    tolerance: float = NEAR_NS / 1e9

    def __post_init__(self) -> None:
        for name in ('frame', 'base_frame'):
            object.__setattr__(self, name, frame_name(getattr(self, name)))
        if not self.max_gap > 0:
            raise RecordingError(f'the greatest gap must be positive, got {self.max_gap} s')
        if not 0 <= self.tolerance < inf:
            raise RecordingError(f'the tolerance must not be negative, got {self.tolerance} s')
        if not isfinite(self.time_offset):
            raise RecordingError(f'the time offset must be finite, got {self.time_offset} s')

    @property
    def body_from_camera(self) -> FloatArray | None:
        """The extrinsics, ``(4, 4)``; None where none are given."""
        if self.extrinsics is None or (isinstance(self.extrinsics, str) and not self.extrinsics):
            return None
        return read_extrinsics(self.extrinsics)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Truth:
    """Where a body truly was, and how the camera sits on it.

    Attributes:
        source: Where it comes from, in words.
        trajectory: Poses of the body, in order of time; ``frame_id`` is their world.
        camera_frame: Name of the camera's optical frame.
        body_from_camera: ``(4, 4)`` metres.
        frames: The bag's static transforms; empty without a bag.
        max_gap_ns: Time between two poses beyond which none is taken between them.
        near_ns: Difference of the times of a single pose and of a picture that belong together.
        notes: What a reader should know: stamps that were out of order, where times were taken.
    """

    source: str
    trajectory: Trajectory
    camera_frame: str
    body_from_camera: FloatArray
    frames: TransformBuffer
    max_gap_ns: int
    near_ns: int = NEAR_NS
    notes: tuple[str, ...] = ()

    @property
    def body_frame(self) -> str:
        """Name of the body whose poses the source gives."""
        return self.trajectory.child_frame_id

    @property
    def world_from_camera(self) -> Trajectory:
        """Poses of the camera, at the times of the source."""
        return _carried(self.trajectory, self.body_from_camera, self.camera_frame)

    def of(self, frame: str) -> Trajectory:
        """Return the poses of another frame that is fixed to the camera, such as ``base_link``.

        Raises:
            RecordingError: How it sits on the camera or the body is not known.
        """
        frame = frame_name(frame)
        if frame in (CAMERA, self.camera_frame):
            return self.world_from_camera
        if frame == self.body_frame:
            return self.trajectory
        for known, there in ((self.camera_frame, self.body_from_camera), (self.body_frame, None)):
            try:
                seat = self.frames.lookup(known, frame)
            except TransformError:
                continue
            return _carried(self.trajectory, seat if there is None else there @ seat, frame)
        raise RecordingError(
            f'{self.source}: how {frame} sits on {self.body_frame} or on {self.camera_frame} is '
            'not in /tf_static'
        )

    def camera_at(self, stamp_ns: int) -> FloatArray | None:
        """Return ``world_from_camera`` ``(4, 4)`` at a time; None where it is not known."""
        return pose_at(self.world_from_camera, stamp_ns, self.max_gap_ns, self.near_ns)

    def reaches(self, stamps: Stamps) -> npt.NDArray[np.bool_]:
        """Return ``(N,)`` whether a pose is known at each time (see `pose_at`)."""
        there = self.trajectory.stamps_ns
        after = np.searchsorted(there, stamps)
        inside = (after > 0) & (after < len(there))
        before, behind = (there[np.clip(i, 0, len(there) - 1)] for i in (after - 1, after))
        between = inside & (behind - before <= self.max_gap_ns)
        near = np.abs(there[nearest(there, stamps)] - stamps) <= self.near_ns
        return np.asarray(near | between, np.bool_)


def read_truth(
    bag: Bag | None, options: TruthOptions, camera_frame: str, image_stamps: Stamps
) -> Truth | None:
    """Read the truth of pictures; it must reach one of them at least.

    Args:
        bag: The open bag with the pictures; None where they are not in one.
        options: Where the truth is.
        camera_frame: Name of the camera's optical frame.
        image_stamps: ``(N,)`` ascending times of the pictures.

    Returns:
        None where the bag has no poses and none were asked for.

    Raises:
        RecordingError: There is no such source, several topics fit and none is named, a file cannot
            be read, how the camera sits on the body is not known, or no pose belongs to a picture;
            the message says what there is.
        BagError: A message in the bag is wrong, or /tf_static lacks a frame that is named.
    """
    truth = find_truth(bag, options, camera_frame, lambda: image_stamps)
    if truth is not None and not truth.reaches(image_stamps).any():
        raise RecordingError(_no_overlap(truth, image_stamps))
    return truth


def find_truth(
    bag: Bag | None,
    options: TruthOptions,
    camera_frame: str,
    image_stamps: Callable[[], Stamps],
) -> Truth | None:
    """Read the truth, whether it reaches the pictures or not; otherwise as `read_truth`.

    Args:
        bag: The open bag with the pictures; None where they are not in one.
        options: Where the truth is.
        camera_frame: Name of the camera's optical frame.
        image_stamps: Gives the times of the pictures; asked only by a file without times.
    """
    found = _poses(bag, options.source, image_stamps)
    if found is None:
        return None
    body, body_from_camera = _mount(bag, options, found, camera_frame)
    shift = round(1e9 * options.time_offset)
    return Truth(
        source=found.source,
        trajectory=replace(
            found.trajectory, stamps_ns=found.trajectory.stamps_ns + shift, child_frame_id=body
        ),
        camera_frame=camera_frame,
        body_from_camera=body_from_camera,
        frames=TransformBuffer() if bag is None else bag.static_frames(),
        max_gap_ns=round(1e9 * options.max_gap),
        near_ns=round(1e9 * options.tolerance),
        notes=found.notes,
    )


# Where the poses come from


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Found:
    """Poses as a source gives them; ``certain`` if no other body may stand in for theirs."""

    source: str
    trajectory: Trajectory
    notes: tuple[str, ...]
    certain: bool = False


def _poses(bag: Bag | None, source: str, image_stamps: Callable[[], Stamps]) -> _Found | None:
    if source and (file := expanded(source)).is_file():
        return _of_file(file, image_stamps)
    if bag is None:
        if source:
            raise RecordingError(f'{source}: there is no such file, and topics are only in a bag')
        return None
    if source:
        return _of_topic(bag, *_topic(bag, source))
    topics = [topic for topic in bag.pose_topics() if not is_output(topic)]
    if len(topics) > 1:
        raise RecordingError(f'{bag.path}: several topics have poses, name one: {topics}')
    return _of_topic(bag, topics[0]) if topics else None


def _of_file(path: Path, image_stamps: Callable[[], Stamps]) -> _Found:
    from dlcv.data.datasets.errors import DatasetError
    from dlcv.data.datasets.trajectories import IMU, read_poses

    try:
        found = read_poses(path, image_stamps)
    except DatasetError as err:
        raise RecordingError(str(err)) from err
    return _Found(
        source=f'{path} ({found.format})',
        trajectory=found.trajectory,
        notes=found.notes,
        certain=found.trajectory.child_frame_id == IMU,
    )


def _of_topic(bag: Bag, topic: str, frame: str | None = None, child: str | None = None) -> _Found:
    edges = bag.poses(topic, frame=frame, child_frame=child)
    _, disorder = time_order(np.array([edge.stamp_ns for edge in edges], np.int64))
    return _Found(
        source=topic + (f' ({frame} -> {child})' if frame else ''),
        trajectory=trajectory_of(edges, f'{bag.path}: {topic}'),
        notes=tuple(note for note in (edges.note, disorder) if note),
    )


def _topic(bag: Bag, source: str) -> tuple[str, str | None, str | None]:
    """Return the topic and the two frames of ``TOPIC`` or ``TOPIC:PARENT:CHILD``."""
    name, *frames = source.split(':')
    kinds = {t.msgtype for t in bag.topics if t.name == name}
    fits = TF in kinds if frames else not kinds.isdisjoint((*POSE_TYPES, TF))
    if not fits or len(frames) not in (0, 2) or not all(frames):
        raise RecordingError(
            f'{bag.path}: for the truth there is no file and no topic {source}; there are '
            f'{", ".join(_fitting(bag)) or "none"}'
        )
    parent, child = map(frame_name, frames) if frames else (None, None)
    return name, parent, child


def _fitting(bag: Bag) -> list[str]:
    """Return all that `TruthOptions.source` could be."""
    trees = [t.name for t in bag.topics if t.msgtype == TF and not t.latched]
    pairs = {(tree, e.parent, e.child) for tree in trees for e in bag.transforms(tree)}
    return [*bag.pose_topics(), *(':'.join(pair) for pair in sorted(pairs))]


# How the camera sits on what they place


def _mount(
    bag: Bag | None, options: TruthOptions, found: _Found, camera_frame: str
) -> tuple[str, FloatArray]:
    """Return the name of the body whose poses are known, and ``body_from_camera``."""
    child, given = found.trajectory.child_frame_id, options.body_from_camera
    if given is not None:
        if options.frame == CAMERA:
            raise RecordingError('poses of the camera itself have no extrinsics; leave one out')
        return options.frame or child or _BODY, given
    if options.frame:
        return _name(options.frame, camera_frame), _seat(bag, options.frame, camera_frame)
    for body in (child,) if found.certain else (child, options.base_frame):
        if body:
            try:
                return _name(body, camera_frame), _seat(bag, body, camera_frame)
            except BagError:
                continue
    raise RecordingError(_no_mount(bag, options, found, camera_frame))


def _name(body: str, camera_frame: str) -> str:
    return camera_frame if body == CAMERA else body


def _seat(bag: Bag | None, body: str, camera_frame: str) -> FloatArray:
    if body in (CAMERA, camera_frame):
        return np.eye(4)
    if bag is None:
        raise BagError(f'how the camera sits on {body} is not known without a bag')
    return bag.static_transform(body, camera_frame)


def _no_mount(bag: Bag | None, options: TruthOptions, found: _Found, camera_frame: str) -> str:
    child = found.trajectory.child_frame_id
    other = '' if found.certain else f' or on {options.base_frame}'
    where = 'is not known' if bag is None else 'is not in /tf_static'
    return (
        f'{bag.path if bag else found.source}: how the camera ({camera_frame}) sits on what the '
        f'poses place ({child or "no name"}){other} {where}; name the frame they place, give '
        f'the extrinsics, or say {CAMERA!r} if they are those of the camera'
    )


def _carried(trajectory: Trajectory, body_from_other: FloatArray, frame: str) -> Trajectory:
    return replace(
        trajectory,
        world_from_body=trajectory.world_from_body @ body_from_other,
        child_frame_id=frame,
    )


# When they do not meet


def _no_overlap(truth: Truth, image_stamps: Stamps) -> str:
    there = truth.trajectory.stamps_ns
    spans = f'the truth has {span(there)}, the pictures have {span(image_stamps)}'
    if not len(image_stamps):
        why = 'there are no pictures'
    elif image_stamps[-1] < there[0] or there[-1] < image_stamps[0]:
        why = clock_hint(there, image_stamps)
    else:
        why = (
            f'no two poses around a picture are within {truth.max_gap_ns / 1e9:g} s, and none '
            f'alone is within {truth.near_ns / 1e9:g} s of one'
        )
    return f'{truth.source}: no pose belongs to a picture: {spans}; {why}'
