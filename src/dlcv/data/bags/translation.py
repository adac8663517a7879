"""Stored messages to those of ROS 2, whatever definitions the file has stored beside them.

What a file says of a well-known type is no more than a hint: converters copy the definitions of ROS
1 (``D K R P``, a header with ``seq``) beside bytes of ROS 2, scripts write none at all. Types that
ROS 2 Jazzy knows are read by its definitions where the bytes fit these; else the bytes are
translated from the stored definition. Other types are what the file says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from dlcv.data.bags.errors import BagError
from dlcv.data.bags.storage import StoredTopic
from dlcv.data.bags.vocabulary import typestore

RENAMED = {'tf/msg/tfMessage': 'tf2_msgs/msg/TFMessage'}  # ROS 1's first TF message
_ZSTD = b'\x28\xb5\x2f\xfd'  # begins what is compressed so; CDR begins with 0
_IDL = ('ros2idl', 'omgidl')
_KINDS = ('cdr', 'ros1')

Fields = dict[str, Any]
Translate = Callable[[bytes], bytes | memoryview]


def msgtype_of(name: str) -> str:
    """Return ``package/msg/Name`` of a type, also of names as ROS 1 and DDS have them."""
    name = re.sub(r'^(\w+)::(\w+)::dds_::(\w+)_$', r'\1/\2/\3', name).replace('::', '/')
    parts = name.split('/')
    name = '/'.join((parts[0], 'msg', parts[1])) if len(parts) == 2 else name
    return RENAMED.get(name, name)


def not_ros(topic: StoredTopic) -> str:
    """Return what messages of a topic are instead of ROS's; empty if they are ROS's."""
    return '' if topic.serialization in _KINDS else topic.serialization


class Translation:
    """Makes CDR of ROS 2 of the messages of a file, and objects of that.

    Args:
        topics: Of the file, those of ROS.
    """

    def __init__(self, topics: Iterable[StoredTopic]) -> None:
        self._topics = list(topics)
        self._plans: dict[tuple[str, str], Translate] = {}
        self._own: Any = None
        self._cache: dict[str, object] = {}

    def cdr(self, topic: StoredTopic, data: bytes) -> bytes | memoryview:
        """Return a message as ROS 2 serialises it.

        Raises:
            Exception: Of many kinds, where the bytes are no such message.
        """
        if data[:4] == _ZSTD:
            data = _unpacked(data)
        key = topic.msgtype, topic.serialization
        if key not in self._plans:
            self._plans[key] = self._plan(topic)
        return self._plans[key](data)

    def deserialize(self, msgtype: str, cdr: bytes | memoryview) -> Any:
        """Return the message of its bytes, as `cdr` returned them.

        Raises:
            Exception: Of many kinds, where the bytes are no such message.
        """
        return self._store_of(msgtype).deserialize_cdr(cdr, msgtype)

    def _plan(self, topic: StoredTopic) -> Translate:
        msgtype, stored = msgtype_of(topic.msgtype), _fields_of(topic)
        if topic.serialization == 'ros1':
            source = _ros1_store(stored, topic)
            return lambda data: self._migrated(source, topic.msgtype, msgtype, data, is2=False)
        known = typestore().fielddefs
        named = _named(stored, topic.msgtype)
        if msgtype not in known or not stored or _layout(stored, named) == _layout(known, msgtype):
            return lambda data: data
        own = _store({**known, **stored})

        def fitting(data: bytes) -> bytes | memoryview:
            try:
                typestore().deserialize_cdr(data, msgtype)
            except Exception:  # noqa: BLE001  whatever the generated code makes of foreign bytes
                return self._migrated(own, named, msgtype, data, is2=True)
            return data

        return fitting

    def _migrated(
        self, source: Any, msgtype: str, new_type: str, data: bytes, *, is2: bool
    ) -> memoryview:
        return migrated(
            source, self._store_of(new_type), msgtype, new_type, self._cache, data, is2=is2
        )

    def _store_of(self, msgtype: str) -> Any:
        """Return the definitions of ROS 2, or with those that only this file has."""
        if msgtype in typestore().fielddefs:
            return typestore()
        if self._own is None:
            stored: Fields = {}
            for topic in self._topics:
                stored.update(_fields_of(topic))
            self._own = _store({**stored, **typestore().fielddefs})
        if msgtype not in self._own.fielddefs:
            raise BagError(f'the bag has no definition of {msgtype}')
        return self._own


def migrated(
    source: Any,
    target: Any,
    msgtype: str,
    new_type: str,
    cache: dict[str, object],
    data: bytes,
    *,
    is2: bool,
) -> memoryview:
    """Return CDR of a message that is serialised by other definitions.

    Args:
        source: The definitions of the bytes.
        target: Those of the result.
        msgtype: Name of the type in ``source``.
        new_type: Name of the type in ``target``.
        cache: One for each pair of ``source`` and ``target``.
        data: The bytes.
        is2: Whether they are CDR; else they are ROS 1's.
    """
    from rosbags.convert.converter import migrate_bytes

    return migrate_bytes(source, target, msgtype, new_type, cache, data, src_is2=is2, dst_is2=True)


def _unpacked(data: bytes) -> bytes:
    from rosbags.rosbag2.storage_mcap import DECOMPRESSORS

    return bytes(DECOMPRESSORS['zstd'](data, 0))


def _store(fields: Fields) -> Any:
    from rosbags.typesys import Stores, get_typestore

    store = get_typestore(Stores.EMPTY)
    store.register(fields)
    return store


def _ros1_store(stored: Fields, topic: StoredTopic) -> Any:
    from rosbags.typesys import Stores, get_typestore

    noetic = {**typestore().fielddefs, **get_typestore(Stores.ROS1_NOETIC).fielddefs}
    store = _store({**noetic, **stored})
    if topic.msgtype not in store.fielddefs:
        store.register({topic.msgtype: store.fielddefs[_named(stored or noetic, topic.msgtype)]})
    return store


def _named(fields: Fields, msgtype: str) -> str:
    """Return the name that a type has among parsed definitions."""
    return msgtype if msgtype in fields else msgtype_of(msgtype)


def _fields_of(topic: StoredTopic) -> Fields:
    return _parsed(topic.msgtype, topic.encoding, topic.definition)


@lru_cache(maxsize=256)
def _parsed(msgtype: str, encoding: str, text: str) -> Fields:
    """Return the definitions of a type and of all in it; none where the text cannot be read."""
    from rosbags.typesys import get_types_from_idl, get_types_from_msg

    try:
        if encoding in _IDL or text.lstrip().startswith('IDL: '):
            found: Fields = {}
            for part in re.split(r'^=+\n(?=IDL: )', text, flags=re.MULTILINE):
                idl = re.sub(r'\AIDL: .*\n', '', part)
                found.update(get_types_from_idl(idl) if idl.strip() else {})
            return found
        return dict(get_types_from_msg(text, msgtype_of(msgtype))) if text.strip() else {}
    except Exception:  # noqa: BLE001  rosbags' parser lets errors of its own machinery pass
        return {}


def _layout(fields: Fields, msgtype: str) -> Any:
    """Return how the bytes of a type lie, whatever its fields are called."""
    found = fields.get(msgtype) or typestore().fielddefs[msgtype]
    return tuple(_layout_of(fields, kind) for _, kind in found[1])


def _layout_of(fields: Fields, kind: Any) -> Any:
    from rosbags.interfaces import Nodetype

    node, detail = kind
    if node == Nodetype.NAME:
        return _layout(fields, detail)
    if node == Nodetype.BASE:
        return detail[0]
    return node, _layout_of(fields, detail[0]), detail[1]
