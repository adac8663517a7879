"""The exceptions of this room, and the words for a folder that is not what was expected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

F = TypeVar('F')


class DatasetError(ValueError):
    """A folder or file that cannot be read; the message names it and what was looked for."""


class LayoutError(DatasetError):
    """A folder whose layout is not that of the data set it was taken for."""


class NoPoseError(DatasetError):
    """A record of a file of poses that holds none.

    Attributes:
        absent: Whether it says so, as zeros and NaN do; what is merely wrong may be of another
            format.
    """

    def __init__(self, message: str, *, absent: bool = False) -> None:
        super().__init__(message)
        self.absent = absent


def wrong_folder(path: Path, kind: str, wanted: Sequence[str]) -> LayoutError:
    """Return the error for a folder that does not have the layout of ``kind``."""
    if not path.exists():
        return LayoutError(f'{path}: no such folder')
    if not path.is_dir():
        return LayoutError(f'{path} is a file; a {kind} folder is needed')
    names = sorted(p.name + '/' * p.is_dir() for p in path.iterdir())
    there = ', '.join(names[:12]) + (f' and {len(names) - 12} more' if len(names) > 12 else '')
    return LayoutError(
        f'{path} is no {kind} folder: looked for {" or ".join(wanted)}; it has {there or "nothing"}'
    )


def recognised(
    source: Path | str, kind: str, readers: Iterable[Callable[[Path], F]], wanted: Sequence[str]
) -> F:
    """Return what the first reader makes of a folder whose layout it knows.

    Args:
        source: The folder.
        kind: What is looked for, for the error.
        readers: Raise `LayoutError` for another layout than theirs.
        wanted: The layouts in words, for the error.

    Raises:
        LayoutError: The layout is none of them.
        DatasetError: It is, but a file in it is wrong or missing.
    """
    path = Path(source)
    for read in readers:
        with suppress(LayoutError):
            return read(path)
    raise wrong_folder(path, kind, wanted)
