"""Read bags without ROS: topics, raw messages, camera frames, trajectories, transforms.

Reads rosbag2 folders and files (MCAP, SQLite3, split, compressed) and ROS 1 bags.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from dlcv.data.bags.chain import chained
from dlcv.data.bags.errors import BagError, DamagedBagError
from dlcv.data.bags.poses import Edges, edges_of, pose_edges, trajectory_of
from dlcv.data.bags.sources import RawMessage, Source, Topic, merge, open_sources
from dlcv.data.bags.vocabulary import CAMERA_INFO, COMPRESSED_IMAGE, IMAGE, ODOMETRY, TF
from dlcv.files import Closing
from dlcv.geometry.frames import TransformBuffer, TransformError, frame_name
from dlcv.interface import messages
from dlcv.interface.launch import is_output
from dlcv.interface.messages import take_transforms
from dlcv.interface.rectified import is_rectified
from dlcv.types import Camera, FloatArray, Frame, Trajectory

POSE_TYPES = (
    ODOMETRY,
    'geometry_msgs/msg/PoseStamped',
    'geometry_msgs/msg/PoseWithCovarianceStamped',
    'nav_msgs/msg/Path',
)
TF_STATIC = '/tf_static'
FIRST = 5  # messages by which a topic is judged


class Bag(Closing):
    """An open bag; close it, or use it in a ``with`` block.

    Args:
        path: A rosbag2 folder, an ``.mcap``, ``.db3`` or ROS 1 ``.bag`` file, or a folder of
            such files.
        keep_damaged: Read what is readable of a damaged bag instead of refusing it.

    Attributes:
        path: Where it is.
        topics: Its topics, sorted by name.
        damage: What is damaged about it, in words; empty for a whole bag. Reading may add to it.
        notes: What a reader should know of what is not damaged: topics that are not of ROS, a
            metadata.yaml that does not belong to the files.

    Raises:
        BagError: There is no such bag, or nothing of it can be read.
        DamagedBagError: It is damaged; the message says how much of it can be read.
    """

    def __init__(self, path: Path | str, *, keep_damaged: bool = False) -> None:
        self.path = Path(path)
        self._keep_damaged = keep_damaged
        opened = open_sources(self.path)
        self._sources, self.damage, self.notes = opened.sources, opened.damage, opened.notes
        topics: dict[tuple[str, str], int] = {}
        latched: set[str] = set()
        for topic in (t for source in self._sources for t in source.topics):
            key = topic.name, topic.msgtype
            topics[key] = topics.get(key, 0) + topic.count
            latched |= {topic.name} if topic.latched else set()
        self.topics: tuple[Topic, ...] = tuple(
            Topic(name=name, msgtype=msgtype, count=count, latched=name in latched)
            for (name, msgtype), count in sorted(topics.items())
        )
        if self.damage and not keep_damaged:
            self.close()
            raise DamagedBagError(
                f'{"; ".join(self.damage)}; before the damage {self.message_count} messages on '
                f'{len(self.topics)} topics can be read'
            )

    def close(self) -> None:
        """Close the files."""
        while self._sources:
            self._sources.pop().close()

    @property
    def message_count(self) -> int:
        """Messages that can be read."""
        return sum(topic.count for topic in self.topics)

    @property
    def start_ns(self) -> int:
        """Receive time of the first message; 0 for an empty bag."""
        return min((s.start_ns for s in self._sources if s.start_ns), default=0)

    @property
    def end_ns(self) -> int:
        """Receive time of the last message; 0 for an empty bag."""
        return max((s.end_ns for s in self._sources), default=0)

    def describe(self) -> str:
        """List the topics with their types and counts, one a line."""
        if not self.topics:
            return 'none'
        width = max((len(t.name) for t in self.topics), default=0)
        return '\n'.join(f'{t.name:<{width}}  {t.count:>6}  {t.msgtype}' for t in self.topics)

    def topic(self, name: str, msgtypes: Collection[str] = ()) -> Topic:
        """Return the topic of a name.

        Args:
            name: Its full name.
            msgtypes: The types it may have; any if empty.

        Raises:
            BagError: There is none, or it has another type; the message lists what there is.
        """
        found = [t for t in self.topics if t.name == name]
        if not found:
            raise BagError(f'{self.path}: no topic {name}; there are\n{self.describe()}')
        fitting = [t for t in found if not msgtypes or t.msgtype in msgtypes]
        if not fitting:
            raise BagError(
                f'{self.path}: topic {name} is {found[0].msgtype}, needed is '
                f'{" or ".join(msgtypes)}; there are\n{self.describe()}'
            )
        return fitting[0]

    def raw(
        self,
        topics: Collection[str] | None = None,
        *,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[RawMessage]:
        """Give the serialised messages in time order; what a player publishes.

        Args:
            topics: Names; None for all.
            start_ns: First receive time.
            stop_ns: End of receive times, not included.

        Raises:
            BagError: A topic is not there, or the bag is damaged where it is read (then, with
                ``keep_damaged``, the messages end and ``damage`` says why).
        """
        for _, raw in self._merged(topics, start_ns, stop_ns):
            yield raw

    def read(
        self,
        topics: Collection[str] | None = None,
        *,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[tuple[RawMessage, Any]]:
        """Give the messages in time order, raw and deserialised (see `raw`)."""
        for source, raw in self._merged(topics, start_ns, stop_ns):
            yield raw, self._deserialized(source, raw)

    def _merged(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[Any]:
        for name in topics or ():
            self.topic(name)
        try:
            yield from merge(self._sources, topics, start_ns, stop_ns)
        except BagError as err:
            if not self._keep_damaged:
                raise
            self.damage.append(str(err))

    def _deserialized(self, source: Source, raw: RawMessage) -> Any:
        try:
            return source.deserialize(raw)
        except Exception as err:  # rosbags raises what its generated code happens to
            raise BagError(
                f'{self.path}: a message of {raw.topic} at {raw.stamp_ns} ns is no '
                f'{raw.msgtype}: {err}'
            ) from err

    # Cameras

    def image_topics(self) -> tuple[str, ...]:
        """Return the topics with pictures: not depth, flow or other numbers."""
        kinds = (IMAGE, COMPRESSED_IMAGE)
        return tuple(
            t.name for t in self.topics if t.msgtype in kinds and t.count and self._is_picture(t)
        )

    def find_images(self) -> str:
        """Return the image topic of a bag that has one camera.

        What our nodes draw is none. Of several, one with calibration goes before those without, a
        raw topic before the same pictures compressed, and the left camera before the right one.

        Raises:
            BagError: There is none, or several fit; the message lists them.
        """
        pictures = [topic for topic in self.image_topics() if not is_output(topic)]
        if not pictures:
            raise BagError(
                f'{self.path}: no topic with pictures{self._unread()}; there are\n{self.describe()}'
            )
        fitting = [t for t in pictures if not (t.endswith('/compressed') and t[:-11] in pictures)]
        fitting = [t for t in fitting if self.find_camera_info(t)] or fitting
        fitting = [t for t in fitting if not self._is_right(t)] or fitting
        if len(fitting) > 1:
            raise BagError(f'{self.path}: several topics have pictures, name one: {fitting}')
        return fitting[0]

    def find_camera_info(self, image_topic: str) -> str | None:
        """Return the CameraInfo topic beside an image topic, as image_transport looks for it."""
        names = {t.name for t in self.topics if t.msgtype == CAMERA_INFO}
        base = image_topic.removesuffix('/compressed')
        beside = f'{base.rpartition("/")[0]}/camera_info'
        return next((name for name in (beside, f'{base}/camera_info') if name in names), None)

    def find_right(self, image_topic: str) -> str | None:
        """Return the topic of the right camera beside the left one; None where nobody can tell."""
        raw = [t.name for t in self.topics if t.msgtype == IMAGE and t.name != image_topic]
        right = [name for name in raw if not is_output(name) and self._is_right(name)]
        return right[0] if len(right) == 1 else None

    def frames(
        self,
        image_topic: str | None = None,
        camera_info_topic: str | None = None,
        *,
        start_ns: int | None = None,
        stop_ns: int | None = None,
        skipped: Callable[[str], None] | None = None,
        rectified: str = 'auto',
    ) -> Iterator[Frame]:
        """Give the pictures of a camera with their calibration.

        A picture's calibration is the CameraInfo of the same stamp if that came first, else the
        latest before it, else the first of the bag.

        Args:
            image_topic: Image or CompressedImage; default `find_images`.
            camera_info_topic: Its CameraInfo; default the one beside it, none if there is none.
            start_ns: First receive time.
            stop_ns: End of receive times, not included.
            skipped: Told of each picture that cannot be used, which is then left out; without it
                such a picture is an error.
            rectified: Whether they are rectified already, see `is_rectified`.

        Raises:
            BagError: A topic is not there or not of the type; a picture cannot be used.
        """
        image_topic = image_topic or self.find_images()
        ideal = is_rectified(image_topic, rectified)
        for raw, message, info in self.images(
            image_topic, camera_info_topic, start_ns=start_ns, stop_ns=stop_ns
        ):
            try:
                camera = messages.camera(info, rectified=ideal) if info is not None else None
                yield messages.frame(message, camera)
            except messages.MessageError as err:  # noqa: PERF203  (each picture by itself)
                text = f'{self.path}: {image_topic} at {raw.stamp_ns} ns: {err}'
                if skipped is None:
                    raise BagError(text) from err
                skipped(text)

    def images(
        self,
        image_topic: str,
        camera_info_topic: str | None = None,
        *,
        start_ns: int | None = None,
        stop_ns: int | None = None,
    ) -> Iterator[tuple[RawMessage, Any, Any]]:
        """Give the messages of a camera's pictures, raw and deserialised, with their CameraInfo.

        Args:
            image_topic: Image or CompressedImage.
            camera_info_topic: Its CameraInfo; default the one beside it. The third of each is None
                where there is none.
            start_ns: First receive time.
            stop_ns: End of receive times, not included.

        Raises:
            BagError: A topic is not there or not of the type.
        """
        self.topic(image_topic, (IMAGE, COMPRESSED_IMAGE))
        info_topic = camera_info_topic or self.find_camera_info(image_topic)
        topics = [image_topic]
        latest: Any = None
        if info_topic:
            topics.append(self.topic(info_topic, (CAMERA_INFO,)).name)
            latest = next((info for _, info in self.read([info_topic])), None)
        for raw, message in self.read(topics, start_ns=start_ns, stop_ns=stop_ns):
            if raw.topic == info_topic:
                latest = message
            else:
                yield raw, message, latest

    def camera(self, camera_info_topic: str, *, rectified: bool = False) -> Camera | None:
        """Return the first calibration on a topic; None for an uncalibrated camera.

        Args:
            camera_info_topic: The topic.
            rectified: Whether that of the rectified pictures is meant.
        """
        self.topic(camera_info_topic, (CAMERA_INFO,))
        infos = [info for _, info in _first(self.read([camera_info_topic]))]
        try:
            return messages.camera(infos[0], rectified=rectified) if infos else None
        except messages.MessageError as err:
            raise BagError(f'{self.path}: {camera_info_topic}: {err}') from err

    def arrays(
        self, topic: str, *, start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[tuple[int, FloatArray]]:
        """Give the stamps and values of images of numbers, such as depth and flow.

        32FC1 and 32FC2 are given as they are, ``(H, W)`` and ``(H, W, 2)`` float32. 16UC1 depth
        in millimetres becomes metres with NaN for 0 (REP 118).
        """
        self.topic(topic, (IMAGE,))
        for raw, message in self.read([topic], start_ns=start_ns, stop_ns=stop_ns):
            values = floats(message, f'{self.path}: {topic} at {raw.stamp_ns} ns')
            yield messages.stamp_ns(message.header.stamp), values

    def check_pictures(self, image_topic: str) -> None:
        """Refuse a topic on which no picture can be read, as far as the first messages tell.

        Raises:
            BagError: There is no such topic, or its encoding is not read; the message names it and
                those that are.
        """
        self.topic(image_topic, (IMAGE, COMPRESSED_IMAGE))
        found = [_kind_of(message) for _, message in islice(self.read([image_topic]), FIRST)]
        if found and not any(kind in messages.ENCODINGS or not raw for kind, raw in found):
            raise BagError(
                f'{self.path}: {image_topic} has pictures of encoding {found[0][0]!r}; read are '
                f'{", ".join(messages.ENCODINGS)}'
            )

    def _unread(self) -> str:
        """Say what pictures there are that are none for us, or not without being named."""
        texts = []
        for topic in self.topics:
            if topic.msgtype in (IMAGE, COMPRESSED_IMAGE) and not is_output(topic.name):
                first = next((m for _, m in self.read([topic.name])), None)
                kind, raw = ('', False) if first is None else _kind_of(first)
                if kind and kind not in messages.NUMBERS and not self._is_picture(topic):
                    texts.append(f'{topic.name} has the {"encoding" if raw else "format"} {kind!r}')
                elif kind in messages.AMBIGUOUS:
                    texts.append(f'{topic.name} has {kind}, a picture only where it is named')
        if not texts:
            return ''
        return f' that are read: {"; ".join(texts)}; read are {", ".join(messages.ENCODINGS)}'

    def _is_picture(self, topic: Topic) -> bool:
        message = next((m for _, m in self.read([topic.name])), None)
        if topic.msgtype == IMAGE:
            known = messages.ENCODINGS.keys() - messages.AMBIGUOUS
            return message is not None and message.encoding in known
        if message is None:
            return False
        try:
            messages.decode_compressed(message)
        except messages.UnsupportedEncodingError:
            return False
        except messages.MessageError:  # the first is broken: the others need not be
            return True
        return True

    def _is_right(self, image_topic: str) -> bool:
        """Whether the calibration says that this is the second camera of a stereo pair."""
        info_topic = self.find_camera_info(image_topic)
        if info_topic is None:
            return False
        return any(info.p[3] != 0 for _, info in _first(self.read([info_topic])))

    # Poses

    def pose_topics(self) -> tuple[str, ...]:
        """Return the topics that hold a trajectory, TF left out."""
        return tuple(t.name for t in self.topics if t.msgtype in POSE_TYPES and t.count)

    def trajectory(
        self,
        topic: str | None = None,
        *,
        frame: str | None = None,
        child_frame: str | None = None,
    ) -> Trajectory:
        """Return the poses on a topic over their header stamps: `poses` sorted by time.

        Of several poses with the same stamp the first counts.
        """
        topic = topic or self._only_pose_topic()
        found = self.poses(topic, frame=frame, child_frame=child_frame)
        return trajectory_of(found, f'{self.path}: {topic}')

    def poses(
        self,
        topic: str | None = None,
        *,
        frame: str | None = None,
        child_frame: str | None = None,
    ) -> Edges:
        """Return the poses on a topic as they come; messages that hold none are left out.

        Args:
            topic: Odometry, PoseStamped, PoseWithCovarianceStamped, Path (its last message) or
                TFMessage; default the only topic of the first four.
            frame: For TF, the parent frame; default any.
            child_frame: For TF, the child frame; needed if it moves more than one. With both
                named, the way between them may lead over others, and over the static transforms.

        Raises:
            BagError: No such topic, no or several fitting frames, or no message holds a pose.
        """
        topic = topic or self._only_pose_topic()
        msgtype = self.topic(topic, (*POSE_TYPES, TF)).msgtype
        if msgtype == TF:
            return self._moving(topic, frame, child_frame)
        found = [message for _, message in self.read([topic])]
        if msgtype == 'nav_msgs/msg/Path':
            found = list(found[-1].poses) if found else []
        return pose_edges(found, f'{self.path}: {topic}')

    def transforms(self, topic: str) -> Edges:
        """Return all transforms on a topic as they come; none where there is no such topic.

        Those that are none are left out.
        """
        if not any(t.name == topic for t in self.topics):
            return Edges()
        return edges_of(message for _, message in self.read([topic]))

    def static_transform(self, parent: str, child: str) -> FloatArray:
        """Return ``parent_from_child``, ``(4, 4)`` metres, along the static transforms.

        Raises:
            BagError: They do not connect the two; the message lists what there is.
        """
        frames, complaints = self._static()
        try:
            return frames.lookup(parent, child)
        except TransformError as err:
            wrong = f'; left out as no transform: {complaints[0]}' if complaints else ''
            raise BagError(f'{self.path}: /tf_static: {err}{wrong}') from err

    def static_frames(self) -> TransformBuffer:
        """Return the tree of static transforms; those that are none are left out."""
        return self._static()[0]

    def _static(self) -> tuple[TransformBuffer, list[str]]:
        buffer, complaints = TransformBuffer(), list[str]()
        if any(t.name == TF_STATIC for t in self.topics):
            for _, message in self.read([TF_STATIC]):
                complaints += take_transforms(buffer, message, static=True)
        return buffer, complaints

    def _only_pose_topic(self) -> str:
        topics = self.pose_topics()
        if len(topics) != 1:
            if not topics:
                raise BagError(f'{self.path}: no topic has poses; there are\n{self.describe()}')
            raise BagError(f'{self.path}: several topics have poses, name one: {list(topics)}')
        return topics[0]

    def _moving(self, topic: str, frame: str | None, child: str | None) -> Edges:
        """Return the transforms that two frames have, or the only two that there are."""
        frame, child = (name and frame_name(name) for name in (frame, child))
        edges = self.transforms(topic)
        wanted = edges.of(frame, child)
        pairs = sorted({(e.parent, e.child) for e in wanted})
        if len(pairs) == 1:
            return wanted
        if frame and child and (way := chained(edges, self.transforms(TF_STATIC), frame, child)):
            return Edges(way, edges.lost)
        there = sorted({f'{e.parent} -> {e.child}' for e in edges})
        raise BagError(
            f'{self.path}: {topic}: {len(pairs)} transforms fit {frame or "any"} -> '
            f'{child or "any"}; there are {there}'
        )


def _kind_of(message: Any) -> tuple[str, bool]:
    """Return the encoding of a raw picture, or the format of a compressed one; and which it is."""
    raw = hasattr(message, 'encoding')
    return (message.encoding if raw else message.format), raw


def _first(items: Iterator[Any]) -> list[Any]:
    return [item for item in [next(items, None)] if item is not None]


def floats(message: Any, place: str) -> FloatArray:
    """Return the values of an image of numbers, as `Bag.arrays` gives them.

    Args:
        message: The Image message.
        place: Where it lies, for errors.

    Raises:
        BagError: Its encoding holds no numbers, or its bytes do not fill its size.
    """
    try:
        return messages.numbers(message)
    except messages.MessageError as err:
        raise BagError(f'{place}: {err}') from None
