"""Write messages to a rosbag2 in MCAP files.

One rule for names: ``x.mcap`` becomes one self-contained MCAP file; any other name becomes a
rosbag2 folder of that name with ``metadata.yaml`` and one MCAP file. ``ros2 bag play``,
``dlcv play``, rosbags' AnyReader and :class:`dlcv.data.bags.Bag` take both.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.sources import open_sources
from dlcv.data.bags.vocabulary import typestore
from dlcv.files import Closing

if TYPE_CHECKING:
    from rosbags.interfaces import Connection, Qos
    from rosbags.rosbag2 import Writer

QosName = Literal['reliable', 'best_effort', 'latched']
Compression = Literal['none', 'zstd']


class BagWriter(Closing):
    """A bag being written; use it in a ``with`` block, which completes the file in any case.

    Also after an error in the block the index is written, so that what was written can be read.
    Where the disk refuses that, what can be read stays as ``NAME.partial``, and nothing stays under
    the name itself.

    Args:
        path: ``NAME.mcap`` for a single file, else the folder to make.
        compression: Of the chunks inside the file; zstd halves camera images at some CPU time.
        overwrite: Replace a bag that is there already.
        notes: Text kept in the bag's metadata (``custom_data``).

    Raises:
        BagError: The path exists already, or cannot be written.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        compression: Compression = 'none',
        overwrite: bool = False,
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.messages = 0
        self._refused = False
        self._connections: dict[str, Connection] = {}
        if self.path.suffix in ('.db3', '.bag'):
            raise BagError(
                f'{self.path}: bags are written as MCAP: {self.path.with_suffix(".mcap").name} for '
                f'a single file, {self.path.stem} for a folder'
            )
        if self.path.exists() or self.path.is_symlink():
            _remove_old(self.path, overwrite)
        self._folder = self.path
        partial = partial_of(self.path)
        if partial.exists():
            _remove_old(partial, overwrite=True)
        if self.path.suffix == '.mcap':  # rosbags writes folders: write one aside, take the file
            self._folder = partial
        self._writer = _open(self._folder, compression, notes or {})

    def add_topic(self, topic: str, msgtype: str, *, qos: QosName = 'reliable') -> None:
        """Announce a topic.

        Args:
            topic: Its full name.
            msgtype: Such as ``sensor_msgs/msg/Image``.
            qos: What players shall offer: ``latched`` is reliable and transient local.

        Raises:
            BagError: The topic is there already or its type is not known.
        """
        if topic in self._connections:
            raise BagError(f'{self.path}: topic {topic} was added twice')
        if msgtype not in typestore().fielddefs:
            raise BagError(f'{self.path}: no definition of {msgtype}, asked for by topic {topic}')
        self._connections[topic] = self._writer.add_connection(
            topic, msgtype, typestore=typestore(), offered_qos_profiles=[_qos(qos)]
        )

    def write(self, topic: str, stamp_ns: int, message: Any) -> None:
        """Append a message made by `dlcv.data.bags.vocabulary.COMPOSER` under its receive time."""
        connection = self._connection(topic)
        self.write_raw(topic, stamp_ns, typestore().serialize_cdr(message, connection.msgtype))

    def write_raw(self, topic: str, stamp_ns: int, data: bytes | memoryview) -> None:
        """Append serialised (CDR) bytes under their receive time in nanoseconds.

        Raises:
            BagError: The topic was not added, or the disk refuses.
        """
        connection = self._connection(topic)
        try:
            self._writer.write(connection, stamp_ns, data)
        except OSError as err:
            self._refused = True
            raise BagError(
                f'{self.path}: writing stopped after {self.messages} messages: {err}'
            ) from err
        self.messages += 1

    def close(self) -> None:
        """Write the index and the metadata; a bag without messages is removed again.

        Raises:
            BagError: The disk refuses; the message says what of it can still be read, and where.
        """
        if self._writer.storage is None:
            return
        try:
            if self.messages:
                self._writer.close()
                self._check()
                self._settle()
            else:
                self._writer.abort()
                shutil.rmtree(self._folder)
        except OSError as err:
            with suppress(OSError):  # it cannot write its last bytes either
                self._writer.abort()
            raise BagError(f'{self.path} cannot be completed: {err}; {self._abandon()}') from err

    def _connection(self, topic: str) -> Connection:
        if topic not in self._connections:
            raise BagError(f'{self.path}: no topic {topic}; there are {sorted(self._connections)}')
        return self._connections[topic]

    def _check(self) -> None:
        """Raise an OSError where a message that was refused has left a gap in the file."""
        if not self._refused:
            return
        count, whole = _readable(self._folder)
        if not whole or not count:
            raise OSError('it is damaged where the disk refused to take more')
        self.messages = count

    def _settle(self) -> None:
        """Give a completed bag its name."""
        if self._folder != self.path:
            (self._folder / f'{self._folder.name}.mcap').replace(self.path)
            shutil.rmtree(self._folder)

    def _abandon(self) -> str:
        """Keep what can be read of a bag that cannot be completed; say what that is."""
        self.messages, _ = _readable(self._folder)
        if not self.messages:
            shutil.rmtree(self._folder, ignore_errors=True)
            return 'nothing of it could be kept'
        partial = partial_of(self.path)
        if self._folder != partial:
            self._folder.rename(partial)
        return f'as a damaged bag, {partial} has its first {self.messages} messages'


