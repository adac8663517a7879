"""MCAP files: their records, and whole files by the index at their end.

Neither the profile nor the kinds of messages are looked at here: an MCAP file may hold channels of
any kind side by side.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator
from heapq import heappop, heappush
from itertools import count
from pathlib import Path
from typing import BinaryIO, NamedTuple

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.storage import Stored, StoredTopic, says_latched, within

MAGIC = b'\x89MCAP0\r\n'
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, DATA_END = 2, 3, 4, 5, 6, 15  # opcodes of records
_CHUNK_INDEX, _STATISTICS = 8, 11
_HEAD = struct.Struct('<BQ')  # opcode and size before each record
_MESSAGE_HEAD = struct.Struct('<HIQQ')
_USUAL = {
    'ros1msg': 'ros1',
    'jsonschema': 'json',
    'protobuf': 'protobuf',
    'flatbuffer': 'flatbuffer',
}
_END = 37  # bytes of the footer record and of the closing magic


class Schema(NamedTuple):
    """Name, encoding and text of a message definition."""

    name: str = ''
    encoding: str = ''
    text: str = ''


class _Chunk(NamedTuple):
    """Where a chunk lies, and what is in it; no channels where the index does not say."""

    first_ns: int
    last_ns: int
    offset: int
    channels: frozenset[int]


class Catalogue:
    """The schemas and channels of a file, as records announce them.

    Attributes:
        topics: By channel.
    """

    def __init__(self) -> None:
        self.topics: dict[int, StoredTopic] = {}
        self._schemas: dict[int, Schema] = {0: Schema()}

    def add_schema(self, data: bytes) -> None:
        """Take a schema record."""
        (key,) = struct.unpack_from('<H', data)
        name, encoding, text = _texts(data, 2, 3)
        self._schemas[key] = Schema(
            name.decode(), encoding.decode(), text.decode('utf-8', 'replace')
        )

    def add_channel(self, data: bytes) -> None:
        """Take a channel record.

        Raises:
            BagError: Its schema was not announced.
        """
        key, schema_key = struct.unpack_from('<HH', data)
        topic, serialization, notes = _texts(data, 4, 3)
        if schema_key not in self._schemas:
            raise BagError(f'the schema of channel {topic.decode()} is missing')
        schema, said = self._schemas[schema_key], _pairs(notes)
        self.topics[key] = StoredTopic(
            name=topic.decode(),
            msgtype=schema.name,
            definition=schema.text,
            encoding=schema.encoding,
            serialization=serialization.decode() or _USUAL.get(schema.encoding, 'cdr'),
            latched=says_latched(said.get('offered_qos_profiles', ''))
            or said.get('latching') == '1',
        )


class IndexedMcap:
    """A whole MCAP file that has its index.

    Args:
        path: The file.

    Raises:
        BagError: It is no MCAP file, or has no index that tells all that is needed: then it can be
            read from its start only (`SalvagedMcap`).
    """

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, StoredTopic] = {}
        self.counts: dict[int, int] = {}
        self.start_ns = self.end_ns = 0
        self.damage = ''
        self._chunks: list[_Chunk] = []
        self._file: BinaryIO = path.open('rb')
        try:
            self._read_index(path)
        except Exception as err:
            self._file.close()
            if isinstance(err, BagError | OSError):
                raise
            raise BagError(f'{path}: the index at its end cannot be read: {err!r}') from err

    def messages(
        self, keys: Collection[int], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[Stored]:
        """Give messages of some topics in time order, from a moment and before another."""
        wanted = frozenset(keys)
        pending: list[tuple[int, int, Stored]] = []  # a heap: chunks may overlap in time
        number = count()
        for chunk in self._chunks:
            late = start_ns is not None and chunk.last_ns < start_ns
            early = stop_ns is not None and chunk.first_ns >= stop_ns
            if late or early or (chunk.channels and wanted.isdisjoint(chunk.channels)):
                continue
            while pending and pending[0][0] < chunk.first_ns:
                yield heappop(pending)[2]
            for message in _messages(read_chunk(self._file, chunk.offset), wanted):
                if within(message.stamp_ns, start_ns, stop_ns):
                    heappush(pending, (message.stamp_ns, next(number), message))
        while pending:
            yield heappop(pending)[2]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _read_index(self, path: Path) -> None:
        check_magic(self._file, path)
        size = self._file.seek(0, 2)
        self._file.seek(max(0, size - _END))
        footer = self._file.read()
        whole = len(footer) == _END and footer.endswith(MAGIC)
        if not whole or _HEAD.unpack_from(footer) != (FOOTER, 20):
            raise BagError(f'{path}: the file does not end as MCAP files do')
        (begin,) = struct.unpack_from('<Q', footer, _HEAD.size)
        if not begin:
            raise BagError(f'{path}: it has no index')
        self._file.seek(begin)
        catalogue, told = Catalogue(), -1
        for opcode, data in records(self._file.read(size - _END - begin)):
            if opcode == SCHEMA:
                catalogue.add_schema(data)
            elif opcode == CHANNEL:
                catalogue.add_channel(data)
            elif opcode == _CHUNK_INDEX:
                self._chunks.append(_chunk_index(data))
            elif opcode == _STATISTICS:
                told, self.start_ns, self.end_ns, self.counts = _statistics(data)
        self.topics = catalogue.topics
        known = sum(self.counts.get(key, 0) for key in self.topics)
        if told < 0 or known != told or (told and not self._chunks):
            raise BagError(f'{path}: its index does not tell where all messages are')
        self._chunks.sort(key=lambda chunk: (chunk.first_ns, chunk.offset))


def check_magic(file: BinaryIO, path: Path) -> None:
    """Raise a BagError unless a file begins like MCAP; goes on behind that."""
    file.seek(0)
    if file.read(len(MAGIC)) != MAGIC:
        raise BagError(f'{path} is no MCAP file: it does not begin with the magic bytes')


def records(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Give opcode and content of records that follow each other."""
    for opcode, begin, end in places(data):
        yield opcode, data[begin:end]


def places(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Give opcode, begin and end of records that follow each other."""
    at = 0
    while at + _HEAD.size <= len(data):
        opcode, size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        yield opcode, at, at + size
        at += size


def read_chunk(file: BinaryIO, offset: int) -> bytes:
    """Return the unpacked records of the chunk record at an offset.

    Raises:
        Exception: Of many kinds, where it is damaged.
    """
    from rosbags.rosbag2.storage_mcap import decompress

    file.seek(offset + _HEAD.size)
    _, _, size, crc, name_size = struct.unpack('<QQQII', file.read(32))
    name = file.read(name_size).decode()
    (packed,) = struct.unpack('<Q', file.read(8))
    return bytes(decompress(file.read(packed), name, size, crc))


def _messages(data: bytes, wanted: Collection[int]) -> Iterator[Stored]:
    for opcode, begin, end in places(data):
        if opcode == MESSAGE:
            channel, _, stamp_ns, _ = _MESSAGE_HEAD.unpack_from(data, begin)
            if channel in wanted:
                yield Stored(channel, stamp_ns, data[begin + _MESSAGE_HEAD.size : end])


def _chunk_index(data: bytes) -> _Chunk:
    first, last, offset, _, size = struct.unpack_from('<QQQQI', data)
    channels = struct.iter_unpack('<HQ', data[36 : 36 + size])
    return _Chunk(first, last, offset, frozenset(channel for channel, _ in channels))


def _statistics(data: bytes) -> tuple[int, int, int, dict[int, int]]:
    """Return the number of messages, first and last time, and the numbers by channel."""
    told, *_, start_ns, end_ns, size = struct.unpack_from('<QHIIIIQQI', data)
    counts = dict(struct.iter_unpack('<HQ', data[46 : 46 + size]))
    return told, start_ns if told else 0, end_ns if told else 0, counts


def _texts(data: bytes, at: int, number: int) -> Iterator[bytes]:
    """Give length-prefixed fields."""
    for _ in range(number):
        (size,) = struct.unpack_from('<I', data, at)
        yield data[at + 4 : at + 4 + size]
        at += 4 + size


def _pairs(data: bytes) -> dict[str, str]:
    """Return a map of texts."""
    found, at = {}, 0
    while at < len(data):
        key, value = _texts(data, at, 2)
        found[key.decode('utf-8', 'replace')] = value.decode('utf-8', 'replace')
        at += 8 + len(key) + len(value)
    return found
