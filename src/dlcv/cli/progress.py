"""How far the writing of a bag has come, and what is left of it when it breaks off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dlcv.progress import bars

if TYPE_CHECKING:
    from dlcv.data.bags.recording import Progress


@contextmanager
def progress_bar(title: str, out: Path) -> Iterator[Progress]:
    """Give a function that takes (pictures written, pictures in all); a bar on terminals alone.

    After an error or Ctrl-C it says what ``out`` keeps.
    """
    done, total = 0, 0
    try:
        with bars() as show_part:

            def show(written: int, of: int) -> None:
                nonlocal done, total
                done, total = written, of
                show_part(title, written, of)

            yield show
    except BaseException:
        if done:
            sys.stderr.write(f'{_kept(out, total)}\n')
        raise


def _kept(out: Path, total: int) -> str:
    """Say what is on the disk of a bag that was to have so many pictures."""
    from dlcv.data.bags import Bag, BagError
    from dlcv.data.bags.vocabulary import COMPRESSED_IMAGE, IMAGE
    from dlcv.data.bags.writer import partial_of

    for path in (out, partial_of(out)):
        with suppress(BagError), Bag(path, keep_damaged=True) as bag:
            kept = max(
                (t.count for t in bag.topics if t.msgtype in (IMAGE, COMPRESSED_IMAGE)), default=0
            )
            return f'{path} keeps the first {kept} of {total} pictures'
    return f'nothing is kept of {out}'
