"""SQLite3 storage files of rosbag2, of all its versions: tables are asked, not version numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.storage import Stored, StoredTopic, says_latched


class Database:
    """A whole SQLite3 file.

    Args:
        path: The file.

    Raises:
        BagError: It is none, is cut, or has other tables.
    """

    def __init__(self, path: Path) -> None:
        self.topics: dict[int, StoredTopic] = {}
        self.counts: dict[int, int] = {}
        self.start_ns = self.end_ns = 0
        self.damage = ''
        try:
            self._base = sqlite3.connect(f'{path.resolve().as_uri()}?mode=ro&immutable=1', uri=True)
        except sqlite3.Error as err:
            raise BagError(f'{path} cannot be opened: {err}') from None
        try:
            self.topics = read_topics(self._base)
            self._count()
        except (sqlite3.Error, BagError) as err:
            self._base.close()
            raise BagError(f'{path}: {err}') from None

    def messages(
        self, keys: Collection[int], start_ns: int | None, stop_ns: int | None
    ) -> Iterator[Stored]:
        """Give messages of some topics in time order, from a moment and before another."""
        query = 'SELECT topic_id, timestamp, data FROM messages WHERE topic_id IN '
        query += f'({",".join("?" * len(keys))})'
        values = list(keys)
        for sign, limit in (('>=', start_ns), ('<', stop_ns)):
            if limit is not None:
                query += f' AND timestamp {sign} ?'
                values.append(limit)
        for row in self._base.execute(f'{query} ORDER BY timestamp, rowid', values):
            yield Stored(*row)

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _count(self) -> None:
        found = self._base.execute(
            'SELECT topic_id, count(*), min(timestamp), max(timestamp) FROM messages '
            'GROUP BY topic_id'
        ).fetchall()
        self.counts = {key: number for key, number, _, _ in found}
        self.start_ns = min((first for _, _, first, _ in found), default=0)
        self.end_ns = max((last for _, _, _, last in found), default=0)


def read_topics(base: Any) -> dict[int, StoredTopic]:
    """Return the topics of an open database by their keys.

    Raises:
        BagError: It has no table of topics.
    """
    names = columns(base, 'topics')
    if not {'id', 'name', 'type'} <= names:
        raise BagError('no table of topics')
    definitions: dict[str, tuple[str, str]] = {}
    if {'topic_type', 'encoding', 'encoded_message_definition'} <= columns(
        base, 'message_definitions'
    ):
        rows = base.execute(
            'SELECT topic_type, encoding, encoded_message_definition FROM message_definitions'
        )
        definitions = {msgtype: (encoding, text) for msgtype, encoding, text in rows}
    optional = ('serialization_format', 'offered_qos_profiles')
    more = ', '.join(name if name in names else "''" for name in optional)
    topics = {}
    for key, name, msgtype, serialization, qos in base.execute(
        f'SELECT id, name, type, {more} FROM topics'  # noqa: S608  constants
    ):
        encoding, text = definitions.get(msgtype, ('', ''))
        topics[key] = StoredTopic(
            name=name,
            msgtype=msgtype,
            definition=text or '',
            encoding=encoding or '',
            serialization=serialization or 'cdr',
            latched=says_latched(qos or ''),
        )
    return topics


def columns(base: Any, table: str) -> set[str]:
    """Return the names of a table's columns; none where there is no such table."""
    return {row[1] for row in base.execute(f'PRAGMA table_info({table})')}
