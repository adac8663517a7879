"""How far the writing of a bag has come, and what is left of it when it breaks off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
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
            sys.stderr.write(f'{out} keeps the first {done} of {total} pictures\n')
        raise
