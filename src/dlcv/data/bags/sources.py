"""Open the storage files of a bag, whole or damaged, behind one face."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.salvage import Entry, Salvaged, SalvagedMcap, SalvagedSqlite, SalvagedTopic
from dlcv.data.bags.vocabulary import typestore

if TYPE_CHECKING:
    from rosbags.highlevel import AnyReader
    from rosbags.interfaces import Connection

STORAGE = ('.mcap', '.db3', '.bag')
_RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}  # ROS 1's first TF message


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

    def messages(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Give the messages in time order."""

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""

    def close(self) -> None:
        """Close the files."""


def open_sources(path: Path) -> tuple[list[Source], list[str]]:
    """Open a bag: a rosbag2 folder, a storage file, or a folder of storage files.

    Returns:
        The sources, and what is damaged about them in words; nothing for a whole bag.

    Raises:
        BagError: Nothing can be read.
    """
    if not path.exists():
        raise BagError(f'{path}: no such bag{_nearby(path)}')
    if path.is_file() and path.suffix not in STORAGE:
        raise BagError(f'{path} is no bag: a folder, or a file of {", ".join(STORAGE)}, is needed')
    damage = []
    if not _journal(path) and (path.is_file() or (path / 'metadata.yaml').exists()):
        try:
            return [RosbagsSource(path)], []
        except BagError as err:
            damage.append(str(err))
    files = [path] if path.is_file() else sorted(f for f in path.iterdir() if f.suffix in STORAGE)
    if not files:
        raise BagError(
            '; '.join([*damage, f'{path} holds no file of {", ".join(STORAGE)}']) + _nearby(path)
        )
    sources = []
    for file in files:
        source, trouble = _open_file(file)
        damage += [trouble] if trouble and trouble not in damage else []
        sources += [source] if source is not None else []
    if not sources:
        raise BagError('; '.join(damage))
    return sources, damage


def _open_file(file: Path) -> tuple[Source | None, str]:
    trouble = ''
    if not _journal(file):
        try:
            return RosbagsSource(file), ''
        except BagError as err:
            trouble = str(err)
    kinds: dict[str, Callable[[Path], Salvaged]] = {'.mcap': SalvagedMcap, '.db3': SalvagedSqlite}
    if file.suffix not in kinds:
        return None, trouble
    try:
        salvaged = kinds[file.suffix](file)
    except (BagError, OSError) as err:
        return None, str(err)
    return SalvagedSource(salvaged), f'{file}: {salvaged.damage}'


def _journal(path: Path) -> bool:
    """Whether an SQLite file (of the folder) was not closed: messages are still beside it."""
    folder, names = (path, '*.db3-wal') if path.is_dir() else (path.parent, f'{path.name}-wal')
    return any(journal.stat().st_size for journal in folder.glob(names))


def _nearby(path: Path) -> str:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f'; there is no folder {folder} either'
    return f'; {folder} has {sorted(p.name for p in folder.iterdir())[:12]}'


class RosbagsSource:
    """A whole bag, ROS 2 or ROS 1, read by rosbags."""

    def __init__(self, path: Path) -> None:
        from rosbags.highlevel import AnyReader

        self.path = path
        self._store = typestore()
        try:
            self._reader: AnyReader = AnyReader([path], default_typestore=self._store)
            self._reader.open()
        except Exception as err:  # rosbags lets struct, yaml and Unicode errors of bad files pass
            raise BagError(f'{path}: {_words(err)}') from err
        self._translate = None if self._reader.is2 else _Translator(self._reader)
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
        try:
            for connection, stamp_ns, data in self._reader.messages(wanted, start_ns, stop_ns):
                msgtype = _RENAMED.get(connection.msgtype, connection.msgtype)
                if self._translate is not None:
                    cdr = self._translate(data, connection.msgtype, msgtype)
                    yield RawMessage(connection.topic, msgtype, stamp_ns, cdr)
                else:
                    yield RawMessage(connection.topic, msgtype, stamp_ns, data)
        except GeneratorExit:
            raise
        except Exception as err:
            raise BagError(f'{self.path}: {_words(err)}') from err

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""
        if self._translate is not None:
            return self._translate.store.deserialize_cdr(raw.data, raw.msgtype)
        own = self._reader.typestore
        store = own if raw.msgtype in own.fielddefs else self._store
        return store.deserialize_cdr(raw.data, raw.msgtype)

    def close(self) -> None:
        """Close the files."""
        self._reader.close()


class _Translator:
    """ROS 1 bytes to CDR of the ROS 2 type of the same name."""

    def __init__(self, reader: AnyReader) -> None:
        from rosbags.typesys import Stores, get_typestore

        self._source = reader.typestore
        self._cache: dict[str, object] = {}
        self.store: Any = get_typestore(Stores.EMPTY)
        # What only this bag knows keeps its definition; the common types become ROS 2's.
        self.store.register({**reader.typestore.fielddefs, **typestore().fielddefs})

    def __call__(self, data: bytes, msgtype: str, new_type: str) -> memoryview:
        from rosbags.convert.converter import migrate_bytes

        return migrate_bytes(
            self._source,
            self.store,
            msgtype,
            new_type,
            self._cache,
            data,
            src_is2=False,
            dst_is2=True,
        )


class SalvagedSource:
    """The readable part of a damaged storage file."""

    def __init__(self, salvaged: Salvaged) -> None:
        self._salvaged = salvaged
        entries = salvaged.entries
        self.start_ns = entries[0].stamp_ns if entries else 0
        self.end_ns = entries[-1].stamp_ns if entries else 0
        counts = dict.fromkeys(salvaged.topics, 0)
        for entry in entries:
            counts[entry.topic] = counts.get(entry.topic, 0) + 1
        self.topics = tuple(
            Topic(
                name=topic.name,
                msgtype=topic.msgtype,
                count=counts[key],
                latched=_is_latched(topic.qos),
            )
            for key, topic in salvaged.topics.items()
        )
        self._store = _salvaged_store(list(salvaged.topics.values()))

    def messages(
        self, topics: Collection[str] | None, start_ns: int | None, stop_ns: int | None
    ) -> Iterator[RawMessage]:
        """Give the messages in time order."""
        for entry in self._salvaged.entries:
            topic = self._salvaged.topics.get(entry.topic)
            if topic is None or (topics is not None and topic.name not in topics):
                continue
            if _within(entry, start_ns, stop_ns):
                yield RawMessage(topic.name, topic.msgtype, entry.stamp_ns, self._load(entry))

    def _load(self, entry: Entry) -> bytes:
        try:
            return self._salvaged.load(entry)
        except Exception as err:  # it was readable when the bag was opened
            raise BagError(f'the message at {entry.stamp_ns} ns: {_words(err)}') from err

    def deserialize(self, raw: RawMessage) -> Any:
        """Return the message of its bytes."""
        return self._store.deserialize_cdr(raw.data, raw.msgtype)

    def close(self) -> None:
        """Close the file."""
        self._salvaged.close()


def merge(
    sources: list[Source],
    topics: Collection[str] | None,
    start_ns: int | None,
    stop_ns: int | None,
) -> Iterator[tuple[Source, RawMessage]]:
    """Give the messages of several sources in time order."""

    def tagged(source: Source) -> Iterator[tuple[Source, RawMessage]]:
        for raw in source.messages(topics, start_ns, stop_ns):
            yield source, raw

    if len(sources) == 1:
        return tagged(sources[0])
    return iter(heapq.merge(*map(tagged, sources), key=lambda item: item[1].stamp_ns))


def _topics(connections: list[Connection]) -> tuple[Topic, ...]:
    """Sum up the connections of each topic; split and ROS 1 bags have several."""
    found: dict[tuple[str, str], Topic] = {}
    for c in connections:
        profiles = getattr(c.ext, 'offered_qos_profiles', [])
        latched = bool(getattr(c.ext, 'latching', 0)) or any(
            q.durability.name == 'TRANSIENT_LOCAL' for q in profiles
        )
        msgtype = _RENAMED.get(c.msgtype, c.msgtype)
        old = found.get((c.topic, msgtype))
        found[c.topic, msgtype] = Topic(
            name=c.topic,
            msgtype=msgtype,
            count=c.msgcount + (old.count if old else 0),
            latched=latched or (old is not None and old.latched),
        )
    return tuple(found.values())


def _is_latched(qos: str) -> bool:
    return 'durability: 1' in qos or 'durability: transient_local' in qos


def _within(entry: Entry, start_ns: int | None, stop_ns: int | None) -> bool:
    after = start_ns is None or entry.stamp_ns >= start_ns
    return after and (stop_ns is None or entry.stamp_ns < stop_ns)


def _salvaged_store(topics: list[SalvagedTopic]) -> Any:
    """Return the file's own message definitions over those of ROS 2 Jazzy."""
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    store = get_typestore(Stores.EMPTY)
    known = dict(typestore().fielddefs)
    for topic in topics:
        if topic.encoding == 'ros2msg':
            with suppress(Exception):  # a damaged definition: Jazzy's serves
                known.update(get_types_from_msg(topic.definition, topic.msgtype))
    store.register(known)
    return store


def _words(err: Exception) -> str:
    return f'{err}' if str(err) else type(err).__name__
