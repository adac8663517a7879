"""How far the writing of a bag has come, and what is left of it when it breaks off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlcv.bags.recording import Progress


@contextmanager
def progress_bar(title: str, out: Path) -> Iterator[Progress]:
    """Give a function that takes (pictures written, pictures in all); a bar on terminals alone.

    After an error or Ctrl-C it says what ``out`` keeps.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn('{task.description}'), BarColumn(), MofNCompleteColumn())
    console = Console(stderr=True)
    disable = not console.is_terminal
    done, total = 0, 0
    try:
        with Bar(
            *columns, TimeRemainingColumn(), console=console, transient=True, disable=disable
        ) as bar:
            task = bar.add_task(title, total=None)

            def show(written: int, of: int) -> None:
                nonlocal done, total
                done, total = written, of
                bar.update(task, completed=written, total=of)

            yield show
    except BaseException:
        if done:
            sys.stderr.write(f'{out} keeps the first {done} of {total} pictures\n')
        raise