def partial_of(path: Path) -> Path:
    """Return where that of a bag is kept which cannot be completed."""
    return path.with_name(f'{path.name}.partial')


def _readable(folder: Path) -> tuple[int, bool]:
    """Return how many messages of a bag can be read, and whether it is whole."""
    count = 0
    try:
        opened = open_sources(folder)
    except BagError:
        return 0, False
    try:
        for source in opened.sources:
            for _ in source.messages(None, None, None):
                count += 1
    except BagError:
        return count, False
    finally:
        for source in opened.sources:
            source.close()
    return count, not opened.damage


def _open(folder: Path, compression: Compression, notes: Mapping[str, str]) -> Writer:
    from rosbags.rosbag2 import (
        CompressionFormat,
        CompressionMode,
        StoragePlugin,
        Writer,
        WriterError,
    )

    try:
        # Version 8 is what Humble, Jazzy and later all read; 9 changed the QoS text only.
        writer = Writer(folder, version=8, storage_plugin=StoragePlugin.MCAP)
        if compression == 'zstd':
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        for key, value in notes.items():
            writer.set_custom_data(key, value)
        writer.open()
    except OSError as err:
        with suppress(OSError):
            folder.rmdir()  # nothing is in it
        raise BagError(f'{folder} cannot be written: {err.strerror}') from err
    except WriterError as err:
        raise BagError(f'{folder} cannot be written: {err}') from err
    return writer


def _remove_old(path: Path, overwrite: bool) -> None:
    """Make room, but never delete what does not look like a bag."""
    if not overwrite:
        raise BagError(f'{path} exists already; give another name, or --overwrite')
    if path.is_symlink() or (path.is_file() and path.suffix == '.mcap'):
        path.unlink()
        return
    if not path.is_dir():
        raise BagError(f'{path} is no bag, so it is not overwritten')
    others = sorted(
        p.name for p in path.iterdir() if p.suffix != '.mcap' and p.name != 'metadata.yaml'
    )
    if others:
        raise BagError(f'{path} holds more than a bag, so it is not overwritten: {others[:5]}')
    shutil.rmtree(path)


def _qos(name: QosName) -> Qos:
    from rosbags.interfaces import (
        Qos,
        QosDurability,
        QosHistory,
        QosLiveliness,
        QosReliability,
        QosTime,
    )

    forever = QosTime(9223372036, 854775807)  # the largest int64 of nanoseconds, rmw's infinity
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if name == 'latched' else 10,
        reliability=QosReliability.BEST_EFFORT
        if name == 'best_effort'
        else QosReliability.RELIABLE,
        durability=QosDurability.TRANSIENT_LOCAL if name == 'latched' else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )
