"""Files as people name and write them, and files that are written whole or not at all."""

from __future__ import annotations

import codecs
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self

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


class Closing(ABC):
    """Something open, which the end of a ``with`` block closes."""

    @abstractmethod
    def close(self) -> None:
        """Complete what was written and give the files back."""

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


class TextError(ValueError):
    """A file that is no text; the message says so, and names no file."""


def first_line(err: BaseException) -> str:
    """Return the first line of what an error says, as libraries go on for pages; else its kind."""
    return (str(err).strip() or type(err).__name__).splitlines()[0]


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


@contextmanager
def whole_file(path: Path | str) -> Iterator[Path]:
    """Give a path beside the file to write to; at the end of the block it takes the file's place.

    After an error in the block what was written is removed, and what was there before stays. What
    is no file, such as ``/dev/stdout``, is written to directly.

    Args:
        path: The file; a link is followed.

    Raises:
        OSError: The disk refuses; it names the file.
    """
    path = Path(path)
    place = path.resolve()
    if place.exists() and not place.is_file():
        yield place
        return
    part = place.with_name(f'.{place.name}.part')
    try:
        yield part
        part.replace(place)
    except OSError as err:
        if err.filename not in (None, str(part)):
            raise  # of another file
        reason = err.strerror or ' '.join(str(err).split())
        raise OSError(err.errno or 0, reason, str(path)) from err
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_whole(path: Path | str, content: str | bytes) -> None:
    """Write a file, text as UTF-8; raises as `whole_file` does."""
    data = content.encode() if isinstance(content, str) else content
    with whole_file(path) as part:
        part.write_bytes(data)
