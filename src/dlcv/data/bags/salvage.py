"""What can still be read of a storage file that was never completed, or was cut.

rosbags reads complete files only. Here a file is walked from its start for as long as it makes
sense: that gives the places of the readable messages, and in words where the walk ended.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from dlcv.data.bags.errors import BagError

_MAGIC = b'\x89MCAP0\r\n'
_COUNTER = count()  # of the file systems that SQLite knows by name
_SCHEMA, _CHANNEL, _MESSAGE, _CHUNK = 3, 4, 5, 6  # opcodes of MCAP records


@dataclass(frozen=True, kw_only=True, slots=True)
class SalvagedTopic:
    """A topic of the damaged file.

    Attributes:
        name: Topic.
        msgtype: Such as ``sensor_msgs/msg/Image``.
        definition: Text of the message definition; empty when the file has none.
        encoding: ``ros2msg``, ``ros2idl`` or empty.
        qos: Text of the offered QoS profiles.
    """

    name: str
    msgtype: str
    definition: str = ''
    encoding: str = ''
    qos: str = ''


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a message lies: in the file, or in an unpacked chunk if ``chunk`` is not -1."""

    stamp_ns: int
    topic: int
    offset: int
    size: int
    chunk: int = -1


class Salvaged(Protocol):
    """Readable part of a damaged file."""

    topics: dict[int, SalvagedTopic]
    entries: list[Entry]
    damage: str

    def load(self, entry: Entry) -> bytes:
        """Return the serialised message."""

    def close(self) -> None:
        """Close the file."""


class SalvagedMcap:
    """Readable part of an MCAP file.

    Args:
        path: The file.

    Raises:
        BagError: It does not even begin like one.
    """

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, SalvagedTopic] = {}
        self.entries: list[Entry] = []
        self.damage = ''
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._file: BinaryIO = path.open('rb')
        self._size = path.stat().st_size
        if self._file.read(8) != _MAGIC:
            self._file.close()
            raise BagError(f'{path} is no MCAP file: it does not begin with the magic bytes')
        self._unpack = lru_cache(maxsize=4)(self._chunk_records)
        self._walk()
        self.entries.sort(key=lambda entry: entry.stamp_ns)  # stable: file order within a moment

    def load(self, entry: Entry) -> bytes:
        """Return the serialised message."""
        if entry.chunk >= 0:
            return self._unpack(entry.chunk)[entry.offset : entry.offset + entry.size]
        self._file.seek(entry.offset)
        return self._file.read(entry.size)

    def close(self) -> None:
        """Close the file."""
        self._unpack.cache_clear()
        self._file.close()

    def _walk(self) -> None:
        at = len(_MAGIC)
        while at + 9 <= self._size:
            self._file.seek(at)
            opcode, size = struct.unpack('<BQ', self._file.read(9))
            if at + 9 + size > self._size or opcode == 0:
                break
            try:
                self._record(opcode, at + 9, size)
            except Exception as err:  # noqa: BLE001  whatever a damaged record makes of itself
                self.damage = f'the record at byte {at} cannot be read ({err})'
            at += 9 + size
        if at != self._size:
            self.damage = f'cut in the record at byte {at} of {self._size}'
        elif not self.damage:
            self.damage = 'the index at its end is missing'

    def _record(self, opcode: int, start: int, size: int) -> None:
        if opcode == _CHUNK:
            packed = self._file.read(32)
            (name_size,) = struct.unpack_from('<I', packed, 28)
            if name_size == 0:  # not compressed: the messages can be read where they lie
                self._file.seek(start + 40)
                self._records(self._file.read(size - 40), start + 40, -1)
            else:
                self._records(self._unpack(start), 0, start)
        elif opcode in (_SCHEMA, _CHANNEL, _MESSAGE):
            self._item(opcode, self._file.read(size), start, -1)

    def _records(self, data: bytes, base: int, chunk: int) -> None:
        at = 0
        while at + 9 <= len(data):
            opcode, size = struct.unpack_from('<BQ', data, at)
            self._item(opcode, data[at + 9 : at + 9 + size], base + at + 9, chunk)
            at += 9 + size

    def _item(self, opcode: int, data: bytes, start: int, chunk: int) -> None:
        if opcode == _SCHEMA:
            key, name, encoding, text = _texts('<H', data, 3)
            self._schemas[int(key)] = (str(name), str(encoding), str(text))
        elif opcode == _CHANNEL:
            key, schema, topic, _ = _texts('<HH', data, 2)
            msgtype, encoding, text = self._schemas.get(int(schema), ('', '', ''))
            self.topics[int(key)] = SalvagedTopic(
                name=str(topic),
                msgtype=msgtype,
                definition=text,
                encoding=encoding,
                qos=data.decode('utf-8', 'replace'),
            )
        elif opcode == _MESSAGE:
            channel, _, stamp_ns = struct.unpack_from('<HIQ', data)
            self.entries.append(Entry(stamp_ns, channel, start + 22, len(data) - 22, chunk))

    def _chunk_records(self, start: int) -> bytes:
        from rosbags.rosbag2.storage_mcap import decompress

        self._file.seek(start)
        _, _, size, crc, name_size = struct.unpack('<QQQII', self._file.read(32))
        name = self._file.read(name_size).decode()
        (packed,) = struct.unpack('<Q', self._file.read(8))
        return bytes(decompress(self._file.read(packed), name, size, crc))


def _texts(head: str, data: bytes, count: int) -> Iterator[int | str]:
    """Give the fixed fields of a record, then its length-prefixed texts."""
    yield from struct.unpack_from(head, data)
    at = struct.calcsize(head)
    for _ in range(count):
        (size,) = struct.unpack_from('<I', data, at)
        yield data[at + 4 : at + 4 + size].decode()
        at += 4 + size


class SalvagedSqlite:
    """Readable part of an SQLite3 storage file, and of the journal beside it.

    Args:
        path: The file.

    Raises:
        BagError: Not even the list of topics can be read.
    """

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, SalvagedTopic] = {}
        self.entries: list[Entry] = []
        self.damage = 'it was not completed'
        try:
            self._base, self._files = _open_database(path)  # SQLite does not own its files
            # Without this, SQLite refuses a file that is shorter than its header says.
            self._base.execute('PRAGMA writable_schema=ON')
            self._add_topics()
        except _database_errors() as err:
            raise BagError(f'{path}: the topics cannot be read: {err}') from None
        self._walk()
        self.entries.sort(key=lambda entry: entry.stamp_ns)

    def load(self, entry: Entry) -> bytes:
        """Return the serialised message."""
        row = self._base.execute('SELECT data FROM messages WHERE rowid = ?', (entry.offset,))
        return bytes(row.fetchone()[0])

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _add_topics(self) -> None:
        names = {row[1] for row in self._base.execute('PRAGMA table_info(topics)')}
        qos = 'offered_qos_profiles' if 'offered_qos_profiles' in names else "''"
        for key, name, msgtype, text in self._base.execute(
            f'SELECT id, name, type, {qos} FROM topics'  # noqa: S608  one of two constants
        ):
            self.topics[key] = SalvagedTopic(name=name, msgtype=msgtype, qos=text)

    def _walk(self) -> None:
        """List the messages, reading each whole, until one cannot be read."""
        try:
            for topic, stamp_ns, rowid, data in self._base.execute(
                'SELECT topic_id, timestamp, rowid, data FROM messages ORDER BY rowid'
            ):
                self.entries.append(Entry(stamp_ns, topic, rowid, len(data)))
        except _database_errors() as err:
            self.damage = f'message {len(self.entries) + 1} cannot be read ({err})'


def _database_errors() -> tuple[type[Exception], ...]:
    import apsw

    return sqlite3.Error, apsw.Error, OSError


def _open_database(path: Path) -> tuple[Any, Any]:
    """Open read-only, with its journal if there is one.

    SQLite reads what lies beyond the end of a cut file as zeros, which would pass as data; hence
    a file system that refuses. It cannot do journals, but a file with one was not cut.
    """
    if path.with_name(f'{path.name}-wal').exists():
        return sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro', uri=True), None
    import apsw

    class StrictFile(apsw.VFSFile):
        def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802  SQLite's name
            if offset + amount > self.xFileSize():
                raise apsw.IOError(f'byte {offset} is beyond the end of the file')
            return bytes(super().xRead(amount, offset))

    class StrictFiles(apsw.VFS):
        def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
            return StrictFile('', name, flags)

    name = f'dlcv-strict-{next(_COUNTER)}'
    files = StrictFiles(name, '')
    uri = f'{path.resolve().as_uri()}?immutable=1'
    flags = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
    return apsw.Connection(uri, flags=flags, vfs=name), files
