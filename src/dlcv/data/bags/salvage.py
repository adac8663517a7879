"""What can still be read of a storage file that was never completed, or was cut, or has no index.

Here a file is walked from its start for as long as it makes sense: that gives the places of the
readable messages, and in words where the walk ended.
"""

from __future__ import annotations

import sqlite3
import struct
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.mcap import (
    CHANNEL,
    CHUNK,
    DATA_END,
    FOOTER,
    MAGIC,
    MESSAGE,
    SCHEMA,
    Catalogue,
    check_magic,
    places,
    read_chunk,
)
from dlcv.data.bags.sqlite import read_topics
from dlcv.data.bags.storage import Stored, StoredTopic, within

_COUNTER = count()  # of the file systems that SQLite knows by name


@dataclass(frozen=True, slots=True)
class _Entry:
    """Where a message lies: in the file, or in an unpacked chunk if ``chunk`` is not -1."""

    stamp_ns: int
    topic: int
    offset: int
    size: int
    chunk: int = -1


class _Salvaged:
    """What both kinds have in common: a list of places."""

    def __init__(self) -> None:
        self.topics: dict[int, StoredTopic] = {}
        self.counts: dict[int, int] = {}
        self.start_ns = self.end_ns = 0
        self.damage = ''
        self._entries: list[_Entry] = []

    def messages(
        self, keys: Collection[int], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[Stored]:
        """Give messages of some topics in time order, from a moment and before another."""
        for entry in self._entries:
            if entry.topic in keys and within(entry.stamp_ns, start_ns, stop_ns):
                yield Stored(entry.topic, entry.stamp_ns, self._load(entry))

    def _load(self, entry: _Entry) -> bytes:
        raise NotImplementedError

    def _settle(self) -> None:
        """Put the places in order; those of unknown topics are of no use."""
        self._entries = [entry for entry in self._entries if entry.topic in self.topics]
        self._entries.sort(key=lambda entry: entry.stamp_ns)  # stable: file order in a moment
        self.counts = dict(Counter(entry.topic for entry in self._entries))
        if self._entries:
            self.start_ns, self.end_ns = self._entries[0].stamp_ns, self._entries[-1].stamp_ns


class SalvagedMcap(_Salvaged):
    """Readable part of an MCAP file; all of it where it only lacks an index.

    Args:
        path: The file.

    Raises:
        BagError: It does not even begin like one.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._catalogue = Catalogue()
        self._file: BinaryIO = path.open('rb')
        self._size = path.stat().st_size
        try:
            check_magic(self._file, path)
        except BagError:
            self._file.close()
            raise
        self._unpack = lru_cache(maxsize=4)(self._read_chunk)
        self._walk()
        self.topics = self._catalogue.topics
        self._settle()

    def close(self) -> None:
        """Close the file."""
        self._unpack.cache_clear()
        self._file.close()

    def _load(self, entry: _Entry) -> bytes:
        if entry.chunk >= 0:
            return self._unpack(entry.chunk)[entry.offset : entry.offset + entry.size]
        self._file.seek(entry.offset)
        return self._file.read(entry.size)

    def _walk(self) -> None:
        at, opcode, indexing = len(MAGIC), 0, False
        while at + 9 <= self._size:
            self._file.seek(at)
            opcode, size = struct.unpack('<BQ', self._file.read(9))
            if at + 9 + size > self._size or opcode == 0:
                if opcode == CHUNK:
                    self._cut_chunk(at)
                break
            indexing = indexing or opcode == DATA_END  # what follows says again what was said
            try:
                if not indexing:
                    self._record(opcode, at, size)
            except Exception as err:  # noqa: BLE001  whatever a damaged record makes of itself
                self.damage = f'the record at byte {at} cannot be read ({_words(err)})'
            at += 9 + size
            if opcode == FOOTER:
                break
        self._file.seek(at)
        if opcode == FOOTER and self._file.read() == MAGIC:
            return
        if at != self._size:
            self.damage = f'cut in the record at byte {at} of {self._size}'
        elif not self.damage:
            self.damage = 'the index at its end is missing'

    def _record(self, opcode: int, at: int, size: int) -> None:
        if opcode == CHUNK:
            packed = self._file.read(32)
            (name_size,) = struct.unpack_from('<I', packed, 28)
            if name_size == 0:  # not compressed: the messages can be read where they lie
                self._file.seek(at + 49)
                self._records(self._file.read(size - 40), at + 49, -1)
            else:
                self._records(self._unpack(at), 0, at)
        elif opcode in (SCHEMA, CHANNEL, MESSAGE):
            self._item(opcode, self._file.read(size), at + 9, -1)

    def _cut_chunk(self, at: int) -> None:
        """Take the messages before the cut; of a compressed chunk there are none."""
        with suppress(struct.error, UnicodeDecodeError, BagError):
            if struct.unpack_from('<I', self._file.read(32), 28) == (0,):
                self._file.seek(at + 49)
                self._records(self._file.read(), at + 49, -1)

    def _records(self, data: bytes, base: int, chunk: int) -> None:
        for opcode, begin, end in places(data):
            if end > len(data):  # cut
                return
            self._item(opcode, data[begin:end], base + begin, chunk)

    def _item(self, opcode: int, data: bytes, start: int, chunk: int) -> None:
        if opcode == SCHEMA:
            self._catalogue.add_schema(data)
        elif opcode == CHANNEL:
            self._catalogue.add_channel(data)
        elif opcode == MESSAGE:
            channel, _, stamp_ns = struct.unpack_from('<HIQ', data)
            self._entries.append(_Entry(stamp_ns, channel, start + 22, len(data) - 22, chunk))

    def _read_chunk(self, at: int) -> bytes:
        return read_chunk(self._file, at)


class SalvagedSqlite(_Salvaged):
    """Readable part of an SQLite3 storage file, and of the journal beside it.

    Args:
        path: The file.

    Raises:
        BagError: Not even the list of topics can be read.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.damage = 'it was not completed'
        try:
            self._base, self._files = _open_database(path)  # SQLite does not own its files
            # Without this, SQLite refuses a file that is shorter than its header says.
            self._base.execute('PRAGMA writable_schema=ON')
            self.topics = read_topics(self._base)
        except _database_errors() as err:
            raise BagError(f'{path}: the topics cannot be read: {err}') from None
        self._walk()
        self._settle()

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _load(self, entry: _Entry) -> bytes:
        row = self._base.execute('SELECT data FROM messages WHERE rowid = ?', (entry.offset,))
        return bytes(row.fetchone()[0])

    def _walk(self) -> None:
        """List the messages, reading each whole, until one cannot be read."""
        try:
            for topic, stamp_ns, rowid, data in self._base.execute(
                'SELECT topic_id, timestamp, rowid, data FROM messages ORDER BY rowid'
            ):
                self._entries.append(_Entry(stamp_ns, topic, rowid, len(data)))
        except _database_errors() as err:
            self.damage = f'message {len(self._entries) + 1} cannot be read ({err})'


def _words(err: Exception) -> str:
    return f'{err}' if str(err) else type(err).__name__


def _database_errors() -> tuple[type[Exception], ...]:
    import apsw

    return sqlite3.Error, apsw.Error, OSError, BagError


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
