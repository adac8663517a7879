"""Files as people name and write them: ``~`` in paths, and text of whatever encoding."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

_MARKS = (  # the longer first: UTF-32's mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, 'utf-32'),
    (codecs.BOM_UTF32_BE, 'utf-32'),
    (codecs.BOM_UTF8, 'utf-8-sig'),
    (codecs.BOM_UTF16_LE, 'utf-16'),
    (codecs.BOM_UTF16_BE, 'utf-16'),
)
_CONTROL = frozenset(range(32)) - {9, 10, 12, 13, 26}  # 26 ended files of DOS
_INVISIBLE = dict.fromkeys(map(ord, '\ufeff\u200b\u2060\x1a'))
_LOOKED_AT = 4096


class TextError(ValueError):
    """A file that is no text; the message says so, and names no file."""


def expanded(path: str | Path) -> Path:
    """Return a path with ``~`` as the shell expands it; it does not where quotes are around it."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  (Path's own raises for unknown users)


def read_text(path: Path) -> str:
    """Return the text of a file: UTF-8, UTF-16 as PowerShell writes it, or Western European.

    Byte order marks are taken away, also those within, as joined files have them.

    Raises:
        TextError: It is no text.
        OSError: It cannot be read.
    """
    data = path.read_bytes()
    try:
        return _decoded(data).translate(_INVISIBLE)
    except UnicodeDecodeError:
        raise TextError('is no text') from None


def _decoded(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding)
    head = data[:_LOOKED_AT]
    if len(head) > 1 and 0 in head:  # UTF-16 without its mark has a zero beside each letter
        for place, encoding in ((1, 'utf-16-le'), (0, 'utf-16-be')):
            if 0 not in head[1 - place :: 2] and head[place::2].count(0) > 0.4 * len(head):
                return data.decode(encoding)
    if not _CONTROL.isdisjoint(head):
        raise TextError('is no text')
    try:
        return data.decode('utf-8')
    except UnicodeDecodeError:
        return data.decode('cp1252', 'replace')  # a comment of long ago
