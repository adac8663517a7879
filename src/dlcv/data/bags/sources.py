"""Open the storage files of a bag, whole or damaged, behind one face.

The files say what is in them. metadata.yaml names them, and adds what they do not say themselves;
where the two differ the files are right.
"""

from __future__ import annotations

import heapq
import shutil
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.mcap import MAGIC, IndexedMcap
from dlcv.data.bags.metadata import Metadata, read_metadata
from dlcv.data.bags.salvage import SalvagedMcap, SalvagedSqlite
from dlcv.data.bags.sqlite import Database
from dlcv.data.bags.storage import Storage
from dlcv.data.bags.translation import Translation, migrated, msgtype_of, not_ros
from dlcv.data.bags.vocabulary import TF, typestore

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

STORAGE = ('.mcap', '.db3', '.bag')
PACKED = '.zstd'  # a storage file that is compressed as a whole


class RawMessage(NamedTuple):
    """A message as it lies in the bag.

    Attributes:
        topic: Its topic.
        msgtype: Such as ``sensor_msgs/msg/Image``.
        stamp_ns: When it was received, nanoseconds.
        data: Serialised as CDR; messages of ROS 1 bags are translated.
    """

    topic: str
    msgtype: str
    stamp_ns: int
    data: bytes | memoryview


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """A topic of a bag.

    Attributes:
        name: Its name.
        msgtype: Such as ``sensor_msgs/msg/Image``.
        count: Messages that can be read.
        latched: Whether late subscribers shall get the last message (transient local).
    """

    name: str
    msgtype: str
    count: int
    latched: bool


class Source(Protocol):
    """A readable bag or part of one."""

    topics: tuple[Topic, ...]
    start_ns: int
    end_ns: int

    @property
    def left_out(self) -> int:
        """Messages that are not of ROS."""

    def messages(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Give the messages in time order."""

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""

    def close(self) -> None:
        """Close the files."""


@dataclass(slots=True)
class Opened:
    """What of a bag could be opened.

    Attributes:
        sources: The parts.
        damage: What is damaged about it, in words; nothing for a whole bag.
        notes: What a reader should know of a bag from which nothing is missing.
    """

    sources: list[Source] = field(default_factory=list)
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def is_storage(path: Path) -> bool:
    """Whether a file is one of a bag, by its name."""
    return path.suffix in STORAGE or (path.suffix == PACKED and Path(path.stem).suffix in STORAGE)


def open_sources(path: Path) -> Opened:
    """Open a bag: a rosbag2 folder, a storage file, or a folder of storage files.

    Raises:
        BagError: Nothing can be read.
    """
    if not path.exists():
        raise BagError(f'{path}: no such bag{_nearby(path)}')
    if path.is_file() and not is_storage(path):
        raise BagError(f'{path} is no bag: a folder, or a file of {", ".join(STORAGE)}, is needed')
    opened, metadata = Opened(), Metadata()
    files = [path]
    if path.is_dir():
        there = sorted(found for found in path.iterdir() if is_storage(found))
        if not there:
            raise BagError(f'{path} holds no file of {", ".join(STORAGE)}{_nearby(path)}')
        metadata = read_metadata(path, opened.notes)
        files = _files(path, there, metadata, opened)
    for file in files:
        try:
            _open_file(file, metadata.latched, opened)
        except BagError as err:  # noqa: PERF203  (each file by itself)
            opened.damage.append(str(err))
    if not opened.sources:
        raise BagError('; '.join(opened.damage))
    _compare(path, metadata, opened)
    return opened


def _files(path: Path, there: list[Path], metadata: Metadata, opened: Opened) -> list[Path]:
    """Return the files of a folder that make up the bag."""
    if not metadata.files:
        return there
    by_name = {file.name: file for file in there}
    by_name |= {file.stem: file for file in there if file.suffix == PACKED}
    named = [by_name[name] for name in metadata.files if name in by_name]
    missing = [name for name in metadata.files if name not in by_name]
    others = [file for file in there if file not in named]
    if others and len(others) == len(missing):  # somebody has given the files other names
        opened.notes.append(
            f'{path}: metadata.yaml names {", ".join(missing)}, there is '
            f'{", ".join(file.name for file in others)}, which is read in its place'
        )
        return there
    if missing:
        opened.damage.append(
            f'{path}: files that metadata.yaml names are missing: {", ".join(missing)}'
        )
    elif others:
        opened.notes.append(
            f'{path}: {", ".join(file.name for file in others)} is not read: metadata.yaml does '
            'not name it'
        )
    return named or there


def _compare(path: Path, metadata: Metadata, opened: Opened) -> None:
    """Note where the files have fewer messages than metadata.yaml says."""
    if opened.damage or metadata.messages is None:
        return
    held = sum(topic.count for source in opened.sources for topic in source.topics)
    left_out = sum(source.left_out for source in opened.sources)
    if held + left_out < metadata.messages:
        opened.notes.append(
            f'{path}: metadata.yaml counts {metadata.messages} messages, its files hold '
            f'{held + left_out}'
        )


_BEGIN = {MAGIC: '.mcap', b'SQLite format 3\0': '.db3', b'#ROSBAG V2': '.bag'}
_WHOLE: dict[str, Callable[[Path], Storage]] = {'.mcap': IndexedMcap, '.db3': Database}
_DAMAGED: dict[str, Callable[[Path], Storage]] = {'.mcap': SalvagedMcap, '.db3': SalvagedSqlite}


def _open_file(file: Path, latched: Collection[str], opened: Opened) -> None:
    """Open one storage file.

    Raises:
        BagError: Nothing of it can be read.
    """
    place, folder = file, None
    if file.suffix == PACKED:
        folder = TemporaryDirectory()
        place = _unpack(file, Path(folder.name))
    kind = _kind(place)
    if kind == '.bag':
        opened.sources.append(Ros1Source(place))
        return
    storage = _open_storage(place, kind)
    source = StorageSource(file, storage, latched, folder)
    if source.foreign and not source.topics and any(source.foreign.values()):
        source.close()
        raise BagError(f'{file}: none of its messages are of ROS: {source.foreign_text}')
    if source.foreign:
        opened.notes.append(f'{file}: left out, as they are not of ROS: {source.foreign_text}')
    if storage.damage:
        opened.damage.append(f'{file}: {storage.damage}')
    opened.sources.append(source)


def _kind(file: Path) -> str:
    """Return the suffix that a file should have: by its first bytes, else the one that it has."""
    with suppress(OSError), file.open('rb') as opened:
        begin = opened.read(16)
        for magic, suffix in _BEGIN.items():
            if begin.startswith(magic):
                return suffix
    return file.suffix


def _open_storage(file: Path, kind: str) -> Storage:
    if not _journal(file):
        try:
            return _WHOLE[kind](file)
        except (BagError, OSError):
            pass  # it is read from its start, which says what is wrong
    try:
        return _DAMAGED[kind](file)
    except OSError as err:
        raise BagError(f'{file} cannot be read: {err.strerror or err}') from err


def _unpack(file: Path, folder: Path) -> Path:
    """Write what a compressed storage file holds into a folder."""
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd

    target = folder / file.stem
    try:
        with zstd.open(file, 'rb') as packed, target.open('wb') as unpacked:
            shutil.copyfileobj(packed, unpacked)
    except (OSError, EOFError, zstd.ZstdError) as err:
        raise BagError(f'{file} cannot be unpacked: {err}') from err
    return target


def _journal(path: Path) -> bool:
    """Whether an SQLite file (of the folder) was not closed: messages are still beside it."""
    folder, names = (path, '*.db3-wal') if path.is_dir() else (path.parent, f'{path.name}-wal')
    return any(journal.stat().st_size for journal in folder.glob(names))


def _nearby(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f'; there is no folder {folder} either'
    return f'; {folder} has {sorted(p.name for p in folder.iterdir())[:12]}'


class StorageSource:
    """A storage file of ROS 2, or an MCAP file of ROS 1.

    Args:
        path: Its name, for errors.
        storage: The open file.
        latched: Topics of which something else says that they are latched.
        folder: Where it was unpacked; removed with it.
    """

    def __init__(
        self,
        path: Path,
        storage: Storage,
        latched: Collection[str] = (),
        folder: TemporaryDirectory[str] | None = None,
    ) -> None:
        self._path, self._storage, self._folder = path, storage, folder
        self.start_ns, self.end_ns = storage.start_ns, storage.end_ns
        kinds = {key: not_ros(topic) for key, topic in storage.topics.items()}
        self.foreign = {
            f'{storage.topics[key].name} ({kind})': storage.counts.get(key, 0)
            for key, kind in kinds.items()
            if kind
        }
        self._read = {key: topic for key, topic in storage.topics.items() if not kinds[key]}
        self._types = {key: msgtype_of(topic.msgtype) for key, topic in self._read.items()}
        self._translation = Translation(self._read.values())
        found: dict[tuple[str, str], Topic] = {}
        for key, stored in self._read.items():
            topic = Topic(
                name=stored.name,
                msgtype=self._types[key],
                count=storage.counts.get(key, 0),
                latched=stored.latched or stored.name in latched,
            )
            _add(found, topic)
        self.topics = tuple(found.values())

    @property
    def left_out(self) -> int:
        """Messages that are not of ROS."""
        return sum(self.foreign.values())

    @property
    def foreign_text(self) -> str:
        """The topics that are not of ROS, and what they are."""
        return ', '.join(self.foreign)

    def messages(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Give the messages in time order."""
        keys = [key for key, topic in self._read.items() if topics is None or topic.name in topics]
        if not keys:
            return
        try:
            for key, stamp_ns, data in self._storage.messages(keys, start_ns, stop_ns):
                topic = self._read[key]
                try:
                    cdr = self._translation.cdr(topic, data)
                except Exception as err:
                    raise BagError(
                        f'a message of {topic.name} at {stamp_ns} ns is no {topic.msgtype}: '
                        f'{_words(err)}'
                    ) from err
                yield RawMessage(topic.name, self._types[key], stamp_ns, cdr)
        except GeneratorExit:
            raise
        except Exception as err:
            raise BagError(f'{self._path}: {_words(err)}') from err

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""
        return self._translation.deserialize(raw.msgtype, raw.data)

    def close(self) -> None:
        """Close the file."""
        self._storage.close()
        if self._folder is not None:
            self._folder.cleanup()


class Ros1Source:
    """A ROS 1 bag, read by rosbags and translated to ROS 2."""

    left_out = 0

    def __init__(self, path: Path) -> None:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        self._path = path
        try:
            self._reader: AnyReader = AnyReader([path], default_typestore=typestore())
            self._reader.open()
        except Exception as err:  # rosbags lets struct and Unicode errors of bad files pass
            raise BagError(f'{path}: {_words(err)}') from err
        # What only this bag knows keeps its definition; the common types become ROS 2's.
        self._store: Any = get_typestore(Stores.EMPTY)
        self._store.register({**self._reader.typestore.fielddefs, **typestore().fielddefs})
        self._cache: dict[str, object] = {}
        self.start_ns, self.end_ns = 0, 0
        if self._reader.message_count:
            self.start_ns, self.end_ns = self._reader.start_time, self._reader.end_time - 1
        self.topics = _topics(self._reader.connections)

    def messages(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Give the messages in time order."""
        wanted = [c for c in self._reader.connections if topics is None or c.topic in topics]
        if not wanted:
            return
        source = self._reader.typestore
        try:
            for connection, stamp_ns, data in self._reader.messages(wanted, start_ns, stop_ns):
                old, new = connection.msgtype, msgtype_of(connection.msgtype)
                cdr = migrated(source, self._store, old, new, self._cache, data, is2=False)
                yield RawMessage(connection.topic, new, stamp_ns, cdr)
        except GeneratorExit:
            raise
        except Exception as err:
            raise BagError(f'{self._path}: {_words(err)}') from err

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""
        return self._store.deserialize_cdr(raw.data, raw.msgtype)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


def merge(
    sources: Sequence[Source],
    topics: Collection[str] | None,
    start_ns: int | None,
    stop_ns: int | None,
) -> Iterator[tuple[Source, RawMessage]]:
    """Give the messages of several sources in time order."""

    def tagged(source: Source) -> Iterator[tuple[Source, RawMessage]]:
        for raw in source.messages(topics, start_ns, stop_ns):
            yield source, raw

    in_turn = sorted((s for s in sources if any(t.count for t in s.topics)), key=_begin)
    if all(a.end_ns <= b.start_ns for a, b in pairwise(in_turn)):  # as a recorder splits
        for source in in_turn:
            yield from tagged(source)
        return
    yield from heapq.merge(*map(tagged, sources), key=lambda item: item[1].stamp_ns)


def _begin(source: Source) -> int:
    return source.start_ns


def _topics(connections: list[Connection]) -> tuple[Topic, ...]:
    """Sum up the connections of each topic; ROS 1 bags have several."""
    found: dict[tuple[str, str], Topic] = {}
    for c in connections:
        topic = Topic(
            name=c.topic,
            msgtype=msgtype_of(c.msgtype),
            count=c.msgcount,
            latched=bool(getattr(c.ext, 'latching', 0)),
        )
        _add(found, topic)
    return tuple(found.values())


def _add(found: dict[tuple[str, str], Topic], topic: Topic) -> None:
    """Put a topic beside others, or to the one of the same name and type."""
    key = topic.name, topic.msgtype
    old = found.get(key)
    # by convention, whatever a bag says: scripts and filters do not say it
    static = topic.msgtype == TF and topic.name.rpartition('/')[2] == 'tf_static'
    found[key] = Topic(
        name=topic.name,
        msgtype=topic.msgtype,
        count=topic.count + (old.count if old else 0),
        latched=static or topic.latched or (old is not None and old.latched),
    )


def _words(err: Exception) -> str:
    return f'{err}' if str(err) else type(err).__name__
