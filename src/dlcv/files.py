"""Files that are whole, or not there: nobody finds half of one under its name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


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
